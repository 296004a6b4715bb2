"""The metrics page of a server that runs elsewhere, asked beside the sampler, so that a slow answer delays no sample.

Each question is a thread's own, since neither the look-up of a name nor a trickling answer over TLS keeps a deadline.
There is never more than one under way, and nothing waits for the last one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

from compbench.machine.ask import AskError, ask
from compbench.machine.probes.told_counters import ToldCounters, read_told

# Longer than that a sample does not wait for its answer. A page of Milvus has some MB; a larger one costs the runner,
# which has each page in memory twice, more than its five numbers are worth.
ANSWER_LIMIT_S = 1.0
_MOST_BYTES = 4_000_000


class MetricsPage(NamedTuple):
    """Where a server tells of itself, the headers that it wants, and its own names where it lacks the usual ones.

    `remark` says what figures under its own names mean.
    """

    url: str
    headers: Mapping[str, str] = {}
    own_names: Mapping[str, str] = {}
    remark: str = ""


class MetricsError(Exception):
    """The page tells nothing of the server's process; the text says why, in one line."""


def ask_for_metrics(page: MetricsPage, clock: Callable[[], float] = time.monotonic) -> ToldCounters:
    """Return what the page tells now.

    Raises:
        MetricsError: it does not answer in time, or tells nothing of a process.
    """
    began = clock()
    try:
        answer = ask(page.url, ANSWER_LIMIT_S, headers=page.headers, most_bytes=_MOST_BYTES)
    except AskError as error:
        raise MetricsError(str(error)) from None
    if answer.status != HTTPStatus.OK:
        raise MetricsError(f"it answers {answer.status}")
    told = read_told(answer.text, (began + clock()) / 2, page.own_names)
    if told.is_empty:
        raise MetricsError("it tells nothing of CPU, memory, threads or files of its process")
    return told


class MetricsReader:
    """Asks the page once for each sample.

    Attributes:
        asked: how often it was asked.
        lost: how many of these have no answer.
        problem: why the last of them has none.
    """

    def __init__(self, page: MetricsPage, limit_s: float = ANSWER_LIMIT_S) -> None:
        """Take the page, and how long a sample waits for it at most."""
        self.page, self.asked, self.lost, self.problem = page, 0, 0, ""
        self._limit_s = limit_s
        self._thread: threading.Thread | None = None
        self._answered = threading.Event()
        self._told: ToldCounters | None = None
        self._said = ""

    def begin(self) -> None:
        """Ask, unless the question before is still under way."""
        self.asked += 1
        self._told, self._said = None, f"no whole answer within {self._limit_s:g} s"
        if self._thread is not None and self._thread.is_alive():
            return
        self._answered = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(self._answered,), name="metrics", daemon=True)
        self._thread.start()

    def end(self) -> ToldCounters | None:
        """Return what was told, None if nothing was in time."""
        self._answered.wait(self._limit_s)
        told, said = self._told, self._said
        if told is None:
            self.lost, self.problem = self.lost + 1, said
        return told

    def _ask(self, answered: threading.Event) -> None:
        number = self.asked
        told, said = None, ""
        try:
            told = ask_for_metrics(self.page)
        except MetricsError as error:
            said = str(error)
        if number == self.asked:  # else it is too late, and another sample's turn
            self._told, self._said = told, said
        answered.set()
