"""The kernel's own counts: pressure, and the switches, migrations and faults of a process tree; real and made up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compbench.machine.probes.counters import ROOT, MachineCounters
from compbench.machine.probes.pressure import PressureTotals, read_pressure
from compbench.machine.probes.process_tree import tree_pids
from compbench.machine.probes.task_counts import read_tree_counts, rises_between
from compbench.machine.sampling import Reading, interval

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has /proc")


def write_pressure(folder: Path, **totals: tuple[int, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (some, full) in totals.items():
        averages = "avg10=0.00 avg60=0.01 avg300=0.07"
        (folder / name).write_text(f"some {averages} total={some}\nfull {averages} total={full}\n")


def test_pressure_is_read_and_what_the_kernel_lacks_is_none(tmp_path: Path) -> None:
    write_pressure(tmp_path / "proc/pressure", cpu=(500, 0), memory=(30, 20), io=(7, 6))
    assert read_pressure(tmp_path) == PressureTotals(
        cpu_some_us=500, memory_some_us=30, memory_full_us=20, io_some_us=7, io_full_us=6
    )
    assert read_pressure(tmp_path / "nowhere") == PressureTotals()
    # Before Linux 5.13 `cpu` has no second line; something else in a line is no number.
    (tmp_path / "proc/pressure/cpu").write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=12\n")
    (tmp_path / "proc/pressure/io").write_text("some total=many\n")
    assert read_pressure(tmp_path).cpu_some_us == 12
    assert read_pressure(tmp_path).io_some_us is None


def test_pressure_becomes_a_share_of_the_interval() -> None:
    before = MachineCounters(pressure=PressureTotals(cpu_some_us=0, memory_some_us=5, io_some_us=900))
    after = MachineCounters(pressure=PressureTotals(cpu_some_us=1_000_000, memory_some_us=5, io_some_us=10))
    sample = interval(Reading(elapsed_s=0, machine=before), Reading(elapsed_s=5, machine=after))
    assert sample.cpu_some_pct == pytest.approx(20)
    assert sample.memory_some_pct == 0
    assert sample.io_some_pct is None, "a total that was set back tells nothing"
    assert sample.io_full_pct is None


@pytest.mark.skipif(not Path("/proc/pressure/cpu").exists(), reason="this kernel tells no pressure")
def test_the_pressure_of_this_machine_is_readable_and_never_falls() -> None:
    before, after = read_pressure(ROOT), read_pressure(ROOT)
    for name in PressureTotals.__struct_fields__:
        assert 0 <= getattr(before, name) <= getattr(after, name)


def write_thread(root: Path, pid: int, tid: int, switches: tuple[int, int], moved: int | None, faults: int) -> None:
    folder = root / "proc" / str(pid) / "task" / str(tid)
    folder.mkdir(parents=True, exist_ok=True)
    told = zip(("voluntary", "nonvoluntary"), switches, strict=True)
    lines = [f"{name}_ctxt_switches:\t{count}\n" for name, count in told]
    (folder / "status").write_text("Name:\tserver\n" + "".join(lines))
    if moved is not None:
        (folder / "sched").write_text(f"server ({tid}, #threads: 2)\nse.nr_migrations  :  {moved}\n")
    # The name may have spaces and parentheses; then come the state and six more before the faults.
    (root / "proc" / str(pid) / "stat").write_text(f"{pid} (a) server) S 1 1 1 0 -1 64 {faults} 10 1 0 5 5\n")


def test_switches_are_those_of_the_threads_that_are_left_and_of_those_that_came(tmp_path: Path) -> None:
    for tid, switches in ((7, (100, 10)), (8, (50, 5))):
        write_thread(tmp_path, 7, tid, switches, 3, faults=1000)
    before = read_tree_counts([7], tmp_path)
    later = tmp_path / "later"
    write_thread(later, 7, 7, (160, 12), 5, faults=1200)
    write_thread(later, 7, 9, (30, 1), 1, faults=1200)
    rises = rises_between(before, read_tree_counts([7], later))
    assert (rises.voluntary, rises.involuntary, rises.migrations, rises.page_faults) == (90, 3, 3, 200)
    assert rises.ended == 1
    write_thread(later, 7, 9, (30, 1), None, faults=900)
    (later / "proc/7/task/9/sched").unlink()
    unknown = rises_between(before, read_tree_counts([7], later))
    assert (unknown.migrations, unknown.page_faults) == (None, None), "not counted by this kernel; a process ended"
    assert rises_between(before, read_tree_counts([7], tmp_path / "nowhere")).voluntary is None


@LINUX
@pytest.mark.process
def test_a_process_that_sleeps_often_has_switched_as_often() -> None:
    code = "import time; print('on', flush=True); input(); [time.sleep(0.001) for _ in range(300)]; print('off', flush=True); input()"  # noqa: E501
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-S", "-c", code], text=True, **pipes) as sleeper:  # type: ignore[call-overload]
        try:
            assert sleeper.stdout.readline() == "on\n"
            before = read_tree_counts(tree_pids(sleeper.pid))
            sleeper.stdin.write("\n")
            sleeper.stdin.flush()
            assert sleeper.stdout.readline() == "off\n"
            rises = rises_between(before, read_tree_counts(tree_pids(sleeper.pid)))
        finally:
            sleeper.kill()
    assert rises.voluntary is not None
    assert 300 <= rises.voluntary < 1000
    assert (rises.page_faults or 0) >= 0
    assert tree_pids(sleeper.pid) == [], "it has ended"


@LINUX
def test_reading_this_machines_pressure_and_own_threads_takes_little() -> None:
    """Said to be cheap enough for the midst of a measurement: not an absolute time, but no more than reading stat."""

    def cost_s(read: object) -> float:
        assert callable(read)
        began = time.process_time()
        for _ in range(20):
            read()
        return time.process_time() - began

    assert cost_s(lambda: read_pressure(ROOT)) < 10 * cost_s(lambda: [Path("/proc/stat").read_text() for _ in range(3)])
    assert read_tree_counts([os.getpid()]).threads
