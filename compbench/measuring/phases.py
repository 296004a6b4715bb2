"""A driver at work: started, followed, bounded in time, and its report judged; first to load the data, then to measure.

Everything here happens while the server under test lives. Its death, or the driver's, becomes an outcome.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from compbench.machine import isolation, process, thresholds
from compbench.machine.isolation import Isolation
from compbench.machine.output import Output
from compbench.machine.placement import Placement
from compbench.machine.probes.busy_processes import busiest
from compbench.machine.process import Child, Exit
from compbench.machine.real_time import in_real_time
from compbench.measuring import cautions, driver_report, drivers, equal_recall, outcomes, server
from compbench.measuring.attempt import MEGABYTE, Attempt, ScenarioFailed
from compbench.measuring.driver_wait import Following
from compbench.measuring.drivers import DriverFiles, Job
from compbench.measuring.under_test import UnderTest
from compbench.measuring.watching import keep_stacks, note_memory, take_snapshot, watching
from compbench.model.errors import UserError
from compbench.model.notices import Outcome, outcome_of
from compbench.model.partition import read_cpu_list
from compbench.model.records import DataSet, DriverFacts
from compbench.model.result import Prepared, Result
from compbench.model.scenario import mean_rate
from compbench.store import kept_data
from compbench.store.data_set_sizes import wanted_data
from compbench.systems import registry


def prepare(attempt: Attempt, under_test: UnderTest, work: Path) -> None:
    """Load the data set by a child process.

    Raises:
        ScenarioFailed: the server died, or does not hold the scenario's data set.
    """
    scenario, settings = attempt.scenario, attempt.settings
    data_set = attempt.data_set = _wanted_data(attempt)
    files = DriverFiles(work / "prepare.json", work / "prepare.progress")
    with attempt.phase("prepare", settings.prepare_limit_s):
        limit_s = settings.prepare_limit_s + settings.driver_grace_s
        output = Output(work / "prepare.log", MEGABYTE)
        # Known before: in some systems it is built into the index.
        attempt.effort = equal_recall.choose_effort(attempt)
        argv = drivers.prepare_argv(
            settings, scenario, files, data_set.wanted, settings.prepare_limit_s, attempt.effort
        )
        with _driver(attempt, under_test, argv, (output, None), _reached(attempt).of_loader) as child:
            in_time = Following(attempt, child, under_test, files.progress, limit_s).until_end()
        ended = child.exit
        said, note = _said_of(files.report)
        if not in_time:
            note = f"loading was ended after {limit_s:g} s"
        elif not note and (ended is None or ended.code != 0):
            note = f"loading failed: {' '.join(server.tail(output.path, 3)) or ended}"
        if note and attempt.has_kept_data:
            kept = kept_data.data_set_folder(settings, scenario)
            note += f" (its rows are kept in {kept}: without that they are loaded anew)"
        complete = in_time and ended is not None and ended.code == 0
        stored = registry.server_of(settings).count()
        loaded = msgspec.structs.replace(data_set, stored=stored, prepared=complete, note=note)
        attempt.data_set = _with_costs(attempt, loaded, said, work)
    attempt.warn(cautions.of_data_set(attempt.data_set))
    if unheld := outcomes.judge_held_data(attempt.data_set):
        raise ScenarioFailed(unheld)


def measure(attempt: Attempt, under_test: UnderTest, work: Path) -> Outcome:
    """Measure, with samples of machine and server taken meanwhile, and judge the driver's report.

    Raises:
        ScenarioFailed: the server died, the driver hung, or its report can't be read.
    """
    job = _job_of(attempt, work)
    stdout, stderr = attempt.output("stdout"), attempt.output("stderr")
    attempt.driver = DriverFacts(argv=job.argv, name=attempt.driver_name)
    processes, reached = attempt.effects.read_processes(), _reached(attempt)
    with (
        attempt.phase("measure", job.duration_s),
        in_real_time(under_test.pid, wanted=attempt.measurement.kind == "load" and reached.is_server_real_time),
        _driver(attempt, under_test, job.argv, (stdout, stderr), reached.of_driver) as child,
    ):
        with watching(attempt, child, under_test, job, work) as (begin, each_poll):

            def look() -> None:
                note_memory(attempt, under_test)
                if job.files.hold:
                    job.files.hold.touch()

            following = Following(attempt, child, under_test, job.files.progress, job.limit_s, begin, each_poll, look)
            timed_out = not following.until_end()
        ended = child.exit
        if attempt.driver_name != "builtin" and not timed_out:
            note_memory(attempt, under_test)  # Engram's driver holds no connections, and its server has no need of them
    _note_driver(attempt, ended, timed_out, [stdout, stderr])
    attempt.busy = busiest(processes, attempt.effects.read_processes(), server=under_test.pid)
    with attempt.phase("snapshot"):
        take_snapshot(attempt, under_test, work)
        keep_stacks(attempt, work)
    if timed_out:
        raise ScenarioFailed(outcome_of("driver-timeout", "measure", limit_s=following.limit_now_s))
    if not server.answers(attempt.settings):
        raise ScenarioFailed(_silent_outcome(attempt))
    return _judge(attempt, ended or Exit(None), stdout, job.files.report)


def _silent_outcome(attempt: Attempt) -> Outcome:
    """Return the outcome of a server that answers no more: of one that is elsewhere, it is not known if it runs."""
    if attempt.system_facts.is_elsewhere:
        return outcome_of("endpoint-lost", "measure", endpoint=attempt.server.executable)
    return outcome_of("server-unresponsive", "measure")


def _wanted_data(attempt: Attempt) -> DataSet:
    """Return what is to be loaded.

    Raises:
        ScenarioFailed: how much that is was to be found before, and could not be.
    """
    scenario, settings = attempt.scenario, attempt.settings
    try:
        data_set = wanted_data(settings, scenario)
    except UserError as error:
        raise ScenarioFailed(outcome_of("data-set-size-unknown", "prepare", problem=error)) from None
    if data_set is None:
        why = "no data set could be loaded beforehand"
        raise ScenarioFailed(outcome_of("data-set-size-unknown", "prepare", problem=why))
    _refuse_another_size(attempt, data_set)
    return data_set


def _refuse_another_size(attempt: Attempt, data_set: DataSet) -> None:
    """Refuse to measure a scenario's repeats on different amounts of data: their figures are one distribution.

    Raises:
        ScenarioFailed: an earlier repeat of this run had another amount.
    """
    for other in attempt.run.captures():
        had = other.data_set
        is_figure = other.scenario == attempt.scenario.name and other.result is not None
        if is_figure and had is not None and had.wanted != data_set.wanted:
            now = f"now {data_set.wanted:,} would be loaded"
            problem = f"{other.measurement} of this run had {had.wanted:,} memories, {now}"
            raise ScenarioFailed(outcome_of("data-set-size-unknown", "prepare", problem=problem))


def _job_of(attempt: Attempt, work: Path) -> Job:
    progress, hold = work / "measure.progress", work / "measure.hold"
    files = DriverFiles(attempt.partial("driver_json"), progress, attempt.partial("hlog"), hold)
    job_for = drivers.capacity_job if attempt.measurement.kind == "capacity" else drivers.load_job
    try:
        assert attempt.data_set is not None  # noqa: S101 - it is loaded before anything is measured
        return job_for(attempt.settings, attempt.scenario, files, attempt.data_set.wanted, attempt.effort)
    except UserError as error:
        raise ScenarioFailed(outcome_of("no-limit", problem=error)) from None


def _driver(
    attempt: Attempt,
    under_test: UnderTest,
    argv: list[str],
    outputs: tuple[Output, Output | None],
    place: Callable[[int], Placement],
) -> contextlib.AbstractContextManager[Child]:
    """Run a driver, in the place that is had with the niceness of the settings."""
    stdout, stderr = outputs
    return process.running(
        [*under_test.entry, *argv],
        environment=server.driver_environment(attempt.settings, attempt.root),
        folder=attempt.root,
        stdout=stdout,
        stderr=stderr,
        stop_grace_s=attempt.settings.stop_grace_s,
        placement=place(attempt.settings.niceness),
    )


def _reached(attempt: Attempt) -> Isolation:
    return isolation.reached_by(attempt.settings)


def _note_driver(attempt: Attempt, ended: Exit | None, timed_out: bool, outputs: list[Output]) -> None:
    left_out = sum(output.left_out_bytes for output in outputs)
    attempt.driver = msgspec.structs.replace(
        attempt.driver,
        exit_code=ended.code if ended else None,
        signal=ended.signal if ended else None,
        timed_out=timed_out,
        output_bytes=sum(output.total_bytes for output in outputs),
        left_out_bytes=left_out,
    )
    if left_out:
        attempt.notice("driver-output-cut", left_out=left_out)
    for output in outputs:
        if output.error:
            attempt.notice("output-not-written", file=output.path.name, problem=output.error)


def _judge(attempt: Attempt, ended: Exit, stdout: Output, report: Path) -> Outcome:
    """Turn the driver's report and exit into an outcome."""
    try:
        judge = _judge_capacity if attempt.measurement.kind == "capacity" else _judge_load
        outcome = judge(attempt, ended, stdout, report)
    except UserError as error:
        raise ScenarioFailed(outcome_of("report-unreadable", "measure", problem=error)) from None
    attempt.warn(cautions.of_others(attempt.busy, outcome))
    if outcome.verdict == "invalid":
        return outcomes.name_the_busy(outcome, attempt.busy)
    if outcome.verdict == "missed":
        attempt.warn(thresholds.low_cpu(attempt.samples, is_server_here=not attempt.system_facts.is_elsewhere))
    return outcome


def _judge_capacity(attempt: Attempt, ended: Exit, _stdout: Output, report: Path) -> Outcome:
    attempt.capacity = driver_report.read_capacity(report)
    return outcomes.judge_capacity(attempt.capacity, ended, server.tail(attempt.partial("stderr"), 10))


def _judge_load(attempt: Attempt, ended: Exit, stdout: Output, report: Path) -> Outcome:
    scenario, duration_s = attempt.scenario, drivers.duration_s(attempt.settings, attempt.scenario)
    attempt.result = driver_report.read_result(report, stdout.path)
    attempt.warn(cautions.of_result(attempt.result, attempt.driver_name, duration_s, scenario))
    if attempt.system_facts.is_elsewhere:
        attempt.warn(cautions.of_round_trip(attempt.result))
    stderr_lines = server.tail(attempt.partial("stderr"), 10)
    outcome = outcomes.judge(attempt.result, scenario.validation, mean_rate(scenario.arrival), ended, stderr_lines)
    attempt.warn(cautions.of_exit(outcome, ended))
    if attempt.result is None:
        return outcome
    outcome = outcomes.judge_senders(outcome, attempt.result, _results_before(attempt))
    missed = outcomes.missed_targets(attempt.result, scenario.validation)
    limit_pct = attempt.settings.max_others_pct
    return outcomes.judge_crowding(outcome, missed, attempt.samples, limit_pct, _servers_alone(attempt))


def _results_before(attempt: Attempt) -> list[Result | None]:
    """Return the results of what this run has measured before, also if it was invalid, where hosts send it."""
    if attempt.settings.asked_hosts is None:
        return []
    return [capture.result for capture in (*attempt.run.captures(), attempt.last) if capture is not None]


def _servers_alone(attempt: Attempt) -> tuple[int, ...]:
    """Return the CPUs that the server could use and the driver could not; none where they shared any."""
    server_cpus, driver_cpus = attempt.server.cpus, attempt.driver.cpus
    if not server_cpus or not driver_cpus:
        return ()
    own = read_cpu_list(server_cpus)
    return () if set(own) & set(read_cpu_list(driver_cpus)) else own


def _said_of(report: Path) -> tuple[Prepared | None, str]:
    """Return the driver's report on loading if it left one, and its note, or why it can't be read."""
    try:
        said = driver_report.read_prepared(report)
    except UserError as error:
        return None, str(error)
    return said, said.note if said else ""


def _disk_bytes(attempt: Attempt, work: Path) -> int | None:
    """Return the size of the server's data folder, None if that is on a disk of the user's own server."""
    is_here = registry.server_of(attempt.settings).mode != "endpoint"
    return kept_data.disk_bytes(work / "data") if is_here else None


def _with_costs(attempt: Attempt, loaded: DataSet, said: Prepared | None, work: Path) -> DataSet:
    """Return the data set with what loading it took: of the server that did it, which may be one before."""
    kept = kept_data.read_kept_facts(attempt.settings, attempt.scenario) if attempt.has_kept_data else None
    load_s = index_s = None
    if kept is not None:
        load_s, index_s = kept.load_s, kept.index_s
    elif said is not None and loaded.prepared and not said.found:
        load_s, index_s = round(said.elapsed_s - said.index_s, 3), said.index_s
    return msgspec.structs.replace(
        loaded,
        is_kept=attempt.has_kept_data,
        load_s=load_s,
        index_s=index_s,
        disk_bytes=kept.disk_bytes if kept else _disk_bytes(attempt, work),
        index_proof=(said.index_proof if said else None) or (kept.index_proof if kept else None),
    )
