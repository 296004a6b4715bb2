"""Vectors by key, and which of them are nearest to another: usearch's HNSW graph, for one thread at a time.

Numbers are kept as 16 bit floats with the range of 32 bit ones (bfloat16): over 100,000 vectors of 768 dimensions an
index of them answered about as fast as one of 8 bit integers and found as much as one of half precision (the figures
are in docs/systems.md). Vectors of few dimensions, whose neighbours lie closer together than the 8 bits of a bfloat16's
fraction tell apart, are kept as 32 bit floats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from usearch.index import BatchMatches, Index

from compbench.embedded import bytes_a_number

Vector = NDArray[np.float32]
Keys = NDArray[np.uint64]
VectorMetric = Literal["cosine", "dot", "euclidean"]

METRICS: tuple[VectorMetric, ...] = get_args(VectorMetric)
# Links of a vector, twice as many in the lowest layer.
LINKS = 16
# Candidates that an insert and a search look at: more find more, and cost more in proportion. Over 350,000 embeddings a
# search of 96 found 96.6 % of the nearest 5 to 50, one of 128 97.6 % for a quarter more time; larger sets are harder.
INSERT_CANDIDATES = 96
SEARCH_CANDIDATES = 128

# usearch's names of the numbers by their bytes, and of the metrics.
_TYPES = {2: "bf16", 4: "f32"}
_USEARCH_METRICS: dict[VectorMetric, str] = {"cosine": "cos", "dot": "ip", "euclidean": "l2sq"}


class Found(NamedTuple):
    """Keys of the nearest vectors and their similarities, best first."""

    keys: list[int]
    similarities: list[float]


class VectorIndex:
    """An index of vectors of one dimension, compared by one metric; calls must not overlap.

    Similarity is the cosine, the inner product, or the negative distance: the larger the nearer.
    """

    def __init__(self, dimension: int, metric: VectorMetric) -> None:
        self.dimension: int = dimension
        self.metric: VectorMetric = metric
        self._index = Index(
            ndim=dimension,
            metric=_USEARCH_METRICS[metric],
            dtype=_TYPES[bytes_a_number(dimension)],
            connectivity=LINKS,
            expansion_add=INSERT_CANDIDATES,
            expansion_search=SEARCH_CANDIDATES,
        )

    @property
    def search_candidates(self) -> int:
        """Candidates that a search looks at, or as many as it is to find if those are more."""
        return int(self._index.expansion_search)

    @search_candidates.setter
    def search_candidates(self, count: int) -> None:
        self._index.expansion_search = count  # type: ignore[misc]  # its setter is hidden from mypy

    def add(self, keys: Keys, vectors: Vector, threads: int) -> None:
        """Add vectors, shape (n, dimension), under new keys, shape (n,)."""
        self._index.add(keys, vectors, threads=threads)

    def remove(self, key: int) -> None:
        """Forget the vector of a key."""
        self._index.remove(key)

    def search(self, queries: Vector, limit: int, threads: int) -> list[Found]:
        """Return up to `limit` nearest vectors for each query, shape (n, dimension)."""
        found = self._index.search(queries, limit, threads=threads)
        if isinstance(found, BatchMatches):
            keys, distances, counts = found.keys, found.distances, found.counts.tolist()
        else:  # of one query usearch returns the rows themselves
            keys, distances, counts = found.keys[np.newaxis], found.distances[np.newaxis], [len(found)]
        return [
            Found(keys[row, :count].tolist(), self._similarities(distances[row, :count]).tolist())
            for row, count in enumerate(counts)
        ]

    def vectors(self, keys: list[int]) -> list[Vector | None]:
        """Return the vectors of the keys, each of shape (dimension,), rounded as they are kept; None where none is."""
        kept = self._index.get(np.array(keys, np.uint64), "f32") or ()
        return [None if vector is None else vector.reshape(self.dimension) for vector in kept]

    def save(self, path: Path) -> None:
        """Write everything to a file.

        Raises:
            RuntimeError: it can't be written, as on a full device.
        """
        self._index.save(str(path))

    def load(self, path: Path) -> None:
        """Read what `save` wrote for the same dimension and metric.

        Raises:
            RuntimeError: the file holds something else.
        """
        self._index.load(str(path))

    def _similarities(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.metric == "euclidean":
            # Zero minus it: the negative of zero would be printed as -0.0.
            return np.float32(0) - np.sqrt(distances)
        return np.float32(1) - distances
