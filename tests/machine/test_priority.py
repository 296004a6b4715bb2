"""Children that go before other programs, as far as the user may have that."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compbench.machine import priority, process
from compbench.machine.go_first import niceness_of
from compbench.machine.output import Output
from compbench.machine.process import Exit

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent.parent
ASKED = -15


def ranked(argv: list[str], folder: Path, niceness: int):  # type: ignore[no-untyped-def]
    return process.running(
        argv, environment=os.environ, folder=folder, stdout=Output(folder / "out", 1_000_000), niceness=niceness
    )


def when_it_is(pid: int, niceness: int) -> int | None:
    """Return the niceness of a process once it is the expected one, or after 15 s."""
    deadline = time.monotonic() + 15
    while (found := niceness_of(pid)) != niceness and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def test_a_child_gets_the_niceness_that_is_attainable_and_its_own_children_have_it_too(tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > grandchild; wait"
    with ranked(["sh", "-c", script], tmp_path, ASKED) as child:
        attainable = priority.attainable(ASKED)
        assert when_it_is(child.pid, attainable) == attainable
        while not (tmp_path / "grandchild").exists() or not (tmp_path / "grandchild").read_text():
            assert child.wait(0.01) is None
        assert niceness_of(int((tmp_path / "grandchild").read_text())) == attainable


def test_anybody_may_go_after_others(tmp_path: Path) -> None:
    behind = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    assert priority.attainable(behind) == behind
    with ranked(["sleep", "60"], tmp_path, behind) as child:
        assert when_it_is(child.pid, behind) == behind


def test_without_a_niceness_a_child_ranks_like_its_parent(tmp_path: Path) -> None:
    assert priority.attainable(0) == niceness_of(os.getpid())
    with ranked(["sleep", "60"], tmp_path, 0) as child:
        assert niceness_of(child.pid) == niceness_of(os.getpid())


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv gives up the right to go first")
def test_who_may_not_go_first_gets_the_program_all_the_same() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has a right to give up")
    plain = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", sys.executable]
    told = subprocess.run(
        [*plain, "-c", f"from compbench.machine.priority import attainable; print(attainable({ASKED}))"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(told.stdout) == os.getpriority(os.PRIO_PROCESS, 0)
    argv = priority.ranked(["echo", "measured"], ASKED)
    assert subprocess.run([*plain, *argv[1:]], capture_output=True, text=True, check=True).stdout == "measured\n"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with ranked([str(tmp_path / "nothing")], tmp_path, ASKED) as child:
        assert child.wait(10) == Exit(code=127)
    assert (tmp_path / "out").read_text() == f"{tmp_path}/nothing: can't be started: No such file or directory\n"


def test_a_process_that_has_ended_has_no_niceness(tmp_path: Path) -> None:
    with ranked(["true"], tmp_path, 0) as child:
        child.wait(10)
        gone = child.pid
    assert niceness_of(gone) is None
