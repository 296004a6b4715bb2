"""Opening the run that is measured into: one that can be gone on with, else a new one, which may replace another.

Only the holder of the suite's lock may open a run.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compbench.cli.project import Project
from compbench.cli.run_in_progress import RunInProgress
from compbench.cli.selection import MEASUREMENT_TASKS, RUN_END
from compbench.machine.effects import Effects
from compbench.model.errors import UserError
from compbench.model.events import Subscriber
from compbench.model.measurement import STUDIES, Measurement, of_scenarios
from compbench.model.records import Finding
from compbench.store.resume import RunChoice
from compbench.store.runs import Run, clock_remark, read_run

if TYPE_CHECKING:
    from doit.task import Task


@dataclass(frozen=True)
class RunOpener:
    """Opens runs for one invocation.

    Attributes:
        choice: chooses, opens and gives up runs.
        began_s: the monotonic time at which the invocation began.
        show: shows events to a person.
        remark: takes lines that a person should read besides.
    """

    project: Project
    choice: RunChoice
    effects: Effects
    began_s: float
    show: Subscriber
    remark: Callable[[str], None]

    def open_suite(self, selection: Sequence[str], findings: Sequence[Finding]) -> RunInProgress:
        """Open the run to make these measurements in.

        Raises:
            UserError: `resume=` names a run that can't be resumed, a run that may be open can't be read, or the name
                of a new one is taken.
        """
        run, project = self.choice.choose(selection), self.project
        if run is not None:
            return self._in_progress(self.choice.reopen(run, selection, findings))
        self._make_room(selection)
        words, kind = project.words_for(selection), project.settings.run_kind
        run = self.choice.create(project.new_names[0], selection, findings, words, kind)
        if odd := clock_remark(project.loaded_at, run.name, project.output_dir):
            self.remark(odd)
        return self._in_progress(run)

    def open_search(self, scenario: str, findings: Sequence[Finding]) -> RunInProgress:
        """Open a run for a search for the scenario's capacity; an open run of the suite is left as it is.

        Raises:
            UserError: the name is taken.
        """
        for abandoned in self.choice.abandon_searches():
            self.remark(abandoned)
        selection = [Measurement(scenario, kind="capacity").name]
        name, words = self.project.search_name(scenario), self.project.words_for(selection)
        return self._in_progress(self.choice.create(name, selection, findings, words, "capacity"))

    def _in_progress(self, run: Run) -> RunInProgress:
        return RunInProgress(run, self.project, self.effects, self.began_s, self.show, self.remark)

    def _make_room(self, selection: Sequence[str]) -> None:
        """Give up the open run whose place a new one takes, and say which one stays."""
        whole = set(self.project.names) <= set(selection)
        if stays := self.choice.staying(selection, whole=whole):
            self.remark(f"run {stays.name} stays open beside this one; it goes on with: {_words_of(stays)}")
        for run, why in self.choice.replaced(selection, whole=whole):
            self.remark(self.choice.abandon(run, why))
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
            self.remark(f"the pages of run {folder.name} still say that it is open: {error}")


def follow(tasks: Iterable[Task], project: Project, run: Run) -> None:
    """Let doit's tasks mean the files of the run that is open now, where it is not the one foreseen at loading."""
    for task in tasks:
        name = _measurement_of(task.name, project)
        if not name or (task.name != RUN_END and name not in run.manifest.selection):
            continue
        foreseen = project.folder_of(name).name
        task.targets = [path.replace(foreseen, run.name) for path in task.targets]
        task.file_dep = {path.replace(foreseen, run.name) for path in task.file_dep}


def _measurement_of(task: str, project: Project) -> str:
    """Return a measurement whose folder the task's files are in; empty if they are in no run's."""
    kind, _, name = task.partition(":")
    if task == RUN_END:
        return project.names[0]
    if kind in STUDIES:
        return next(iter(of_scenarios(project.measurements, [name])), "")
    return name if kind in MEASUREMENT_TASKS else ""


def _words_of(run: Run) -> str:
    return shlex.join(map(str, run.manifest.settings.get("invocation") or ["doit"]))
