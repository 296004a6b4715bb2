"""The thread that takes samples: its schedule in simulated time, and itself on real processes."""

from __future__ import annotations

import itertools
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from compbench.machine.probes.counters import MachineCounters
from compbench.machine.probes.process_counters import ProcessCounters
from compbench.machine.sampler import Sampler, next_boundary
from compbench.model.sample import Sample


def counted(cpu_s: float) -> ProcessCounters:
    return ProcessCounters(cpu_s=cpu_s, resident_bytes=1000, virtual_bytes=5000, threads=4)


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


class SimulatedTime:
    """A clock that stands still but for waiting, which takes as long as it should and a little more each time."""

    def __init__(self, ends_at: float, late_by: Iterator[float] | None = None) -> None:
        self.now, self.ends_at = 1000.0, 1000.0 + ends_at
        self.late_by = late_by or itertools.repeat(0.0)

    def wait(self, seconds: float) -> bool:
        woken_at = self.now + seconds + next(self.late_by)
        self.now = min(woken_at, self.ends_at)
        return woken_at >= self.ends_at


def sample_for(ends_at: float, late_by: Iterator[float] | None = None, planned_s: float | None = None) -> list[float]:
    """Return when samples were taken in a simulated measurement, one wanted every five seconds."""
    simulated = SimulatedTime(ends_at, late_by)
    sampler = Sampler(
        os.getpid(),
        interval_s=5,
        duration_s=planned_s,
        read_machine=MachineCounters,
        clock=lambda: simulated.now,
        wait=simulated.wait,
    )
    sampler.start()
    # Stopping waits for the thread, which ends when its simulated clock says that the measurement is over.
    return [round(sample.elapsed_s, 6) for sample in sampler.stop()]


class TestSchedule:
    @pytest.mark.parametrize("duration_s", [57.6, 59.9, 60, 60.1, 62.4])
    def test_sixty_seconds_at_five_give_exactly_twelve_samples(self, duration_s: float) -> None:
        times = sample_for(duration_s)
        assert times[:11] == [5 * k for k in range(1, 12)]
        assert times[11:] == [min(60, duration_s)]

    def test_waking_late_each_time_does_not_add_up(self) -> None:
        times = sample_for(61, late_by=itertools.repeat(0.2))
        assert times == pytest.approx([5 * k + 0.2 for k in range(1, 13)])

    def test_boundaries_missed_in_a_stall_are_skipped_not_made_up_for(self) -> None:
        late_by = itertools.chain([0, 12.0], itertools.repeat(0))
        assert sample_for(36, late_by=late_by) == [5, 22, 25, 30, 35]

    def test_a_boundary_that_a_late_sample_has_nearly_reached_is_skipped(self) -> None:
        late_by = itertools.chain([4.9], itertools.repeat(0))
        assert sample_for(21, late_by=late_by) == pytest.approx([9.9, 15, 20])

    def test_an_end_adds_a_sample_only_if_a_boundary_was_near(self) -> None:
        assert sample_for(2.4) == []
        assert sample_for(2.6) == [2.6]
        assert sample_for(7.4) == [5]
        assert sample_for(7.6) == [5, 7.6]

    def test_no_last_sample_is_added_beyond_the_planned_duration(self) -> None:
        assert len(sample_for(63, planned_s=60)) == 12
        assert len(sample_for(63)) == 13
        assert len(sample_for(58, planned_s=60)) == 12

    def test_the_next_boundary_is_never_nearer_than_half_an_interval(self) -> None:
        assert [next_boundary(elapsed, 5) for elapsed in (0, 4.9999, 5.0001, 7.4, 7.6, 19.9)] == [1, 2, 2, 2, 3, 5]


@pytest.mark.process
class TestSampler:
    def test_in_real_time_samples_come_at_their_boundaries(self) -> None:
        with Sampler(os.getpid(), 0.2) as sampler:
            time.sleep(0.7)
        first = sampler.samples()[0]
        assert first.elapsed_s >= 0.19
        assert first.memory_bytes is not None
        assert first.per_core_pct

    def test_the_drivers_share_is_counted_on_its_own(self) -> None:
        sampler = Sampler(1, 0.2, read_machine=MachineCounters, read_process=lambda process: counted(process.pid))
        sampler.start(driver_pid=os.getpid())
        time.sleep(0.3)
        sample = sampler.stop()[0]
        assert (sample.driver_cpu_pct, sample.driver_memory_bytes) == (0, 1000)

    def test_a_server_that_dies_meanwhile_leaves_samples_without_its_figures(
        self, server: subprocess.Popen[bytes]
    ) -> None:
        taken: queue.Queue[Sample] = queue.Queue()
        with Sampler(server.pid, 0.1, on_sample=taken.put):
            alive = taken.get(timeout=10)
            server.kill()
            server.wait()
            taken.get(timeout=10)  # it may have been under way while the server was killed
            dead = taken.get(timeout=10)
        assert alive.memory_bytes is not None
        assert (dead.memory_bytes, dead.cpu_pct) == (None, None)

    def test_a_busy_process_shows_as_busy_and_a_sleeping_one_as_idle(self, server: subprocess.Popen[bytes]) -> None:
        taken: queue.Queue[Sample] = queue.Queue()
        sampler = Sampler(server.pid, 0.4, on_sample=taken.put)
        sampler.start(driver_pid=os.getpid())
        while taken.empty():
            pass
        sampler.stop()
        first = taken.get()
        assert first.cpu_pct is not None
        assert first.driver_cpu_pct is not None
        assert first.driver_cpu_pct > 2 * first.cpu_pct + 5, "this test was busy, the server slept"

    def test_each_sample_is_told_at_once_and_the_samples_may_be_read_meanwhile(self) -> None:
        told: queue.Queue[Sample] = queue.Queue()
        with Sampler(os.getpid(), 0.1, on_sample=told.put) as sampler:
            assert told.get(timeout=10) == sampler.samples()[0]

    def test_a_callback_that_breaks_is_reported_by_stop_not_lost_in_the_thread(self) -> None:
        called = threading.Event()

        def broken(sample: Sample) -> None:
            called.set()
            raise ValueError("no such column")

        sampler = Sampler(os.getpid(), 0.05, on_sample=broken, read_machine=MachineCounters)
        sampler.start()
        assert called.wait(10)
        with pytest.raises(ValueError, match="no such column"):
            sampler.stop()

    def test_stopping_what_never_began_or_has_ended_is_harmless(self) -> None:
        sampler = Sampler(os.getpid(), 10)
        assert sampler.stop() == []
        sampler.start()
        assert sampler.stop() == sampler.stop() == []
