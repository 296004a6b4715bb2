"""What a look at the hosts that are to send has found: the JSON of `loadtest check-hosts`."""

from __future__ import annotations

import msgspec


class HostSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One host: its cores, whether it runs the same compbench, and how long a connection to the server takes from it.

    `server_ms` is the median time that TCP took to connect, None where that failed: `problem` says why.
    """

    name: str
    address: str
    cores: int = 0
    is_same_code: bool = True
    server_ms: float | None = None
    problem: str = ""


class HostsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """All hosts of a cluster."""

    hosts: list[HostSeen]
