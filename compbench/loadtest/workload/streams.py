"""Independent streams of random numbers from one seed: which purposes there are, and how one is opened."""

from __future__ import annotations

import numpy as np

# Rows, edges or requests that are drawn from one stream.
CHUNK = 1024
# Of the workload.
PREPARED, QUERIES, DRAWS, ARRIVALS, WARM_UP, STORED, EDGES = range(7)
# Of the embeddings: what holds for the whole set, the rows of a chunk, and what is asked of the set.
DIRECTIONS, MEMBERS, NEAR_DUPLICATES, HELD_OUT, JITTERED, FOREIGN = range(7, 13)


def stream(seed: int, purpose: int, part: int = 0) -> np.random.Generator:
    """Return the seed's random numbers for one part of one purpose; any two streams are independent."""
    return np.random.default_rng([seed, purpose, part])
