"""One scenario from cooldown to stopped server: phases, retries, time limits, and the capture that comes of it.

Records raw facts; how they read is `compbench.report`'s business. A scenario that goes wrong ends in an `Outcome`,
never in an exception; only an interruption and a disk that refuses the capture leave here as exceptions.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from compbench import drivers, flamegraph, interrupts, monitor, process, results, runs, server
from compbench.errors import UserError
from compbench.preflight import judge_stability
from compbench.probes import machine, snapshot
from compbench.process import Child, Exit, Output
from compbench.records import Capture, DataSet, DriverFacts, Notice, Outcome, Phase, PhaseRecord, Sample, ServerFacts
from compbench.runs import Run
from compbench.sampler import Sampler
from compbench.scenarios import Scenario, mean_rate
from compbench.server import Server, StartError
from compbench.settings import Settings

START_ATTEMPTS = 2
_POLL_S = 0.25
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Progress:
    """How far a phase is; rates in operations a second, where the driver tells them."""

    elapsed_s: float
    total_s: float | None = None
    offered_ops_s: float | None = None
    achieved_ops_s: float | None = None
    done: int | None = None
    wanted: int | None = None


class Watcher(Protocol):
    """Whoever wants to know at once how the scenario is going."""

    def phase(self, name: Phase, limit_s: float | None) -> None:
        """Take note that a phase has begun."""

    def progress(self, progress: Progress) -> None:
        """Take note of how far the phase is; called several times a second."""

    def notice(self, notice: Notice) -> None:
        """Take note of a warning."""


@dataclass(frozen=True)
class Effects:
    """The clock, and what touches the whole machine; a test hands in others."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    drop_page_cache: Callable[[], str] = server.drop_page_cache


class _Failed(Exception):  # noqa: N818 - not an error to handle but the way out of a scenario
    """Ends the scenario with an outcome."""

    def __init__(self, code: str, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.outcome = Outcome(verdict="failed", code=code, reason=reason, advice=advice)


@dataclass
class _Attempt:
    """What is known so far of the attempt under way."""

    run: Run
    scenario: Scenario
    settings: Settings
    root: Path
    watcher: Watcher
    effects: Effects
    number: int
    started_at: float
    phases: list[PhaseRecord] = field(default_factory=list)
    current: Phase | None = None
    notices: list[Notice] = field(default_factory=list)
    server: ServerFacts = field(default_factory=ServerFacts)
    driver: DriverFacts = field(default_factory=DriverFacts)
    data_set: DataSet | None = None
    result: results.Result | None = None
    samples: list[Sample] = field(default_factory=list)
    snapshot: dict[str, str] = field(default_factory=dict)
    machine_before: dict[str, Any] = field(default_factory=dict)
    machine_after: dict[str, Any] = field(default_factory=dict)

    def partial(self, kind: str) -> Path:
        """Return where one of the scenario's files grows until it is whole."""
        path = self.run.path(self.scenario.name, kind)
        return path.with_name(path.name + runs.PARTIAL)

    def output(self, kind: str) -> Output:
        """Return a file for what a process prints."""
        return Output(self.partial(kind), self.settings.max_output_mb * _MEGABYTE)

    def notice(self, notice: Notice) -> None:
        """Keep a warning, once, and pass it on at once."""
        if all(notice.code != known.code for known in self.notices):
            self.notices.append(notice)
            self.watcher.notice(notice)

    @contextlib.contextmanager
    def phase(self, name: Phase, limit_s: float | None = None) -> Iterator[None]:
        """Record a phase, however it ends."""
        self.current = name
        self.watcher.phase(name, limit_s)
        began_at, began = self.effects.now(), self.effects.monotonic()
        try:
            yield
        finally:
            spent_s = self.effects.monotonic() - began
            self.phases.append(PhaseRecord(name=name, started_at=began_at, duration_s=round(spent_s, 3)))


def measure_scenario(
    run: Run, scenario: Scenario, settings: Settings, root: Path, watcher: Watcher, effects: Effects
) -> Capture:
    """Measure one scenario of an open run and write its capture; the caller holds the suite's lock.

    Raises:
        KeyboardInterrupt: a signal came; processes are ended, files under way keep `.partial`, there is no capture.
        OSError: the capture could not be written (a full disk); the scenario counts as not measured.
    """
    runs.set_aside(run, scenario.name)
    number = runs.attempts_kept(run, scenario.name) + 1
    attempt = _Attempt(run, scenario, settings, root, watcher, effects, number, effects.now())
    files_before = process.own_open_files()
    outcome = _outcome_of(attempt)
    _note_leaks(attempt, files_before)
    return _finish(attempt, outcome)


def _outcome_of(attempt: _Attempt) -> Outcome:
    try:
        return _run_phases(attempt)
    except _Failed as failed:
        return msgspec.structs.replace(failed.outcome, phase=attempt.current)
    except Exception as error:  # noqa: BLE001 - a fault of ours costs this scenario, not the suite; its traceback is kept
        attempt.snapshot["traceback"] = traceback.format_exc()
        return Outcome(
            verdict="failed",
            code="internal-error",
            phase=attempt.current,
            reason=f"a fault in compbench: {type(error).__name__}: {error}",
            advice="the traceback is in the diagnostics file; please report it",
        )


def _run_phases(attempt: _Attempt) -> Outcome:
    _cool_down(attempt)
    _check_stability(attempt)
    with server.work_folder(attempt.settings) as work, contextlib.ExitStack() as stack:
        log = attempt.output("server_log")
        under_test = _start(attempt, work, log, stack)
        try:
            _prepare(attempt, under_test, work)
            return _measure(attempt, under_test, work)
        finally:
            with interrupts.deferred():
                _stop(attempt, under_test)


def _cool_down(attempt: _Attempt) -> None:
    """Rest from the end of the run's last scenario on; before a run's first scenario there is nothing to rest from."""
    ends = [capture.ended_at for capture in attempt.run.captures()]
    left_s = max(ends) + attempt.settings.cooldown_s - attempt.effects.now() if ends else 0.0
    if left_s <= 0:
        return
    left_s = min(left_s, attempt.settings.cooldown_s)  # the clock may have been set back
    with attempt.phase("cooldown", left_s):
        deadline = attempt.effects.monotonic() + left_s
        while (rest_s := deadline - attempt.effects.monotonic()) > 0:
            attempt.watcher.progress(Progress(elapsed_s=left_s - rest_s, total_s=left_s))
            attempt.effects.sleep(min(rest_s, _POLL_S))


def _check_stability(attempt: _Attempt) -> None:
    attempt.current = "start"
    attempt.machine_before = machine.read_stability()
    notices, refusal = judge_stability(attempt.machine_before, attempt.settings.limits, attempt.settings)
    for notice in notices:
        attempt.notice(notice)
    if refusal:
        raise _Failed("insufficient-memory", refusal, "end what uses memory, or lower min_scenario_memory_gb")
    if not machine.loopback_answers(attempt.effects.sleep):
        raise _Failed("loopback-unreachable", "127.0.0.1 is not reachable, after retries of 1, 2 and 4 s")


def _start(attempt: _Attempt, work: Path, log: Output, stack: contextlib.ExitStack) -> Server:
    """Start the server and wait until it is ready; a start-up that fails for now is tried once more (SPEC.md 5)."""
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
                    if not error.transient or number == START_ATTEMPTS:
                        raise _start_failure(attempt, error, log) from None
                    retry = f"{error}; trying once more in {settings.start_retry_delay_s:g} s"
                    attempt.notice(Notice(code="start-retried", text=retry))
                else:
                    stack.push(trial.pop_all())
                    _note_ready(attempt, under_test)
                    return under_test
            attempt.effects.sleep(settings.start_retry_delay_s)
    raise AssertionError("unreachable: the last attempt either returns or raises")


def _start_failure(attempt: _Attempt, error: StartError, log: Output) -> _Failed:
    attempt.server = msgspec.structs.replace(
        attempt.server, last_log_lines=server.tail(log.path, server.LAST_LOG_LINES)
    )
    return _Failed(error.code, str(error), f"see the last lines of the server's log, {log.path.name}")


def _note_ready(attempt: _Attempt, under_test: Server) -> None:
    attempt.server = msgspec.structs.replace(
        attempt.server,
        port=attempt.settings.port,
        version=server.version_of(attempt.settings, attempt.root),
        executable=under_test.child.argv[0],
        ready_after_s=round(under_test.ready_after_s or 0.0, 3),
        open_files_before=snapshot.count_open_files(under_test.child.pid),
        memories_before=server.count_memories(attempt.settings),
    )


def _prepare(attempt: _Attempt, under_test: Server, work: Path) -> None:
    """Load the data set by a child process of its own; a server that can't take it is measured with what it took."""
    scenario, settings = attempt.scenario, attempt.settings
    wanted = max(1, round(scenario.data.num_nodes * settings.data_scale))
    data_set = DataSet(nodes_in_scenario=scenario.data.num_nodes, scale=settings.data_scale, wanted=wanted)
    files = drivers.DriverFiles(work / "prepare.json", work / "prepare.progress")
    with attempt.phase("prepare", settings.prepare_timeout_s):
        limit_s = settings.prepare_timeout_s + settings.driver_grace_s
        output = Output(work / "prepare.log", _MEGABYTE)
        argv = drivers.prepare_argv(settings, scenario, files)
        with _driver(attempt, argv, output, None) as child:
            _await(attempt, child, under_test, files.progress, limit_s=limit_s)
            ended = child.poll()
        said = _read_json(files.report)
        note = str(said.get("note") or "")
        if ended is None or (ended.code != 0 and not said):
            why = " ".join(server.tail(output.path, 3)) or str(ended)
            note = note or f"loading was ended after {limit_s:g} s" if ended is None else f"loading failed: {why}"
        complete = ended is not None and ended.code == 0
        stored = server.count_memories(settings)
        attempt.data_set = msgspec.structs.replace(data_set, stored=stored, prepared=complete, note=note)


def _measure(attempt: _Attempt, under_test: Server, work: Path) -> Outcome:
    scenario, settings = attempt.scenario, attempt.settings
    duration_s = drivers.duration_s(settings, scenario)
    files = drivers.DriverFiles(attempt.partial("driver_json"), work / "measure.progress")
    argv = drivers.measure_argv(settings, scenario, duration_s, files)
    stdout, stderr = attempt.output("stdout"), attempt.output("stderr")
    sampler = Sampler(under_test.child.pid, settings.sample_interval_s, duration_s=duration_s)
    with attempt.phase("measure", duration_s), contextlib.ExitStack() as stack:
        child = stack.enter_context(_driver(attempt, argv, stdout, stderr))
        attempt.driver = DriverFacts(argv=argv, name=settings.driver)
        begin = _Beginning(attempt, sampler, child, under_test, work, stack)
        try:
            timed_out = not _await(
                attempt, child, under_test, files.progress, limit_s=duration_s + settings.driver_grace_s, begin=begin
            )
        finally:
            attempt.samples = sampler.stop()
            for notice in monitor.notices(attempt.samples):
                attempt.notice(notice)
        ended = child.exit
    _note_driver(attempt, ended, timed_out, [stdout, stderr])
    with attempt.phase("snapshot"):
        _take_snapshot(attempt, under_test, work)
    if timed_out:
        reason = f"the driver was still running {settings.driver_grace_s:g} s after the {duration_s} s of measuring"
        raise _Failed("driver-timeout", f"{reason}; it was ended", "see the driver's output")
    return _judge(attempt, ended, stdout, files.report)


@dataclass
class _Beginning:
    """Starts what must run exactly while the driver measures: the sampler, and the flame graph's recording."""

    attempt: _Attempt
    sampler: Sampler
    driver: Child
    under_test: Server
    work: Path
    stack: contextlib.ExitStack

    def __call__(self) -> None:
        """Begin, once the driver has begun."""
        self.sampler.start(driver_pid=self.driver.pid)
        if self.attempt.settings.flamegraph and flamegraph.can_record() is None:
            data = self.work / "perf.data"
            duration_s = drivers.duration_s(self.attempt.settings, self.attempt.scenario)
            argv = flamegraph.record_argv(self.under_test.child.pid, duration_s, data)
            output = Output(self.work / "perf.log", _MEGABYTE)
            recorder = process.running(
                argv, environment=server.child_environment(self.attempt.root), folder=self.work, stdout=output
            )
            self.stack.callback(_fold_stacks, self.attempt, data, self.work)
            self.stack.enter_context(recorder)


def _fold_stacks(attempt: _Attempt, data: Path, work: Path) -> None:
    folded = flamegraph.fold_recording(data, work)
    if folded:
        runs.write_whole(attempt.run.path(attempt.scenario.name, "stacks"), flamegraph.format_folded(folded))


def _driver(
    attempt: _Attempt, argv: list[str], stdout: Output, stderr: Output | None
) -> contextlib.AbstractContextManager[Child]:
    return process.running(
        argv,
        environment=server.child_environment(attempt.root, {"RUST_LOG": "loadtest=warn"}),
        folder=attempt.root,
        stdout=stdout,
        stderr=stderr,
        stop_grace_s=attempt.settings.stop_grace_s,
    )


def _await(
    attempt: _Attempt,
    child: Child,
    under_test: Server,
    progress_file: Path,
    *,
    limit_s: float,
    begin: _Beginning | None = None,
) -> bool:
    """Wait for a driver's end, watching the server, the clock and the driver's own word of how far it is.

    Args:
        attempt: the attempt that the driver belongs to.
        child: the driver.
        under_test: the server that it drives; its death ends the scenario at once.
        progress_file: where compbench's own driver tells its progress; Engram's writes none.
        limit_s: after so long from the start of measuring (or of loading) the driver is ended.
        begin: called once, when the driver starts to measure.

    Returns:
        Whether the driver ended by itself.

    Raises:
        _Failed: the server has died.
    """
    tells_progress = "--progress" in child.argv
    reader = _ProgressReader(progress_file)
    effects, began = attempt.effects, attempt.effects.monotonic()
    begun = False
    while child.poll() is None:
        process.wait_any([child, under_test.child], _POLL_S)
        reader.read()
        if not begun and (not tells_progress or reader.phase in ("measure", "prepare")):
            begun, began = True, effects.monotonic()
            if begin is not None:
                begin()
        elapsed_s = effects.monotonic() - began
        if under_test.exit is not None:
            child.stop(attempt.settings.stop_grace_s)
            raise _crash(attempt, under_test)
        if elapsed_s > limit_s + (0 if begun else attempt.settings.warm_up_s):
            child.stop(attempt.settings.stop_grace_s)
            return False
        if begin is not None:
            for notice in monitor.notices_so_far(begin.sampler.samples()):
                attempt.notice(notice)
        attempt.watcher.progress(reader.progress(elapsed_s))
    if under_test.exit is not None:
        raise _crash(attempt, under_test)
    return True


@dataclass
class _ProgressReader:
    """Follows the JSON lines that compbench's own driver appends about once a second."""

    path: Path
    offset: int = 0
    phase: str = ""
    last: dict[str, Any] = field(default_factory=dict)

    def read(self) -> None:
        """Take in the whole lines that are new."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict):
                    self.last = said
                    self.phase = str(said.get("phase") or "")

    def progress(self, elapsed_s: float) -> Progress:
        """Return the newest word, with the time since the phase began as seen from here."""
        names = ("offered_ops_s", "achieved_ops_s", "done", "wanted")
        known = {name: self.last.get(name) for name in names if isinstance(self.last.get(name), int | float)}
        return msgspec.convert({"elapsed_s": elapsed_s, **known}, Progress, strict=False)


def _crash(attempt: _Attempt, under_test: Server) -> _Failed:
    ended = under_test.exit
    oom_killed = snapshot.was_oom_killed(under_test.child.pid, attempt.started_at)
    lines = under_test.last_log_lines()
    attempt.server = msgspec.structs.replace(attempt.server, crashed=True, oom_killed=oom_killed, last_log_lines=lines)
    why = " - killed by the kernel for lack of memory" if oom_killed else ""
    return _Failed(
        "server-crash",
        f"Server crash detected: the server ended during {attempt.current} ({ended}){why}",
        "see the last log lines in the diagnostics file, and the server's log",
    )


def _note_driver(attempt: _Attempt, ended: Exit | None, timed_out: bool, outputs: list[Output]) -> None:
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
        text = f"the driver printed {left_out} bytes more than max_output_mb allows; they were left out of its output"
        attempt.notice(Notice(code="driver-output-cut", text=text))
    for output in outputs:
        if output.error:
            text = f"{output.path.name} is incomplete: {output.error}"
            attempt.notice(Notice(code="output-not-written", text=text))


def _take_snapshot(attempt: _Attempt, under_test: Server, work: Path) -> None:
    engram_root = Path(attempt.settings.engram_root) if attempt.settings.target == "engram" else None
    attempt.server = msgspec.structs.replace(
        attempt.server,
        open_files_after=snapshot.count_open_files(under_test.child.pid),
        memories_after=server.count_memories(attempt.settings),
    )
    attempt.snapshot |= snapshot.read_snapshot(
        under_test.child.pid, drivers.endpoint(attempt.settings), engram_root=engram_root, work_dir=work
    )
    attempt.machine_after = machine.read_stability()


def _judge(attempt: _Attempt, ended: Exit | None, stdout: Output, report: Path) -> Outcome:
    """Turn the driver's report and exit into an outcome."""
    scenario = attempt.scenario
    try:
        attempt.result = results.read_result(report, stdout.path)
    except UserError as error:
        raise _Failed("report-unreadable", str(error), "see the driver's output") from None
    for notice in results.cautions(attempt.result, attempt.settings.driver, attempt.data_set, scenario):
        attempt.notice(notice)
    stderr_lines = server.tail(attempt.partial("stderr"), 10)
    return results.judge(
        attempt.result, scenario.validation, mean_rate(scenario.arrival), ended or Exit(None), stderr_lines
    )


def _stop(attempt: _Attempt, under_test: Server) -> None:
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
            text = f"the server did not stop within {attempt.settings.stop_grace_s:g} s of SIGTERM and was killed"
            attempt.notice(Notice(code="server-killed", text=text))
        if under_test.port_freed is False:
            text = f"port {attempt.settings.port} is still in use after the server has stopped"
            attempt.notice(Notice(code="port-not-freed", text=text))
        if why := attempt.effects.drop_page_cache():
            attempt.notice(Notice(code="page-cache-kept", text=why))
    if failed_in is not None:
        attempt.current = failed_in


def _note_leaks(attempt: _Attempt, files_before: int | None) -> None:
    """Count descriptors that the scenario left open in this process, and those that the server piled up."""
    files_after = process.own_open_files()
    if files_before is not None and files_after is not None:
        leaked = max(0, files_after - files_before)
        attempt.server = msgspec.structs.replace(attempt.server, leaked_runner_files=leaked)


def _finish(attempt: _Attempt, outcome: Outcome) -> Capture:
    """Give whole files their names and write the capture, last and whole; no signal cuts this short."""
    run, name = attempt.run, attempt.scenario.name
    with interrupts.deferred():
        files = {}
        for kind in ("stdout", "stderr", "driver_json", "server_log"):
            partial, final = attempt.partial(kind), run.path(name, kind)
            if not partial.exists():
                continue
            if outcome.verdict != "failed" or kind == "server_log":
                partial.rename(final)
                files[kind] = final.name
            else:
                files[kind] = partial.name
        if (stacks := run.path(name, "stacks")).exists():
            files["stacks"] = stacks.name
        runs.sync_folder(run.folder)
        capture = _capture(attempt, outcome, files)
        runs.write_record(run.path(name, "capture"), capture)
    return capture


def _capture(attempt: _Attempt, outcome: Outcome, files: dict[str, str]) -> Capture:
    scenario, settings = attempt.scenario, attempt.settings
    return Capture(
        run=attempt.run.name,
        scenario=scenario.name,
        title=scenario.title,
        attempt=attempt.number,
        target=settings.target,
        driver=settings.driver,
        profile=settings.profile,
        seed=scenario.seed,
        duration_s=drivers.duration_s(settings, scenario),
        sample_interval_s=settings.sample_interval_s,
        started_at=attempt.started_at,
        ended_at=attempt.effects.now(),
        outcome=outcome,
        phases=attempt.phases,
        data_set=attempt.data_set,
        server=attempt.server,
        driver_process=attempt.driver,
        result=msgspec.to_builtins(attempt.result) if attempt.result else None,
        samples=attempt.samples,
        notices=attempt.notices,
        machine_before=attempt.machine_before,
        machine_after=attempt.machine_after,
        snapshot=attempt.snapshot,
        files=files,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
