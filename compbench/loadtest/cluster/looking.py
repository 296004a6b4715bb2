"""A look at each host before anything is sent: whether it can run the driver, and reaches the server."""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from compbench.loadtest.cluster.leases import code_digest
from compbench.loadtest.cluster.opening import Cluster, Host
from compbench.model.errors import UserError
from compbench.model.seen_hosts import HostSeen, HostsSeen, WaySeen

_LOOK_LIMIT_S = 30.0
_CONNECTS = 5
_CONNECT_LIMIT_S = 5.0


class Surroundings(NamedTuple):
    """What a host tells of itself: cores, the hash of its compbench, and the ways to the servers."""

    cores: int
    code: str
    ways: list[WaySeen]


def look_around(servers: Sequence[tuple[str, int]]) -> Surroundings:
    """Return what this machine has, and the ways to servers from it; run on each host."""
    return Surroundings(os.cpu_count() or 1, code_digest(), [_way_to(*server) for server in servers])


def _way_to(host: str, port: int) -> WaySeen:
    times_ms = []
    for _ in range(_CONNECTS):
        began_s = time.monotonic()
        try:
            socket.create_connection((host, port), timeout=_CONNECT_LIMIT_S).close()
        except (OSError, UnicodeError) as error:
            return WaySeen(host=host, port=port, problem=getattr(error, "strerror", None) or str(error))
        times_ms.append(1000 * (time.monotonic() - began_s))
    return WaySeen(host=host, port=port, connect_ms=round(statistics.median(times_ms), 3))


def look_at_hosts(cluster: Cluster, servers: Sequence[tuple[str, int]]) -> HostsSeen:
    """Return what all hosts tell.

    Raises:
        UserError: one can't run compbench.
    """
    return HostsSeen(hosts=[_look_at(cluster, host, servers) for host in cluster.hosts])


def _look_at(cluster: Cluster, host: Host, servers: Sequence[tuple[str, int]]) -> HostSeen:
    task = cluster.client.submit(look_around, servers, workers=[host.worker], allow_other_workers=False, pure=False)
    try:
        seen: Surroundings = task.result(timeout=_LOOK_LIMIT_S)
    except Exception as error:  # noqa: BLE001 - whatever the host's own Python or Dask raised is what is to be told
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"host {host.name} can't run compbench: {said}: install the same one there") from None
    return HostSeen(
        name=host.name,
        address=host.address,
        cores=seen.cores,
        is_same_code=seen.code == code_digest(),
        ways=seen.ways,
    )
