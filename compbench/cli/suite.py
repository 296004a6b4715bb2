"""One invocation at work: the checks, the run that it measures into, searches beside it, and the verdict it ends with.

What was asked for is `Project` and `Selection`, which never change; a run is a `RunInProgress`. The doit actions of
`compbench.cli.tasks` call these methods. Nothing here prints, and nothing is hashed or created before a task runs.
"""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from compbench.cli.project import Project
from compbench.cli.run_in_progress import RunInProgress
from compbench.cli.selection import MEASUREMENT_TASKS, Selection
from compbench.config.scenarios import title_of
from compbench.machine.effects import Effects
from compbench.machine.probes import machine
from compbench.measuring import data_sets, drivers
from compbench.measuring.retries import due
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.events import Event, MeasurementBegan, Subscriber
from compbench.model.measurement import Measurement, measurement_named
from compbench.model.records import Capture, Finding
from compbench.model.times import iso_utc
from compbench.preflight import checks, data_scale
from compbench.preflight.judgement import preflight_exit_code
from compbench.store import kept_data, leftovers, lock
from compbench.store.record_files import write_record
from compbench.store.resume import Opening
from compbench.store.runs import Run, clock_remark, read_run

if TYPE_CHECKING:
    from doit.task import Task

PASSED, FAILED, NOT_STARTED = 0, 1, 2
# What a run rests on besides its scenarios' own phases, for an estimate before anything was measured.
_ASSUMED_OVERHEAD_S = 8.0
# The guards of a runner that was killed end its server and driver within 3 s; this is patience for a busy machine.
_GUARDS_TIME_S = 10.0
_GUARDS_POLL_S = 0.1


@dataclass
class Suite:
    """The work of one invocation of doit."""

    project: Project
    show: Subscriber
    effects: Effects = field(default_factory=Effects)
    selection: Selection = field(default_factory=Selection)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    loads: RunInProgress | None = None
    searches: list[RunInProgress] = field(default_factory=list)
    gate_failed: bool = False
    _verdicts: list[int] = field(default_factory=list)
    _lock: int | None = None

    def __post_init__(self) -> None:
        self._began_s = self.effects.monotonic()

    @cached_property
    def opening(self) -> Opening:
        """Return what the choice of a run rests on; it hashes the inputs once, when they are needed."""
        project = self.project
        return Opening(project.root, project.settings, lambda: list(project.loaded.values()), self.effects)

    def data_loaded(self) -> dict[str, str]:
        """Return how many memories of each scenario will be loaded, in words: `200 of 200,000 memories`."""
        loaded, settings = self.project.loaded, self.project.settings
        counts = {name: kept_data.wanted_memories(settings, facts) for name, facts in loaded.items()}
        return {name: data_scale.describe(count, loaded[name].data.num_nodes) for name, count in counts.items()}

    @property
    def runs(self) -> list[RunInProgress]:
        """Return the runs that this invocation is, or was, at work on."""
        return [*([self.loads] if self.loads else []), *self.searches]

    def select(self, selection: Selection, tasks: Mapping[str, Task]) -> None:
        """Take note of what the command line asks for, and of doit's tasks."""
        self.selection, self.tasks = selection, tasks

    # -- the verdict -------------------------------------------------------------------------------------------------

    def judge(self, code: int) -> None:
        """Give a task's verdict; the worst that is given is the invocation's."""
        self._verdicts.append(code)

    @property
    def exit_code(self) -> int:
        """Return what the invocation ends with: 2 nothing started, 1 not all passed or a task failed, else 0."""
        codes = list(self._verdicts)
        if self.gate_failed:
            codes.append(NOT_STARTED)
        elif self.selection.is_preflight:
            codes.append(preflight_exit_code(self.findings))
        elif self.selection.is_measuring:
            verdicts = {c.measurement: c.outcome.verdict for run in self.runs for c in run.captures}
            passed = all(verdicts.get(name) == "passed" for name in self.selection.wanted)
            codes.append(PASSED if passed else FAILED)
        return max(codes, default=PASSED)

    # -- checks ------------------------------------------------------------------------------------------------------

    def check(self, name: str) -> Finding:
        """Make one preflight check, keep its finding, and write it to `tmp/preflight/`."""
        project = self.project
        finding = checks.run_check(name, project.settings, project.root, self.selection.concerned)
        self.findings.append(finding)
        path = project.finding_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_record(path, finding)
        return finding

    def pass_gate(self) -> bool:
        """Tell whether a suite may start: no finding is critical. If so, open the run to measure into."""
        self.gate_failed = any(finding.level == "critical" for finding in self.findings)
        if not self.gate_failed and self.selection.measurements:
            self._open()
        return not self.gate_failed

    # -- the run -----------------------------------------------------------------------------------------------------

    def claim(self) -> None:
        """Take the suite's lock, once, and clear what killed invocations left in the working folders.

        Raises:
            UserError: another invocation holds the lock, or a process is still at work in such a folder.
        """
        if self._lock is None:
            self._lock = lock.take(self.project.lock_path)
            self._clear_work_folders()

    def chosen(self, selection: Iterable[str]) -> Run | None:
        """Return the open run that these measurements would be made in, None if they need a new one; changes nothing.

        Raises:
            UserError: `resume=` names a run that can't be resumed, or a run that may be open can't be read.
        """
        return self.opening.choose(list(selection))

    def is_measured(self, measurement: str) -> bool:
        """Tell whether the run that a measurement belongs to has its capture: only then is it not made again."""
        if self.loads is not None:
            return self.loads.has(measurement)
        try:
            run = self.chosen([measurement])
        except UserError:
            return False  # `doit list --status` and `doit info` ask too; whoever measures is told why
        return run is not None and run.has_capture(measurement)

    def pages_of(self, measurement: str) -> list[Path]:
        """Return the pages that every measurement of a run changes."""
        folder = self.loads.run.folder if self.loads else self.project.folder_of(measurement)
        names = [file_names.of_run(folder.name, kind) for kind in file_names.LIGHT_PAGES]
        return [folder / name for name in (*names, file_names.RESULTS)]

    def _open(self) -> None:
        """Open the run to measure into, under the lock: one that can be continued, else a new one."""
        if self.loads is not None:
            return
        self.claim()
        selection, project = list(self.selection.measurements), self.project
        run = self.chosen(selection)
        if run is not None:
            run = self.opening.reopen(run, selection, self.findings)
        else:
            self._make_room(selection)
            words = project.words_for(selection)
            run = self.opening.create(project.new_names[0], selection, self.findings, words)
            if odd := clock_remark(project.loaded_at, run.name, project.output_dir):
                self.remarks.append(odd)
        self.loads = self._in_progress(run)
        self._follow(run)

    def _make_room(self, selection: list[str]) -> None:
        """Give up the open run whose place a new one takes, and say which one stays."""
        whole = set(self.project.names) <= set(selection)
        if stays := self.opening.staying(selection, whole=whole):
            self.remarks.append(f"run {stays.name} stays open beside this one; it goes on with: {_words_of(stays)}")
        for run, why in self.opening.replaced(selection, whole=whole):
            self.remarks.append(self.opening.abandon(run, why))
            self._render_abandoned(run.folder)

    def _render_abandoned(self, folder: Path) -> None:
        """Let the pages of a run say that it was given up; they are no reason not to measure."""
        from compbench.report import pages  # noqa: PLC0415 - most invocations abandon nothing

        try:
            run, scenarios_dir = read_run(folder), Path(self.project.settings.scenarios_dir)
            now = self.effects.now()
            pages.write_pages(
                folder, run.manifest, run.captures(), interrupted=True, scenarios_dir=scenarios_dir, now=now
            )
        except (UserError, OSError) as error:
            self.remarks.append(f"the pages of run {folder.name} still say that it is open: {error}")

    def _in_progress(self, run: Run) -> RunInProgress:
        return RunInProgress(run, self.project, self.effects, self._began_s, self.show, self.remarks.append)

    def _follow(self, run: Run) -> None:
        """Let doit's tasks mean the files of the run that is open now, where it is not the one foreseen at loading."""
        for task in self.tasks.values():
            kind, _, name = task.name.partition(":")
            if kind not in MEASUREMENT_TASKS or name not in run.manifest.selection:
                continue
            foreseen = self.project.folder_of(name).name
            task.targets = [path.replace(foreseen, run.name) for path in task.targets]
            task.file_dep = {path.replace(foreseen, run.name) for path in task.file_dep}

    # -- what is made before measuring -------------------------------------------------------------------------------

    def has_data_set(self, scenario: str) -> bool:
        """Tell whether the scenario's data set need not be made: it is kept already, or is loaded anew each time."""
        folder = kept_data.data_set_folder(self.project.settings, self.project.loaded[scenario])
        return folder is None or folder.is_dir()

    def data_set_announcement(self, scenario: str) -> str:
        """Say what making the scenario's data set begins with, or nothing if it is not to be made."""
        return kept_data.announcement(self.project.settings, self.project.loaded[scenario])

    def make_data_set(self, scenario: str) -> None:
        """Make and keep the scenario's data set.

        Raises:
            UserError: it was what was asked for, and failed; before a measurement that is but a remark.
        """
        facts = self.project.loaded[scenario]
        folder = kept_data.data_set_folder(self.project.settings, facts)
        if folder is not None:
            self._make(scenario, "data set", lambda making: data_sets.make_data_set(making, facts, folder))

    def has_ground_truth(self, scenario: str) -> bool:
        """Tell whether what the scenario's searches should find is known, or is not asked for."""
        path = kept_data.ground_truth_file(self.project.settings, self.project.loaded[scenario])
        return path is None or path.exists()

    def make_ground_truth(self, scenario: str) -> None:
        """Compute what the scenario's searches should find, without which recall is not told.

        Raises:
            UserError: it was what was asked for, and failed; before a measurement that is but a remark.
        """
        facts = self.project.loaded[scenario]
        self._make(scenario, "exact neighbours", lambda making: data_sets.make_ground_truth(making, facts))

    def _make(self, scenario: str, what: str, make: Callable[[data_sets.Making], None]) -> None:
        try:
            make(data_sets.Making(self.project.settings, self.project.root, self.tell, scenario))
        except UserError as error:
            if not self.selection.is_measuring:
                raise
            self.remarks.append(f"{scenario}: no {what}: {error}")

    def tell(self, event: Event) -> None:
        """Hand on what happens while something is made before measuring."""
        if self.loads is not None:
            self.loads.tell(event)
        else:
            self.show(event)

    # -- measuring and rendering -------------------------------------------------------------------------------------

    def measure(self, measurement: Measurement) -> None:
        """Make one measurement of the run."""
        names, run = list(self.selection.measurements), self._run()
        place = names.index(measurement.name)
        left_s = self.estimate_s(names[place:], run.captures)
        run.measure(measurement, self._beginning(measurement, (place + 1, len(names)), left_s))

    def measure_capacity(self, scenario: str) -> None:
        """Search for a scenario's capacity in a run of its own, which is closed with its pages when that has ended.

        An open run of the suite is left as it is.
        """
        self.claim()
        self.remarks += self.opening.abandon_searches()
        measurement = Measurement(scenario, kind="capacity")
        selection, name = [measurement.name], self.project.search_name(scenario)
        words = self.project.words_for(selection)
        run = self._in_progress(self.opening.create(name, selection, self.findings, words, "capacity"))
        self.searches.append(run)
        run.measure(measurement, self._beginning(measurement, (1, 1), None))
        run.write_diagnostics(measurement.name)
        run.close_if_complete()

    def write_diagnostics(self, measurement: str) -> None:
        """Render `_diag.txt` and `_sys.txt` of one measurement."""
        self._run().write_diagnostics(measurement)

    def write_flamegraph(self, measurement: str) -> None:
        """Draw the flame graph if stacks were recorded; whatever goes wrong is a remark, never a failure."""
        try:
            self._run().write_flamegraph(measurement)
        except Exception as error:  # noqa: BLE001 - an optional picture must not cost the pages that follow it
            self.remarks.append(f"{measurement}: no flame graph: {error}")
            self.log_traceback()

    def write_pages(self) -> None:
        """Render metadata, summary and results of the run so far."""
        self._run().write_pages()

    def close(self) -> None:
        """Make again what driver or machine spoiled, and close the run if it is complete."""
        if self.loads is not None:
            self._measure_again(self.loads)
            self.loads.close_if_complete()

    def _measure_again(self, run: RunInProgress) -> None:
        """Make the selected measurements that are invalid again, round by round, and render each anew.

        What is under way has no capture, like one made for the first time: an interrupted one is made by the next
        invocation.
        """
        selected, retries = self.selection.measurements, self.project.settings.invalid_retries
        while names := due((c for c in run.captures if c.measurement in selected), retries):
            for place, name in enumerate(names, 1):
                measurement = measurement_named(name)
                left_s = self.estimate_s(names[place - 1 :], run.captures)
                began = self._beginning(measurement, (place, len(names)), left_s)
                run.measure(measurement, msgspec.structs.replace(began, title=f"{began.title}, again"))
                run.write_diagnostics(name)
                self.write_flamegraph(name)
                run.write_pages()

    def _run(self) -> RunInProgress:
        self._open()
        if self.loads is None:
            raise UserError("there is no open run: `doit run:<scenario>` measures before it renders")
        return self.loads

    def _beginning(self, measurement: Measurement, place: tuple[int, int], left_s: float | None) -> MeasurementBegan:
        title = title_of(self.project.scenario_path(measurement.scenario))
        if measurement.kind == "capacity":
            title = f"capacity of {title}"
        number, total = place
        now = self.effects.now()
        return MeasurementBegan(
            at=now, measurement=measurement.name, title=title, place=number, of=total, left_s=left_s
        )

    # -- clean, estimates, faults ------------------------------------------------------------------------------------

    def leftovers(self) -> list[leftovers.Leftover]:
        """Return what `doit clean` removes."""
        project, settings = self.project, self.project.settings
        caches = [project.root / "tmp" / "preflight", project.log_path]
        caches += leftovers.in_cache(Path(settings.cache_dir))
        return leftovers.find(project.output_dir, Path(settings.work_dir), project.root, caches)

    def estimate_s(self, measurements: Iterable[str], done: Iterable[Capture] = ()) -> float:
        """Return how long making these measurements will take, from the phases of those that are done."""
        names, known = list(measurements), list(done)
        spent = [sum(p.duration_s for p in c.phases if p.name not in ("quiet", "cooldown", "measure")) for c in known]
        overhead_s = sum(spent) / len(spent) if spent else _ASSUMED_OVERHEAD_S
        gaps = len(names) if known else max(0, len(names) - 1)
        durations = sum(self._duration_s(name) for name in names)
        return durations + len(names) * overhead_s + gaps * self.project.settings.cooldown_s

    def log_traceback(self) -> None:
        """Keep the traceback of the exception being handled in the log."""
        self.log_text(traceback.format_exc())

    def log_text(self, text: str) -> None:
        """Add a text to the log of faults."""
        path = self.project.log_path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{iso_utc(self.effects.now())}\n{text}\n")

    def _duration_s(self, name: str) -> float:
        try:
            scenario = self.project.loaded[measurement_named(name).scenario]
        except UserError:
            return 0.0  # a check says so
        return float(drivers.duration_s(self.project.settings, scenario))

    def _clear_work_folders(self) -> None:
        """Remove what killed invocations left, once the last process that their guards are ending has left it.

        Raises:
            UserError: a process stays in such a folder; it is named, not ended.
        """
        for leftover in leftovers.in_work_folder(Path(self.project.settings.work_dir), self.project.root):
            deadline = self.effects.monotonic() + _GUARDS_TIME_S
            while (inside := machine.processes_in(leftover.path)) and self.effects.monotonic() < deadline:
                self.effects.sleep(_GUARDS_POLL_S)
            if inside:
                raise UserError(
                    f"process {inside[0]} is still at work in {leftover.path}, which a killed suite has left:"
                    " end that process, then run the same command again"
                )
            leftovers.remove(leftover)


def _words_of(run: Run) -> str:
    return shlex.join(map(str, run.manifest.settings.get("invocation") or ["doit"]))
