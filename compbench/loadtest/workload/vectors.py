"""Embeddings as a scenario's data set asks for them, reproducible from the seed. Knows nothing of requests.

Everything is drawn in chunks, each from a separate random stream: any part can be drawn by itself, by any process, in
any order, and needs no more memory than that part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.workload.streams import CHUNK, PREPARED, QUERIES, stream
from compbench.model.scenario import Clustered, Data, HotSpot, SimilarityMetric, Uniform

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# Spread of the vectors around the centre of a hot spot.
HOT_SPOT_STD_DEV = 0.1
# Within these, no square of a coordinate that matters leaves the range of float32, which ends at 1e-38 and 3e38.
_LEAST_LENGTH, _GREATEST_LENGTH = 1e-12, 1e18


class VectorSet(Protocol):
    """The vectors of a data set: its rows, what is searched for in it, and what a run adds to it.

    Attributes:
        dimension: of every vector.
        metric: how vectors are compared.
        size: how many rows there are, None if as many as are asked for.
    """

    dimension: int
    metric: SimilarityMetric
    size: int | None

    def rows(self, part: int) -> Vectors:
        """Return the rows from 1024 x `part` on, shape (1024, dimension), fewer at the end of a set that has one."""

    def queries(self, count: int, among: int) -> Vectors:
        """Return distinct vectors to search for among the first so many rows, shape (up to `count`, dimension)."""

    def unseen(self, rng: np.random.Generator, count: int, among: int) -> Vectors:
        """Return vectors that fit the first so many rows and are none of them, shape (count, dimension)."""

    def known_neighbours(self, count: int, among: int) -> NDArray[np.int64] | None:
        """Return the rows nearest to each of the first `count` queries among the first so many rows, best first.

        None if the set brings none. They are verified before anything is judged by them.
        """


class DistributedSet:
    """Vectors of an `embedding_distribution`, as Engram's `loadtest` knows them."""

    metric: SimilarityMetric = "cosine"
    size: int | None = None

    def __init__(self, data: Data, seed: int) -> None:
        self.dimension = data.embedding_dim
        self._seed, self._std_dev = seed, 0.0
        match data.embedding_distribution:
            case Clustered(num_clusters=count, std_dev=std_dev):
                self._centres = _centres(count, data.embedding_dim)
                self._std_dev = std_dev
            case HotSpot(center=center):
                padded = np.zeros((1, data.embedding_dim), np.float32)
                padded[0, : min(len(center), data.embedding_dim)] = center[: data.embedding_dim]
                self._centres, self._std_dev = padded, HOT_SPOT_STD_DEV
            case Uniform():
                self._centres = np.zeros((0, data.embedding_dim), np.float32)

    def rows(self, part: int) -> Vectors:
        """Return the rows from 1024 x `part` on, shape (1024, dimension)."""
        return self._draw(stream(self._seed, PREPARED, part), CHUNK)

    def queries(self, count: int, among: int) -> Vectors:
        """Return draws of the same distribution, shape (count, dimension)."""
        del among
        return self._draw(stream(self._seed, QUERIES), count)

    def unseen(self, rng: np.random.Generator, count: int, among: int) -> Vectors:
        """Return draws of the same distribution, shape (count, dimension)."""
        del among
        return self._draw(rng, count)

    def known_neighbours(self, count: int, among: int) -> None:
        """Return None: nobody has listed the neighbours of vectors that are only drawn."""

    def _draw(self, rng: np.random.Generator, count: int) -> Vectors:
        shape = (count, self.dimension)
        if not len(self._centres):
            return rng.random(shape, dtype=np.float32) * np.float32(2) - np.float32(1)
        centres = self._centres[rng.integers(len(self._centres), size=count)]
        return centres + np.float32(self._std_dev) * rng.standard_normal(shape, dtype=np.float32)


def prepared_vectors(vectors: VectorSet, count: int, first: int = 0) -> Iterator[tuple[int, Vectors]]:
    """Yield the data set's vectors from number `first` on, in order, a chunk at a time.

    A smaller data set is the beginning of a larger one.

    Yields:
        The number of the chunk's first vector, and vectors of shape (up to 1024, dimension).
    """
    for part in range(first // CHUNK, -(-count // CHUNK)):
        begin = part * CHUNK
        chunk = vectors.rows(part)
        skipped = max(0, first - begin)
        yield begin + skipped, chunk[skipped : count - begin]


def directions(rows: Vectors) -> Vectors:
    """Return the rows (n, d) scaled to length 1; a row without length stays as it is."""
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(rows, axis=1)
    scaled: Vectors = rows / np.maximum(lengths, np.float32(1e-30))[:, None]
    scale_extremes(rows, lengths, scaled)
    return scaled


def scale_extremes(rows: Vectors, lengths: Vectors, scaled: Vectors) -> None:
    """Scale those rows to length 1 whose length is not right in single precision, since its square is out of range.

    Args:
        rows: shape (n, d).
        lengths: of the rows, as found in single precision, shape (n,).
        scaled: the rows scaled by these, of which the wrong ones are replaced; a row of zeros stays one.
    """
    wrong = np.flatnonzero(~((lengths > _LEAST_LENGTH) & (lengths < _GREATEST_LENGTH)))
    if len(wrong):
        exact = rows[wrong].astype(np.float64)
        true_lengths = np.linalg.norm(exact, axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # a value that is not finite stays no number, which is told elsewhere
            scaled[wrong] = exact / np.where(true_lengths == 0, 1, true_lengths)


def _centres(count: int, dimension: int) -> Vectors:
    """Return cluster centres, shape (count, dimension); a cluster's centre is the same for every seed, as in Engram."""
    return np.stack(
        [np.random.default_rng(cluster).uniform(-1, 1, dimension).astype(np.float32) for cluster in range(count)]
    )
