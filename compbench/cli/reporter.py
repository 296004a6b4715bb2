"""doit's reporter for compbench: it tells each event as it happens, and gives the exit code in the end.

It prints what the suite has recorded; it measures and renders nothing itself, except that an interrupted
run gets its pages here, because doit runs no further task after an interruption.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TextIO

from doit.exceptions import UnmetDependency

from compbench import __version__
from compbench.cli import preparation
from compbench.cli.actions import StopInvocation
from compbench.cli.display import Display
from compbench.cli.estimate import estimate_s
from compbench.cli.exit_codes import PASSED, code_of_failure, exit_code_of
from compbench.cli.run_in_progress import RunInProgress
from compbench.cli.selection import in_order, selection_of
from compbench.cli.suite import Suite
from compbench.machine import interrupts
from compbench.measuring.retries import is_due
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.model.times import span

if TYPE_CHECKING:
    from doit.task import Task


class Reporter:
    """doit's news of its tasks, as a person wants to read them; made by doit, bound to a suite by `reporter_for`."""

    desc = "compbench's own output"
    suite: ClassVar[Suite]
    display: ClassVar[Display]

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        del options
        self.display.stream = outstream or sys.stdout  # doit looked at it before a closed one was replaced
        self.told_findings = False

    def initialize(self, tasks: dict[str, Task], selected_tasks: list[str]) -> None:
        """Learn the tasks that were asked for, and let signals unwind from here on."""
        interrupts.arm()
        project = self.suite.project
        # doit goes through this very list, and only afterwards.
        selected_tasks[:] = in_order(selected_tasks, project.measurements)
        self.suite.select(selection_of(selected_tasks, project.measurements), tasks)
        if self.suite.selection.is_measuring:
            settings = project.settings
            measured = f"systems {', '.join(settings.systems)}" if settings.systems else f"system {settings.system}"
            measured += f" ({' and '.join(settings.variants)} in turn)" if settings.variants else ""
            self.display.line(
                f"compbench {__version__}: {measured}, driver {settings.driver}, profile"
                f" {settings.profile}, data scale {settings.scale} ({settings.system_reason})"
            )
            for name, how_to_get in settings.absent:
                self.display.line(f"      note: {name} is not here, so it is not measured: {how_to_get}")
            self._tell_data()
            if settings.compared:
                self._tell_length()

    def _tell_length(self) -> None:
        """Say how long a comparison will take: hours, where efforts are still to be found."""
        names = self.suite.selection.measurements
        length = span(estimate_s(self.suite.project, names))
        self.display.line(f"{len(names)} measurements: about {length}, besides loading that was not timed yet")

    def _tell_data(self) -> None:
        """Say how many memories the scale leaves, before anything runs; checks tell of scenarios that can't be read."""
        if self.suite.project.settings.scale == 1:
            return
        with contextlib.suppress(UserError):
            loaded = preparation.data_loaded(self.suite.project)
            names = self.suite.selection.concerned or list(loaded)
            self.display.line(f"data to load: {'; '.join(f'{name} {loaded[name]}' for name in names)}")

    def get_status(self, task: Task) -> None:
        """Nothing to say before a task is known to be due."""

    def execute_task(self, task: Task) -> None:
        """Announce a data set or a search for an effort before it is made; a measurement tells of itself."""
        announcements = {
            "data_set": preparation.data_set_announcements,
            "frontier": preparation.frontier_announcements,
        }
        for kind, announce in announcements.items():
            if name := _scenario_of(task, kind):
                with contextlib.suppress(UserError):  # what can't be read is told by the task itself
                    for text in announce(self.suite.project, name):
                        self.display.line(f"      {name}: {text}")

    def add_success(self, task: Task) -> None:
        """Tell the findings of the checks, and the remarks made meanwhile."""
        if task.name == "gate":
            self._tell_findings()
        self._tell_remarks()

    def skip_uptodate(self, task: Task) -> None:
        """Say which measurements need not be made again, and the command that would make them."""
        run, names = self.suite.in_progress, self.suite.selection.measurements
        if (name := _scenario_of(task, "measure")) and run is not None and name in names:
            place = f"[{names.index(name) + 1}/{len(names)}]"
            self.display.line(f"{place} {name}: measured already in run {run.run.name}; {self._again(run, name)}")

    def _again(self, run: RunInProgress, name: str) -> str:
        capture = next(c for c in run.captures if c.measurement == name)
        if is_due(capture, self.suite.project.settings.invalid_retries):
            return "it was invalid, and is made again at the end of its round"
        command = shlex.join(self.suite.project.words_for([name]))
        if not capture.outcome.is_measurement and capture.outcome.verdict != "not offered":
            return f"it was {capture.outcome.verdict}: `{command} resume={run.run.name}` measures it again"
        return f"`{command} new=1` measures it again, in a run of its own"

    def skip_ignore(self, task: Task) -> None:
        """No task is ever ignored: `doit ignore` is refused."""

    def add_failure(self, task: Task, fail: Any) -> None:
        """Tell a failure in one line; those that only followed from it are left out."""
        self.display.stop()
        if isinstance(fail, UnmetDependency):
            return
        if task.name == "gate" and self.suite.gate_failed:
            self._tell_findings()
            return
        self.suite.judge(code_of_failure(self.suite.selection))
        self.display.error(fail.message.strip() or fail.get_name(), task.name)
        if fail.traceback:
            self.suite.faults.add("".join(fail.traceback))
            self.display.error(f"a fault in compbench; its traceback is in {self.suite.faults.path}", task.name)

    def cleanup_error(self, exception: Any) -> None:
        """Tell an error that came after the tasks."""
        self.display.error(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        """Tell an error of doit itself."""
        self.suite.judge(code_of_failure(self.suite.selection))
        self.display.error(msg)

    def teardown_task(self, task: Task) -> None:
        """No task of ours has a teardown."""

    def complete_run(self) -> NoReturn:
        """Print the last lines and end doit with the specified exit code."""
        interrupts.note_only()
        error = sys.exc_info()[1]
        self.display.stop()
        try:
            if error is not None:
                self._tell_error(error)
                raise SystemExit(exit_code_of(error))
            if self.suite.findings and not self.told_findings:
                self._tell_findings()
            self._tell_end()
            self._notify()
            raise SystemExit(self.suite.exit_code)
        finally:
            self.suite.page.end()

    def _tell_error(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._tell_interruption()
        elif isinstance(error, StopInvocation):
            self.display.error(error.line)
        elif isinstance(error, UserError):
            self.display.error(str(error))
        elif not isinstance(error, SystemExit):
            self.suite.faults.add_traceback()
            self.display.error(f"{type(error).__name__}: {error}; the traceback is in {self.suite.faults.path}")

    def _notify(self) -> None:
        run, settings = self.suite.in_progress, self.suite.project.settings
        if run is None or not settings.notify.variables:
            return
        from compbench.cli import telling  # noqa: PLC0415 - only where addresses are set

        passed = self.suite.exit_code == PASSED
        for warning in telling.notify_end(settings, run.run, run.captures, passed=passed):
            self.display.line(f"warning: {warning}", "warning")

    def _tell_findings(self) -> None:
        """Show every finding where the checks are what was asked for, else those that are not all right."""
        from compbench.report import render  # noqa: PLC0415 - only now are templates needed

        self.told_findings = True
        findings = self.suite.findings
        shown = (
            findings
            if self.suite.selection.is_preflight
            else [f for f in findings if f.level in ("warning", "critical")]
        )
        text = render("preflight.txt.j2", findings=findings, shown=shown, stopped=self.suite.gate_failed)
        for line in text.splitlines():
            word = (line.split() or [""])[0]
            self.display.line(line, {"warning": "warning", "critical": "failed", "ok": "passed"}.get(word))
        for finding in findings:
            if finding.level == "critical":
                self.display.error(_one_line(finding), finding.check, "preflight")

    def _tell_remarks(self) -> None:
        while self.suite.remarks:
            self.display.line(f"      note: {self.suite.remarks.pop(0)}")

    def _tell_interruption(self) -> None:
        self.display.error(f"interrupted by {interrupts.received()}")
        for run in self.suite.runs:
            if run.run.manifest.state != "open":
                continue
            try:
                run.write_pages(interrupted=True)
            except (OSError, UserError) as error:
                self.display.error(f"the pages could not be written: {error}")
        self._tell_end(interrupted=True)

    def _tell_end(self, *, interrupted: bool = False) -> None:
        """Print the last lines of each run that was worked on."""
        self._tell_remarks()
        if not self.suite.runs:
            return
        from compbench.report import summary  # noqa: PLC0415 - see _tell_findings

        for run in self.suite.runs:
            cut_short = interrupted and run.run.manifest.state == "open"
            text = summary.final_message(run.run.manifest, run.captures, run.run.folder, interrupted=cut_short)
            for line in ["", *text.splitlines()]:
                self.display.line(line)


def reporter_for(suite: Suite, display: Display) -> type[Reporter]:
    """Return the reporter class that doit makes its reporter of, bound to this invocation."""
    return type("BoundReporter", (Reporter,), {"suite": suite, "display": display})


def _scenario_of(task: Task, kind: str) -> str:
    basename, _, name = task.name.partition(":")
    return name if basename == kind else ""


def _one_line(finding: Finding) -> str:
    wanted = f"; wanted: {finding.wanted}" if finding.wanted else ""
    mend = f"; {finding.mend}" if finding.mend else ""
    return f"{finding.found}{wanted}{mend}"
