"""Whether a scenario may be measured now: its inputs are the run's, the machine is fit, no other server disturbs."""

from __future__ import annotations

from compbench.machine.probes import machine
from compbench.machine.probes.busy_processes import busiest, describe_busy
from compbench.measuring.attempt import Attempt, ScenarioFailed
from compbench.model.notices import of_the_drivers_machine, outcome_of
from compbench.preflight.judgement import judge_stability
from compbench.store import provenance
from compbench.store.resume_rules import input_changes
from compbench.systems import registry

# Whose texts tell nothing of which machine they are.
_OF_HEAT = ("hot-machine", "throttled-machine")


def check_inputs(attempt: Attempt) -> None:
    """Compare the files that are about to be measured, or read by the driver, with those that the run is of.

    Raises:
        ScenarioFailed: the scenario's file or a binary is another than when the run was opened.
    """
    now = provenance.inputs_now(attempt.settings, attempt.scenario)
    if changes := input_changes(
        attempt.run.manifest.fingerprint, attempt.scenario.name, now, attempt.measurement.system
    ):
        raise ScenarioFailed(outcome_of("inputs-changed", changes="; ".join(changes)))


def check_machine(attempt: Attempt) -> None:
    """Read the machine right before a scenario, warn of a busy or hot one, and look for other servers.

    Raises:
        ScenarioFailed: there is too little memory, another server runs, or loopback does not answer.
    """
    attempt.machine_before = machine.read_stability()
    attempt.machine_before["throttled_since"] = _throttled_since(attempt)
    if (attempt.machine_before["load_1min"] or 0.0) > attempt.settings.warn_load:
        before = attempt.effects.read_processes()
        attempt.machine_before["busy_pct"] = machine.busy_pct()
        attempt.machine_before["busy_processes"] = describe_busy(busiest(before, attempt.effects.read_processes()))
    notices, refusal = judge_stability(attempt.machine_before, attempt.settings)
    for notice in notices:
        is_of_heat = attempt.system_facts.is_elsewhere and notice.code in _OF_HEAT
        attempt.warn([of_the_drivers_machine(notice) if is_of_heat else notice])
    if refusal:
        raise ScenarioFailed(refusal)
    running, _ = machine.foreign_servers(registry.recognisers(attempt.settings))
    if running:
        raise ScenarioFailed(outcome_of("other-server", running=", ".join(running)))
    if not machine.loopback_answers(attempt.effects.sleep):
        raise ScenarioFailed(outcome_of("loopback-unreachable"))


def _throttled_since(attempt: Attempt) -> int | None:
    """Return how often heat throttled the CPU since the run's last measurement; None if that is not known."""
    last, now = attempt.last, attempt.machine_before["throttle_events"]
    before = (last.machine_after or last.machine_before).get("throttle_events") if last else None
    return None if before is None or now is None else max(0, now - before)
