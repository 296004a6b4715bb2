"""One `Sample` from two readings of machine, server and driver: rates and shares of the time between. Pure."""

from __future__ import annotations

import msgspec

from compbench.machine.probes.counters import CpuSeconds, MachineCounters
from compbench.machine.probes.process_counters import ProcessCounters
from compbench.machine.probes.told_counters import ToldCounters
from compbench.model.sample import Sample

_KILOBYTE = 1000.0
_MICROSECONDS = 1e6


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Everything read at one moment, `elapsed_s` after the measurement began; None for a process that isn't there.

    A server that can't be seen from here may tell of itself, a little later than the rest was read.
    """

    elapsed_s: float
    machine: MachineCounters
    server: ProcessCounters | ToldCounters | None = None
    driver: ProcessCounters | None = None


def interval(before: Reading, after: Reading) -> Sample:
    """Return the sample between two readings: rates and shares of this interval alone, sizes as of the second."""
    seconds = after.elapsed_s - before.elapsed_s
    old, new = before.machine, after.machine
    machine, disk = _rises(old, new), _rises(old.disk, new.disk)
    loopback, external = _rises(old.loopback, new.loopback), _rises(old.external, new.external)
    pressure = _rises(old.pressure, new.pressure)
    server, driver = _rises(before.server, after.server), _rises(before.driver, after.driver)
    return Sample(
        elapsed_s=after.elapsed_s,
        cpu_pct=_per(server.get("cpu_s"), _server_seconds(server, seconds) / 100),
        memory_bytes=after.server.resident_bytes if after.server else None,
        virtual_bytes=after.server.virtual_bytes if after.server else None,
        threads=after.server.threads if after.server else None,
        open_files=after.server.open_files if after.server else None,
        server_read_bytes_s=_per(server.get("read_bytes"), seconds),
        server_write_bytes_s=_per(server.get("write_bytes"), seconds),
        driver_cpu_pct=_per(driver.get("cpu_s"), seconds / 100),
        driver_memory_bytes=after.driver.resident_bytes if after.driver else None,
        io_wait_pct=_mean_share(old.cores, new.cores, "io_wait_s"),
        steal_pct=_mean_share(old.cores, new.cores, "steal_s"),
        interrupts_pct=_mean_share(old.cores, new.cores, "interrupts_s"),
        per_core_pct=_busy_shares(old.cores, new.cores),
        machine_memory_pct=new.memory_used_pct,
        machine_available_bytes=new.memory_available_bytes,
        swap_used_bytes=new.swap_used_bytes,
        swap_in_bytes_s=_per(machine.get("swap_in_bytes"), seconds),
        swap_out_bytes_s=_per(machine.get("swap_out_bytes"), seconds),
        disk_read_bytes_s=_per(disk.get("read_bytes"), seconds),
        disk_write_bytes_s=_per(disk.get("write_bytes"), seconds),
        disk_latency_ms=_per(disk.get("time_ms"), disk.get("operations")),
        # What passes over loopback is counted twice: where it is sent, and where it is received.
        net_kb_s=_per(loopback.get("octets"), seconds * _KILOBYTE * 2),
        net_packets_s=_per(loopback.get("packets"), seconds * 2),
        net_errors=int(loopback["errors"] + loopback["drops"]) if {"errors", "drops"} <= loopback.keys() else None,
        external_net_kb_s=_per(external.get("octets"), seconds * _KILOBYTE),
        throttle_events=_whole(machine.get("throttle_events")),
        quota_throttles=_whole(machine.get("quota_throttles")),
        oom_kills=_whole(machine.get("oom_kills")),
        cpu_mhz=new.cpu_mhz,
        load_1min=new.load_1min,
        cpu_some_pct=_share_of_us(pressure.get("cpu_some_us"), seconds),
        memory_some_pct=_share_of_us(pressure.get("memory_some_us"), seconds),
        memory_full_pct=_share_of_us(pressure.get("memory_full_us"), seconds),
        io_some_pct=_share_of_us(pressure.get("io_some_us"), seconds),
        io_full_pct=_share_of_us(pressure.get("io_full_us"), seconds),
    )


def _server_seconds(rises: dict[str, float], seconds: float) -> float:
    """Return over how long the server's counters rose: by its own telling if it tells them, or else `seconds`."""
    return rises.get("told_at_s", seconds)


def _rises(before: msgspec.Struct | None, after: msgspec.Struct | None) -> dict[str, float]:
    """Return by how much each number rose; one that fell was set back meanwhile, and its rise is not known."""
    if before is None or after is None:
        return {}
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in after.__struct_fields__}
    return {
        name: new - old
        for name, (old, new) in pairs.items()
        if isinstance(old, int | float) and isinstance(new, int | float) and new >= old
    }


def _per(rise: float | None, divisor: float | None) -> float | None:
    return rise / divisor if rise is not None and divisor else None


def _share_of_us(rise_us: float | None, seconds: float) -> float | None:
    return None if rise_us is None else _percent(rise_us / _MICROSECONDS, seconds)


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _mean_share(before: list[CpuSeconds], after: list[CpuSeconds], kind: str) -> float | None:
    """Return what percentage of all cores' time was of `kind`, or None where the platform doesn't count it.

    The kernel's I/O wait may shrink now and then (proc_stat(5)); such a core counts as not having waited.
    """
    if len(before) != len(after) or any(getattr(core, kind) is None for core in [*before, *after]):
        return None
    spent = sum(max(0.0, getattr(new, kind) - getattr(old, kind)) for old, new in zip(before, after, strict=True))
    return _percent(spent, sum(new.total_s - old.total_s for old, new in zip(before, after, strict=True)))


def _busy_shares(before: list[CpuSeconds], after: list[CpuSeconds]) -> list[float]:
    """Return each core's busy percentage: all but idle and I/O wait; empty if cores came or went meanwhile."""
    if len(before) != len(after):
        return []
    shares = []
    for old, new in zip(before, after, strict=True):
        idle_s = max(0.0, new.idle_s - old.idle_s) + max(0.0, (new.io_wait_s or 0.0) - (old.io_wait_s or 0.0))
        total_s = new.total_s - old.total_s
        shares.append(_percent(total_s - idle_s, total_s) or 0.0)
    return shares


def _percent(part_s: float, total_s: float) -> float | None:
    return min(100.0, max(0.0, 100 * part_s / total_s)) if total_s > 0 else None
