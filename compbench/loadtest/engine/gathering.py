"""The figures of several processes that send one schedule, here or on other hosts, gathered and added up.

Each tells a second in pieces when it is over; a second is handed on when all have told theirs. Histograms are added
count by count. A host's own figures stay apart besides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from compbench.loadtest.engine.openloop import Ended, RequestSource
from compbench.loadtest.engine.recorder import Interval
from compbench.model.errors import UserError

Consume = Callable[[Interval], Iterable[None]]

# A host tells a second every second.
SILENCE_LIMIT_S = 5.0
_LOOK_S = 0.5
READY, OPEN, OPENED, HELD, END = "ready", "open", "opened", "held", "end"


class HostFaultError(Exception):
    """A host was lost or late: what was measured is no measurement; says which host, and what of it."""


class LateStartError(UserError):
    """The start was told after it; raised by the one that should have started."""


class Sender(NamedTuple):
    """A process that sends a share of the schedule.

    Attributes:
        connection: to it.
        host: the name of its host; empty for a process of this driver.
        lost: returns what to raise when the connection has ended.
        ahead_s: by how much its clock is ahead of this one.
    """

    connection: Connection
    host: str
    lost: Callable[[], Exception]
    ahead_s: float = 0.0

    def hear(self) -> object:
        """Return its next word.

        Raises:
            UserError: the one that it had.
            HostFaultError: it started late.
            Exception: what `lost` says, if it is gone.
        """
        try:
            message = self.connection.recv()
        except (EOFError, OSError):
            raise self.lost() from None
        if isinstance(message, LateStartError):
            raise HostFaultError(f"host {self.host}: {message}")
        if isinstance(message, UserError):
            raise UserError(f"host {self.host}: {message}") if self.host else message
        return message

    def say(self, word: object) -> None:
        """Tell it something.

        Raises:
            Exception: what `lost` says, if it is gone.
        """
        try:
            self.connection.send(word)
        except OSError:
            raise self.lost() from None


class Gathering:
    """Listens to all senders until each has ended.

    Args:
        senders: all of them, told to start.
        starts_at_s: when they do, in this clock's seconds.
        workload: takes the answers that are wanted.
        consume: takes each second's figures when all have told it, in order.
        held: called once everything is answered, while all connections are still open; not if something is not.
        silence_limit_s: a host that says nothing for so long is lost.
    """

    def __init__(
        self,
        senders: Sequence[Sender],
        starts_at_s: float,
        workload: RequestSource,
        consume: Consume,
        held: Callable[[], None],
        silence_limit_s: float = SILENCE_LIMIT_S,
    ) -> None:
        self._count, self._left = len(senders), {sender.connection: sender for sender in senders}
        self._workload, self._consume, self._held = workload, consume, held
        self._limit_s = silence_limit_s
        self._heard_at = dict.fromkeys(self._left, starts_at_s)
        self._intervals: dict[int, Interval] = {}
        self._pieces_left: dict[int, int] = {}
        self._ended: list[tuple[Sender, Ended]] = []
        self._holding: list[Sender] = []

    def listen(self) -> list[tuple[Sender, Ended]]:
        """Listen, and return how each has ended.

        Raises:
            UserError: one had an error, or a process of this driver died.
            HostFaultError: a host was lost, or was late.
        """
        while self._left:
            for ready in wait(list(self._left), timeout=_LOOK_S):
                assert isinstance(ready, Connection)  # noqa: S101 - what was passed in
                self._heard_at[ready] = time.monotonic()
                self._take_word(self._left[ready])
            self._let_go()
            self._refuse_silence()
        # Of the last seconds only those have told that were not done before.
        for number in sorted(self._intervals):
            self._hand_on(number)
        return self._ended

    def _take_word(self, sender: Sender) -> None:
        match sender.hear():
            case Interval() as piece, bool(last):
                self._take_piece(sender.host, piece, last)
            case Ended() as ended, list(answers):
                for answer in answers:
                    self._workload.answered(*answer)
                self._ended.append((sender, ended))
                del self._left[sender.connection]
            case word if word == HELD:
                self._holding.append(sender)

    def _let_go(self) -> None:
        """Let the senders end once all that are left hold their connections; nothing is told if one has ended."""
        if not self._holding or len(self._left) != len(self._holding):
            return
        if len(self._holding) == self._count:
            self._held()
        for sender in self._holding:
            sender.say(END)
            self._heard_at[sender.connection] = time.monotonic()
        self._holding.clear()

    def _refuse_silence(self) -> None:
        """Give up a host that has said nothing for long; those that wait for others have nothing to say.

        Raises:
            HostFaultError: there is one.
        """
        now = time.monotonic()
        for connection, sender in self._left.items():
            silent_s = now - self._heard_at[connection]
            if sender.host and sender not in self._holding and silent_s > self._limit_s:
                raise HostFaultError(f"host {sender.host} was lost: it has said nothing for {silent_s:.0f} s")

    def _take_piece(self, host: str, piece: Interval, last: bool) -> None:
        """Add a piece of a second; hand the second on when the last piece of every sender is there."""
        interval = self._intervals.setdefault(piece.number, Interval(piece.number))
        interval.add(piece)
        if host:
            interval.of_host(host).add(piece.pooled())
        left = self._pieces_left.setdefault(piece.number, self._count) - last
        self._pieces_left[piece.number] = left
        if not left:
            self._hand_on(piece.number)

    def _hand_on(self, number: int) -> None:
        for _ in self._consume(self._intervals.pop(number)):
            pass
