"""doit's reporter for compbench: what happens, as it happens, and the exit code in the end.

It prints and decides the exit code from what the suite has recorded; it measures and renders nothing of its own,
except that an interrupted run gets its pages here, because doit runs no further task after an interruption.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TextIO

from doit.exceptions import UnmetDependency

from compbench import __version__
from compbench.cli.display import Display
from compbench.cli.suite import Suite
from compbench.cli.tasks import StopInvocation, capacities_of, in_rounds, measurements_of, scenarios_of
from compbench.config.scenarios import title_of
from compbench.machine import interrupts
from compbench.model.errors import UserError
from compbench.model.events import MeasurementBegan
from compbench.model.measurement import Measurement, measurement_named
from compbench.model.records import Capture, Finding
from compbench.preflight.judgement import preflight_exit_code

if TYPE_CHECKING:
    from doit.task import Task

PASSED, FAILED, NOT_STARTED = 0, 1, 2


class Reporter:
    """What doit tells of its tasks, as a person wants to read it; made by doit, bound to a suite by `reporter_for`."""

    desc = "compbench's own output"
    suite: ClassVar[Suite]
    display: ClassVar[Display]

    def __init__(self, outstream: TextIO, options: dict[str, Any]) -> None:
        del options
        self.display.stream = outstream or sys.stdout  # doit looked at it before a closed one was replaced
        self.failed_tasks: list[str] = []
        self.told_findings = False
        self.is_preflight = False
        self.place = 0

    def initialize(self, tasks: dict[str, Task], selected_tasks: list[str]) -> None:
        """Learn what was asked for, and let signals unwind from here on."""
        del tasks
        interrupts.arm()
        suite, settings = self.suite, self.suite.settings
        # doit goes through this very list, and only afterwards.
        selected_tasks[:] = in_rounds(selected_tasks, suite)
        suite.select(
            measurements_of(selected_tasks, suite.measurements),
            capacities_of(selected_tasks),
            scenarios_of(selected_tasks),
        )
        self.is_preflight = not suite.is_measuring and any(
            name.partition(":")[0] == "preflight" for name in selected_tasks
        )
        if suite.is_measuring:
            self.display.line(
                f"compbench {__version__}: target {settings.target}, driver {settings.driver}, profile"
                f" {settings.profile}, data scale {settings.data_scale:g} ({settings.target_reason})"
            )
            self._tell_data()

    def _tell_data(self) -> None:
        """Say what the scale makes of the data, before anything runs; what is wrong with a scenario the checks tell."""
        if self.suite.settings.data_scale == 1:
            return
        with contextlib.suppress(UserError):
            loaded = self.suite.data_loaded()
            names = self.suite.concerned or list(loaded)
            self.display.line(f"data to load: {'; '.join(f'{name} {loaded[name]}' for name in names)}")

    def get_status(self, task: Task) -> None:
        """Nothing to say before a task is known to be due."""

    def execute_task(self, task: Task) -> None:
        """Name a scenario before it is measured."""
        if name := _scenario_of(task, "measure"):
            self.place += 1
            rest = self.suite.selected[self.place - 1 :]
            title = title_of(self.suite.scenario_path(measurement_named(name).scenario))
            estimate_s = self.suite.estimate_s(rest)
            self._tell_beginning(name, title, (self.place, len(self.suite.selected)), estimate_s)
        elif (name := _scenario_of(task, "data_set")) and (text := self.suite.data_set_announcement(name)):
            self.display.line(f"      {name}: {text}")
        elif name := _scenario_of(task, "capacity"):
            title = f"capacity of {title_of(self.suite.scenario_path(name))}"
            self._tell_beginning(Measurement(name, kind="capacity").name, title, (1, 1), None)

    def _tell_beginning(self, name: str, title: str, place: tuple[int, int], left_s: float | None) -> None:
        now, (number, total) = self.suite.effects.now(), place
        began = MeasurementBegan(at=now, measurement=name, title=title, place=number, of=total, left_s=left_s)
        self.suite.tell(began)

    def add_success(self, task: Task) -> None:
        """Tell what the checks found, where a capacity's results are, and what was noted meanwhile."""
        if task.name == "gate":
            self._tell_findings()
        elif _scenario_of(task, "capacity") and self.suite.run is not None:
            self.display.line(f"      results in {self.suite.run.folder}")
        self._tell_remarks()

    def skip_uptodate(self, task: Task) -> None:
        """Say which scenarios need not be measured again."""
        if (name := _scenario_of(task, "measure")) and self.suite.run is not None:
            self.place += 1
            place = f"[{self.place}/{len(self.suite.selected)}]"
            self.display.line(f"{place} {name}: measured already in run {self.suite.run.name}")

    def skip_ignore(self, task: Task) -> None:
        """Say that a task is ignored because somebody told doit so."""
        self.display.line(f"ignored: {task.name} (`doit forget {task.name}` takes that back)")

    def add_failure(self, task: Task, fail: Any) -> None:
        """Tell what failed, in one line; what only followed from it is not told again."""
        self.display.stop()
        if isinstance(fail, UnmetDependency):
            return
        self.failed_tasks.append(task.name)
        if task.name == "gate" and self.suite.gate_failed:
            self._tell_findings()
            return
        self.display.error(fail.message.strip() or fail.get_name(), task.name)
        if fail.traceback:
            self.suite.log_text("".join(fail.traceback))
            self.display.error(f"a fault in compbench; its traceback is in {self.suite.log_path}", task.name)

    def cleanup_error(self, exception: Any) -> None:
        """Tell what went wrong after the tasks."""
        self.display.error(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        """Tell what doit itself could not do."""
        self.failed_tasks.append("doit")
        self.display.error(msg)

    def teardown_task(self, task: Task) -> None:
        """No task of ours has a teardown."""

    def complete_run(self) -> NoReturn:
        """Print the last lines and end doit with the specified exit code."""
        interrupts.note_only()
        error = sys.exc_info()[1]
        self.display.stop()
        if isinstance(error, KeyboardInterrupt):
            self._tell_interruption()
            raise SystemExit(interrupts.INTERRUPTED_EXIT_CODE)
        if isinstance(error, StopInvocation):
            self.display.error(error.line)
            raise SystemExit(NOT_STARTED)
        if isinstance(error, SystemExit):
            raise error
        if isinstance(error, UserError):
            self.display.error(str(error))
            raise SystemExit(FAILED)
        if error is not None:
            self.suite.log_traceback()
            self.display.error(f"{type(error).__name__}: {error}; the traceback is in {self.suite.log_path}")
            raise SystemExit(FAILED)
        if self.suite.findings and not self.told_findings and self.suite.verdict is None:
            self._tell_findings()
        raise SystemExit(self._tell_end_and_judge())

    def _tell_end_and_judge(self) -> int:
        try:
            self._tell_end()
            self._notify()
            return self._exit_code()
        except UserError as error:  # a capture that was damaged meanwhile
            self.display.error(str(error))
            return FAILED

    def _exit_code(self) -> int:
        suite = self.suite
        if suite.gate_failed:
            return NOT_STARTED
        if self.failed_tasks:
            return FAILED
        if suite.verdict is not None:
            return suite.verdict
        if self.is_preflight:
            return preflight_exit_code(suite.findings)
        captures = [*self._captures(), *suite.capacity_captures]
        verdicts = {capture.measurement: capture.outcome.verdict for capture in captures}
        wanted = [*suite.selected, *(Measurement(name, kind="capacity").name for name in suite.capacities)]
        return PASSED if all(verdicts.get(name) == "passed" for name in wanted) else FAILED

    def _notify(self) -> None:
        suite = self.suite
        if suite.run is None or not suite.selected or suite.verdict is not None or not suite.settings.notify.variables:
            return
        from compbench.cli import telling  # noqa: PLC0415 - only for who asked to be told

        passed = self._exit_code() == PASSED
        for warning in telling.notify_end(suite.settings, suite.run, self._captures(), passed=passed):
            self.display.line(f"warning: {warning}", "warning")

    def _captures(self) -> list[Capture]:
        return self.suite.run.captures() if self.suite.run is not None else []

    def _tell_findings(self) -> None:
        """Show every finding where the checks are what was asked for, else those that are not all right."""
        from compbench.report import render  # noqa: PLC0415 - only now are templates needed

        self.told_findings = True
        findings = self.suite.findings
        shown = findings if self.is_preflight else [f for f in findings if f.level != "ok"]
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
        suite = self.suite
        self.display.error(f"interrupted by {interrupts.received()}")
        if suite.run is None or not suite.is_measuring:
            return
        try:
            suite.write_pages(interrupted=True)
        except (OSError, UserError) as error:
            self.display.error(f"the pages could not be written: {error}")
        self._tell_end(interrupted=True)

    def _tell_end(self, *, interrupted: bool = False) -> None:
        suite = self.suite
        if suite.run is None or suite.verdict is not None or not suite.selected:
            return
        from compbench.report import summary  # noqa: PLC0415 - see _tell_findings

        self._tell_remarks()
        text = summary.final_message(suite.run.manifest, self._captures(), suite.run.folder, interrupted=interrupted)
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
