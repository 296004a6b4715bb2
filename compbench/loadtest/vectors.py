"""Embeddings as a scenario's data set asks for them, reproducible from the seed. Knows nothing of requests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from compbench.scenarios import Clustered, Data, HotSpot, Uniform

Vector = NDArray[np.float32]

# Independent streams of random numbers from one seed.
PREPARED, QUERIES, DRAWS, ARRIVALS, WARM_UP, SAMPLE = range(6)
# Spread of the vectors around the centre of a hot spot.
HOT_SPOT_STD_DEV = 0.1
CHUNK = 1024


def stream(seed: int, purpose: int, chunk: int = 0) -> np.random.Generator:
    """Return the seed's random numbers for one chunk of one purpose; any two such streams are independent."""
    return np.random.default_rng([seed, purpose, chunk])


class VectorSource:
    """Draws vectors of a data set's distribution."""

    def __init__(self, data: Data, rng: np.random.Generator) -> None:
        self._rng = rng
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

    def draw(self, count: int) -> Vector:
        """Return `count` vectors, shape (count, dimension)."""
        shape = (count, self._dimension)
        if not len(self._centres):
            return self._rng.random(shape, dtype=np.float32) * np.float32(2) - np.float32(1)
        centres = self._centres[self._rng.integers(len(self._centres), size=count)]
        return centres + np.float32(self._std_dev) * self._rng.standard_normal(shape, dtype=np.float32)


def prepared_vectors(data: Data, count: int, seed: int) -> Iterator[tuple[int, Vector]]:
    """Yield the data set's vectors in order, as (number of the first one, vectors (up to 1024, dimension))."""
    source = VectorSource(data, stream(seed, PREPARED))
    for first in range(0, count, CHUNK):
        # Always a whole chunk, so that a smaller data set is the beginning of a larger one.
        yield first, source.draw(CHUNK)[: count - first]


def prepared_count(data: Data, scale: float) -> int:
    """Return how many memories of the scenario's data set are loaded at this scale: at least one."""
    return max(1, round(data.num_nodes * scale))


def _centres(count: int, dimension: int) -> Vector:
    """Return cluster centres, shape (count, dimension); a cluster's centre is the same for every seed, as in Engram."""
    return np.stack(
        [np.random.default_rng(cluster).uniform(-1, 1, dimension).astype(np.float32) for cluster in range(count)]
    )
