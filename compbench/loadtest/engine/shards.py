"""One schedule kept by one process or several: every n-th request each, all starting at the same moment.

With one process the requests are sent from here; more are children, each with its share of the connections. Their
histograms are added up count by count, second by second.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import NamedTuple

from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.loadtest.engine.dry_run import keep_dry_schedule
from compbench.loadtest.engine.openloop import Ended, OpenLoop, RequestSource, collector_off
from compbench.loadtest.engine.recorder import Interval
from compbench.loadtest.workload.arrivals import Schedule
from compbench.model.errors import UserError
from compbench.transport.exchange import Transport

Consume = Callable[[Interval], Iterable[None]]
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
        return run_in_precise_loop(_drive(plan, 0, workload, workload.answered, begin, consume, held))
    return _Shards(plan).run(begin, workload, consume, held)


async def _drive(
    plan: Plan,
    number: int,
    workload: RequestSource,
    answered: Callable[[int, bytes], None],
    begin: Callable[[], float],
    consume: Consume,
    held: Callable[[], None],
) -> Ended:
    share = len(range(number, plan.connections, plan.processes))
    await keep_dry_schedule()
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


class _Shards:
    """The children of this process: started, told when to begin, read from until each has ended."""

    def __init__(self, plan: Plan) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._plan = plan
        self._intervals: dict[int, Interval] = {}
        self._pieces_left: dict[int, int] = {}
        self._ended: list[Ended] = []
        self._holding: list[Connection] = []

    def run(
        self, begin: Callable[[], float], workload: RequestSource, consume: Consume, held: Callable[[], None]
    ) -> Ended:
        children = [self._start(number) for number in range(self._plan.processes)]
        try:
            for connection, process in children:
                _heard(connection, process)
            start_s = begin()
            for connection, _ in children:
                connection.send(start_s)
            self._listen(dict(children), workload, consume, held)
        finally:
            for connection, process in children:
                connection.close()
                process.terminate()
                process.join()
        return Ended(
            sent=sum(ended.sent for ended in self._ended),
            in_flight_max=sum(ended.in_flight_max for ended in self._ended),
            cpu_pct=max(ended.cpu_pct for ended in self._ended),
            cpu_s=sum(ended.cpu_s for ended in self._ended),
        )

    def _start(self, number: int) -> tuple[Connection, BaseProcess]:
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=_child, args=(theirs, self._plan, number), daemon=True)
        process.start()
        theirs.close()
        return mine, process

    def _listen(
        self,
        children: dict[Connection, BaseProcess],
        workload: RequestSource,
        consume: Consume,
        held: Callable[[], None],
    ) -> None:
        while children:
            for ready in wait(list(children)):
                assert isinstance(ready, Connection)  # noqa: S101 - what was passed in
                match _heard(ready, children[ready]):
                    case Interval() as piece, bool(last):
                        self._take(piece, last, consume)
                    case Ended() as ended, list(answers):
                        for answer in answers:
                            workload.answered(*answer)
                        self._ended.append(ended)
                        del children[ready]
                    case "held":
                        self._holding.append(ready)
            self._let_go(children, held)
        # Of the last seconds only those children have told that were not done before.
        for number in sorted(self._intervals):
            self._hand_on(number, consume)

    def _let_go(self, children: Iterable[Connection], held: Callable[[], None]) -> None:
        """Let the children end once all that are left hold their connections; nothing is told if one has ended."""
        if not self._holding or set(children) != set(self._holding):
            return
        if len(self._holding) == self._plan.processes:
            held()
        for connection in self._holding:
            connection.send("end")
        self._holding.clear()

    def _take(self, piece: Interval, last: bool, consume: Consume) -> None:
        """Add a piece of a second; hand the second on when the last piece of every child is there."""
        self._intervals.setdefault(piece.number, Interval(piece.number)).add(piece)
        left = self._pieces_left.setdefault(piece.number, self._plan.processes) - last
        self._pieces_left[piece.number] = left
        if not left:
            self._hand_on(piece.number, consume)

    def _hand_on(self, number: int, consume: Consume) -> None:
        for _ in consume(self._intervals.pop(number)):
            pass


def _heard(connection: Connection, process: BaseProcess) -> object:
    try:
        message = connection.recv()
    except EOFError:
        process.join()
        raise UserError(f"a process of the driver died (exit code {process.exitcode})") from None
    if isinstance(message, UserError):
        raise message
    return message


def _child(connection: Connection, plan: Plan, number: int) -> None:
    answers: list[_Answer] = []

    def begin() -> float:
        connection.send("ready")
        return float(connection.recv())

    def held() -> None:
        connection.send("held")
        connection.recv()

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
        drive = _drive(plan, number, workload, lambda *answer: answers.append(answer), begin, send, held)
        ended = run_in_precise_loop(drive)
        connection.send((ended, answers))
    except UserError as error:
        connection.send(error)
    except (BrokenPipeError, EOFError):
        os._exit(1)  # the parent has died, so the figures have no reader
