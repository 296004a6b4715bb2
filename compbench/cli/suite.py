"""One invocation at work: the checks, the run that it measures into, searches beside it, and the verdict it ends with.

`Project` and `Selection` hold the question and never change; a run is a `RunInProgress`. The doit actions of
`compbench.cli.tasks` call these methods. Nothing here prints, and nothing is hashed or created before a task runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from compbench.cli import exit_codes
from compbench.cli.estimate import estimate_s
from compbench.cli.fault_log import FaultLog
from compbench.cli.live_page import SuitePage
from compbench.cli.project import Project
from compbench.cli.run_in_progress import RunInProgress
from compbench.cli.run_opener import RunOpener, follow
from compbench.cli.selection import Selection
from compbench.machine.effects import Effects
from compbench.measuring import data_sets
from compbench.measuring.retries import due
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.events import Event, Subscriber
from compbench.model.measurement import Measurement, measurement_named
from compbench.model.records import Finding
from compbench.preflight import checks
from compbench.store import leftovers, lock
from compbench.store.record_files import write_record
from compbench.store.resume import RunChoice

if TYPE_CHECKING:
    from doit.task import Task


@dataclass
class Suite:
    """The work of one invocation of doit.

    Attributes:
        project: the ground of the invocation.
        show: shows events to a person.
        effects: clock and machine.
        selection: the measurements that are asked for; `tasks` are doit's, by name.
        findings: of the checks that were made.
        remarks: lines that a person should read besides, until they are printed.
        in_progress: the run that is measured into, once it is open.
        searches: the runs of searches for a capacity.
        gate_failed: whether the checks forbid to measure.
    """

    project: Project
    show: Subscriber
    effects: Effects = field(default_factory=Effects)
    selection: Selection = field(default_factory=Selection)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    in_progress: RunInProgress | None = None
    searches: list[RunInProgress] = field(default_factory=list)
    gate_failed: bool = False
    _verdicts: list[int] = field(default_factory=list)
    _lock: int | None = None

    def __post_init__(self) -> None:
        self._began_s = self.effects.monotonic()
        self.page = SuitePage(self.project, self.remarks.append)
        self.faults = FaultLog(self.project.log_path, self.effects.now)

    @cached_property
    def choice(self) -> RunChoice:
        """Return the rules and deeds of choosing a run; the inputs are hashed once, when they are needed."""
        project = self.project
        return RunChoice(project.root, project.settings, lambda: list(project.loaded.values()), self.effects)

    @property
    def runs(self) -> list[RunInProgress]:
        """Return the runs that this invocation is, or was, at work on."""
        return [*([self.in_progress] if self.in_progress else []), *self.searches]

    def select(self, selection: Selection, tasks: Mapping[str, Task]) -> None:
        """Take note of the measurements that are asked for, and of doit's tasks."""
        self.selection, self.tasks = selection, tasks

    def judge(self, code: int) -> None:
        """Give a task's verdict; the worst that is given is the invocation's."""
        self._verdicts.append(code)

    @property
    def exit_code(self) -> int:
        """Return the exit code of the invocation."""
        captures = [capture for run in self.runs for capture in run.captures]
        return exit_codes.exit_code(
            self.selection, self.findings, captures, self._verdicts, gate_failed=self.gate_failed
        )

    # -- before measuring --------------------------------------------------------------------------------------------

    def check(self, name: str) -> Finding:
        """Make one preflight check, keep its finding, and write it to `tmp/preflight/`."""
        project = self.project
        finding = checks.run_check(name, project.settings, project.root, self.selection.concerned)
        self.findings.append(finding)
        path = project.finding_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_record(path, finding)
        return finding

    def claim(self) -> None:
        """Take the suite's lock, once, and remove working folders that killed invocations have left.

        Raises:
            UserError: another invocation holds the lock, or a process is still at work in such a folder.
        """
        if self._lock is None:
            self._lock = lock.take(self.project.lock_path)
            leftovers.clear_work_folders(Path(self.project.settings.work_dir), self.project.root, self.effects)

    def pass_gate(self) -> bool:
        """Tell whether a suite may start: no finding is critical. If so, open the run to measure into."""
        self.gate_failed = not exit_codes.gate_is_open(self.findings)
        if not self.gate_failed and self.selection.measurements:
            self._open()
        return not self.gate_failed

    def is_measured(self, measurement: str) -> bool:
        """Tell whether the run that a measurement belongs to has its capture: only then is it not made again."""
        if self.in_progress is not None:
            return self.in_progress.has(measurement)
        try:
            run = self.choice.choose([measurement])
        except UserError:
            return False  # `doit list --status` and `doit info` ask too; an invocation that measures says why
        return run is not None and run.has_capture(measurement)

    def prepare(self, make: Callable[[Project, str, Subscriber], None], scenario: str, what: str) -> None:
        """Make a scenario's data set or exact neighbours, to be kept.

        Raises:
            UserError: it failed, and nothing else was asked for; before a measurement that is but a remark.
            OSError: likewise.
        """
        try:
            make(self.project, scenario, self._tell)
        except (UserError, OSError) as error:
            if not self.selection.is_measuring:
                raise
            why = data_sets.reason_of(error) if isinstance(error, OSError) else str(error)
            self.remarks.append(f"{scenario}: no {what}: {why}")

    # -- measuring and rendering -------------------------------------------------------------------------------------

    def measure(self, measurement: Measurement) -> None:
        """Make one measurement of the run."""
        names, run = self.selection.measurements, self._open()
        place = (names.index(measurement.name) + 1, len(names))
        run.measure(measurement, place, self._left_s(run, measurement.name))

    def measure_capacity(self, scenario: str) -> None:
        """Search for a scenario's capacity in a run of its own, which is closed with its pages when that has ended.

        A search that lost one of several hosts is made again.

        Raises:
            UserError: several systems are asked for.
        """
        if self.project.settings.systems:
            raise UserError(
                f"capacity:{scenario}: it searches for that of one system: name one (system=); a comparison tells each"
                " one's capacity at equal recall (frontier_capacity)"
            )
        self.claim()
        measurement = Measurement(scenario, kind="capacity")
        run = self._opener().open_search(scenario, self.findings)
        self.searches.append(run)
        self.page.begin()
        run.measure(measurement, (1, 1))
        while due(run.captures, self.project.settings.invalid_retries):
            run.measure(measurement, (1, 1), again=True)
        run.write_diagnostics(measurement.name)
        run.close_if_complete()

    def write_diagnostics(self, measurement: str) -> None:
        """Render `_diag.txt` and `_sys.txt` of one measurement."""
        self._open().write_diagnostics(measurement)

    def write_flamegraph(self, measurement: str) -> None:
        """Draw the flame graph if stacks were recorded; an error is a remark, never a failure."""
        try:
            self._open().write_flamegraph(measurement)
        except Exception as error:  # noqa: BLE001 - an optional picture must not cost the pages that follow it
            self.remarks.append(f"{measurement}: no flame graph: {error}")
            self.faults.add_traceback()

    def pages_of(self, measurement: str) -> list[Path]:
        """Return the pages that every measurement of a run changes."""
        folder = self.in_progress.run.folder if self.in_progress else self.project.folder_of(measurement)
        names = [file_names.of_run(folder.name, kind) for kind in file_names.LIGHT_PAGES]
        return [folder / name for name in (*names, file_names.RESULTS)]

    def write_pages(self) -> None:
        """Render metadata, summary and results of the run so far."""
        self._open().write_pages()

    def end_round(self, number: int) -> None:
        """Make measurements of a round again that driver or machine spoiled, until none is due, and render each anew.

        One under way has no capture, like one made for the first time: the next invocation makes it if it is
        interrupted.
        """
        run = self.in_progress
        while run is not None and (names := [name for name in self._due(run) if _round_of(name) == number]):
            for place, name in enumerate(names, 1):
                run.measure(measurement_named(name), (place, len(names)), self._left_s(run, name), again=True)
                run.write_diagnostics(name)
                self.write_flamegraph(name)
                run.write_pages()

    def close(self) -> None:
        """Close the run if it is complete."""
        if self.in_progress is not None:
            self.in_progress.close_if_complete()

    def _due(self, run: RunInProgress) -> list[str]:
        """Return which of the selected measurements are to be made again."""
        selected = [capture for capture in run.captures if capture.measurement in self.selection.measurements]
        return due(selected, self.project.settings.invalid_retries)

    def _left_s(self, run: RunInProgress, begun: str) -> float:
        """Return how long the measurement that begins, and everything that is still to be made, will take."""
        pending = (name for name in self.selection.measurements if not run.has(name))
        return estimate_s(self.project, {begun, *pending, *self._due(run)}, run.captures)

    def _open(self) -> RunInProgress:
        """Return the run to measure into; open it, under the lock, when it is first asked for."""
        if self.in_progress is None:
            self.claim()
            self.in_progress = self._opener().open_suite(self.selection.measurements, self.findings)
            follow(self.tasks.values(), self.project, self.in_progress.run)
            self.page.begin()
        return self.in_progress

    def _opener(self) -> RunOpener:
        return RunOpener(self.project, self.choice, self.effects, self._began_s, self.show, self.remarks.append)

    def _tell(self, event: Event) -> None:
        """Hand on an event of something that is made before measuring."""
        if self.in_progress is not None:
            self.in_progress.tell(event)
        else:
            self.show(event)


def _round_of(measurement: str) -> int:
    return measurement_named(measurement).round_number
