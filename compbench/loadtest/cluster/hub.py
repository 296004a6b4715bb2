"""One schedule kept by several hosts: their drivers started, let begin together, and their figures gathered here.

Dask starts one task on each host and keeps it there. All else goes over connections of our own: leases, clocks, the
start, seconds. What a host was to send is never sent by another one: it is lost, and the measurement with it.
"""

from __future__ import annotations

import contextlib
import queue
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait

from compbench.loadtest.cluster.connections import Greeting, Listener, Welcome
from compbench.loadtest.cluster.host_tasks import HostTasks
from compbench.loadtest.cluster.leases import Lease, Order, Register, code_digest
from compbench.loadtest.cluster.opening import Cluster, Host
from compbench.loadtest.engine.gathering import (
    END,
    OPEN,
    OPENED,
    READY,
    Consume,
    Gathering,
    HostFaultError,
    Sender,
)
from compbench.loadtest.engine.offsets import UNCERTAINTY_LIMIT_MS, ClockOffset, measure_offset
from compbench.loadtest.engine.openloop import Ended, HostShare, RequestSource
from compbench.loadtest.engine.shards import Plan, together
from compbench.model.errors import UserError

# The start is told so long before: a message that is lost once on the way is sent again after 0.2 s, then 0.4 s.
LEAD_S = 1.0
_LOOK_S = 0.05
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
    credentials: Mapping[str, str],
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
        credentials: the environment variables that the server's client needs on the hosts.

    Returns:
        How it was kept; its `fault` says which host was lost or late, where one was.

    Raises:
        UserError: a host can't run the driver, or the server can't be reached from it.
    """
    names = tuple(host.name for host in cluster.hosts)
    try:
        with _Hub(cluster, plan, credentials) as hub:
            until_s = time.monotonic() + ready_limit_s
            hub.await_word(READY, until_s)
            clocks = hub.measure_clocks()
            hub.tell(OPEN)
            hub.await_word(OPENED, until_s)
            started(LEAD_S + plan.schedule.warm_up_s)
            starts_at_s = time.monotonic() + LEAD_S
            senders = hub.begin(starts_at_s, clocks)
            ended = Gathering(senders, starts_at_s, workload, consume, held).listen()
            drifts = hub.end(clocks)
            shares = [_share(host, hub, ended, clocks[host.name], drifts.get(host.name)) for host in cluster.hosts]
            return together([one for _, one in ended])._replace(hosts=tuple(shares), sent_from=names)
    except HostFaultError as error:
        return Ended(0, 0, 0.0, fault=str(error), sent_from=names)


class _Hub:
    """The drivers of one schedule on all hosts, from the task that starts them to their end."""

    _schedules = 0

    def __init__(self, cluster: Cluster, plan: Plan, credentials: Mapping[str, str]) -> None:
        _Hub._schedules += 1
        self._welcome = Welcome(plan, credentials)
        self._cluster, self._tasks = cluster, HostTasks(cluster)
        self._key = secrets.token_bytes(32)
        # The shares of the hosts in turn, as evenly as they can be.
        self._host_of = {number: cluster.hosts[number % len(cluster.hosts)] for number in range(plan.processes)}
        self._register = Register(tuple(Lease(_ATTEMPT, _Hub._schedules, number) for number in self._host_of))
        self._senders: dict[int, Sender] = {}
        self.cores: dict[str, int] = {}
        try:
            self._listener = Listener(cluster.here, self._key)
        except OSError as error:
            raise UserError(f"hosts can't reach this machine at {cluster.here}: {error.strerror}") from None

    def __enter__(self) -> _Hub:
        self._listener.__enter__()
        self._tasks.start({host.name: self._order_for(host) for host in self._cluster.hosts})
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.__exit__(None, None, None)
        for sender in self._senders.values():
            sender.connection.close()
        self._tasks.await_end()

    def await_word(self, word: str, until_s: float) -> None:
        """Wait until every driver on every host has said a word.

        Raises:
            HostFaultError: one was not in time, or was lost meanwhile.
            UserError: one can't run, or can't reach the server.
        """
        said: set[int] = set()
        while len(said) < len(self._host_of):
            if time.monotonic() > until_s:
                late = {host.name for number, host in self._host_of.items() if number not in said}
                raise HostFaultError(f"not ready in time: host {', '.join(sorted(late))}")
            with contextlib.suppress(queue.Empty):
                self._greet(self._listener.connections.get(timeout=_LOOK_S))
            waiting = {s.connection: number for number, s in self._senders.items() if number not in said}
            for connection in wait(list(waiting), timeout=0):
                assert isinstance(connection, Connection)  # noqa: S101 - what was passed in
                number = waiting[connection]
                if self._senders[number].hear() == word:
                    said.add(number)
            self._tasks.refuse_lost()

    def measure_clocks(self) -> dict[str, ClockOffset]:
        """Return the offset of each host's clock.

        Raises:
            HostFaultError: one is not known well enough for a common start, or the host was lost.
        """
        clocks = {name: _offset(sender) for name, sender in self._one_of_each().items()}
        for name, clock in clocks.items():
            if clock.uncertainty_ms > UNCERTAINTY_LIMIT_MS:
                raise HostFaultError(
                    f"host {name}: its clock is known to {clock.uncertainty_ms:.1f} ms only, over"
                    f" {UNCERTAINTY_LIMIT_MS:g} ms: a message there and back takes {clock.round_trip_ms:.1f} ms"
                )
        return clocks

    def tell(self, word: str) -> None:
        """Say a word to every driver.

        Raises:
            HostFaultError: a host was lost.
        """
        for sender in self._senders.values():
            sender.say(word)

    def begin(self, starts_at_s: float, clocks: Mapping[str, ClockOffset]) -> Sequence[Sender]:
        """Tell every driver the start by its own clock, and return them all.

        Raises:
            HostFaultError: a host was lost.
        """
        for sender in self._senders.values():
            sender.say(starts_at_s + clocks[sender.host].offset_s)
        return list(self._senders.values())

    def end(self, clocks: Mapping[str, ClockOffset]) -> dict[str, float]:
        """Let all drivers end; return by how many milliseconds each host's clock went off, where it still tells.

        What was measured is complete by now, so that a host that is gone costs nothing.
        """
        drifts = {}
        for name, sender in self._one_of_each().items():
            with contextlib.suppress(HostFaultError):
                drifts[name] = 1000 * (_offset(sender).offset_s - clocks[name].offset_s)
        for sender in self._senders.values():
            with contextlib.suppress(HostFaultError):
                sender.say(END)
        return drifts

    def _order_for(self, host: Host) -> Order:
        leases = [Lease(_ATTEMPT, _Hub._schedules, number) for number, at in self._host_of.items() if at == host]
        return Order(self._listener.address, self._key.hex(), tuple(leases))

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
        with contextlib.suppress(OSError):
            connection.send(refusal or self._welcome)
        if refusal or host is None:
            connection.close()
            return
        self.cores[host.name] = greeting.cores
        self._senders[greeting.lease.shard] = Sender(connection, host.name, partial(self._tasks.loss_of, host.name))

    def _one_of_each(self) -> dict[str, Sender]:
        return {sender.host: sender for sender in self._senders.values()}


def _offset(sender: Sender) -> ClockOffset:
    try:
        return measure_offset(sender.connection)
    except (EOFError, OSError):
        raise sender.lost() from None


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
        cpu_pct=kept.cpu_pct,
        cpu_s=kept.cpu_s,
        clock=clock,
        drift_ms=drift_ms,
    )
