"""The last lines and the exit code, for every way in which an invocation can end."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from doit.exceptions import TaskError, TaskFailed, UnmetDependency
from doit.task import Task

from compbench.cli.actions import StopInvocation
from compbench.cli.display import Display
from compbench.cli.project import Project
from compbench.cli.reporter import Reporter, reporter_for
from compbench.cli.selection import Selection
from compbench.cli.suite import Suite
from compbench.machine import interrupts
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.systems.registry import load_settings

ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Give this process its own way with signals back."""
    before = vars(interrupts.State).copy()
    yield
    for name in ("armed", "received", "raised", "deferrals"):
        setattr(interrupts.State, name, before[name])


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """A suite of no scenarios in an empty folder."""
    return Suite(Project(tmp_path, load_settings(tmp_path, {}, {}), []), Display(io.StringIO()))


def made(suite: Suite) -> tuple[Reporter, io.StringIO]:
    """Return the suite's reporter as doit makes it, and what it prints to."""
    out = io.StringIO()
    return reporter_for(suite, Display(io.StringIO()))(out, {}), out


def end(reporter: Reporter, error: BaseException | None) -> None:
    """End as doit does, with or without an exception on its way."""
    try:
        if error is not None:
            raise error
    finally:
        reporter.complete_run()


def ends(suite: Suite, error: BaseException | None = None, selected: Sequence[str] = ()) -> int:
    """Let the invocation of these tasks end; return the exit code."""
    reporter, _ = made(suite)
    reporter.initialize({}, list(selected))
    with pytest.raises(SystemExit) as ended:
        end(reporter, error)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, r"interrupted by \w+"),
        (StopInvocation("port = 0: wrong"), 2, "port = 0: wrong"),
        (UserError("/x: not a readable capture: move it away to go on"), 1, "/x: not a readable capture: .*"),
        (RuntimeError("a bug"), 1, r"RuntimeError: a bug; the traceback is in .*/tmp/compbench\.log"),
    ],
)
def test_an_exception_ends_with_its_code_and_one_line(
    suite: Suite, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert ends(suite, error) == code
    said = capsys.readouterr()
    assert re.fullmatch(rf"{ISO} ERROR {line}\n", said.err), said.err
    assert said.out == ""
    assert suite.project.log_path.exists() is isinstance(error, RuntimeError)


def test_an_exit_that_was_asked_for_keeps_its_code_and_says_nothing(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(suite, SystemExit(7)) == 7
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("warning", 2), ("critical", 1)])
def test_checks_alone_end_with_their_own_code(suite: Suite, level: Any, code: int) -> None:
    suite.findings.append(Finding(check="disk", level=level, found="1 GB free"))
    assert ends(suite, selected=["preflight", "preflight:disk"]) == code


def test_what_comes_after_a_gate_that_only_warned_ends_well(suite: Suite) -> None:
    suite.findings.append(Finding(check="disk", level="warning", found="1 GB free"))
    assert ends(suite, selected=["gate"]) == 0


def test_a_gate_that_failed_outweighs_everything(suite: Suite) -> None:
    suite.findings.append(Finding(check="disk", level="critical", found="1 GB free"))
    suite.gate_failed = True
    assert ends(suite) == 2


def test_a_verdict_that_a_task_has_given_is_the_exit_code(suite: Suite) -> None:
    suite.judge(0)
    suite.findings.append(Finding(check="disk", level="critical", found="1 GB free"))
    assert ends(suite) == 0


def test_a_failed_task_is_one_line_and_what_only_followed_from_it_is_not_told(
    suite: Suite, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter, _ = made(suite)
    reporter.add_failure(Task("pages:alpha", None), TaskFailed("No space left on device"))
    reporter.add_failure(Task("run:alpha", None), UnmetDependency("pages:alpha"))
    assert re.fullmatch(rf"{ISO} ERROR pages:alpha: No space left on device\n", capsys.readouterr().err)
    assert suite.exit_code == 1
    with pytest.raises(SystemExit) as ended:
        reporter.complete_run()
    assert ended.value.code == 1


def test_a_bug_in_a_task_keeps_its_traceback_in_the_log(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    reporter, _ = made(suite)
    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        reporter.add_failure(Task("pages:alpha", None), TaskError("PythonAction Error", error))
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert f"its traceback is in {suite.project.log_path}" in said
    assert "ZeroDivisionError: " in suite.project.log_path.read_text()


def test_the_worst_verdict_of_several_tasks_is_the_exit_code(suite: Suite) -> None:
    for code in (1, 2, 0):
        suite.judge(code)
    assert ends(suite) == 2


def test_what_was_to_be_measured_and_was_not_is_a_failure_whatever_else_went_well(suite: Suite) -> None:
    suite.select(Selection(measurements=("alpha",)), {})
    suite.judge(0)
    assert suite.exit_code == 1
