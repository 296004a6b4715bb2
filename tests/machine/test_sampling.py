"""The arithmetic between two readings."""

from __future__ import annotations

import pytest

from compbench.machine.probes.counters import CpuSeconds, DiskCounters, MachineCounters, NetworkCounters
from compbench.machine.probes.process_counters import ProcessCounters
from compbench.machine.sampling import Reading, interval


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
