"""An index that coroutines share in turns: what is done together, in which order, and what becomes of errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pytest

from compbench.embedded.turns import AT_ONCE, IndexTurns
from compbench.embedded.vector_index import Found, Keys, Vector, VectorIndex

T = TypeVar("T")
DIMENSION = 8
ROWS = np.random.default_rng(1).standard_normal((500, DIMENSION), dtype=np.float32)


class Watched(VectorIndex):
    """An index that notes how many vectors each of its calls was given, and whether two calls overlapped."""

    def __init__(self) -> None:
        super().__init__(DIMENSION, "cosine")
        self.calls: list[tuple[str, int]] = []
        self.is_held = threading.Event()
        self.is_held.set()
        self._inside = threading.Lock()

    def add(self, keys: Keys, vectors: Vector, threads: int) -> None:
        """Note it and do it."""
        self._noted("add", len(keys), lambda: super(Watched, self).add(keys, vectors, threads))

    def search(self, queries: Vector, limit: int, threads: int) -> list[Found]:
        """Note it and do it."""
        return self._noted("search", len(queries), lambda: super(Watched, self).search(queries, limit, threads))

    def _noted(self, what: str, count: int, work: Callable[[], T]) -> T:
        assert self._inside.acquire(blocking=False), "two calls at a time"
        try:
            self.is_held.wait(10)
            self.calls.append((what, count))
            return work()
        finally:
            self._inside.release()


@pytest.fixture
def index() -> Watched:
    return Watched()


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def test_a_vector_is_found_as_soon_as_it_is_added(index: Watched, executor: ThreadPoolExecutor) -> None:
    async def store_and_find(turns: IndexTurns, key: int) -> bool:
        await turns.add(key, ROWS[key])
        return key in (await turns.search(ROWS[key], 3)).keys

    async def all_at_once() -> list[bool]:
        turns = IndexTurns(index, executor)
        return await asyncio.gather(*(store_and_find(turns, key) for key in range(len(ROWS))))

    # Vectors that go in at the same moment may leave one without a link that leads to it, as in any such graph.
    assert sum(asyncio.run(all_at_once())) >= 0.98 * len(ROWS)


def test_what_waits_is_done_together_but_not_too_much(index: Watched, executor: ThreadPoolExecutor) -> None:
    async def many() -> None:
        turns = IndexTurns(index, executor)
        index.is_held.clear()
        first = turns.add(0, ROWS[0])
        waiting: list[Awaitable[object]] = [turns.search(ROWS[n], 3) for n in range(AT_ONCE + 1)]
        waiting += [turns.add(n, ROWS[n]) for n in range(1, 4)]
        index.is_held.set()
        await asyncio.gather(first, *waiting)

    asyncio.run(many())
    assert index.calls == [("add", 1), ("add", 3), ("search", AT_ONCE), ("search", 1)]


def test_changes_are_made_in_the_order_in_which_they_were_asked_for(
    index: Watched, executor: ThreadPoolExecutor
) -> None:
    async def replace_again_and_again() -> list[int]:
        turns = IndexTurns(index, executor)
        added = turns.add(0, ROWS[0])
        for key in range(1, AT_ONCE):
            turns.call(partial(VectorIndex.remove, key=key - 1))
            added = turns.add(key, ROWS[0])
        await added
        return (await turns.search(ROWS[0], 30)).keys

    assert asyncio.run(replace_again_and_again()) == [AT_ONCE - 1]


def test_searches_of_a_turn_get_as_many_as_each_wants(index: Watched, executor: ThreadPoolExecutor) -> None:
    async def many() -> list[Found]:
        turns = IndexTurns(index, executor)
        await asyncio.gather(*(turns.add(key, row) for key, row in enumerate(ROWS[:50])))
        return await asyncio.gather(*(turns.search(ROWS[key], key) for key in range(1, 20)))

    for key, found in enumerate(asyncio.run(many()), start=1):
        assert len(found.keys) == len(found.similarities) == key
        assert found.keys[0] == key
        assert found.similarities == sorted(found.similarities, reverse=True)


def test_an_error_is_raised_where_its_work_is_waited_for_and_ends_nothing(
    index: Watched, executor: ThreadPoolExecutor
) -> None:
    def fail(_index: VectorIndex) -> None:
        raise OSError("no space left")

    async def fail_and_go_on() -> Found:
        turns = IndexTurns(index, executor)
        failing, added = turns.call(fail), turns.add(1, ROWS[1])
        with pytest.raises(OSError, match="no space left"):
            await failing
        await added
        return await turns.search(ROWS[1], 1)

    assert asyncio.run(fail_and_go_on()).keys == [1]


class Starved(ThreadPoolExecutor):
    """Threads that can't be had for a while."""

    is_starved = False

    def submit(self, *work: Any, **how: Any) -> Future[Any]:
        """Start it, or fail as Python does without a thread."""
        if self.is_starved:
            raise RuntimeError("can't start new thread")
        return super().submit(*work, **how)


def test_a_turn_that_can_not_begin_is_an_error_and_not_the_end(index: Watched) -> None:
    async def starve_and_go_on(executor: Starved) -> list[int]:
        turns = IndexTurns(index, executor)
        executor.is_starved = True
        with pytest.raises(RuntimeError, match="can't start"):
            await asyncio.wait_for(turns.add(1, ROWS[1]), 10)
        executor.is_starved = False
        await asyncio.wait_for(turns.add(2, ROWS[2]), 10)
        return (await asyncio.wait_for(turns.search(ROWS[1], 9), 10)).keys

    with Starved(1) as executor:
        assert asyncio.run(starve_and_go_on(executor)) == [2]


def test_what_waits_for_a_turn_that_can_not_begin_is_told(index: Watched) -> None:
    async def starve_meanwhile(executor: Starved) -> list[object]:
        turns = IndexTurns(index, executor)
        index.is_held.clear()
        waiting: list[Awaitable[object]] = [turns.add(1, ROWS[1]), turns.add(2, ROWS[2]), turns.search(ROWS[1], 1)]
        executor.is_starved = True
        index.is_held.set()
        outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        executor.is_starved = False
        return [*outcomes, (await asyncio.wait_for(turns.search(ROWS[1], 9), 10)).keys]

    with Starved(1) as executor:
        first, second, third, last = asyncio.run(starve_meanwhile(executor))
    assert first is None
    assert isinstance(second, RuntimeError)
    assert isinstance(third, RuntimeError)
    assert last == [1]


def test_nobody_needs_to_wait_for_an_answer(index: Watched, executor: ThreadPoolExecutor) -> None:
    async def cancel_and_go_on() -> Found:
        turns = IndexTurns(index, executor)
        turns.add(1, ROWS[1]).cancel()
        return await turns.search(ROWS[1], 1)

    assert asyncio.run(cancel_and_go_on()).keys == [1]
