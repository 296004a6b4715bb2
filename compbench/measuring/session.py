"""One scenario from cooldown to stopped server: phases, retries, and the capture that comes of it.

Records raw facts; how they read is `compbench.report`'s business. A scenario that goes wrong ends in an `Outcome`,
never in an exception; only an interruption and a disk that refuses the capture leave here as exceptions.
"""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

import msgspec

from compbench.config.settings import Settings
from compbench.files.whole import sync_folder
from compbench.machine import interrupts, process
from compbench.machine.effects import Effects
from compbench.measuring import admission, cautions, data_sets, phases, server, serving
from compbench.measuring.attempt import Attempt, ScenarioFailed, capture_of
from compbench.measuring.quiet import await_quiet, cool_down
from compbench.measuring.retries import is_due
from compbench.model.errors import UserError
from compbench.model.events import OutcomeReached, Subscriber
from compbench.model.file_names import INVALID, PARTIAL
from compbench.model.measurement import Measurement
from compbench.model.metrics import figures_of
from compbench.model.notices import Outcome, outcome_of
from compbench.model.records import Capture, SystemFacts
from compbench.model.scenario import Scenario
from compbench.store import kept_data
from compbench.store.attempts import attempts_kept, set_aside, spoiled_attempts
from compbench.store.record_files import write_record
from compbench.store.runs import Run
from compbench.systems import registry


def measure_scenario(
    run: Run,
    measurement: Measurement,
    scenario: Scenario,
    settings: Settings,
    root: Path,
    tell: Subscriber,
    effects: Effects,
    last: Capture | None = None,
) -> Capture:
    """Measure one scenario of an open run and write its capture; the caller holds the suite's lock.

    `last` is the run's measurement before this one, spoiled or not, since whose end the machine rests.

    Raises:
        KeyboardInterrupt: a signal came; processes are ended, files under way keep `.partial`, there is no capture.
        OSError: the capture could not be written (a full disk); the scenario counts as not measured.
    """
    set_aside(run, measurement.name)
    number, spoiled = attempts_kept(run, measurement.name) + 1, spoiled_attempts(run, measurement.name)
    attempt = Attempt(run, scenario, measurement, settings, root, tell, effects, number, spoiled, effects.now(), last)
    files_before = process.own_open_files()
    outcome = _outcome_of(attempt)
    _note_own_leaks(attempt, files_before)
    attempt.warn(cautions.of_descriptors(attempt.server))
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
    if attempt.settings.systems and (what := registry.not_offered(attempt.settings, attempt.scenario)):
        return outcome_of("not-offered", system=registry.title_of(attempt.settings.system), what=what)
    if attempt.spoiled_attempts:
        await_quiet(attempt)
    cool_down(attempt)
    attempt.current = "start"
    attempt.system_facts = _system_facts(attempt.settings)
    admission.check_inputs(attempt)
    admission.check_machine(attempt)
    with contextlib.ExitStack() as stack:
        work = _make_work_folder(attempt, stack)
        log = attempt.output("server_log")
        under_test = serving.start_server(attempt, work, log, stack)
        try:
            phases.prepare(attempt, under_test, work)
            admission.check_inputs(attempt)
            return phases.measure(attempt, under_test, work)
        finally:
            with interrupts.deferred():
                serving.stop(attempt, under_test)


def _system_facts(settings: Settings) -> SystemFacts:
    half = registry.server_of(settings)
    return SystemFacts(title=registry.title_of(settings.system), mode=half.mode, **half.facts()._asdict())


def _make_work_folder(attempt: Attempt, stack: contextlib.ExitStack) -> Path:
    """Make the server's folder, with the data set if that is kept; it is removed with the stack.

    Raises:
        ScenarioFailed: the disk refused it.
    """
    try:
        kept = kept_data.data_set_folder(attempt.settings, attempt.scenario)
    except UserError as error:
        raise ScenarioFailed(outcome_of("data-set-size-unknown", problem=error)) from None
    try:
        work = stack.enter_context(server.work_folder(attempt.settings, attempt.root))
        attempt.has_kept_data = data_sets.hand_over_for(attempt.settings, kept, work / "data")
    except OSError as error:
        problem = error.strerror or error
        raise ScenarioFailed(
            outcome_of("work-dir-unusable", folder=attempt.settings.work_dir, problem=problem)
        ) from None
    return work


def _note_own_leaks(attempt: Attempt, files_before: int | None) -> None:
    """Count the descriptors that the scenario left open in this process."""
    files_after = process.own_open_files()
    if files_before is not None and files_after is not None:
        leaked = max(0, files_after - files_before)
        attempt.server = msgspec.structs.replace(attempt.server, leaked_runner_files=leaked)


def ending_of(outcome: Outcome, *, ran_whole: bool) -> str:
    """Return the ending of the driver's files: `.invalid` if they are whole but no measurement."""
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
