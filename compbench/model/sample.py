"""The use of machine, server and driver over one sampling interval; a figure that the machine does not give is None."""

from __future__ import annotations

import msgspec


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the server over one sampling interval; rates and shares are of that interval alone.

    `cpu_pct` and `driver_cpu_pct` are percent of one core (200 is two full cores); `per_core_pct`, `io_wait_pct`,
    `steal_pct` and `interrupts_pct` are percent of the time of the core, or of all cores. `net_kb_s` is the loopback
    interface's received plus sent kilobytes (1000 bytes) a second, halved, since each byte on loopback is counted
    twice; `net_errors` is the loopback interface's errors and drops, `external_net_kb_s` what all other interfaces
    received and sent. Server and driver include their child processes. `throttle_events` (heat), `quota_throttles` (CPU
    quota of a container), `oom_kills` and `net_errors` are how many there were in the interval; `cpu_mhz` is the
    fastest core's clock. `cpu_some_pct` and the like are the kernel's pressure: in what percentage of the time at least
    one task of the machine, or with `full` each that was not idle, stood still for lack of that.
    """

    elapsed_s: float
    cpu_pct: float | None = None
    memory_bytes: int | None = None
    virtual_bytes: int | None = None
    threads: int | None = None
    open_files: int | None = None
    driver_cpu_pct: float | None = None
    driver_memory_bytes: int | None = None
    io_wait_pct: float | None = None
    steal_pct: float | None = None
    interrupts_pct: float | None = None
    per_core_pct: list[float] = []
    machine_memory_pct: float | None = None
    machine_available_bytes: int | None = None
    swap_used_bytes: int | None = None
    swap_in_bytes_s: float | None = None
    swap_out_bytes_s: float | None = None
    disk_read_bytes_s: float | None = None
    disk_write_bytes_s: float | None = None
    disk_latency_ms: float | None = None
    net_kb_s: float | None = None
    net_packets_s: float | None = None
    net_errors: int | None = None
    throttle_events: int | None = None
    oom_kills: int | None = None
    cpu_mhz: float | None = None
    load_1min: float | None = None
    quota_throttles: int | None = None
    server_read_bytes_s: float | None = None
    server_write_bytes_s: float | None = None
    external_net_kb_s: float | None = None
    cpu_some_pct: float | None = None
    memory_some_pct: float | None = None
    memory_full_pct: float | None = None
    io_some_pct: float | None = None
    io_full_pct: float | None = None
