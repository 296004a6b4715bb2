"""The tasks that Dask runs on the hosts for one schedule: one a host, pinned to it; how each has ended, and why."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from compbench.loadtest.cluster.agent import DriverEnd, run_drivers
from compbench.loadtest.cluster.leases import Order
from compbench.loadtest.cluster.opening import Cluster
from compbench.loadtest.engine.gathering import HostFaultError
from compbench.model.errors import UserError

# Dask's type for the end of a task, which has no types of its own.
Future = Any
_LOOK_S, _WORKERS_LOOK_S = 0.05, 1.0
# How long tasks that have nothing more to do may take to end, and how long the news of a host's death is waited for.
_END_LIMIT_S = 5.0
_NEWS_LIMIT_S = 1.0
_RUNNING = ("pending", "processing")


class HostTasks:
    """The tasks of one schedule; no question to Dask waits longer than a second."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._client: Any = cluster.client
        self._futures: dict[str, Future] = {}
        self._looks_at_workers_s = 0.0

    def start(self, orders: Mapping[str, Order]) -> None:
        """Start the drivers of each host, by its name."""
        for host in self._cluster.hosts:
            self._futures[host.name] = self._client.submit(
                run_drivers,
                orders[host.name],
                workers=[host.worker],
                allow_other_workers=False,
                retries=0,
                pure=False,
            )

    def refuse_lost(self) -> None:
        """Raise what a task has ended with, if one has: before the load each is to run.

        Raises:
            UserError: a host can't run the driver; has what that said.
            HostFaultError: a host was lost.
        """
        if self._client.status != "running":
            raise HostFaultError("all hosts were lost: the Dask scheduler is gone")
        for name, future in self._futures.items():
            if future.status not in _RUNNING:
                ended = self._end_of(name)
                if isinstance(ended, DriverEnd) and ended.is_told:
                    raise UserError(f"host {name}: {ended.said}")
                raise HostFaultError(f"host {name} was lost: {_in_words(ended)}")
        self._refuse_lost_workers()

    def loss_of(self, name: str) -> HostFaultError:
        """Return the fault of a host whose connection has ended, with why, if that is known soon."""
        if self._client.status != "running":
            return HostFaultError(f"host {name} was lost: the Dask scheduler is gone")
        return HostFaultError(f"host {name} was lost: {_in_words(self._end_of(name))}")

    def await_end(self) -> None:
        """Wait for the tasks' end, which comes by itself, and let go of them."""
        deadline = time.monotonic() + _END_LIMIT_S
        while self._client.status == "running" and time.monotonic() < deadline:
            if all(future.status not in _RUNNING for future in self._futures.values()):
                break
            time.sleep(_LOOK_S)
        for future in self._futures.values():
            future.release()

    def _end_of(self, name: str) -> DriverEnd | BaseException | None:
        """Return what a task brought or ended with, None if nobody tells soon."""
        try:
            end: DriverEnd = self._futures[name].result(timeout=_NEWS_LIMIT_S)
        except TimeoutError:
            return None
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return error
        return end

    def _refuse_lost_workers(self) -> None:
        """Look from time to time whether every worker is there still.

        A scheduler whose setting `allowed-failures` is not ours says nothing: it waits until a worker that is gone is
        back at its old address.

        Raises:
            HostFaultError: one is gone.
        """
        if time.monotonic() < self._looks_at_workers_s:
            return
        self._looks_at_workers_s = time.monotonic() + _WORKERS_LOOK_S
        try:
            known = self._client.sync(self._client.scheduler.identity, n_workers=-1, callback_timeout=_NEWS_LIMIT_S)
        except (OSError, TimeoutError):  # the client's status tells soon that the scheduler is gone
            return
        if gone := sorted(host.name for host in self._cluster.hosts if host.worker not in known["workers"]):
            raise HostFaultError(f"host {', '.join(gone)} was lost: its Dask worker has ended")


def _in_words(ended: DriverEnd | BaseException | None) -> str:
    match ended:
        case DriverEnd(code=code, said=said) if code:
            return said or f"its driver ended with {code}"
        case BaseException() if type(ended).__name__ == "KilledWorker":
            return "its Dask worker has ended"
        case BaseException():
            return " ".join(f"{type(ended).__name__}: {ended}".split())
    return "its connection has ended"
