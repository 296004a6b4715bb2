"""Work on a vector index beside the event loop, in turns: what waits is done together, on every core.

usearch lets one call at a time into an index, and a call with many vectors uses several threads, without the
interpreter's lock. So requests are not given threads of their own: while a turn runs, the event loop parses and answers
other requests, and what they want of the index waits for the next turn. Alone, a request waits for nothing; under load
a turn serves many, which is when it can use all cores.

All but the turns themselves runs on the event loop, so there are no locks. A turn makes the changes in the order in
which they were asked for, then the searches: what has been acknowledged is found by all that is asked after that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple, TypeVar

import numpy as np

from compbench.embedded.vector_index import Found, Vector, VectorIndex

T = TypeVar("T")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Searches and changes of a turn, at most: the answers of a turn are sent when all of it is done.
AT_ONCE = 16 * CORES


class _Addition(NamedTuple):
    key: int
    vector: Vector
    done: asyncio.Future[None]


class _Call(NamedTuple):
    function: Callable[[VectorIndex], Any]
    done: asyncio.Future[Any]


class _Search(NamedTuple):
    vector: Vector
    limit: int
    done: asyncio.Future[Found]


_Job = _Addition | _Call | _Search
# A job, and what came of it.
_Outcome = tuple[_Job, Any]


class IndexTurns:
    """An index that coroutines of one event loop share.

    Args:
        index: used by nothing else from now on.
        executor: has a thread for a turn.
    """

    def __init__(self, index: VectorIndex, executor: Executor) -> None:
        self.dimension, self.metric = index.dimension, index.metric
        self._index = index
        self._executor = executor
        self._changes: list[_Addition | _Call] = []
        self._searches: list[_Search] = []
        self._is_working = False

    def add(self, key: int, vector: Vector) -> asyncio.Future[None]:
        """Add a vector, shape (dimension,), under a new key; done when searches find it."""
        return self._wait_for(self._changes, partial(_Addition, key, vector))

    def search(self, vector: Vector, limit: int) -> asyncio.Future[Found]:
        """Find up to `limit` nearest vectors to this one, shape (dimension,)."""
        return self._wait_for(self._searches, partial(_Search, vector, limit))

    def call(self, function: Callable[[VectorIndex], T]) -> asyncio.Future[T]:
        """Call the function with the index, in its turn among the changes."""
        return self._wait_for(self._changes, partial(_Call, function))

    def _wait_for(self, waiting: list[Any], job: Callable[[asyncio.Future[Any]], _Job]) -> asyncio.Future[Any]:
        done = asyncio.get_running_loop().create_future()
        waiting.append(job(done))
        if not self._is_working:
            self._begin()
        return done

    def _begin(self) -> None:
        changes, searches = self._changes[:AT_ONCE], self._searches[:AT_ONCE]
        try:
            turn = asyncio.get_running_loop().run_in_executor(self._executor, _work, self._index, changes, searches)
        except Exception as error:  # noqa: BLE001 - no thread, or no memory: told to all that would wait for ever
            self._refuse_all(error)
            return
        del self._changes[:AT_ONCE], self._searches[:AT_ONCE]
        self._is_working = True
        turn.add_done_callback(self._finish)

    def _refuse_all(self, error: Exception) -> None:
        refused: list[_Outcome] = [(job, error) for job in (*self._changes, *self._searches)]
        self._changes.clear()
        self._searches.clear()
        _settle(refused)

    def _finish(self, turn: asyncio.Future[list[_Outcome]]) -> None:
        self._is_working = False
        if self._changes or self._searches:
            self._begin()  # before the answers are made, so that it runs meanwhile
        _settle(turn.result())


def _settle(outcomes: list[_Outcome]) -> None:
    for job, outcome in outcomes:
        if job.done.done():  # nobody waits for it any more
            continue
        if isinstance(outcome, BaseException):
            job.done.set_exception(outcome)
        else:
            job.done.set_result(outcome)


def _work(index: VectorIndex, changes: list[_Addition | _Call], searches: list[_Search]) -> list[_Outcome]:
    outcomes: list[_Outcome] = []
    for kind, group in groupby(changes, type):
        if kind is _Addition:
            outcomes += _tried(_add, index, list(group))
        else:
            for job in group:
                outcomes += _tried(_call, index, [job])
    return outcomes + _tried(_search, index, searches)


def _tried(work: Callable[[VectorIndex, list[Any]], list[Any]], index: VectorIndex, jobs: list[Any]) -> list[_Outcome]:
    """Do the jobs; an error is the outcome of each."""
    if not jobs:
        return []
    try:
        return list(zip(jobs, work(index, jobs), strict=True))
    except Exception as error:  # noqa: BLE001 - it is raised where the job is waited for
        return [(job, error) for job in jobs]


def _add(index: VectorIndex, jobs: list[_Addition]) -> list[None]:
    keys = np.array([job.key for job in jobs], np.uint64)
    index.add(keys, np.stack([job.vector for job in jobs]), _threads(jobs))
    return [None] * len(jobs)


def _call(index: VectorIndex, jobs: list[_Call]) -> list[Any]:
    return [job.function(index) for job in jobs]


def _search(index: VectorIndex, jobs: list[_Search]) -> list[Found]:
    limit = max(job.limit for job in jobs)
    found = index.search(np.stack([job.vector for job in jobs]), limit, _threads(jobs))
    return [Found(one.keys[: job.limit], one.similarities[: job.limit]) for one, job in zip(found, jobs, strict=True)]


def _threads(jobs: list[Any]) -> int:
    return min(CORES, len(jobs))
