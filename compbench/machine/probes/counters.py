"""One cheap reading of all cumulative counters of the machine.

`compbench.machine.sampling` subtracts two of them. A counter that the machine lacks is None. A whole reading takes
well under a millisecond on a machine with few cores, so that it can be taken in the midst of a measurement.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil

from compbench.machine.probes.pressure import PressureTotals, read_pressure

T = TypeVar("T")
ROOT = Path("/")
# `lo` on Linux, `lo0` on macOS and the BSDs.
_LOOPBACK = re.compile(r"lo\d*")


class CpuSeconds(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that one core, or all cores together, have spent since the start of the machine.

    `interrupts_s` are those of hardware and software interrupts, which on many kernels count as no process's time.
    """

    total_s: float
    idle_s: float
    io_wait_s: float | None = None
    steal_s: float | None = None
    interrupts_s: float | None = None


class NetworkCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Traffic of some interfaces, received plus sent; `errors` counts errors and `drops` dropped packets."""

    octets: int = 0
    packets: int = 0
    errors: int = 0
    drops: int = 0


class DiskCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Traffic of the machine's disks; `time_ms` is the sum over all operations of how long each took."""

    read_bytes: int
    write_bytes: int
    operations: int
    time_ms: int


class MachineCounters(msgspec.Struct, frozen=True, kw_only=True):
    """The machine's counters, and the few of its readings that are not cumulative, at one moment.

    `loopback` is the loopback interface alone, `external` the sum of all others. `throttle_events` counts how often
    heat throttled a core or package, `quota_throttles` how often this control group ran into its CPU quota,
    `oom_kills` how many processes the kernel killed for lack of memory. `cpu_mhz` is the fastest core's clock, since
    idle cores may slow down without anything being wrong.
    """

    cores: list[CpuSeconds] = []
    disk: DiskCounters | None = None
    loopback: NetworkCounters | None = None
    external: NetworkCounters | None = None
    memory_used_pct: float | None = None
    memory_available_bytes: int | None = None
    swap_used_bytes: int | None = None
    swap_in_bytes: int | None = None
    swap_out_bytes: int | None = None
    oom_kills: int | None = None
    throttle_events: int | None = None
    quota_throttles: int | None = None
    cpu_mhz: float | None = None
    load_1min: float | None = None
    pressure: PressureTotals | None = None


def read_machine_counters(root: Path = ROOT) -> MachineCounters:
    """Read every counter once; `root` is where `/proc` and `/sys` are looked for."""
    memory, swap = _readable(psutil.virtual_memory), _readable(psutil.swap_memory)
    interfaces = _readable(lambda: psutil.net_io_counters(pernic=True)) or {}
    loopback = [name for name in interfaces if _LOOPBACK.fullmatch(name)]
    load = _readable(psutil.getloadavg)
    return MachineCounters(
        cores=[_cpu_seconds(times._asdict()) for times in _readable(lambda: psutil.cpu_times(percpu=True)) or []],
        disk=_disk_counters(root),
        loopback=_network_counters([interfaces[name] for name in loopback]),
        external=_network_counters([interfaces[name] for name in interfaces if name not in loopback]),
        memory_used_pct=memory.percent if memory else None,
        memory_available_bytes=memory.available if memory else None,
        swap_used_bytes=swap.used if swap else None,
        swap_in_bytes=swap.sin if swap else None,
        swap_out_bytes=swap.sout if swap else None,
        oom_kills=oom_kill_count(root),
        throttle_events=_throttle_events(root),
        quota_throttles=_quota_throttles(root),
        cpu_mhz=_fastest_core_mhz(),
        load_1min=load[0] if load else None,
        pressure=read_pressure(root),
    )


def oom_kill_count(root: Path = ROOT) -> int | None:
    """Return how many processes the kernel has killed for lack of memory since the start of the machine.

    A kernel that doesn't count them for the machine (before Linux 4.13, and some containers) may still do so for the
    control group of this process; None where neither is told.
    """
    count = _named_count(root / "proc/vmstat", "oom_kill")
    if count is None:
        count = _group_count(root, "", "memory.events", "oom_kill")
    if count is None:
        count = _group_count(root, "memory", "memory.oom_control", "oom_kill")
    return count


def _readable(read: Callable[[], T]) -> T | None:
    """Return a reading, or None where the platform has no such thing; psutil says so in several ways."""
    try:
        return read()
    except (OSError, psutil.Error, NotImplementedError, AttributeError, RuntimeError):
        return None


def _cpu_seconds(kinds: dict[str, float]) -> CpuSeconds:
    """Add up the kinds of CPU time; guest time is left out, because `user` and `nice` contain it already."""
    return CpuSeconds(
        total_s=sum(seconds for name, seconds in kinds.items() if not name.startswith("guest")),
        idle_s=kinds["idle"],
        io_wait_s=kinds.get("iowait"),
        steal_s=kinds.get("steal"),
        interrupts_s=kinds["irq"] + kinds["softirq"] if {"irq", "softirq"} <= kinds.keys() else None,
    )


def _disk_counters(root: Path) -> DiskCounters | None:
    """Sum the counters of physical disks; volumes and loop devices on top of them would count each byte again."""
    disks = _readable(lambda: psutil.disk_io_counters(perdisk=True)) or {}
    physical = [disks[name] for name in disks if _is_physical_disk(root, name)] or list(disks.values())
    if not physical:
        return None
    return DiskCounters(
        read_bytes=sum(disk.read_bytes for disk in physical),
        write_bytes=sum(disk.write_bytes for disk in physical),
        operations=sum(disk.read_count + disk.write_count for disk in physical),
        time_ms=sum(disk.read_time + disk.write_time for disk in physical),
    )


@functools.cache
def _is_physical_disk(root: Path, name: str) -> bool:
    return (root / "sys/block" / name / "device").exists()


def _network_counters(interfaces: list[Any]) -> NetworkCounters | None:
    if not interfaces:
        return None
    return NetworkCounters(
        octets=sum(nic.bytes_recv + nic.bytes_sent for nic in interfaces),
        packets=sum(nic.packets_recv + nic.packets_sent for nic in interfaces),
        errors=sum(nic.errin + nic.errout for nic in interfaces),
        drops=sum(nic.dropin + nic.dropout for nic in interfaces),
    )


def _throttle_events(root: Path) -> int | None:
    """Sum Linux's counters of thermal throttling (Documentation/admin-guide/abi: `thermal_throttle`; Intel only)."""
    counts = [count for path in _throttle_files(root) if (count := _whole_number(path)) is not None]
    return sum(counts) if counts else None


@functools.cache
def _throttle_files(root: Path) -> list[Path]:
    return sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))


def _quota_throttles(root: Path) -> int | None:
    count = _group_count(root, "", "cpu.stat", "nr_throttled")
    return count if count is not None else _group_count(root, "cpu", "cpu.stat", "nr_throttled")


def _group_count(root: Path, controller: str, file: str, name: str) -> int | None:
    group = _control_group(root, controller)
    return _named_count(group / file, name) if group else None


@functools.cache
def _control_group(root: Path, controller: str) -> Path | None:
    """Return this process's control group: of version 1 for a named controller, of version 2 for the empty name.

    Inside a container the path that the kernel tells may be the host's; the mounted root is then the container's own.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    mounted = root / "sys/fs/cgroup" / controller
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            group = mounted / path.lstrip("/")
            return group if group.is_dir() else mounted
    return None


def _fastest_core_mhz() -> float | None:
    clocks = _readable(lambda: psutil.cpu_freq(percpu=True)) or []
    return max((clock.current for clock in clocks), default=0.0) or None


def _named_count(path: Path, name: str) -> int | None:
    """Return the number after `name` in a file of lines `name number`, as several files of the kernel are."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)


def _whole_number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
