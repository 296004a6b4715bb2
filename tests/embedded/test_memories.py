"""A space whose index fails: what it can't take is neither listed nor counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from compbench.embedded.loading import describe_space
from compbench.embedded.memories import ConflictError, MemorySpace
from compbench.embedded.rows import Memory, MemoryRange
from compbench.embedded.vector_index import Keys, Vector, VectorIndex

DIMENSION = 8
ROWS = np.random.default_rng(1).standard_normal((40, DIMENSION), dtype=np.float32)


class Failing(VectorIndex):
    """An index that has no memory left, which it notices when it has added half of the vectors."""

    def __init__(self) -> None:
        super().__init__(DIMENSION, "cosine")
        self.is_full = True

    def add(self, keys: Keys, vectors: Vector, threads: int) -> None:
        """Add all or, if full, half of them."""
        count = (len(keys) + 1) // 2 if self.is_full else len(keys)
        super().add(keys[:count], vectors[:count], threads)
        if self.is_full:
            raise MemoryError("no memory left")


@pytest.fixture
def index() -> Failing:
    return Failing()


@pytest.fixture
def space(index: Failing) -> Iterator[MemorySpace]:
    with ThreadPoolExecutor(2) as executor:
        made = MemorySpace(executor)
        made.open(index)
        yield made


async def load(space: MemorySpace, first: int, count: int = 10) -> MemoryRange:
    return await space.load_rows("node-", first, 1, ROWS[first : first + count], None, "now")


async def store(space: MemorySpace, memory_id: str, row: int) -> Memory:
    return await space.store(
        memory_id=memory_id,
        content="a walrus",
        confidence=1.0,
        memory_type="semantic",
        tags=[],
        stored_at="now",
        embedding=ROWS[row],
    )


async def store_words(space: MemorySpace, memory_id: str) -> Memory:
    return await space.store(
        memory_id=memory_id,
        content="a carpenter",
        confidence=1.0,
        memory_type="semantic",
        tags=[],
        stored_at="now",
        embedding=None,
    )


async def found(space: MemorySpace, row: int) -> str:
    return (await space.nearest(ROWS[row], 1, 0.99))[0].memory.id


def rows_told(space: MemorySpace) -> object:
    """Return what a loader that goes on asks for."""
    return json.loads(describe_space(space).body)["rows"]


def test_rows_that_the_index_fails_to_take_are_not_counted_and_can_be_loaded_again(
    space: MemorySpace, index: Failing
) -> None:
    async def fail_and_load_again() -> list[str]:
        with pytest.raises(MemoryError):
            await load(space, 0)
        assert (len(space), rows_told(space), space.get("node-3")) == (0, None, None)
        index.is_full = False
        before = await load(space, 0)
        index.is_full = True
        with pytest.raises(MemoryError):
            await load(space, 10)
        assert (space.rows, len(space)) == (before, 10)
        index.is_full = False
        assert (await load(space, 10)).count == len(space) == 20
        return [await found(space, row) for row in range(20)]

    assert asyncio.run(fail_and_load_again()) == [f"node-{row}" for row in range(20)]


def test_rows_do_not_go_on_with_rows_that_failed(space: MemorySpace) -> None:
    async def load_two() -> list[object]:
        return list(await asyncio.gather(load(space, 0), load(space, 10), load(space, 0), return_exceptions=True))

    space.rows = MemoryRange(prefix="node-", first=0, step=1, count=0, stored_at="now")
    first, second, _ = asyncio.run(load_two())
    assert isinstance(first, MemoryError)
    assert isinstance(second, ConflictError)
    assert (rows_told(space), len(space)) == ({"prefix": "node-", "first": 0, "step": 1, "count": 0}, 0)


def test_rows_that_are_sent_before_the_last_ones_are_there_go_on_with_them(space: MemorySpace, index: Failing) -> None:
    async def load_two() -> list[MemoryRange]:
        return list(await asyncio.gather(load(space, 0), load(space, 10)))

    index.is_full = False
    assert [rows.count for rows in asyncio.run(load_two())] == [10, 20]


def test_a_memory_that_the_index_fails_to_take_is_not_listed(space: MemorySpace, index: Failing) -> None:
    async def fail_and_store_again() -> str:
        with pytest.raises(MemoryError):
            await store(space, "own", 0)
        assert (len(space), space.get("own"), space.sharing_words("walrus", 9)) == (0, None, [])
        assert space.own_memories() == []
        index.is_full = False
        await store(space, "own", 0)
        return await found(space, 0)

    assert asyncio.run(fail_and_store_again()) == "own"
    assert len(space) == 1


def test_of_two_memories_of_an_id_that_both_fail_nothing_is_left(space: MemorySpace) -> None:
    async def fail_twice() -> list[object]:
        both = (store(space, "own", 0), store(space, "own", 1))
        return list(await asyncio.gather(*both, return_exceptions=True))

    assert all(isinstance(outcome, MemoryError) for outcome in asyncio.run(fail_twice()))
    assert (len(space), space.sharing_words("walrus", 9)) == (0, [])


@pytest.mark.parametrize("replace", [store_words, lambda space, memory_id: store(space, memory_id, 1)])
def test_a_replaced_vector_that_the_index_fails_to_remove_is_an_error(
    space: MemorySpace,
    index: Failing,
    monkeypatch: pytest.MonkeyPatch,
    replace: Callable[[MemorySpace, str], Awaitable[Memory]],
) -> None:
    def fail(_self: VectorIndex, key: int) -> None:
        raise OSError(f"can't remove {key}")

    async def replace_one() -> None:
        await store(space, "own", 0)
        monkeypatch.setattr(VectorIndex, "remove", fail)
        with pytest.raises(OSError, match="can't remove"):
            await replace(space, "own")

    index.is_full = False
    asyncio.run(replace_one())
    assert len(space) == 1
