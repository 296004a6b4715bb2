"""Embeddings as a scenario's data set asks for them, reproducible from the seed. Knows nothing of requests.

Everything is drawn in chunks, each from a separate random stream: any part can be drawn by itself, by any process, in
any order, and needs no more memory than that part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from compbench.loadtest.workload.streams import CHUNK, PREPARED, QUERIES, stream
from compbench.model.scenario import Clustered, Data, HotSpot, Uniform
from compbench.systems.api import Shape

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# Spread of the vectors around the centre of a hot spot.
HOT_SPOT_STD_DEV = 0.1


class VectorSource:
    """Draws vectors of a data set's distribution."""

    def __init__(self, data: Data) -> None:
        self._dimension = data.embedding_dim
        self._std_dev = 0.0
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

    def draw(self, rng: np.random.Generator, count: int) -> Vectors:
        """Return `count` vectors, shape (count, dimension)."""
        shape = (count, self._dimension)
        if not len(self._centres):
            return rng.random(shape, dtype=np.float32) * np.float32(2) - np.float32(1)
        centres = self._centres[rng.integers(len(self._centres), size=count)]
        return centres + np.float32(self._std_dev) * rng.standard_normal(shape, dtype=np.float32)


def prepared_vectors(data: Data, count: int, seed: int, first: int = 0) -> Iterator[tuple[int, Vectors]]:
    """Yield the data set's vectors from number `first` on, in order, a chunk at a time.

    A smaller data set is the beginning of a larger one.

    Yields:
        The number of the chunk's first vector, and vectors of shape (up to 1024, dimension).
    """
    source = VectorSource(data)
    for part in range(first // CHUNK, -(-count // CHUNK)):
        begin = part * CHUNK
        chunk = source.draw(stream(seed, PREPARED, part), CHUNK)
        skipped = max(0, first - begin)
        yield begin + skipped, chunk[skipped : count - begin]


def query_pool(data: Data, size: int, seed: int) -> Vectors:
    """Return the distinct vectors that searches are drawn from, shape (size, dimension)."""
    return VectorSource(data).draw(stream(seed, QUERIES), size)


def shape_of(data: Data) -> Shape:
    """Return what a system has to be made for."""
    return Shape(data.embedding_dim, data.memory_spaces)


def prepared_count(data: Data, scale: float) -> int:
    """Return how many memories of the scenario's data set are loaded at this scale: at least one."""
    return max(1, round(data.num_nodes * scale))


def directions(rows: Vectors) -> Vectors:
    """Return the rows (n, d) scaled to length 1; a row without length stays as it is."""
    scaled: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-30))
    return scaled


def _centres(count: int, dimension: int) -> Vectors:
    """Return cluster centres, shape (count, dimension); a cluster's centre is the same for every seed, as in Engram."""
    return np.stack(
        [np.random.default_rng(cluster).uniform(-1, 1, dimension).astype(np.float32) for cluster in range(count)]
    )
