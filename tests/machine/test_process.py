"""Child processes: started, bounded, ended, and gone when their runner is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from compbench.machine import process
from compbench.machine.output import Output
from compbench.machine.process import Exit

pytestmark = pytest.mark.process


def shell(script: str, folder: Path, limit_bytes: int = 10_000_000, grace_s: float = 5.0):  # type: ignore[no-untyped-def]
    return process.running(
        ["sh", "-c", script],
        environment=os.environ,
        folder=folder,
        stdout=Output(folder / "out", limit_bytes),
        stderr=Output(folder / "err", limit_bytes),
        stop_grace_s=grace_s,
    )


def eventually(condition: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_written_to(path: Path) -> int:
    assert eventually(lambda: path.exists() and path.read_text().strip() != "")
    return int(path.read_text())


def test_output_and_exit_code_of_a_program_are_kept(tmp_path: Path) -> None:
    with shell("echo out; echo err >&2; exit 3", tmp_path) as child:
        assert child.wait(10) == Exit(code=3)
    assert (tmp_path / "out").read_text() == "out\n"
    assert (tmp_path / "err").read_text() == "err\n"


def test_a_program_ended_by_a_signal_says_which(tmp_path: Path) -> None:
    with shell("kill -ABRT $$", tmp_path) as child:
        assert child.wait(10) == Exit(code=None, signal="SIGABRT")


def test_a_program_that_is_not_there_exits_with_127_and_a_reason(tmp_path: Path) -> None:
    with process.running(
        ["./no-such-program"], environment=os.environ, folder=tmp_path, stdout=Output(tmp_path / "out", 1000)
    ) as child:
        assert child.wait(10) == Exit(code=127)
    assert "can't be started" in (tmp_path / "out").read_text()


def test_leaving_the_block_ends_a_program_that_ignores_sigterm_and_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 300 & echo $! > child; echo ready; while :; do sleep 1; done"
    with shell(script, tmp_path, grace_s=0.5) as child:
        grandchild = pid_written_to(tmp_path / "child")
        assert is_running(grandchild)
    assert child.exit == Exit(code=None, signal="SIGKILL")
    assert eventually(lambda: not is_running(grandchild)), "the child's own child outlived it"


def test_what_a_program_leaves_in_its_group_ends_with_it(tmp_path: Path) -> None:
    with shell("sleep 300 & echo $! > child; exit 0", tmp_path) as child:
        assert child.wait(10) == Exit(code=0)
        left_behind = pid_written_to(tmp_path / "child")
    assert eventually(lambda: not is_running(left_behind))


def test_a_program_whose_guard_was_killed_is_ended_all_the_same(tmp_path: Path) -> None:
    with shell("sleep 300 & echo $! > child; wait", tmp_path) as child:
        grandchild = pid_written_to(tmp_path / "child")
        guard = psutil.Process(child.pid).ppid()
        os.kill(guard, signal.SIGKILL)
        ended = child.wait(10)
        assert ended is not None
        assert "guard" in str(ended)
    assert eventually(lambda: not is_running(child.pid))
    assert eventually(lambda: not is_running(grandchild))


def stop_guard(child: process.Child) -> psutil.Process:
    """Stop a child's guard, as SIGSTOP does; return it."""
    guard = psutil.Process(psutil.Process(child.pid).ppid())
    guard.suspend()
    assert eventually(lambda: guard.status() == psutil.STATUS_STOPPED)
    return guard


def test_a_guard_that_was_stopped_goes_on_and_tells_how_its_child_ended(tmp_path: Path) -> None:
    with shell("while [ ! -e go ]; do sleep 0.05; done; exit 3", tmp_path) as child:
        guard = stop_guard(child)
        (tmp_path / "go").touch()
        assert eventually(lambda: child.poll() is not None)
    assert child.exit == Exit(code=3)
    assert not guard.is_running()


def test_leaving_the_block_ends_the_program_of_a_stopped_guard_as_any_other(tmp_path: Path) -> None:
    with shell("trap 'echo whole; exit 0' TERM; touch ready; while :; do sleep 0.1; done", tmp_path) as child:
        assert eventually((tmp_path / "ready").exists), "before, it would end as any program does"
        guard = stop_guard(child)
    assert child.exit == Exit(code=0)
    assert (tmp_path / "out").read_text() == "whole\n"
    assert not guard.is_running()


def test_a_guard_that_obeys_nobody_is_ended_with_its_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_KILL_WAIT_S", 2.0)
    monkeypatch.setattr(process.Child, "_continue_guard", lambda _: None)
    files = process.own_open_files()
    with shell("sleep 300 & echo $! > child; wait", tmp_path, grace_s=0.1) as child:
        grandchild = pid_written_to(tmp_path / "child")
        guard = stop_guard(child)
    assert "guard" in str(child.exit)
    assert not guard.is_running()
    assert eventually(lambda: not is_running(child.pid))
    assert eventually(lambda: not is_running(grandchild))
    assert process.own_open_files() == files


def test_a_process_that_escaped_with_the_output_holds_nobody_up(tmp_path: Path) -> None:
    escape = f"{sys.executable} -c 'import os, time; os.setsid(); print(os.getpid(), flush=True); time.sleep(300)'"
    with shell(f"{escape} & while [ ! -s out ]; do sleep 0.1; done; echo mine; exit 0", tmp_path) as child:
        assert child.wait(20) == Exit(code=0)
    escaped, mine = (tmp_path / "out").read_text().split()
    assert mine == "mine"
    with contextlib.suppress(ProcessLookupError):  # where the guard can, it has ended it
        os.kill(int(escaped), signal.SIGKILL)


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives a guard those that have lost their parent")
# Leaves its session and its parent, and starts one that does so too, as a server's own processes may.
ESCAPING = """
import os, sys, time
for name in ("first", "second"):
    if os.fork():
        break
    os.setsid()
    open(f"{sys.argv[1]}/{name}.partial", "w").write(str(os.getpid()))
    os.rename(f"{sys.argv[1]}/{name}.partial", f"{sys.argv[1]}/{name}")
time.sleep(300)
"""


def escaping(folder: Path, then: str) -> str:
    return f"{sys.executable} -c '{ESCAPING}' {folder} & {then}"


@LINUX
@pytest.mark.parametrize("how", ["it ends", "it is stopped", "it is killed", "its guard is killed"])
def test_nothing_that_has_left_a_programs_session_outlives_it(tmp_path: Path, how: str) -> None:
    with shell(escaping(tmp_path, "while [ ! -e go ]; do sleep 0.05; done"), tmp_path) as child:
        escaped = [pid_written_to(tmp_path / "first"), pid_written_to(tmp_path / "second")]
        assert all(map(is_running, escaped))
        if how == "it ends":
            (tmp_path / "go").touch()
        elif how == "it is killed":
            os.kill(child.pid, signal.SIGKILL)
        elif how == "its guard is killed":
            os.kill(psutil.Process(child.pid).ppid(), signal.SIGKILL)
        if how != "it is stopped":
            assert child.wait(10) is not None
    assert eventually(lambda: not any(map(is_running, escaped)), 5.0)


@LINUX
def test_a_guard_collects_what_has_lost_its_parent_and_ends_no_process_that_is_not_its_own(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as other:
        lost = 'import os; os.fork() or (os.setsid(), open("lost", "w").write(str(os.getpid())))'
        with shell(f"{sys.executable} -c '{lost}'; while [ ! -e go ]; do sleep 0.05; done", tmp_path) as child:
            pid = pid_written_to(tmp_path / "lost")
            assert eventually(lambda: not psutil.pid_exists(pid)), "it has ended and nobody has collected it"
            assert child.poll() is None
            (tmp_path / "go").touch()
            assert child.wait(10) == Exit(code=0)
        assert is_running(other.pid)
        other.kill()


def test_stop_says_what_it_took(tmp_path: Path) -> None:
    with shell("exec sleep 300", tmp_path) as child:
        assert child.stop(10) == "SIGTERM"
        assert child.stop(10) == "itself"


def test_a_program_gets_default_signals_even_if_its_runner_ignores_them(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with shell("exec sleep 300", tmp_path) as child:
            child.send(signal.SIGINT)
            assert child.wait(10) == Exit(code=None, signal="SIGINT")
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = process.own_open_files()
    for _ in range(3):
        with shell("exit 0", tmp_path) as child:
            child.wait(10)
    assert process.own_open_files() == before


RUNNER = """
import os, sys, time
from pathlib import Path
from compbench.machine import process
from compbench.machine.output import Output
folder = Path(sys.argv[1])
escape = f"{sys.executable} -c 'import os, time; os.setsid(); time.sleep(300)'"
argv = ["sh", "-c", f"trap '' TERM; echo $$ > pid; sleep 300 & echo $! > child; {escape} & echo $! > escaped;"
    " while :; do sleep 1; done"]
with process.running(argv, environment=os.environ, folder=folder, stdout=Output(folder / "out", 1000)):
    time.sleep(300)
"""


def test_a_program_does_not_outlive_a_runner_that_is_killed_alone_or_with_its_group(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    for name, kill in (("alone", os.kill), ("group", os.killpg)):
        folder = tmp_path / name
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(folder)],
            env={**os.environ, "PYTHONPATH": str(root)},
            start_new_session=True,
        ) as runner:
            names = ["pid", "child", "escaped"] if sys.platform == "linux" else ["pid", "child"]
            pids = [pid_written_to(folder / name) for name in names]
            kill(runner.pid, signal.SIGKILL)
            ended = eventually(lambda: not any(map(is_running, pids)), 10.0)  # noqa: B023 - called at once
            assert ended, f"killed {name}: SIGTERM is ignored, so SIGKILL must have come"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_noted_and_hinders_nobody(tmp_path: Path) -> None:
    full = Output(Path("/dev/full"), 1_000_000)
    absent = Output(tmp_path / "absent" / "file", 1_000_000)
    program = "import sys; sys.stdout.write('x' * 500_000); sys.stderr.write('x' * 500_000)"
    with process.running(
        [sys.executable, "-c", program], environment=os.environ, folder=tmp_path, stdout=full, stderr=absent
    ) as child:
        assert child.wait(30) == Exit(0)
    assert (full.error, full.total_bytes) == ("No space left on device", 500_000)
    assert (absent.error, absent.total_bytes) == ("No such file or directory", 500_000)
