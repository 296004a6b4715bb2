"""Where a child runs: its CPUs, its control groups, real time; and that nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from compbench.config.settings import Settings
from compbench.machine import control_groups, isolation, process, real_time, tiers
from compbench.machine.control_groups import Limits
from compbench.machine.output import Output
from compbench.machine.placement import ControlGroup, Placement
from compbench.model.partition import Partition, cpu_list

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent.parent
CPUS = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
needs_affinity = pytest.mark.skipif(len(CPUS) < 2, reason="there is one CPU, or this system keeps no program to some")
NAME = f"compbench-test-{os.getpid()}"
LIMIT_BYTES = 64 * 1024 * 1024


def groups(**limits: object) -> tuple[ControlGroup, ...]:
    """Return groups that this user may make here; skips the test where there are none."""
    wanted = Limits(**limits)  # type: ignore[arg-type]
    found = control_groups.groups_v2(NAME, wanted) or control_groups.groups_v1(NAME, wanted)
    if not found:
        pytest.skip("this user can't make such control groups here")
    return found


def placed(script: str, folder: Path, place: Placement):  # type: ignore[no-untyped-def]
    argv, stdout = ["sh", "-c", script], Output(folder / "out", 1000)
    return process.running(argv, environment=os.environ, folder=folder, stdout=stdout, placement=place)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return met


@needs_affinity
def test_a_child_and_its_children_are_kept_to_their_cpus_and_this_process_is_not(tmp_path: Path) -> None:
    with placed("sleep 60 & wait", tmp_path, Placement(cpus=CPUS[-1:])) as child:
        assert eventually(lambda: len(psutil.Process(child.pid).children()) == 1)
        assert tiers.effective_cpus(child.pid) == CPUS[-1:]
    assert tuple(sorted(os.sched_getaffinity(0))) == CPUS


@needs_affinity
def test_a_program_can_not_leave_the_cpus_of_its_group(tmp_path: Path) -> None:
    found = groups(cpus=CPUS[:1])
    widen = f"os.sched_setaffinity(0, {set(CPUS)}); open('tried', 'w').close()"
    escape = f"import os, time; {widen}; time.sleep(60)"
    with placed(f'exec {sys.executable} -c "{escape}"', tmp_path, Placement(cpus=CPUS[:1], groups=found)) as child:
        assert eventually((tmp_path / "tried").exists)
        assert tiers.effective_cpus(child.pid) == CPUS[:1]
    assert not any(group.folder.exists() for group in found)


def test_a_program_over_its_memory_limit_is_killed_and_that_is_told(tmp_path: Path) -> None:
    found = groups(memory_bytes=LIMIT_BYTES)
    hungry = f"import time; kept = bytearray({4 * LIMIT_BYTES}); time.sleep(60)"
    with placed(f'exec {sys.executable} -c "{hungry}"', tmp_path, Placement(groups=found)) as child:
        ended = child.wait(30)
    assert ended is not None
    assert ended.signal == "SIGKILL"
    assert child.oom_kills == 1
    assert not any(group.folder.exists() for group in found)


def test_the_memory_limit_is_the_one_of_the_group(tmp_path: Path) -> None:
    with placed("sleep 60", tmp_path, Placement(groups=groups(memory_bytes=LIMIT_BYTES))) as child:
        assert control_groups.memory_limit_bytes(child.pid) == LIMIT_BYTES
        assert child.oom_kills == 0


def test_the_groups_of_a_killed_runner_are_removed_with_its_child(tmp_path: Path) -> None:
    found = groups(memory_bytes=LIMIT_BYTES)
    script = f"""
import os, sys, time
from pathlib import Path
from compbench.machine import control_groups, process
from compbench.machine.output import Output
from compbench.machine.placement import ControlGroup, Placement
limits = control_groups.Limits(memory_bytes={LIMIT_BYTES})
groups = control_groups.groups_v2({NAME!r}, limits) or control_groups.groups_v1({NAME!r}, limits)
with process.running(["sleep", "300"], environment=os.environ, folder=Path({str(tmp_path)!r}),
                     stdout=Output(Path({str(tmp_path)!r}) / "out", 1000), placement=Placement(groups=groups)) as child:
    print(child.pid, flush=True)
    time.sleep(300)
"""
    runner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert runner.stdout is not None
    pid = int(runner.stdout.readline())
    assert all(str(pid) in (group.folder / "cgroup.procs").read_text().split() for group in found)
    runner.kill()
    runner.communicate()
    assert eventually(lambda: not any(group.folder.exists() for group in found)), "a control group was left behind"
    assert not psutil.pid_exists(pid)


def test_the_groups_of_a_killed_guard_are_removed_by_the_runner(tmp_path: Path) -> None:
    found = groups(memory_bytes=LIMIT_BYTES)
    with placed("sleep 300", tmp_path, Placement(groups=found)) as child:
        os.kill(psutil.Process(child.pid).ppid(), signal.SIGKILL)
        assert child.wait(10) is not None
    assert not any(group.folder.exists() for group in found)


def test_groups_that_a_killed_invocation_left_are_removed_unless_something_is_in_them() -> None:
    found = groups(memory_bytes=LIMIT_BYTES)
    for group in found:
        group.folder.mkdir()
    with subprocess.Popen(["sleep", "300"]) as sleeping:
        (found[0].folder / "cgroup.procs").write_text(str(sleeping.pid))
        assert control_groups.remove_left(NAME) == []
        sleeping.kill()
        sleeping.wait()
    assert eventually(lambda: control_groups.remove_left(NAME) != [] or not found[0].folder.exists())
    assert not any(group.folder.exists() for group in found)


@needs_affinity
def test_a_place_that_can_not_be_had_is_told_and_the_program_is_not_started(tmp_path: Path) -> None:
    with placed("echo started", tmp_path, Placement(cpus=(4095,))) as child:
        assert child.wait(10) is not None
    assert (tmp_path / "out").read_text() == "sh: can't be started: Invalid argument\n"


@needs_affinity
def test_what_is_reached_is_what_a_server_and_a_driver_really_get(tmp_path: Path) -> None:
    reached = isolation.reached_by(Settings(driver="builtin", isolation=f"cpus={CPUS[1]}/{CPUS[0]}"))
    assert reached.partition is not None
    assert f"server on CPUs {CPUS[1]}, driver on {CPUS[0]}" in reached.told
    with placed("sleep 60", tmp_path, reached.of_server(NAME, 0)) as server:
        assert tiers.effective_cpus(server.pid) == (CPUS[1],)
    with placed("sleep 60", tmp_path, reached.of_driver(0)) as driver:
        assert tiers.effective_cpus(driver.pid) == (CPUS[0],)
        assert real_time.is_real_time(driver.pid) is reached.is_real_time
    with placed("sleep 60", tmp_path, reached.of_loader(0)) as loader:
        assert not real_time.is_real_time(loader.pid)


@needs_affinity
def test_cpus_that_are_not_there_are_refused_with_those_that_are() -> None:
    reached = isolation.reached_by(Settings(driver="builtin", isolation="cpus=4095/0"))
    assert reached.partition is None
    assert reached.missing == (f"CPUs 4095 are not of those that may be used here ({cpu_list(CPUS)})",)


def test_off_leaves_everything_as_it_is() -> None:
    reached = isolation.reached_by(Settings(driver="builtin", isolation="off"))
    assert (reached.tier, reached.told, reached.driver_cpus) == ("none", "", ())
    assert reached.of_server("any", -5) == Placement(niceness=-5)


@needs_affinity
def test_this_thread_is_kept_to_some_cpus_only_for_a_while() -> None:
    with isolation.kept_to(CPUS[:1]):
        assert os.sched_getaffinity(0) == set(CPUS[:1])
    assert os.sched_getaffinity(0) == set(CPUS)


def test_a_tree_of_processes_is_in_real_time_for_a_while_with_what_it_starts(tmp_path: Path) -> None:
    if not isolation.reached_by(Settings(driver="builtin")).is_real_time:
        pytest.skip("this user may not schedule in real time here")
    os.mkfifo(tmp_path / "fifo")
    with placed("sleep 60 & read go < fifo; sleep 60 & wait", tmp_path, Placement()) as child:
        first = psutil.Process(child.pid)
        assert eventually(lambda: len(first.children()) == 1)
        with real_time.in_real_time(child.pid, wanted=True):
            (tmp_path / "fifo").write_text("go\n")
            assert eventually(lambda: len(first.children()) == 2)
            assert all(real_time.is_real_time(one.pid) for one in (first, *first.children()))
        assert not any(real_time.is_real_time(one.pid) for one in (first, *first.children()))
        with real_time.in_real_time(child.pid, wanted=False):
            assert not real_time.is_real_time(child.pid)


@needs_affinity
def test_a_scope_of_systemd_comes_first_and_takes_nothing_of_the_programs_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    monkeypatch.setattr(tiers, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", f"{ROOT / 'tests/stand_ins'}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_SYSTEMD_LOG", str(tmp_path / "log"))
    asked = isolation.IsolationAsked(Partition((CPUS[1],), (CPUS[0],)), None, real_time=False)
    reached = isolation._reach.__wrapped__(asked)
    assert reached.tier == "systemd scope"
    with placed("sleep 60", tmp_path, reached.of_server(NAME, 0)) as child:
        assert eventually(lambda: psutil.Process(child.pid).cmdline()[:1] == ["sh"])
        assert tiers.effective_cpus(child.pid) == (CPUS[1],)
    told = (tmp_path / "log").read_text().splitlines()[-1]
    assert f"--scope --quiet --collect --unit {NAME} --property AllowedCPUs={CPUS[1]}" in told.replace("--user ", "")
    with_limit = asked._replace(memory_bytes=LIMIT_BYTES)
    assert isolation._reach.__wrapped__(with_limit).tier != "systemd scope", "what it does not give is not believed"
