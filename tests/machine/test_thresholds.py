"""Samples: their arithmetic, the schedule of the thread that takes them, and what they warn of."""

from __future__ import annotations

import itertools
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from compbench.machine import thresholds
from compbench.machine.probes.counters import CpuSeconds, DiskCounters, MachineCounters, NetworkCounters
from compbench.machine.probes.process_counters import ProcessCounters
from compbench.machine.sampler import next_boundary
from compbench.machine.thresholds import Reading, Sampler, interval, notices
from compbench.model.catalogue import NOTICES
from compbench.model.notices import notice_of
from compbench.model.sample import Sample


def reading(elapsed_s: float, *, machine: MachineCounters | None = None, **processes: ProcessCounters) -> Reading:
    return Reading(elapsed_s=elapsed_s, machine=machine or MachineCounters(), **processes)


def counted(cpu_s: float) -> ProcessCounters:
    return ProcessCounters(cpu_s=cpu_s, resident_bytes=1000, virtual_bytes=5000, threads=4)


def core(*, busy: float = 0, idle: float = 0, waiting: float = 0, stolen: float = 0) -> CpuSeconds:
    return CpuSeconds(total_s=busy + idle + waiting + stolen, idle_s=idle, io_wait_s=waiting, steal_s=stolen)


class TestInterval:
    def test_cpu_is_that_of_the_interval_in_percent_of_one_core_not_of_the_lifetime(self) -> None:
        sample = interval(reading(10, server=counted(1000)), reading(15, server=counted(1007.5)))
        assert sample.cpu_pct == pytest.approx(150)

    def test_a_process_that_came_or_went_has_no_cpu_share_but_its_size_is_known_while_it_is_there(self) -> None:
        came = interval(reading(0), reading(5, server=counted(3)))
        assert (came.cpu_pct, came.memory_bytes, came.threads) == (None, 1000, 4)
        gone = interval(reading(0, server=counted(3)), reading(5))
        assert (gone.cpu_pct, gone.memory_bytes, gone.threads) == (None, None, None)

    def test_io_wait_and_steal_are_shares_of_all_cores_time(self) -> None:
        before = MachineCounters(cores=[core(busy=100), core(busy=100)])
        after = MachineCounters(cores=[core(busy=104, waiting=1), core(busy=101, idle=1, stolen=3)])
        sample = interval(reading(0, machine=before), reading(5, machine=after))
        assert sample.io_wait_pct == pytest.approx(10)
        assert sample.steal_pct == pytest.approx(30)
        assert sample.per_core_pct == pytest.approx([80, 80])

    def test_io_wait_that_the_kernel_counts_backwards_is_none_at_all_rather_than_negative(self) -> None:
        before, after = MachineCounters(cores=[core(waiting=2)]), MachineCounters(cores=[core(busy=5, waiting=1)])
        assert interval(reading(0, machine=before), reading(5, machine=after)).io_wait_pct == 0

    def test_a_platform_without_steal_and_io_wait_gives_none(self) -> None:
        before = MachineCounters(cores=[CpuSeconds(total_s=0, idle_s=0)])
        after = MachineCounters(cores=[CpuSeconds(total_s=4, idle_s=3)])
        sample = interval(reading(0, machine=before), reading(4, machine=after))
        assert (sample.io_wait_pct, sample.steal_pct, sample.per_core_pct) == (None, None, [25])

    def test_disk_latency_is_the_time_of_the_operations_by_their_number(self) -> None:
        before = MachineCounters(disk=DiskCounters(read_bytes=0, write_bytes=0, operations=10, time_ms=1000))
        after = MachineCounters(disk=DiskCounters(read_bytes=500, write_bytes=1000, operations=14, time_ms=1006))
        sample = interval(reading(0, machine=before), reading(5, machine=after))
        assert (sample.disk_latency_ms, sample.disk_read_bytes_s, sample.disk_write_bytes_s) == (1.5, 100, 200)

    def test_an_idle_disk_has_no_latency(self) -> None:
        idle = MachineCounters(disk=DiskCounters(read_bytes=0, write_bytes=0, operations=10, time_ms=1000))
        assert interval(reading(0, machine=idle), reading(5, machine=idle)).disk_latency_ms is None

    def test_loopback_traffic_is_halved_and_other_interfaces_are_kept_apart(self) -> None:
        before = MachineCounters(loopback=NetworkCounters(), external=NetworkCounters())
        after = MachineCounters(
            loopback=NetworkCounters(octets=100_000, packets=100, errors=1, drops=2),
            external=NetworkCounters(octets=10_000, errors=50),
        )
        sample = interval(reading(0, machine=before), reading(5, machine=after))
        assert (sample.net_kb_s, sample.net_packets_s, sample.net_errors) == (10, 10, 3)
        assert sample.external_net_kb_s == 2

    def test_counts_are_those_of_the_interval_and_one_that_was_set_back_is_unknown(self) -> None:
        before = MachineCounters(oom_kills=3, throttle_events=100, quota_throttles=7)
        after = MachineCounters(oom_kills=4, throttle_events=100, quota_throttles=2)
        sample = interval(reading(0, machine=before), reading(5, machine=after))
        assert (sample.oom_kills, sample.throttle_events, sample.quota_throttles) == (1, 0, None)


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


def samples_of(**columns: list[Any]) -> list[Sample]:
    rows = zip(*columns.values(), strict=True)
    return [Sample(elapsed_s=5.0 * k, **dict(zip(columns, row, strict=True))) for k, row in enumerate(rows, start=1)]


def codes(samples: list[Sample], **options: int) -> list[str]:
    return [notice.code for notice in notices(samples, **options)]


class TestTable:
    SAMPLES = (
        Sample(elapsed_s=5.003, cpu_pct=87.31, memory_bytes=2_048_000_000, threads=32, io_wait_pct=1.2, net_kb_s=450.2),
        Sample(elapsed_s=9.998, cpu_pct=91.2, memory_bytes=2_156_000_000, threads=33, io_wait_pct=0.8, net_kb_s=520),
    )

    def test_it_looks_as_the_specification_shows_it(self) -> None:
        assert thresholds.format_table(self.SAMPLES) == [
            "Timestamp | CPU% | Mem(MB) | Threads | IO_Wait% | Net(KB/s)",
            "00:00:05  | 87.3 | 2048    | 32      | 1.2      | 450",
            "00:00:10  | 91.2 | 2156    | 33      | 0.8      | 520",
            "PEAK:     | 91.2 | 2156    | 33      | 1.2      | 520",
            "AVG:      | 89.3 | 2102    | 32.5    | 1.0      | 485",
        ]

    def test_what_is_not_readable_is_said_and_left_out_of_the_average(self) -> None:
        samples = [msgspec.structs.replace(self.SAMPLES[0], io_wait_pct=None), self.SAMPLES[1]]
        rows = thresholds.table_rows(samples)
        assert [row.io_wait_pct for row in rows] == ["n/a", "0.8", "0.8", "0.8"]

    def test_without_samples_there_is_nothing_to_peak_or_average(self) -> None:
        assert thresholds.format_table([])[1:] == [
            "PEAK:     | n/a  | n/a     | n/a     | n/a      | n/a",
            "AVG:      | n/a  | n/a     | n/a     | n/a      | n/a",
        ]

    def test_columns_stay_aligned_when_the_server_uses_many_cores(self) -> None:
        lines = thresholds.format_table([msgspec.structs.replace(self.SAMPLES[0], cpu_pct=1234.5)])
        assert len({line.index("|", 12) for line in lines}) == 1


class TestNotices:
    def test_a_healthy_measurement_warns_of_nothing(self) -> None:
        healthy: dict[str, list[Any]] = {
            "cpu_pct": [87.3, 91.2], "machine_memory_pct": [40, 41], "io_wait_pct": [1.2, 0.8], "steal_pct": [0, 0.1],
            "throttle_events": [0, 0], "quota_throttles": [0, 0], "oom_kills": [0, 0], "cpu_mhz": [3000, 2990],
            "swap_used_bytes": [0, 0], "swap_in_bytes_s": [0, 0], "swap_out_bytes_s": [0, 0],
            "driver_cpu_pct": [50, 60], "net_errors": [0, 0],
        }  # fmt: skip
        assert codes(samples_of(**healthy)) == []

    def test_a_machine_that_tells_nothing_warns_of_nothing(self) -> None:
        assert codes([Sample(elapsed_s=5.0), Sample(elapsed_s=10.0)]) == []
        assert codes([]) == []

    @pytest.mark.parametrize(
        ("code", "columns"),
        [
            ("memory-full", {"machine_memory_pct": [50, 90.5]}),
            ("io-wait", {"io_wait_pct": [5, 36]}),
            ("thermal-throttling", {"throttle_events": [0, 1]}),
            ("quota-throttling", {"quota_throttles": [0, 1]}),
            ("clock-drop", {"cpu_mhz": [3000, 2390, 2390]}),
            ("oom-kill", {"oom_kills": [1, 0]}),
            ("swap-used", {"swap_used_bytes": [0, 1_100_000_000]}),
            ("swap-thrashing", {"swap_in_bytes_s": [9e5, 9e5], "swap_out_bytes_s": [2e5, 2e5]}),
            ("steal", {"steal_pct": [5, 5.2]}),
            ("driver-saturated", {"driver_cpu_pct": [80, 80.2]}),
            ("driver-saturated", {"driver_cpu_pct": [10, 95]}),
            ("network-errors", {"net_errors": [0, 2]}),
        ],
    )
    def test_each_threshold_is_judged_by_itself_and_told_once(self, code: str, columns: dict[str, list[Any]]) -> None:
        assert codes(samples_of(**columns)) == [code]

    @pytest.mark.parametrize(
        "columns",
        [
            {"machine_memory_pct": [50, 90]},
            {"io_wait_pct": [4, 36]},
            {"cpu_mhz": [3000, 2000, 3000]},
            {"cpu_mhz": [2000, 3000, 3000]},
            {"swap_used_bytes": [0, 900_000_000]},
            {"swap_in_bytes_s": [9e9, 0, 9e9], "swap_out_bytes_s": [0, 0, 0]},
            {"steal_pct": [5, 5]},
            {"driver_cpu_pct": [75, 85]},
        ],
    )
    def test_what_stays_within_its_threshold_or_is_one_accident_is_not_told(
        self, columns: dict[str, list[Any]]
    ) -> None:
        assert codes(samples_of(**columns)) == []

    @pytest.mark.parametrize(("cpu_pct", "codes"), [([10, 89], ["low-cpu"]), ([11, 89], []), ([], [])])
    def test_little_cpu_of_the_server_is_told_apart_from_what_went_wrong(
        self, cpu_pct: list[float], codes: list[str]
    ) -> None:
        samples = samples_of(cpu_pct=cpu_pct)
        assert [notice.code for notice in thresholds.low_cpu(samples)] == codes
        assert thresholds.notices(samples) == []

    def test_a_driver_that_can_use_two_cores_is_saturated_only_when_it_uses_both(self) -> None:
        assert codes(samples_of(driver_cpu_pct=[150, 150]), driver_cores=2) == []
        assert codes(samples_of(driver_cpu_pct=[170, 170]), driver_cores=2) == ["driver-saturated"]

    def test_every_text_has_its_figures_filled_in_and_says_what_helps(self) -> None:
        told = [code for code, entry in NOTICES.items() if "value" in entry.fields]
        assert len(told) == 12
        for code in told:
            text = notice_of(code, value=95.0, limit=90.0).text
            assert "95" in text, text
            assert "{" not in text, text
            assert ";" in text, f"{code} says what happened but not what helps: {text}"

    def test_averages_are_judged_only_at_the_end_but_what_is_proven_is_told_at_once(self) -> None:
        samples = samples_of(io_wait_pct=[50, 50], oom_kills=[0, 1])
        assert thresholds.notices_so_far(samples[:1]) == []
        assert [notice.code for notice in thresholds.notices_so_far(samples)] == ["oom-kill"]
        assert {notice.code for notice in thresholds.notices(samples)} == {"oom-kill", "io-wait"}
