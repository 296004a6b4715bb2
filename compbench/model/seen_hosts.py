"""What a look at the hosts that are to send has found: the JSON of `loadtest check-hosts`."""

from __future__ import annotations

import msgspec


class WaySeen(msgspec.Struct, frozen=True, kw_only=True):
    """The way from a host to a port of a server: the median time that TCP took to connect.

    `connect_ms` is None where that failed: `problem` says why.
    """

    host: str
    port: int
    connect_ms: float | None = None
    problem: str = ""


class HostSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One host: its address, its cores, whether it runs the same compbench, and the ways to what it is to reach."""

    name: str
    address: str
    cores: int = 0
    is_same_code: bool = True
    ways: list[WaySeen] = []


class HostsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """All hosts of a cluster."""

    hosts: list[HostSeen]
