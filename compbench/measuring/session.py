"""One scenario from cooldown to stopped server: phases, retries, and the capture that comes of it.

Records raw facts; how they read is `compbench.report`'s business. A scenario that goes wrong ends in an `Outcome`,
never in an exception; only an interruption and a disk that refuses the capture leave here as exceptions.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from pathlib import Path

import msgspec

from compbench.config.settings import Settings
from compbench.files.whole import sync_folder
from compbench.machine import interrupts, process, snapshot
from compbench.machine.effects import Effects
from compbench.machine.output import Output
from compbench.machine.probes import machine
from compbench.machine.probes.busy_processes import busiest, describe
from compbench.measuring import cautions, data_sets, phases, server
from compbench.measuring.attempt import Attempt, ScenarioFailed, capture_of
from compbench.measuring.quiet import await_quiet
from compbench.measuring.retries import is_due
from compbench.measuring.server import Server, StartError
from compbench.model.events import OutcomeReached, ProgressMade, Subscriber
from compbench.model.file_names import INVALID, PARTIAL
from compbench.model.measurement import Measurement
from compbench.model.metrics import figures_of
from compbench.model.notices import Outcome, outcome_of
from compbench.model.records import Capture
from compbench.model.scenario import Scenario
from compbench.preflight.judgement import judge_stability
from compbench.store import kept_data, provenance
from compbench.store.attempts import attempts_kept, set_aside, spoiled_attempts
from compbench.store.record_files import write_record
from compbench.store.resume_rules import input_changes
from compbench.store.runs import Run
from compbench.systems import registry

START_ATTEMPTS = 2
_POLL_S = 0.25


def measure_scenario(
    run: Run,
    measurement: Measurement,
    scenario: Scenario,
    settings: Settings,
    root: Path,
    tell: Subscriber,
    effects: Effects,
) -> Capture:
    """Measure one scenario of an open run and write its capture; the caller holds the suite's lock.

    Raises:
        KeyboardInterrupt: a signal came; processes are ended, files under way keep `.partial`, there is no capture.
        OSError: the capture could not be written (a full disk); the scenario counts as not measured.
    """
    set_aside(run, measurement.name)
    number, spoiled = attempts_kept(run, measurement.name) + 1, spoiled_attempts(run, measurement.name)
    attempt = Attempt(run, scenario, measurement, settings, root, tell, effects, number, spoiled, effects.now())
    files_before = process.own_open_files()
    outcome = _outcome_of(attempt)
    _note_leaks(attempt, files_before)
    capture = _finish(attempt, outcome)
    tell(_outcome_event(capture, again=is_due(capture, settings.invalid_retries)))
    return capture


def _outcome_event(capture: Capture, *, again: bool) -> OutcomeReached:
    figures = figures_of(capture.result, capture.capacity)
    return OutcomeReached(
        at=capture.ended_at,
        measurement=capture.measurement,
        outcome=capture.outcome,
        attempt=capture.attempt,
        again=again,
        figures={name: value for name, value in figures.items() if value is not None},
    )


def _outcome_of(attempt: Attempt) -> Outcome:
    try:
        return _run_phases(attempt)
    except ScenarioFailed as failed:
        return msgspec.structs.replace(failed.outcome, phase=failed.outcome.phase or attempt.current)
    except Exception as error:  # noqa: BLE001 - a fault of ours costs this scenario, not the suite; its traceback is kept
        attempt.snapshot["traceback"] = traceback.format_exc()
        return outcome_of("internal-error", attempt.current, error=f"{type(error).__name__}: {error}")


def _run_phases(attempt: Attempt) -> Outcome:
    if attempt.spoiled_attempts:
        await_quiet(attempt)
    _cool_down(attempt)
    _check_inputs(attempt)
    _check_stability(attempt)
    with server.work_folder(attempt.settings, attempt.root) as work, contextlib.ExitStack() as stack:
        log = attempt.output("server_log")
        data_sets.hand_over(kept_data.data_set_folder(attempt.settings, attempt.scenario), work / "data")
        under_test = _start(attempt, work, log, stack)
        try:
            phases.prepare(attempt, under_test, work)
            _check_inputs(attempt)
            return phases.measure(attempt, under_test, work)
        finally:
            with interrupts.deferred():
                _stop(attempt, under_test)


def _cool_down(attempt: Attempt) -> None:
    """Rest from the end of the run's last scenario on; before a run's first scenario there is nothing to rest from."""
    ends = [capture.ended_at for capture in attempt.run.captures()]
    left_s = max(ends) + attempt.settings.cooldown_s - attempt.effects.now() if ends else 0.0
    if left_s <= 0:
        return
    left_s = min(left_s, attempt.settings.cooldown_s)  # the clock may have been set back
    with attempt.phase("cooldown", left_s):
        deadline = attempt.effects.monotonic() + left_s
        while (rest_s := deadline - attempt.effects.monotonic()) > 0:
            now, name = attempt.effects.now(), attempt.measurement.name
            attempt.tell(ProgressMade(at=now, measurement=name, elapsed_s=left_s - rest_s, total_s=left_s))
            attempt.effects.sleep(min(rest_s, _POLL_S))


def _check_inputs(attempt: Attempt) -> None:
    """Compare the files that are about to be measured, or read by the driver, with those that the run is of.

    Raises:
        ScenarioFailed: the scenario's file or a binary is another than when the run was opened.
    """
    attempt.current = attempt.current or "start"
    now = provenance.inputs_now(attempt.settings, attempt.scenario)
    if changes := input_changes(attempt.run.manifest.fingerprint, attempt.scenario.name, now):
        raise ScenarioFailed(outcome_of("inputs-changed", changes="; ".join(changes)))


def _check_stability(attempt: Attempt) -> None:
    attempt.current = "start"
    attempt.machine_before = machine.read_stability() | {"throttled_since": _throttled_since(attempt)}
    if (attempt.machine_before["load_1min"] or 0.0) > attempt.settings.warn_load:
        before = attempt.effects.read_processes()
        attempt.machine_before["busy_pct"] = machine.busy_pct()
        attempt.machine_before["busy_processes"] = describe(busiest(before, attempt.effects.read_processes()))
    notices, refusal = judge_stability(attempt.machine_before, attempt.settings.limits, attempt.settings)
    attempt.warn(notices)
    if refusal:
        raise ScenarioFailed(refusal)
    running, _ = machine.foreign_servers(registry.recognisers(attempt.settings))
    if running:
        raise ScenarioFailed(outcome_of("other-server", running=", ".join(running)))
    if not machine.loopback_answers(attempt.effects.sleep):
        raise ScenarioFailed(outcome_of("loopback-unreachable"))


def _throttled_since(attempt: Attempt) -> int | None:
    """Return how often heat throttled the CPU since the run's last measurement; None if that is not known."""
    last = max(attempt.run.captures(), key=lambda capture: capture.ended_at, default=None)
    before = (last.machine_after or last.machine_before).get("throttle_events") if last else None
    now = machine.read_stability()["throttle_events"]
    return None if before is None or now is None else max(0, now - before)


def _start(attempt: Attempt, work: Path, log: Output, stack: contextlib.ExitStack) -> Server:
    """Start the server and wait until it is ready; a start-up that fails for now is tried again (specification 5)."""
    settings = attempt.settings
    with attempt.phase("start", settings.ready_timeout_s):
        for number in range(1, START_ATTEMPTS + 1):
            with contextlib.ExitStack() as trial:
                try:
                    under_test = trial.enter_context(server.started(settings, work, log, attempt.root))
                    attempt.server = msgspec.structs.replace(
                        attempt.server, argv=under_test.child.argv, pid=under_test.child.pid, start_attempts=number
                    )
                    server.wait_until_ready(under_test, settings.ready_timeout_s)
                except StartError as error:
                    _refuse_missing_program(attempt)
                    if not error.transient or number == START_ATTEMPTS:
                        raise _start_failure(attempt, error, log) from None
                    attempt.notice("start-retried", problem=error, delay_s=settings.start_retry_delay_s)
                else:
                    stack.push(trial.pop_all())
                    _note_ready(attempt, under_test)
                    return under_test
            attempt.effects.sleep(settings.start_retry_delay_s)
    raise AssertionError("unreachable: the last attempt either returns or raises")


def _refuse_missing_program(attempt: Attempt) -> None:
    """Tell a server that can't be started any more from one that did not start for now.

    Raises:
        ScenarioFailed: its program is not there.
    """
    program = attempt.server.argv[0] if attempt.server.argv else ""
    if program and not os.access(program, os.X_OK):
        raise ScenarioFailed(outcome_of("binary-missing", program=program))


def _start_failure(attempt: Attempt, error: StartError, log: Output) -> ScenarioFailed:
    attempt.server = msgspec.structs.replace(
        attempt.server, last_log_lines=server.tail(log.path, server.LAST_LOG_LINES)
    )
    return ScenarioFailed(error.outcome)


def _note_ready(attempt: Attempt, under_test: Server) -> None:
    attempt.server = msgspec.structs.replace(
        attempt.server,
        port=attempt.settings.port,
        version=server.version_of(attempt.settings, attempt.root),
        executable=under_test.child.argv[0],
        ready_after_s=round(under_test.ready_after_s or 0.0, 3),
        open_files_before=snapshot.count_open_files(under_test.child.pid),
        memories_before=registry.server_of(attempt.settings).count(),
    )


def _stop(attempt: Attempt, under_test: Server) -> None:
    failed_in = attempt.current
    with attempt.phase("stop", attempt.settings.stop_grace_s):
        under_test.stop()
        ended = under_test.exit
        attempt.server = msgspec.structs.replace(
            attempt.server,
            exit_code=ended.code if ended else None,
            signal=ended.signal if ended else None,
            stopped_by=under_test.stopped_by,
            zombie_left=under_test.zombie_left,
            port_freed=under_test.port_freed,
        )
        if under_test.stopped_by == "SIGKILL":
            attempt.notice("server-killed", grace_s=attempt.settings.stop_grace_s)
        if under_test.port_freed is False:
            attempt.notice("port-not-freed", port=attempt.settings.port)
        if why := attempt.effects.drop_page_cache():
            attempt.notice("page-cache-kept", why=why)
    if failed_in is not None:
        attempt.current = failed_in


def _note_leaks(attempt: Attempt, files_before: int | None) -> None:
    """Count descriptors that the scenario left open in this process, and warn of those, and of the server's."""
    files_after = process.own_open_files()
    if files_before is not None and files_after is not None:
        leaked = max(0, files_after - files_before)
        attempt.server = msgspec.structs.replace(attempt.server, leaked_runner_files=leaked)
    attempt.warn(cautions.of_descriptors(attempt.server))


def ending_of(outcome: Outcome, *, ran_whole: bool) -> str:
    """Return what the names of the driver's files end in: `.invalid` if they are whole but no measurement."""
    if outcome.is_measurement:
        return ""
    return INVALID if ran_whole else PARTIAL


def _finish(attempt: Attempt, outcome: Outcome) -> Capture:
    """Give whole files their names and write the capture, last and whole; no signal cuts this short."""
    run, name = attempt.run, attempt.measurement.name
    with interrupts.deferred():
        files = {}
        for kind in ("stdout", "stderr", "driver_json", "hlog", "server_log", "stacks"):
            partial, final = attempt.partial(kind), run.path(name, kind)
            if not partial.exists():
                continue
            if kind not in ("server_log", "stacks"):
                final = final.with_name(final.name + ending_of(outcome, ran_whole=attempt.ran_whole))
            partial.rename(final)
            files[kind] = final.name
        sync_folder(run.folder)
        capture = capture_of(attempt, outcome, files)
        write_record(run.path(name, "capture"), capture)
    return capture
