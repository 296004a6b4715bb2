"""Memory spaces: stored memories, and the searches for them. Knows nothing of HTTP or JSON.

A memory with an embedding lies in a vector index, which its space shares in turns. There is no language model here, so
a text is never turned into a vector: texts are compared by the words they share. Everything is held in main memory.

Coroutines may overlap. What they change of a space beside its index they change without a pause, in which they also
take their turns at the index: so both go the same way in the same order, and a key that a search returns may be that of
a memory that is replaced by then. What the index then fails to take is not listed any more.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from compbench.embedded.graph import DirectedGraph, EdgePairs
from compbench.embedded.rows import Memory, MemoryRange
from compbench.embedded.turns import CORES, IndexTurns
from compbench.embedded.vector_index import Keys, Vector, VectorIndex, VectorMetric

COMPLETION_CANDIDATES = 32
# A word that stands in more memories than this says little: only the first ones count, so that a search stays quick.
WORD_LIMIT = 1000
# Memories that were stored singly have keys from here on; a key below is the number of a row loaded in bulk.
FIRST_OWN_KEY = 1 << 48

_WORD = re.compile(r"\w+")


class ConflictError(Exception):
    """Rows or edges that don't fit those in the space: one line that says why."""


class Match(NamedTuple):
    """A memory and how well it fits: similarity of vectors by the space's metric, or the share of the query's words."""

    memory: Memory
    similarity: float


class Completion(NamedTuple):
    """A vector whose gaps are filled, and the memories (best first) that the filling came from."""

    embedding: Vector
    sources: list[Match]


class MemorySpace:
    """The memories of one space, found by id, by nearness of vectors, by words, or along edges.

    Args:
        executor: has the threads that work on the index.

    Attributes:
        turns: the index; None until a first vector has fixed dimension and metric.
    """

    def __init__(self, executor: Executor) -> None:
        self.rows: MemoryRange | None = None
        self.replaced: set[int] = set()
        self.graph = DirectedGraph()
        self.turns: IndexTurns | None = None
        self._executor = executor
        self._memories: dict[str, Memory] = {}
        self._by_key: dict[int, Memory] = {}
        self._keys_of_word: dict[str, list[int]] = {}
        self._next_key = FIRST_OWN_KEY
        # Rows go on where those before them end, which is known when these are in the index, or can't be.
        self._loading = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._memories) + (self.rows.count if self.rows else 0) - len(self.replaced)

    @property
    def dimension(self) -> int | None:
        """Return the dimension that vectors must have, None as long as it may be any."""
        return self.turns.dimension if self.turns else None

    @property
    def metric(self) -> VectorMetric | None:
        """Return what vectors are compared by, None as long as that is open."""
        return self.turns.metric if self.turns else None

    def open(self, index: VectorIndex) -> IndexTurns:
        """Give this, so far open, space its index."""
        self.turns = IndexTurns(index, self._executor)
        return self.turns

    async def store(
        self,
        *,
        memory_id: str,
        content: str,
        confidence: float,
        memory_type: str,
        tags: list[str],
        stored_at: str,
        embedding: Vector | None,
    ) -> Memory:
        """Keep a memory; one of the same id is replaced. Only a memory with an embedding is found by vectors.

        An embedding has the space's dimension; the first one fixes it. If the index fails to take it, the memory is not
        kept, and one that it was to replace is gone.
        """
        old = self.get(memory_id)
        removed = None if old is None else self._forget(old)
        memory = Memory(
            key=self._next_key,
            id=memory_id,
            content=content,
            confidence=confidence,
            memory_type=memory_type,
            tags=tags,
            stored_at=stored_at,
            has_embedding=embedding is not None,
        )
        self.keep(memory)
        if embedding is not None:
            await self._add(memory, embedding)
        if removed is not None:
            await removed
        return memory

    def keep(self, memory: Memory) -> None:
        """List a memory; its vector, if it has one, is in the index or on its way there."""
        self._next_key = max(self._next_key, memory.key + 1)
        for word in _words(memory.content):
            self._keys_of_word.setdefault(word, []).append(memory.key)
        self._memories[memory.id] = self._by_key[memory.key] = memory

    async def load_rows(
        self, prefix: str, first: int, step: int, vectors: Vector, metric: VectorMetric | None, stored_at: str
    ) -> MemoryRange:
        """Keep vectors, shape (n, dimension), as the memories `prefix` + first, first + step, ...; uses every core.

        Args:
            prefix: what their ids begin with.
            first: the number of the first one.
            step: how far the numbers are apart.
            vectors: of the space's dimension; the first ones fix it.
            metric: what they are compared by; None is cosine for the first ones, and later whatever it is.
            stored_at: RFC 3339 time.

        Raises:
            ConflictError: they don't continue the rows that are there, the space has another metric, or a memory that
            was stored singly has one of the ids.
        """
        async with self._loading:
            new = MemoryRange(prefix=prefix, first=first, step=step, count=len(vectors), stored_at=stored_at)
            self._check_rows(new, metric)
            before = self.rows
            there = before or msgspec.structs.replace(new, count=0)
            loaded = self.rows = msgspec.structs.replace(there, count=there.count + new.count, stored_at=stored_at)
            keys = np.arange(first, new.next_number, step, dtype=np.uint64)
            try:
                await self._opened(vectors.shape[1], metric or "cosine").call(partial(_add_all, keys, vectors))
            except Exception:
                self.rows = before
                self.replaced.difference_update(keys.tolist())
                raise
            return loaded

    def load_edges(self, pairs: EdgePairs) -> None:
        """Connect rows by their numbers, shape (edges, 2).

        Raises:
            ConflictError: an edge begins or ends at a number that no row has.
        """
        rows = self.rows
        if rows is None or not len(pairs):
            raise ConflictError("edges connect rows: load rows first, then at least one edge")
        places, rest = np.divmod(pairs.astype(np.int64) - rows.first, rows.step)
        if rest.any() or places.min() < 0 or places.max() >= rows.count:
            raise ConflictError(f"an edge begins or ends at a number that none of the {rows.count} rows has")
        self.graph.add(pairs)

    def get(self, memory_id: str) -> Memory | None:
        """Return the memory of that id, or None."""
        if (memory := self._memories.get(memory_id)) is not None:
            return memory
        number = self.rows.number_of(memory_id) if self.rows else None
        return None if self.rows is None or number is None or number in self.replaced else self.rows.memory(number)

    def own_memories(self) -> list[Memory]:
        """Return the memories that were not loaded in bulk, in the order in which they came."""
        return list(self._memories.values())

    def page(self, offset: int, limit: int) -> list[Memory]:
        """Return up to `limit` memories without the first `offset`: rows first, then the others as they came."""
        return list(islice(self._all(), offset, offset + limit))

    async def embeddings_of(self, memories: list[Memory]) -> list[Vector | None]:
        """Return the vectors that came with memories, each of shape (dimension,), None where none did."""
        keys = [memory.key for memory in memories if memory.has_embedding]
        vectors = await self.turns.call(lambda index: index.vectors(keys)) if self.turns and keys else []
        by_key = dict(zip(keys, vectors, strict=True))
        return [by_key.get(memory.key) for memory in memories]

    async def nearest(self, vector: Vector, limit: int, threshold: float) -> list[Match]:
        """Return up to `limit` memories of similarity `threshold` or more to `vector` (dimension,), best first."""
        if self.turns is None:
            return []
        found = await self.turns.search(vector, limit)
        return [
            Match(memory, similarity)
            for key, similarity in zip(found.keys, found.similarities, strict=True)
            if similarity >= threshold and (memory := self._memory(key)) is not None
        ]

    def spread(self, cue: str, hops: int, limit: int) -> list[Match]:
        """Return up to `limit` memories that edges lead to, within `hops` steps, from the memory that `cue` names.

        The cue is an id, or words of a content. Activation halves with each step: 1 after the first, 0.5 after two.
        """
        start = self.get(cue) or next((match.memory for match in self.sharing_words(cue, 1)), None)
        if start is None:
            return []
        found = (
            Match(memory, 0.5**step)
            for step, numbers in enumerate(self.graph.levels(start.key, hops))
            for number in numbers
            if (memory := self._memory(number)) is not None
        )
        return list(islice(found, limit))

    def sharing_words(self, query: str, limit: int, threshold: float = 0.0) -> list[Match]:
        """Return up to `limit` memories that hold the largest share, at least `threshold`, of the words of `query`."""
        words = _words(query)
        counts: Counter[int] = Counter()
        for word in words:
            counts.update(self._keys_of_word.get(word, ())[:WORD_LIMIT])
            if self.rows:
                counts.update(n for n in self.rows.numbers_with_word(word, WORD_LIMIT) if n not in self.replaced)
        shares = ((self._memory(key), count / len(words)) for key, count in counts.most_common(limit))
        return [Match(memory, share) for memory, share in shares if memory is not None and share >= threshold]

    async def complete(
        self, partial: Vector, known: NDArray[np.bool_], threshold: float, hypotheses: int
    ) -> Completion | None:
        """Fill the gaps of a vector from the memories that are nearest to its known part.

        Candidates come from the index, with zeros in the gaps; they are then ranked by the cosine similarity of the
        known coordinates alone, and the best ones' mean, weighted by that similarity, fills the gaps.

        Args:
            partial: shape (dimension,); the values in the gaps are ignored.
            known: shape (dimension,); True where `partial` is known.
            threshold: the least similarity of the known part.
            hypotheses: how many memories may take part.

        Returns:
            None if no memory is similar enough.
        """
        if self.turns is None:
            return None
        cue = np.where(known, partial, np.float32(0))
        candidates = await self.turns.call(lambda index: _nearest_vectors(index, cue, COMPLETION_CANDIDATES))
        there = [(memory, vector) for key, vector in candidates if (memory := self._memory(key)) is not None]
        if not there:
            return None
        vectors = np.stack([vector for _, vector in there])
        similarity = _cosine(vectors[:, known], cue[known])
        chosen = [int(i) for i in np.argsort(-similarity)[:hypotheses] if similarity[i] >= threshold]
        if not chosen:
            return None
        weights = np.maximum(similarity[chosen], np.float32(1e-6))
        filling = np.average(vectors[chosen], axis=0, weights=weights).astype(np.float32)
        sources = [Match(there[i][0], float(similarity[i])) for i in chosen]
        return Completion(np.where(known, partial, filling), sources)

    def _check_rows(self, new: MemoryRange, metric: VectorMetric | None) -> None:
        """Raise ConflictError where `load_rows` says that it does."""
        rows = self.rows
        if rows is not None and (new.prefix, new.step, new.first) != (rows.prefix, rows.step, rows.next_number):
            raise ConflictError(f"rows go on with {rows.prefix}{rows.next_number}, {rows.step} apart")
        numbers = range(new.first, new.next_number, new.step)
        if numbers and numbers[-1] >= FIRST_OWN_KEY:
            raise ConflictError(f"a row's number must be below {FIRST_OWN_KEY}")
        if self._memories and (taken := [n for n in numbers if f"{new.prefix}{n}" in self._memories]):
            raise ConflictError(f"{new.prefix}{taken[0]} is there already")
        if self.turns and metric not in {None, self.metric}:
            raise ConflictError(f"vectors are compared by {self.metric} here, not by {metric}")

    async def _add(self, memory: Memory, embedding: Vector) -> None:
        """Add the vector of a listed memory to the index, or list it no longer."""
        try:
            await self._opened(len(embedding)).add(memory.key, embedding)
        except Exception:
            if self._memories.get(memory.id) is memory:  # not replaced meanwhile
                removed = self._forget(memory)
                del self._memories[memory.id]
                if removed is not None:
                    await removed
            raise

    def _opened(self, dimension: int, metric: VectorMetric = "cosine") -> IndexTurns:
        """Return the index, made for this dimension and metric if the space was open."""
        return self.turns or self.open(VectorIndex(dimension, metric))

    def _memory(self, key: int) -> Memory | None:
        """Return the memory of a key, None if it has been replaced."""
        if key >= FIRST_OWN_KEY:
            return self._by_key.get(key)
        return self.rows.memory(key) if self.rows and key not in self.replaced else None

    def _all(self) -> Iterator[Memory]:
        if self.rows:
            numbers = range(self.rows.first, self.rows.next_number, self.rows.step)
            yield from (self.rows.memory(number) for number in numbers if number not in self.replaced)
        yield from self._memories.values()

    def _forget(self, memory: Memory) -> asyncio.Future[None] | None:
        """Find a memory no longer; return what to await, so that an error of the index is told, if it has a vector."""
        if memory.key < FIRST_OWN_KEY:
            self.replaced.add(memory.key)
        else:
            del self._by_key[memory.key]
            for word in _words(memory.content):
                self._keys_of_word[word].remove(memory.key)
        return (
            self.turns.call(partial(VectorIndex.remove, key=memory.key))
            if memory.has_embedding and self.turns
            else None
        )


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _add_all(keys: Keys, vectors: Vector, index: VectorIndex) -> None:
    """Add all of the rows or, so that they can be loaded again, none."""
    try:
        index.add(keys, vectors, CORES)
    except Exception:
        for key in keys.tolist():
            index.remove(key)
        raise


def _nearest_vectors(index: VectorIndex, vector: Vector, limit: int) -> list[tuple[int, Vector]]:
    """Return keys and vectors of the nearest ones."""
    keys = index.search(vector[np.newaxis], limit, threads=1)[0].keys
    return [(key, near) for key, near in zip(keys, index.vectors(keys), strict=True) if near is not None]


def _cosine(rows: Vector, vector: Vector) -> Vector:
    """Return the cosine similarity of each row (n, d) with `vector` (d,); 0 where a row has no length."""
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    similarity: Vector = np.divide(rows @ vector, lengths, out=np.zeros(len(rows), np.float32), where=lengths > 0)
    return similarity
