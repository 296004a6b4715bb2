"""Who used the cores between two readings: by name and share, with what a busy shell starts, and never ourselves."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from compbench.machine.probes.busy_processes import (
    BusyProcess,
    ProcessReading,
    ProcessTime,
    busiest,
    describe_busy,
    read_processes,
)

RUNNER, SHELL, OTHER = 100, 200, 300


def reading(at_s: float, **processes: tuple[int, int, float, float]) -> ProcessReading:
    """Return a reading of processes: pid, parent, own seconds, ended children's seconds, by name."""
    found = {(pid, 1.0): ProcessTime(parent, name, own, ended) for name, (pid, parent, own, ended) in processes.items()}
    return ProcessReading(at_s, found)


def test_each_is_told_by_its_share_of_the_interval_the_busiest_first() -> None:
    before = reading(0, loop=(OTHER, 1, 50.0, 0.0), make=(SHELL, 1, 1.0, 10.0), idle=(9, 1, 5.0, 0.0))
    after = reading(10, loop=(OTHER, 1, 59.0, 0.0), make=(SHELL, 1, 1.5, 13.5), idle=(9, 1, 5.1, 0.0))
    found = busiest(before, after, runner=RUNNER)
    assert found == [
        BusyProcess(OTHER, "loop", pytest.approx(90.0)),  # type: ignore[arg-type]
        BusyProcess(SHELL, "make", pytest.approx(40.0), with_children=True),  # type: ignore[arg-type]
    ]
    assert describe_busy(found) == (
        "loop (process 300) 90 % of a core, make (process 200) 40 % of a core by programs that it starts"
    )


def test_the_runner_and_all_that_it_started_are_left_out_also_if_they_have_ended() -> None:
    before = reading(0, runner=(RUNNER, 1, 0.0, 0.0), guard=(101, RUNNER, 0.0, 0.0), server=(102, 101, 0.0, 0.0))
    after = reading(10, runner=(RUNNER, 1, 9.0, 9.0), server=(102, 101, 10.0, 0.0), worker=(103, 102, 9.0, 0.0))
    assert busiest(before, after, runner=RUNNER) == []


def test_what_an_ended_child_had_used_before_is_not_its_parents_work_now() -> None:
    before = reading(0, shell=(SHELL, 1, 0.0, 0.0), compiler=(OTHER, SHELL, 500.0, 0.0))
    after = reading(10, shell=(SHELL, 1, 0.0, 501.0))
    (shell,) = busiest(before, after, runner=RUNNER)
    assert shell.name == "shell"
    assert shell.pct == pytest.approx(10.0)


def test_a_number_that_is_given_to_a_new_process_is_no_old_one() -> None:
    before = ProcessReading(0.0, {(OTHER, 1.0): ProcessTime(1, "old", 900.0, 0.0)})
    after = ProcessReading(10.0, {(OTHER, 2.0): ProcessTime(1, "new", 5.0, 0.0)})
    assert busiest(before, after, runner=RUNNER) == [BusyProcess(OTHER, "new", 50.0)]


def test_more_than_three_are_counted_and_none_is_an_empty_line() -> None:
    assert describe_busy([BusyProcess(n, "x", 9.0) for n in range(5)]).endswith(" and 2 more")
    assert describe_busy([]) == ""


@pytest.mark.process
def test_a_real_busy_process_is_found_and_our_own_child_is_not() -> None:
    loop = "import time\nend = time.monotonic() + 1.2\nwhile time.monotonic() < end: pass"
    before = read_processes()
    with subprocess.Popen([sys.executable, "-c", loop]) as child:
        time.sleep(0.8)
        after = read_processes()
        as_a_stranger = [busy.pid for busy in busiest(before, after, runner=child.pid + 10_000_000)]
        assert child.pid in as_a_stranger
        assert child.pid not in [busy.pid for busy in busiest(before, after)]
