"""A look at each host before anything is sent: whether it can run the driver, and reaches the server."""

from __future__ import annotations

import os
import socket
import statistics
import time
from typing import NamedTuple

from compbench.loadtest.cluster.leases import code_digest
from compbench.loadtest.cluster.opening import Cluster, Host
from compbench.model.errors import UserError
from compbench.model.seen_hosts import HostSeen, HostsSeen

_LOOK_LIMIT_S = 30.0
_CONNECTS = 5
_CONNECT_LIMIT_S = 5.0


class Surroundings(NamedTuple):
    """What a host tells of itself: cores, the hash of its compbench, and the way to the server."""

    cores: int
    code: str
    server_ms: float | None
    problem: str


def look_around(address: tuple[str, int]) -> Surroundings:
    """Return what this machine has, and how long a TCP connection to an address takes from it; run on each host."""
    cores, times_ms = os.cpu_count() or 1, []
    for _ in range(_CONNECTS):
        began_s = time.monotonic()
        try:
            socket.create_connection(address, timeout=_CONNECT_LIMIT_S).close()
        except OSError as error:
            return Surroundings(cores, code_digest(), None, error.strerror or str(error))
        times_ms.append(1000 * (time.monotonic() - began_s))
    return Surroundings(cores, code_digest(), round(statistics.median(times_ms), 3), "")


def look_at_hosts(cluster: Cluster, address: tuple[str, int]) -> HostsSeen:
    """Return what all hosts tell.

    Raises:
        UserError: one can't run compbench.
    """
    return HostsSeen(hosts=[_look_at(cluster, host, address) for host in cluster.hosts])


def _look_at(cluster: Cluster, host: Host, address: tuple[str, int]) -> HostSeen:
    task = cluster.client.submit(look_around, address, workers=[host.worker], allow_other_workers=False, pure=False)
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
        server_ms=seen.server_ms,
        problem=seen.problem,
    )
