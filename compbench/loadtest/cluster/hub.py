"""One schedule kept by several hosts: their drivers started, let begin together, and their figures gathered here.

Dask starts one task on each host and keeps it there. All else goes over connections of our own: leases, clocks, the
start, seconds. What a host was to send is never sent by another one: it is lost, and the measurement with it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from compbench.config.credentials import is_credential
from compbench.loadtest.cluster.agent import run_drivers
from compbench.loadtest.cluster.connections import Greeting, Listener, Welcome
from compbench.loadtest.cluster.leases import Lease, Order, Register, code_digest
from compbench.loadtest.cluster.opening import Cluster, Host
from compbench.loadtest.engine.gathering import END, READY, Consume, Gathering, HostFaultError, Sender
from compbench.loadtest.engine.offsets import UNCERTAINTY_LIMIT_MS, ClockOffset, measure_offset
from compbench.loadtest.engine.openloop import Ended, HostShare, RequestSource
from compbench.loadtest.engine.shards import Plan, together
from compbench.model.errors import UserError

# The start is told so long before: a message that is lost once on the way is sent again after 0.2 s, then 0.4 s.
LEAD_S = 1.0
# Dask's type for the end of a task, which has no types of its own.
Future = Any
_LOOK_S, _WORKERS_LOOK_S = 0.05, 1.0
# How long tasks that have nothing more to do may take to end, and how long the news of a host's death is waited for.
_END_LIMIT_S = 5.0
_NEWS_LIMIT_S = 1.0
_ATTEMPT = secrets.token_hex(8)


def keep_on_hosts(
    cluster: Cluster,
    plan: Plan,
    workload: RequestSource,
    started: Callable[[float], None],
    consume: Consume,
    held: Callable[[], None] = lambda: None,
    *,
    ready_limit_s: float,
) -> Ended:
    """Send everything from all hosts; see `shards.keep_schedule`.

    Args:
        cluster: the hosts, each of which has `plan.processes` divided by their number.
        plan: requests, connections and processes.
        workload: takes the answers that are wanted.
        started: told once, in how many seconds measuring begins.
        consume: takes each second's figures when it is over, in order.
        held: called once everything is answered, while all connections are still open; not if something is not.
        ready_limit_s: after so long all hosts have to be ready.

    Returns:
        How it was kept; its `fault` says which host was lost or late, where one was.

    Raises:
        UserError: a host can't run the driver, or the server can't be reached from it.
    """
    try:
        with _Hub(cluster, plan) as hub:
            hub.await_all(time.monotonic() + ready_limit_s)
            clocks = hub.measure_clocks()
            started(LEAD_S + plan.schedule.warm_up_s)
            starts_at_s = time.monotonic() + LEAD_S
            senders = hub.begin(starts_at_s, clocks)
            ended = Gathering(senders, starts_at_s, workload, consume, held).listen()
            drifts = hub.end(clocks)
            shares = [_share(host, hub, ended, clocks[host.name], drifts.get(host.name)) for host in cluster.hosts]
            return together([one for _, one in ended])._replace(hosts=tuple(shares))
    except HostFaultError as error:
        return Ended(0, 0, 0.0, fault=str(error))


class _Hub:
    """The drivers of one schedule on all hosts, from the task that starts them to their end."""

    _schedules = 0

    def __init__(self, cluster: Cluster, plan: Plan) -> None:
        _Hub._schedules += 1
        self.plan = plan
        self._cluster = cluster
        self._key = secrets.token_bytes(32)
        self._host_of = {number: host for host, number in _shards_of(cluster.hosts, plan.processes)}
        self._register = Register(tuple(Lease(_ATTEMPT, _Hub._schedules, number) for number in self._host_of))
        self._futures: dict[str, Future] = {}
        self._senders: dict[int, Sender] = {}
        self._ready: set[int] = set()
        self._looks_at_workers_s = 0.0
        self.cores: dict[str, int] = {}
        try:
            self._listener = Listener(cluster.here, self._key)
        except OSError as error:
            raise UserError(f"hosts can't reach this machine at {cluster.here}: {error.strerror}") from None

    def __enter__(self) -> _Hub:
        self._listener.__enter__()
        for host in self._cluster.hosts:
            leases = [Lease(_ATTEMPT, _Hub._schedules, number) for number, at in self._host_of.items() if at == host]
            self._futures[host.name] = self._cluster.client.submit(
                run_drivers,
                Order(self._listener.address, self._key.hex(), tuple(leases)),
                workers=[host.worker],
                allow_other_workers=False,
                retries=0,
                pure=False,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.__exit__(None, None, None)
        for sender in self._senders.values():
            sender.connection.close()
        self._await_tasks()

    def await_all(self, until_s: float) -> None:
        """Wait until every driver on every host is ready.

        Raises:
            HostFaultError: one was not in time, or was lost meanwhile.
            UserError: one can't run, or can't reach the server.
        """
        while len(self._ready) < len(self._host_of):
            if time.monotonic() > until_s:
                late = {host.name for number, host in self._host_of.items() if number not in self._ready}
                raise HostFaultError(f"not ready in time: host {', '.join(sorted(late))}")
            with contextlib.suppress(queue.Empty):
                self._greet(self._listener.connections.get(timeout=_LOOK_S))
            waiting = {s.connection: number for number, s in self._senders.items() if number not in self._ready}
            for connection in wait(list(waiting), timeout=0):
                assert isinstance(connection, Connection)  # noqa: S101 - what was passed in
                number = waiting[connection]
                if self._senders[number].hear() == READY:
                    self._ready.add(number)
            self._refuse_failed_tasks()
            self._refuse_lost_workers()

    def measure_clocks(self) -> dict[str, ClockOffset]:
        """Return the offset of each host's clock.

        Raises:
            HostFaultError: one is not known well enough for a common start, or the host was lost.
        """
        clocks = {name: self._offset(sender) for name, sender in self._one_of_each().items()}
        for name, clock in clocks.items():
            if clock.uncertainty_ms > UNCERTAINTY_LIMIT_MS:
                raise HostFaultError(
                    f"host {name}: its clock is known to {clock.uncertainty_ms:.1f} ms only, over"
                    f" {UNCERTAINTY_LIMIT_MS:g} ms: a message there and back takes {clock.round_trip_ms:.1f} ms"
                )
        return clocks

    def begin(self, starts_at_s: float, clocks: dict[str, ClockOffset]) -> Sequence[Sender]:
        """Tell every driver the start by its own clock, and return them all.

        Raises:
            HostFaultError: a host was lost.
        """
        for sender in self._senders.values():
            sender.say(starts_at_s + clocks[sender.host].offset_s)
        return list(self._senders.values())

    def end(self, clocks: dict[str, ClockOffset]) -> dict[str, float]:
        """Let all drivers end; return by how many milliseconds each host's clock went off, where it still tells.

        What was measured is complete by now, so that a host that is gone costs nothing.
        """
        drifts = {}
        for name, sender in self._one_of_each().items():
            with contextlib.suppress(HostFaultError):
                drifts[name] = 1000 * (self._offset(sender).offset_s - clocks[name].offset_s)
        for sender in self._senders.values():
            with contextlib.suppress(HostFaultError):
                sender.say(END)
        return drifts

    def _greet(self, connection: Connection) -> None:
        """Grant a driver its lease, and tell it what to send."""
        try:
            greeting = connection.recv()
        except (EOFError, OSError):
            connection.close()
            return
        assert isinstance(greeting, Greeting)  # noqa: S101 - who has the key is our driver
        refusal = self._register.refusal(greeting.lease)
        host = self._host_of.get(greeting.lease.shard)
        if not refusal and greeting.code != code_digest():
            refusal = "another compbench is installed here than on the driver's machine: install the same one"
        answer = refusal or Welcome(self.plan, {name: os.environ[name] for name in os.environ if is_credential(name)})
        with contextlib.suppress(OSError):
            connection.send(answer)
        if refusal or host is None:
            connection.close()
            return
        self.cores[host.name] = greeting.cores
        self._senders[greeting.lease.shard] = Sender(connection, host.name, partial(self._loss, host.name))

    def _offset(self, sender: Sender) -> ClockOffset:
        try:
            return measure_offset(sender.connection)
        except (EOFError, OSError):
            raise sender.lost() from None

    def _one_of_each(self) -> dict[str, Sender]:
        return {sender.host: sender for sender in self._senders.values()}

    def _refuse_failed_tasks(self) -> None:
        """Raise what a task has ended with, if one has: before the start each is to run.

        Raises:
            UserError: what the task said.
            HostFaultError: its host was lost.
        """
        if self._cluster.client.status != "running":
            raise HostFaultError("all hosts were lost: the Dask scheduler is gone")
        for name, future in self._futures.items():
            if future.status not in ("pending", "processing"):
                self._raise_failure(name, future)

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
            there = self._cluster.client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError):  # the client's status tells soon that the scheduler is gone
            return
        if gone := sorted(host.name for host in self._cluster.hosts if host.worker not in there):
            raise HostFaultError(f"host {', '.join(gone)} was lost: its Dask worker has ended")

    def _raise_failure(self, name: str, future: Future) -> None:
        match _exception_of(future):
            case UserError() as error:
                raise UserError(f"host {name}: {error}") from None
            case ModuleNotFoundError() as error:
                mend = "install the same compbench there, with the extra `distributed`"
                raise UserError(f"host {name}: {error}: {mend}") from None
            case error:
                raise HostFaultError(f"host {name} was lost: {_in_words(error)}") from None

    def _loss(self, name: str) -> Exception:
        """Return the fault of a host whose connection has ended, with why, if that is known soon."""
        if self._cluster.client.status != "running":
            return HostFaultError(f"host {name} was lost: the Dask scheduler is gone")
        return HostFaultError(f"host {name} was lost: {_in_words(_exception_of(self._futures[name]))}")

    def _await_tasks(self) -> None:
        """Wait for the tasks' end, which comes by itself, and let go of them."""
        deadline = time.monotonic() + _END_LIMIT_S
        while self._cluster.client.status == "running" and time.monotonic() < deadline:
            if all(future.status not in ("pending", "processing") for future in self._futures.values()):
                break
            time.sleep(_LOOK_S)
        for future in self._futures.values():
            future.release()


def _shards_of(hosts: Sequence[Host], shards: int) -> Iterator[tuple[Host, int]]:
    """Yield the shares of the hosts in turn, as evenly as they can be."""
    for number in range(shards):
        yield hosts[number % len(hosts)], number


def _share(
    host: Host, hub: _Hub, ended: Iterable[tuple[Sender, Ended]], clock: ClockOffset, drift_ms: float | None
) -> HostShare:
    own = [one for sender, one in ended if sender.host == host.name]
    kept = together(own)
    return HostShare(
        name=host.name,
        address=host.address,
        cores=hub.cores[host.name],
        processes=len(own),
        sent=kept.sent,
        cpu_pct=kept.cpu_pct,
        cpu_s=kept.cpu_s,
        clock=clock,
        drift_ms=drift_ms,
    )


def _exception_of(future: Future) -> Any:
    """Return what a task has ended with, None if it has not failed, or nobody tells soon."""
    try:
        return future.exception(timeout=_NEWS_LIMIT_S)
    except Exception:  # noqa: BLE001 - whatever keeps Dask from telling: the loss itself is told
        return None


def _in_words(error: BaseException | None) -> str:
    if error is None:
        return "its connection has ended"
    if type(error).__name__ == "KilledWorker":
        return "its Dask worker has ended"
    return " ".join(f"{type(error).__name__}: {error}".split()) if not isinstance(error, UserError) else str(error)
