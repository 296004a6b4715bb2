"""Memory spaces: what the server knows, and how it finds it again. Knows nothing of HTTP or JSON.

A memory with an embedding lies in a vector index (HNSW, cosine, 16 bit floats). There is no language model here, so
a text is never turned into a vector: texts are compared by the words they share. Everything is held in main memory
and is gone when the server stops.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

DIMENSION = 768
Vector = NDArray[np.float32]

# Candidates that an insert and a search look at. More find more of dense clusters but cost the one core that serves:
# with 128 and 256, 1000 operations a second, a third of them inserts, overran it within a minute on 2 cores.
# 16 bit floats cost a third less than 32 bit ones and found the same 94.8 % of the nearest ten among 19,000 vectors.
INSERT_CANDIDATES = 64
SEARCH_CANDIDATES = 96
COMPLETION_CANDIDATES = 32
# A word that stands in more memories than this says little: only the first ones count, so that a search stays quick.
WORD_LIMIT = 1000

_WORD = re.compile(r"\w+")


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """One stored memory. `key` is its place in the vector index, `stored_at` an RFC 3339 time."""

    key: int
    id: str
    content: str
    confidence: float
    memory_type: str
    tags: list[str]
    stored_at: str
    has_embedding: bool


class Match(NamedTuple):
    """A memory and how well it fits: cosine similarity of vectors, or the share of the query's words it holds."""

    memory: Memory
    similarity: float


class Completion(NamedTuple):
    """A vector whose gaps are filled, and the memories (best first) that the filling came from."""

    embedding: Vector
    sources: list[Match]


class MemorySpace:
    """The memories of one space, found by id, by nearness of vectors, or by words."""

    def __init__(self) -> None:
        self._memories: dict[str, Memory] = {}
        self._by_key: dict[int, Memory] = {}
        self._keys_of_word: dict[str, list[int]] = {}
        self._next_key = 0
        self._index = Index(
            ndim=DIMENSION,
            metric="cos",
            dtype="f16",
            expansion_add=INSERT_CANDIDATES,
            expansion_search=SEARCH_CANDIDATES,
        )

    def __len__(self) -> int:
        return len(self._memories)

    def store(
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
        """Keep a memory; one of the same id is replaced. Only a memory with an embedding is found by vectors."""
        if (old := self._memories.get(memory_id)) is not None:
            self._forget(old)
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
        self._next_key += 1
        if embedding is not None:
            self._index.add(memory.key, embedding, threads=1)
        for word in _words(content):
            self._keys_of_word.setdefault(word, []).append(memory.key)
        self._memories[memory_id] = self._by_key[memory.key] = memory
        return memory

    def get(self, memory_id: str) -> Memory | None:
        """Return the memory of that id, or None."""
        return self._memories.get(memory_id)

    def page(self, offset: int, limit: int) -> list[Memory]:
        """Return up to `limit` memories in the order in which they came, without the first `offset`."""
        return list(self._memories.values())[offset : offset + limit]

    def embedding_of(self, memory: Memory) -> Vector | None:
        """Return the vector that came with the memory, shape (768,), or None if none did."""
        return self._vectors([memory.key])[0] if memory.has_embedding else None

    def nearest(self, vector: Vector, limit: int, threshold: float) -> list[Match]:
        """Return up to `limit` memories of cosine similarity `threshold` or more to `vector` (768,), best first."""
        found = self._index.search(vector, limit, threads=1)
        by_key = self._by_key
        similarities = (1.0 - found.distances).tolist()
        return [
            Match(by_key[key], similarity)
            for key, similarity in zip(found.keys.tolist(), similarities, strict=True)
            if similarity >= threshold
        ]

    def sharing_words(self, query: str, limit: int, threshold: float = 0.0) -> list[Match]:
        """Return up to `limit` memories that hold the largest share, at least `threshold`, of the words of `query`."""
        words = _words(query)
        counts: Counter[int] = Counter()
        for word in words:
            counts.update(self._keys_of_word.get(word, ())[:WORD_LIMIT])
        shares = ((self._by_key[key], count / len(words)) for key, count in counts.most_common(limit))
        return [Match(memory, share) for memory, share in shares if share >= threshold]

    def complete(
        self, partial: Vector, known: NDArray[np.bool_], threshold: float, hypotheses: int
    ) -> Completion | None:
        """Fill the gaps of a vector from the memories that are nearest to its known part.

        Candidates come from the index, with zeros in the gaps; they are then ranked by the cosine similarity of the
        known coordinates alone, and the best ones' mean, weighted by that similarity, fills the gaps.

        Args:
            partial: shape (768,); what stands in the gaps does not matter.
            known: shape (768,); True where `partial` is known.
            threshold: the least similarity of the known part.
            hypotheses: how many memories may take part.

        Returns:
            None if no memory is similar enough.
        """
        cue = np.where(known, partial, np.float32(0))
        keys = self._index.search(cue, COMPLETION_CANDIDATES, threads=1).keys.tolist()
        if not keys:
            return None
        vectors = self._vectors(keys)
        similarity = _cosine(vectors[:, known], cue[known])
        chosen = [int(i) for i in np.argsort(-similarity)[:hypotheses] if similarity[i] >= threshold]
        if not chosen:
            return None
        weights = np.maximum(similarity[chosen], np.float32(1e-6))
        filling = np.average(vectors[chosen], axis=0, weights=weights).astype(np.float32)
        sources = [Match(self._by_key[keys[i]], float(similarity[i])) for i in chosen]
        return Completion(np.where(known, partial, filling), sources)

    def _forget(self, memory: Memory) -> None:
        del self._by_key[memory.key]
        if memory.has_embedding:
            self._index.remove(memory.key)
        for word in _words(memory.content):
            self._keys_of_word[word].remove(memory.key)

    def _vectors(self, keys: list[int]) -> Vector:
        return np.asarray(self._index.get(np.array(keys, dtype=np.uint64)), dtype=np.float32)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _cosine(rows: Vector, vector: Vector) -> Vector:
    """Return the cosine similarity of each row (n, d) with `vector` (d,); 0 where a row has no length."""
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    similarity: Vector = np.divide(rows @ vector, lengths, out=np.zeros(len(rows), np.float32), where=lengths > 0)
    return similarity
