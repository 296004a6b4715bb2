"""Exact neighbours by several hosts: spans of rows as Dask tasks, whose lists of the nearest are merged here.

The result is that of one process, bit for bit, whichever host compared which rows, and when (`best_lists`). So a task
that runs again does no harm, and one whose host died is given to another.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from compbench.config.hosts import HostsAsked
from compbench.loadtest.cluster.dask_calls import ANSWER_LIMIT_S, OPEN_LIMIT_S
from compbench.loadtest.cluster.leases import code_digest
from compbench.loadtest.cluster.opening import Cluster, opened_cluster
from compbench.loadtest.cluster.part import Refused, SearchOrder, nearest_in_span, order_for
from compbench.loadtest.truth.best_lists import best_of
from compbench.loadtest.truth.ground_truth import Advance, RowSearch, Searched
from compbench.loadtest.truth.nearest import DEPTH, Nearest, Truth, floors_of
from compbench.loadtest.truth.row_blocks import row_blocks, rows_at_once
from compbench.loadtest.truth.spans import Span, left_of, rows_within, span_pieces
from compbench.model.errors import UserError

# A span costs as much work as this at most if its host dies, and a list to merge; a shorter one leaves no host idle for
# long at the end, when the others are still at work.
_BLOCKS_IN_SPAN = 8
_SPANS_A_THREAD = 8
# Tasks that each thread has: one that it works on, and the next.
_TASKS_A_THREAD = 2
# A span on which so many hosts died will cost the next one too.
_ATTEMPTS = 4
_POLL_S = 1.0
_FETCH_LIMIT_S = 60.0
_SCHEDULER_GONE = "the Dask scheduler is gone: begin again, which goes on from here"


def spread_over(asked: HostsAsked, cache: Path) -> RowSearch:
    """Return the search by these hosts, in place of this process; workers here write into `cache`."""

    def search(searched: Searched, advance: Advance) -> Truth:
        if advance.state.truth is None:
            _begin_here(searched, advance)
        if not left_of(advance.state.spans, searched.row_count):
            return advance.known
        order = order_for(searched.scenario, searched.seed, searched.row_count, searched.rows, searched.pool)
        with opened_cluster(asked, cache) as cluster:
            try:
                return _SpreadSearch(cluster, order, advance).run()
            except BaseException:
                advance.save()
                raise

    return search


def _begin_here(searched: Searched, advance: Advance) -> None:
    """Compare the first block: whoever does not know how near the nearest are computes each row anew, as here."""
    nearest = Nearest(searched.pool, searched.rows.metric, searched.spaces)
    end = min(searched.row_count, rows_at_once(searched.rows.dimension))
    for first, block in row_blocks(searched.rows, end):
        nearest.take(first, block)
        advance.step(nearest.best, Span(first, first + len(block)))


def merged_truth(one: Truth, other: Truth) -> Truth:
    """Return the nearest of the rows of both, which have none in common."""
    numbers = np.concatenate([one.numbers, other.numbers], axis=1)
    similarities = np.concatenate([one.similarities, other.similarities], axis=1)
    return Truth(*best_of(numbers, similarities, DEPTH), other.metric)


def _no_compbench(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"can't run compbench ({type(error).__name__}: {said}): install the same one there, with the same extras"


def _name_of(cluster: Cluster, worker: str) -> str:
    return next((host.name for host in cluster.hosts if host.worker == worker), worker)


def threads_of(cluster: Cluster) -> int:
    """Return how many threads all hosts have now.

    Raises:
        UserError: the scheduler is gone, or does not answer.
    """
    client: Any = cluster.client
    try:
        threads = client.sync(client.scheduler.ncores, workers=None, callback_timeout=ANSWER_LIMIT_S)
    except (OSError, TimeoutError, RuntimeError):
        raise UserError(_SCHEDULER_GONE) from None
    return int(sum(threads.values()))


class _Flight(NamedTuple):
    """A task under way: its rows, and how many hosts died at them before."""

    span: Span
    deaths: int


class _SpreadSearch:
    """Keeps a few tasks a thread under way, and merges what they bring."""

    def __init__(self, cluster: Cluster, order: SearchOrder, advance: Advance) -> None:
        self._cluster: Cluster = cluster
        self._client: Any = cluster.client  # of few types, as its methods are
        self._order, self._advance = (code_digest(), order.packed()), advance
        self._landed: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._flying: dict[Any, _Flight] = {}
        self._seen_at = self._counted_at = time.monotonic()
        self._threads = self._threads_now()
        left = left_of(advance.state.spans, order.rows)
        size = _span_rows(order.rows, order.scenario.data.embedding_dim, self._threads)
        self._waiting = deque(_Flight(span, 0) for span in span_pieces(left, size))
        self._compared = rows_within(advance.state.spans)

    def run(self) -> Truth:
        """Return the nearest of all rows.

        Raises:
            OutOfTimeError: the time limit was reached.
            UserError: a host can't compare, there is none left, or the scheduler is gone.
        """
        self._advance.tell(self._compared)
        try:
            while self._waiting or self._flying:
                self._start()
                with contextlib.suppress(queue.Empty):
                    self._land(self._landed.get(timeout=_POLL_S))
                if time.monotonic() - self._counted_at > _POLL_S:
                    self._threads = self._threads_now()
                    self._advance.tell(self._compared)
        finally:
            self._client.cancel(list(self._flying), force=True)
        return self._advance.known

    def _threads_now(self) -> int:
        """Return how many threads all hosts have.

        Raises:
            UserError: there have been none for a while, or the scheduler is gone.
        """
        threads = threads_of(self._cluster)
        self._counted_at = time.monotonic()
        if threads:
            self._seen_at = self._counted_at
        elif self._counted_at - self._seen_at > OPEN_LIMIT_S:
            raise UserError(f"no host is left for {OPEN_LIMIT_S:.0f} s: begin again, which goes on from here")
        return threads

    def _start(self) -> None:
        while self._waiting and len(self._flying) < max(1, _TASKS_A_THREAD * self._threads):
            flight = self._waiting.popleft()
            # By its own name each time: Dask would else return what a task of this name brought before.
            asked = (*self._order, floors_of(self._advance.known), *flight.span)
            future = self._client.submit(nearest_in_span, *asked, pure=False, retries=_ATTEMPTS)
            self._flying[future] = flight
            future.add_done_callback(self._landed.put)

    def _land(self, future: Any) -> None:
        flight = self._flying.pop(future, None)
        if flight is None:
            return
        brought = self._fetched(future, flight)
        future.release()
        if isinstance(brought, Refused):
            raise UserError(f"host {_name_of(self._cluster, brought.worker)}: {brought.reason}")
        if brought is not None:
            self._compared += flight.span.size
            self._advance.step(merged_truth(self._advance.known, brought), flight.span)

    def _fetched(self, future: Any, flight: _Flight) -> Truth | Refused | None:
        """Return what a task brought; None if its host died, and its rows wait again.

        Raises:
            UserError: hosts die of these rows, or the scheduler is gone.
        """
        from distributed.scheduler import KilledWorker  # noqa: PLC0415 - only once hosts are asked for

        try:
            brought: Truth | Refused = future.result(timeout=_FETCH_LIMIT_S)
        except (KilledWorker, TimeoutError) as error:
            if flight.deaths + 1 >= _ATTEMPTS:
                rows = f"rows {flight.span.first} to {flight.span.last - 1}"
                said = " ".join(str(error).split()) or type(error).__name__
                raise UserError(f"{rows}: {_ATTEMPTS} hosts died while they compared them: {said}") from None
            self._waiting.append(_Flight(flight.span, flight.deaths + 1))
            return None
        except (CancelledError, OSError):
            raise UserError(_SCHEDULER_GONE) from None
        except Exception as error:  # noqa: BLE001 - whatever a host's own Python or Dask raised is what is to be told
            raise UserError(f"a host {_no_compbench(error)}") from None
        return brought


def _span_rows(count: int, dimension: int, threads: int) -> int:
    """Return how many rows a task has: whole blocks."""
    block = rows_at_once(dimension)
    return block * max(1, min(_BLOCKS_IN_SPAN, count // (block * _SPANS_A_THREAD * max(1, threads))))
