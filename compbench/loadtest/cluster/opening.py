"""A Dask cluster opened for one driver: on this machine, over SSH, or one that the user runs.

What is opened here ends with the block; of a cluster that the user runs only the connection does.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pkgutil
import shlex
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import compbench
from compbench.config.hosts import HostsAsked
from compbench.loadtest.cluster.dask_calls import (
    CONNECT_LIMIT_S,
    NOT_INSTALLED,
    close_in_time,
    connected,
    kill_all_but,
    mend_of,
    refuse_without_certificates,
    told_of,
    workers_of,
)
from compbench.model.errors import UserError

if TYPE_CHECKING:
    from distributed import Client

# A Dask worker samples the stacks of its threads every 10 ms unless told otherwise, and wakes up as often for itself:
# 120 times a second, and with these 4 times. A host that is gone is told by its connection, and never replaced.
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    # Dask's nanny else sets it for its worker: the C library then asks the kernel for each array anew, and exact
    # neighbours take twice the CPU time.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.scheduler.allowed-failures": 0,
    "distributed.comm.timeouts.connect": f"{CONNECT_LIMIT_S:.0f}s",
    "distributed.admin.log-format": "%(message)s",
}
# How long a worker elsewhere may be without a scheduler.
_ORPHAN_LIMIT_S = 20.0
# There is a server all the same, on a port that nobody else has.
_NO_DASHBOARD = "127.0.0.1:0"
# Looked up by the standard library, which a host without compbench has too.
_PROGRAM = "compbench.loadtest.cluster.agent:__name__"


class Host(NamedTuple):
    """One machine that sends: the name that figures have, its Dask worker, and its address in the network."""

    name: str
    worker: str
    address: str


class Cluster(NamedTuple):
    """An open cluster: the client of its scheduler, its hosts, and this machine's address as they see it."""

    client: Client
    hosts: tuple[Host, ...]
    here: str


@contextlib.contextmanager
def opened_cluster(asked: HostsAsked, cache: Path) -> Iterator[Cluster]:
    """Open a cluster, and yield it once all of its hosts are there.

    Args:
        asked: which hosts.
        cache: in its folder `hosts` workers on this machine write; what a killed one has left there the next removes.

    Raises:
        UserError: Dask is not installed, a host can't be reached or has not started, or there is no scheduler.
    """
    try:
        import dask  # noqa: PLC0415 - takes a second, which only those pay who ask for hosts
        import distributed  # noqa: PLC0415 - see above
    except ImportError:
        raise UserError(NOT_INSTALLED) from None
    for name in ("distributed", "distributed.client"):  # Dask gives the latter a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(QUIET))
        try:
            cluster = _opened(stack, asked, cache / "hosts", distributed)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever Dask or asyncssh raised is what is to be told
            raise UserError(f"hosts {asked.words}: {told_of(error)}{mend_of(error)}") from None
        yield cluster


def _opened(stack: contextlib.ExitStack, asked: HostsAsked, scratch: Path, distributed: Any) -> Cluster:
    client = _client(stack, asked, scratch, distributed)
    cluster = Cluster(client, _hosts_of(client, asked), _address_towards(asked))
    _refuse_unfit(cluster)
    return cluster


def _client(stack: contextlib.ExitStack, asked: HostsAsked, scratch: Path, distributed: Any) -> Client:
    match asked.kind:
        case "scheduler":
            address = asked.scheduler
            refuse_without_certificates(address, distributed)
        case "local":
            stack.callback(kill_all_but, set(multiprocessing.active_children()))
            address = _local(asked.workers, scratch, distributed)
            stack.callback(close_in_time, address)
        case "ssh":
            address = _over_ssh(asked.names, distributed)
            stack.callback(close_in_time, address)
    client = connected(address, distributed)
    stack.callback(close_in_time, client)
    return client


def _local(count: int, scratch: Path, distributed: Any) -> Any:
    return distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=max(1, (os.cpu_count() or 1) // count),
        processes=True,
        host="127.0.0.1",
        dashboard_address=_NO_DASHBOARD,
        local_directory=str(scratch.absolute()),
        memory_limit=0,  # a limit would pause or kill what measures
    )


def _over_ssh(names: tuple[str, ...], distributed: Any) -> Any:
    """Return a cluster whose scheduler is in this process, so that it ends with it, and a worker for each host."""
    from distributed.deploy import ssh  # noqa: PLC0415 - see `opened_cluster`

    checkout = str(Path(compbench.__file__).resolve().parent.parent)

    def worker(name: str) -> dict[str, Any]:
        user, _, address = name.rpartition("@")
        options = {
            "address": address,
            "connect_options": {"username": user} if user else {},
            # One that starts just when this process dies would look for its scheduler for ever.
            "kwargs": {"name": address, "memory_limit": 0, "dashboard": False, "death_timeout": _ORPHAN_LIMIT_S},
            # A host that has the same checkout needs no installation.
            "remote_python": f"PYTHONPATH={shlex.quote(checkout)} {shlex.quote(sys.executable)}",
        }
        return {"cls": ssh.Worker, "options": options}

    return distributed.SpecCluster(
        scheduler={
            "cls": distributed.Scheduler,
            "options": {"host": _own_address(names[0]), "dashboard_address": _NO_DASHBOARD},
        },
        workers={name.rpartition("@")[2]: worker(name) for name in names},
        name="compbench",
    )


def _hosts_of(client: Client, asked: HostsAsked) -> tuple[Host, ...]:
    """Return one worker of each host; on this machine each worker counts as a host.

    Raises:
        UserError: there are fewer than asked for.
    """
    wanted = asked.workers or len(asked.names) or 1
    workers = workers_of(client, wanted)
    hosts: dict[str, Host] = {}
    for worker, facts in sorted(workers.items(), key=lambda item: str(item[1]["name"])):
        address = str(facts["host"])
        name = f"local-{len(hosts) + 1}" if asked.kind == "local" else str(facts["name"])
        if asked.kind == "scheduler" and name.startswith(f"{urlsplit(worker).scheme}://"):
            name = address  # a worker that nobody named is named by its address, with a port that differs each time
        hosts.setdefault(worker if asked.kind == "local" else address, Host(name, worker, address))
    if len(hosts) < wanted:
        raise UserError(f"hosts {asked.words}: several of these names are one machine: name each once")
    return tuple(hosts.values())


def _refuse_unfit(cluster: Cluster) -> None:
    """Refuse hosts that can't run compbench; whether it is the same one, each is asked when it is given work.

    Raises:
        UserError: a host can't.
    """
    asked = {
        host.name: cluster.client.submit(
            pkgutil.resolve_name, _PROGRAM, workers=[host.worker], allow_other_workers=False, pure=False
        )
        for host in cluster.hosts
    }
    for name, future in asked.items():
        try:
            future.result(timeout=CONNECT_LIMIT_S)
        except TimeoutError:
            raise UserError(f"host {name} has not answered within {CONNECT_LIMIT_S:g} s") from None
        except Exception as error:  # noqa: BLE001 - whatever the host's own Python or Dask raised is what is to be told
            said = " ".join(f"{type(error).__name__}: {error}".split())
            mend = "install the same one there, with the same extras"
            raise UserError(f"host {name}: can't run compbench ({said}): {mend}") from None


def _address_towards(asked: HostsAsked) -> str:
    match asked.kind:
        case "local":
            return "127.0.0.1"
        case "ssh":
            return _own_address(asked.names[0])
        case "scheduler":
            return _own_address(urlsplit(asked.scheduler).hostname or "")


def _own_address(name: str) -> str:
    """Return the address of this machine on the way to a host; nothing is sent."""
    host = name.rpartition("@")[2]
    family, kind, _, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])
