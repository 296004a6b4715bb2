"""What a person sees while a suite runs: plain lines in a file, a living display on a terminal."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from compbench.cli.display import Display, headline
from compbench.model.events import (
    MeasurementBegan,
    NoticeGiven,
    OutcomeReached,
    PhaseBegan,
    ProgressMade,
    SecondMeasured,
)
from compbench.model.notices import Notice, Outcome, outcome_of
from compbench.model.times import span
from tests.project import Project

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


FIGURES = {
    "p50_latency_ms": 1.0,
    "p95_latency_ms": 2.0,
    "p99_latency_ms": 3.25,
    "throughput_ops_s": 999.6,
    "error_rate_pct": 0.1,
}


def ended(**changes: Any) -> OutcomeReached:
    facts: dict[str, Any] = {"outcome": Outcome(verdict="passed", code="passed"), "figures": FIGURES}
    return OutcomeReached(at=0.0, measurement="alpha", **{**facts, **changes})


def began(phase: Any, limit_s: float | None) -> PhaseBegan:
    return PhaseBegan(at=0.0, measurement="alpha", phase=phase, limit_s=limit_s)


def progress(elapsed_s: float, **known: Any) -> ProgressMade:
    return ProgressMade(at=0.0, measurement="alpha", elapsed_s=elapsed_s, **known)


def measured(clock: Clock, stream: TextIO, seconds: int) -> Display:
    """Show a scenario that is measured for so many seconds, with progress four times a second."""
    display = Display(stream, clock)
    display(MeasurementBegan(at=0.0, measurement="alpha", title="Scenario alpha", place=2, of=4, left_s=90.0))
    display(began("measure", 60.0))
    for _ in range(seconds * 4):
        clock.now_s += 0.25
        if clock.now_s % 1 == 0:
            second = int(clock.now_s) - 1001
            display(
                SecondMeasured(at=0.0, measurement="alpha", second=second, offered=9, completed=9, p99_ms=1.0 + second)
            )
        display(progress(clock.now_s - 1000, offered_ops_s=1000.0, achieved_ops_s=998.7))
    return display


def test_a_file_gets_a_line_every_ten_seconds_with_what_is_known() -> None:
    stream = io.StringIO()
    measured(Clock(), stream, 25)
    assert stream.getvalue().splitlines() == [
        "[2/4] alpha: Scenario alpha (about 1 min 30 s left in the suite)",
        "      measure: 60 s",
        "      measure: 10s elapsed, 50s left, offered 1000/s, achieved 999/s, suite: 1 min 20 s left",
        "      measure: 20s elapsed, 40s left, offered 1000/s, achieved 999/s, suite: 1 min 10 s left",
    ]


def test_short_phases_say_nothing_in_a_file() -> None:
    clock, stream = Clock(), io.StringIO()
    display = Display(stream, clock)
    display(began("start", 30.0))
    clock.now_s += 3
    display(progress(3.0))
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("phase", "limit_s", "made", "line"),
    [
        ("measure", 60.0, progress(30.2), "measure: 30s elapsed, 30s left"),
        ("measure", 60.0, progress(65.0), "measure: 65s elapsed, 0s left"),
        ("cooldown", 30.0, progress(10.0, total_s=30.0), "cooldown: 10s elapsed, 20s left"),
        ("prepare", 600.0, progress(5.0, done=250, wanted=1000), "prepare: 5s elapsed, 250 of 1,000 memories"),
        (
            "prepare",
            600.0,
            progress(30.0, done=1_000_000, wanted=10_000_000, total_s=300.0, work="rows compared"),
            "prepare: 30s elapsed, 1,000,000 of 10,000,000 rows compared, about 4 min 30 s left",
        ),
        (
            "prepare",
            600.0,
            progress(5.0, done=250, wanted=1000, system="qdrant"),
            "prepare qdrant: 5s elapsed, 250 of 1,000 memories",
        ),
        ("start", 30.0, progress(2.0), "start: 2s elapsed"),
        ("measure", 60.0, progress(1.0, offered_ops_s=5.0), "measure: 1s elapsed, 59s left"),
    ],
)
def test_each_phase_tells_what_makes_sense_in_it(phase: Any, limit_s: float, made: ProgressMade, line: str) -> None:
    display = Display(io.StringIO(), Clock())
    display(began(phase, limit_s))
    assert display.describe(made) == line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (600, "10 min"),
        (200, "3 min 20 s"),
        (3599, "59 min 59 s"),
        (3900, "1 h 5 min"),
    ],
)
def test_a_length_of_time_is_said_as_a_person_says_it(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_warning_is_printed_once_for_each_scenario() -> None:
    stream = io.StringIO()
    display = Display(stream, Clock())
    for name, text in (
        *(("alpha_run1", "load is high"), ("alpha_run2", "load is high"), ("alpha_run1", "disk is slow")),
        ("beta", "load is high"),
    ):
        display(NoticeGiven(at=0.0, measurement=name, notice=Notice(code="x", text=text)))
    high, slow = "      warning: load is high", "      warning: disk is slow"
    assert stream.getvalue().splitlines() == [high, slow, high]


def test_a_result_is_one_line_with_its_figures() -> None:
    stream = io.StringIO()
    Display(stream, Clock())(ended())
    assert stream.getvalue() == "      passed  P50 1.00 ms  P95 2.00 ms  P99 3.25 ms  1000 ops/s  0.10 % errors\n"
    reason = Outcome(verdict="missed", code="targets-missed", reason="P99 3.25 ms is over 3 ms")
    assert headline(ended(outcome=reason)).endswith("0.10 % errors  P99 3.25 ms is over 3 ms")
    assert headline(ended(figures={"capacity_ops_s": 3200.0})) == "capacity 3200 ops/s"


def test_a_failure_goes_to_standard_error_with_time_scenario_and_phase(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = Outcome(verdict="failed", code="server-crash", reason="Server crash detected", phase="measure")
    stream = io.StringIO()
    Display(stream, Clock())(ended(outcome=outcome, figures={}))
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(rf"{ISO} ERROR alpha \[measure\]: Server crash detected\n", said.err)
    assert stream.getvalue() == "      failed  in measure (server-crash)\n", "its reason is said once"


def test_standard_error_alone_says_that_a_measurement_is_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = outcome_of("measurement-invalid", "measure", why="the driver lagged")
    Display(io.StringIO(), Clock())(ended(outcome=outcome, figures={}))
    assert re.fullmatch(
        rf"{ISO} ERROR alpha \[measure\]: measurement invalid: the driver lagged\n", capsys.readouterr().err
    )
    assert outcome.reason == "the driver lagged", "where the verdict stands beside it, the reason does not repeat it"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A pseudo-terminal of 100 columns: the end that a program writes to, and the descriptor of the other."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        yield stream, ours
    os.close(ours)


def read_all(descriptor: int) -> str:
    """Return what has come through the terminal by now."""
    text = b""
    while select.select([descriptor], [], [], 0.2)[0]:
        text += os.read(descriptor, 65_536)
    return text.decode()


def test_a_terminal_shows_a_line_that_lives_and_a_result_in_colour(terminal: tuple[TextIO, int]) -> None:
    stream, ours = terminal
    display = measured(Clock(), stream, 3)
    display(ended())
    text = read_all(ours)
    assert "measure: 3s elapsed, 57s left" in COLOUR.sub("", text)
    assert "\x1b[2K" in text, "the living line is wiped to be drawn anew"
    assert re.search(r"\x1b\[[0-9;]*32m *passed", text) or re.search(r"\x1b\[1;32mpassed", text), "green for passed"


def drawn(text: str) -> list[str]:
    """Return the last drawing of the lines that live, without colours."""
    return COLOUR.sub("", text).rsplit("\x1b[2K", 1)[1].replace("\r", "").rstrip("\n").split("\n")


@pytest.mark.parametrize(
    ("columns", "encoding", "phase", "seconds"),
    [
        (
            "120",
            "utf-8",
            r"\[2/4\] \S{24} measure: 4s elapsed, 56s left, offered 1000/s, achieved 999/s, suite: .*",
            "      P99 4.00 ms (1.00 to 4.00)  ▃▅▇█",
        ),
        (
            "80",
            "utf-8",
            r"\[2/4\] \S{10} measure: 4s elapsed, 56s left, offered 1000/s, achieved 999/s *",
            "      P99 4.00 ms (1.00 to 4.00)  ▃▅▇█",
        ),
        (
            "50",
            "utf-8",
            r"\[2/4\] measure: 4s elapsed, 56s left *",
            "P99 4.00 ms (1.00 to 4.00)  ▃▅▇█",
        ),
        ("40", "ascii", r"\[2/4\] measure: 4s elapsed, 56s left *", "P99 4.00 ms (1.00 to 4.00)  -+#@"),
        ("30", "utf-8", r"\[2/4\] measure: 4s elapsed *", None),
    ],
)
def test_a_terminal_shows_the_seconds_as_bars_and_no_line_is_wider_than_it(
    terminal: tuple[TextIO, int],
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
    encoding: str,
    phase: str,
    seconds: str | None,
) -> None:
    stream, ours = terminal
    monkeypatch.setenv("COLUMNS", columns)
    stream.reconfigure(encoding=encoding)  # type: ignore[attr-defined]
    display = measured(Clock(), stream, 4)
    lines = drawn(read_all(ours))
    display.stop()
    assert re.fullmatch(phase, lines[0])
    assert [line.rstrip() for line in lines[1:]] == ([seconds] if seconds else [])
    assert max(map(len, lines)) <= int(columns)


def test_a_terminal_without_colour_gets_none(terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream, ours = terminal
    display = measured(Clock(), stream, 2)
    display(ended())
    display.stop()
    text = read_all(ours)
    assert "passed" in text
    assert [code for code in COLOUR.findall(text) if re.search(r"\[(?:\d+;)*[349]\d", code)] == []


def test_the_living_line_is_taken_away_before_a_lasting_line(terminal: tuple[TextIO, int]) -> None:
    stream, ours = terminal
    display = measured(Clock(), stream, 2)
    read_all(ours)
    display.stop()
    display.line("done")
    assert COLOUR.sub("", read_all(ours)).endswith("done\r\n")


def through_terminal(project: Project, *, interrupt_at: str = "") -> tuple[int, str, str]:
    """Run doit with a terminal as its output; return exit code, what the terminal got, and standard error.

    Ctrl-C is pressed as soon as the terminal has shown `interrupt_at`.
    """
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "120", "STAND_IN_STATE": str(project.state)}
    argv = [sys.executable, "-m", "doit"]
    doit = subprocess.Popen(
        argv, cwd=project.root, env=environment, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True
    )
    os.close(theirs)
    text, deadline = "", time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                read = os.read(ours, 65_536)
            except OSError:  # Linux's word for the other end's being closed
                break
            if not read:
                break
            text += read.decode(errors="replace")
        if interrupt_at and interrupt_at in text:
            interrupt_at = ""
            doit.send_signal(signal.SIGINT)
    _, err = doit.communicate(timeout=30)
    os.close(ours)
    return doit.returncode, text, err


def test_the_real_command_lives_on_a_terminal(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    project.set(duration_s=2)
    code, text, err = through_terminal(project)
    assert (code, err) == (0, "")
    plain = COLOUR.sub("", text)
    assert "\x1b[2K" in text
    assert re.search(r"\[1/1\].*measure: \ds elapsed, \ds left", plain)
    assert "Summary: 1/1 scenarios passed" in plain
    assert "\x1b[?25h" in text[text.rindex("\x1b[?25l") :], "the cursor is shown again"


def test_ctrl_c_on_a_terminal_gives_the_cursor_back(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    project.set(duration_s=30)
    code, text, err = through_terminal(project, interrupt_at="measure: ")
    assert code == 130, text + err
    assert re.fullmatch(rf"{ISO} ERROR interrupted by SIGINT\n", err)
    assert "\x1b[?25h" in text[text.rindex("\x1b[?25l") :]
    assert "Competitive benchmark suite interrupted." in COLOUR.sub("", text)
