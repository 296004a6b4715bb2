"""Children that rank before or behind other programs, as far as the user may have that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compbench.machine import guard, priority, process
from compbench.machine.output import Output
from compbench.machine.placement import Placement
from compbench.machine.priority import niceness_of
from compbench.machine.process import Exit

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent.parent
ASKED = -15
OWN = os.getpriority(os.PRIO_PROCESS, 0)
# Anybody may go behind others.
BEHIND = min(19, OWN + 5)
HAS_SESSIONS = Path("/proc/self/autogroup").exists()


def ranked(argv: list[str], folder: Path, niceness: int):  # type: ignore[no-untyped-def]
    return process.running(
        argv,
        environment=os.environ,
        folder=folder,
        stdout=Output(folder / "out", 1_000_000),
        placement=Placement(niceness),
    )


def test_a_child_and_its_session_get_the_niceness_and_its_children_inherit_it(tmp_path: Path) -> None:
    with ranked(["sh", "-c", "sleep 60 & echo $! > grandchild; wait"], tmp_path, BEHIND) as child:
        assert niceness_of(child.pid) == os.getpriority(os.PRIO_PROCESS, child.pid) == BEHIND
        if HAS_SESSIONS:
            assert Path(f"/proc/{child.pid}/autogroup").read_text().endswith(f" nice {BEHIND}\n")
        while not (tmp_path / "grandchild").exists() or not (tmp_path / "grandchild").read_text():
            assert child.wait(0.01) is None
        assert niceness_of(int((tmp_path / "grandchild").read_text())) == BEHIND


def test_what_is_attainable_is_what_a_child_gets(tmp_path: Path) -> None:
    assert priority.attainable(BEHIND) == BEHIND
    assert priority.attainable(0) == OWN
    with ranked(["sleep", "60"], tmp_path, ASKED) as child:
        assert niceness_of(child.pid) == priority.attainable(ASKED)


def test_a_child_with_a_niceness_has_default_signals(tmp_path: Path) -> None:
    ignored = "import signal; print(signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN)"
    reading = f"grep SigIgn /proc/self/status || {sys.executable} -c '{ignored}'"
    with ranked(["sh", "-c", reading], tmp_path, BEHIND) as child:
        child.wait(10)
    told = (tmp_path / "out").read_text().split()
    assert told[-1] == "False" or int(told[-1], 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1) == 0


def test_who_may_not_have_it_gets_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    sessions: list[int] = []

    def refuse_below_minus_3(_which: int, _who: int, niceness: int) -> None:
        if niceness < -3:
            raise PermissionError
        given.append(niceness)

    monkeypatch.setattr(os, "setpriority", refuse_below_minus_3)
    monkeypatch.setattr(guard, "set_niceness_of_session", sessions.append)
    guard.set_niceness(ASKED)
    assert given == sessions == [-3]


def test_a_kernel_that_takes_one_word_at_a_time_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [BlockingIOError(), BlockingIOError(), None]
    waits_s: list[float] = []

    def write(_fd: int, _text: bytes) -> int:
        if (refusal := answers.pop(0)) is not None:
            raise refusal
        return 3

    monkeypatch.setattr(os, "open", lambda *_: -1)
    monkeypatch.setattr(os, "close", lambda _: None)
    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr("time.sleep", waits_s.append)
    guard.set_niceness_of_session(ASKED)
    assert (answers, waits_s) == ([], [guard.SESSION_WAIT_S] * 2)


@pytest.mark.skipif(shutil.which("setpriv") is None or os.geteuid() != 0, reason="needs a right to give up")
def test_without_the_right_a_child_ranks_like_any() -> None:
    told = subprocess.run(
        [
            *("setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", sys.executable, "-c"),
            f"from compbench.machine.priority import attainable; print(attainable({ASKED}))",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(told.stdout) == OWN


@pytest.mark.parametrize(
    ("by_session", "session", "niceness"),
    [("1", "/autogroup-7 nice 4", 4), ("0", "/autogroup-7 nice 4", 0), ("1", "", 0), (None, None, 0)],
)
def test_the_session_counts_only_where_cores_are_shared_out_by_session(
    tmp_path: Path, by_session: str | None, session: str | None, niceness: int
) -> None:
    for path, text in (
        ("proc/sys/kernel/sched_autogroup_enabled", by_session),
        (f"proc/{os.getpid()}/autogroup", session),
    ):
        if text is not None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(f"{text}\n")
    assert niceness_of(os.getpid(), tmp_path) == max(OWN, niceness)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with ranked([str(tmp_path / "nothing")], tmp_path, BEHIND) as child:
        assert child.wait(10) == Exit(code=127)
    assert (tmp_path / "out").read_text() == f"{tmp_path}/nothing: can't be started: No such file or directory\n"


def test_a_process_that_has_ended_has_no_niceness(tmp_path: Path) -> None:
    with ranked(["true"], tmp_path, 0) as child:
        child.wait(10)
        gone = child.pid
    assert niceness_of(gone) is None
