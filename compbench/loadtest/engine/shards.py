"""One schedule kept by one process or several: every n-th request each, all starting at the same moment.

With one process the requests are sent from here; more are children, each with its share of the connections, whose
figures `gathering` adds up. A process on another host keeps its share by the same `serve_shard`.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.loadtest.engine.dry_run import keep_dry_schedule
from compbench.loadtest.engine.gathering import (
    END,
    HELD,
    OPEN,
    OPENED,
    READY,
    Consume,
    Gathering,
    LateStartError,
    Sender,
)
from compbench.loadtest.engine.offsets import answer_pings
from compbench.loadtest.engine.openloop import Ended, OpenLoop, RequestSource, collector_off
from compbench.loadtest.engine.recorder import Interval
from compbench.loadtest.workload.arrivals import Schedule
from compbench.model.errors import UserError
from compbench.transport.exchange import Transport

_Answer = tuple[int, bytes]

# So long after every connection of every process is open the schedule starts.
LEAD_S = 0.05


class Plan(NamedTuple):
    """The requests to be sent, their target, the number of connections and of processes.

    Each process makes its own workload and transport from these values, which are pickled.
    """

    make_transport: Callable[[int], Transport]
    schedule: Schedule
    connections: int
    processes: int
    make_workload: Callable[[], RequestSource]


def keep_schedule(
    plan: Plan,
    workload: RequestSource,
    started: Callable[[float], None],
    consume: Consume,
    held: Callable[[], None] = lambda: None,
) -> Ended:
    """Send everything.

    Args:
        plan: requests, connections and processes.
        workload: takes the answers that are wanted; with one process it makes the requests too.
        started: told once, in how many seconds measuring begins.
        consume: takes each second's figures when it is over, in order.
        held: called once everything is answered, while all connections are still open; not if something is not.

    Raises:
        UserError: the server can't be reached, or a process of the driver died.
    """

    def begin() -> float:
        started(LEAD_S + plan.schedule.warm_up_s)
        return time.monotonic() + LEAD_S

    if plan.processes == 1:
        return run_in_precise_loop(_drive(plan, 0, workload, workload.answered, lambda: None, begin, consume, held))
    return _by_children(plan, begin, workload, consume, held)


async def _drive(
    plan: Plan,
    number: int,
    workload: RequestSource,
    answered: Callable[[int, bytes], None],
    ready: Callable[[], None],
    begin: Callable[[], float],
    consume: Consume,
    held: Callable[[], None],
) -> Ended:
    share = len(range(number, plan.connections, plan.processes))
    await keep_dry_schedule()
    # A server closes connections that are idle for long: none is open while others are not ready.
    ready()
    transport = plan.make_transport(share)
    await transport.open()
    with collector_off():
        loop = OpenLoop(
            transport,
            plan.schedule.shard(number, plan.processes),
            workload,
            answered=answered,
            start_s=begin(),
            warm_up_s=plan.schedule.warm_up_s,
            end_s=plan.schedule.end_s,
            consume=consume,
            held=held,
        )
        return await loop.run()


def together(ended: Sequence[Ended]) -> Ended:
    """Return how a schedule was kept by several processes."""
    return Ended(
        sent=sum(one.sent for one in ended),
        in_flight_max=sum(one.in_flight_max for one in ended),
        cpu_pct=max((one.cpu_pct for one in ended), default=0.0),
        cpu_s=sum(one.cpu_s for one in ended),
    )


def _by_children(
    plan: Plan, begin: Callable[[], float], workload: RequestSource, consume: Consume, held: Callable[[], None]
) -> Ended:
    """Start the children of this process, tell them when to begin, and listen until each has ended."""
    context, senders, processes = multiprocessing.get_context("spawn"), [], []
    try:
        for number in range(plan.processes):
            mine, theirs = context.Pipe()
            process = context.Process(target=_child, args=(theirs, plan, number), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            senders.append(Sender(mine, "", partial(_died, process)))
        for sender in senders:
            sender.hear()
        for sender in senders:
            sender.say(OPEN)
        for sender in senders:
            sender.hear()
        start_s = begin()
        for sender in senders:
            sender.say(start_s)
        return together([ended for _, ended in Gathering(senders, start_s, workload, consume, held).listen()])
    finally:
        for sender in senders:
            sender.connection.close()
        for process in processes:
            process.terminate()
            process.join()


def _died(process: BaseProcess) -> UserError:
    process.join()
    return UserError(f"a process of the driver died (exit code {process.exitcode})")


def serve_shard(connection: Connection, plan: Plan, number: int, *, is_strict: bool = False) -> None:
    """Keep a share of the schedule, for the one at the other end: ready, its clock if it asks, start, seconds, end.

    Args:
        connection: to the one that gathers.
        plan: what is shared.
        number: which share.
        is_strict: whether to refuse a start that is told too late.

    Raises:
        EOFError, OSError: the other end is gone.
    """
    answers: list[_Answer] = []

    def ready() -> None:
        connection.send(READY)
        if answer_pings(connection) != OPEN:
            raise EOFError

    def begin() -> float:
        connection.send(OPENED)
        start_s = float(connection.recv())
        late_s = time.monotonic() - start_s
        if is_strict and late_s > 0:
            raise LateStartError(f"the start was told {1000 * late_s:.0f} ms late")
        return start_s

    def held() -> None:
        connection.send(HELD)
        if connection.recv() != END:
            raise EOFError

    def send(interval: Interval) -> Iterator[None]:
        for operation, part in interval.parts.items():
            piece = Interval(interval.number)
            piece.parts[operation] = part
            connection.send((piece, False))
            yield
        interval.parts.clear()
        connection.send((interval, True))

    try:
        workload = plan.make_workload()
        drive = _drive(plan, number, workload, lambda *answer: answers.append(answer), ready, begin, send, held)
        ended = run_in_precise_loop(drive)
        connection.send((ended, answers))
    except UserError as error:
        connection.send(error)


def _child(connection: Connection, plan: Plan, number: int) -> None:
    try:
        serve_shard(connection, plan, number)
    except (BrokenPipeError, EOFError):
        os._exit(1)  # the parent has died, so the figures have no reader
