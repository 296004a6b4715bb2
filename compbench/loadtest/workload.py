"""The work of a run, fixed by the seed: which operation request number i is, with which parameters and vector.

Drawn in chunks, each from a stream of its own, so that memory is bounded and any process can take any share.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from compbench.loadtest import operations, vectors
from compbench.loadtest.client import Endpoint
from compbench.loadtest.operations import COMPLETION, RECALL, SEARCH, STORE, STORED_PREFIX, Draws, Query
from compbench.loadtest.vectors import Vector, VectorSource
from compbench.scenarios import Scenario

# Some hundred microseconds are needed to draw so many vectors of 768 dimensions.
CHUNK = 16
SAMPLE_SIZE = 200
_CHUNKS_REMEMBERED = 4096


class _Chunk(NamedTuple):
    draws: Draws
    vectors: Vector
    chances: np.ndarray[tuple[int], np.dtype[np.float64]]


class Workload:
    """Requests 0 to `count` - 1, of which the first `warm_up` are not measured."""

    def __init__(
        self, scenario: Scenario, seed: int, endpoint: Endpoint, *, prepared: int, count: int, warm_up: int = 0
    ) -> None:
        self.kept: dict[int, bytes] = {}
        self.prepared = prepared
        self._scenario, self._seed, self._endpoint, self._count, self._warm_up = (
            scenario,
            seed,
            endpoint,
            count,
            warm_up,
        )
        self._spaces = operations.space_names(scenario.data.memory_spaces)
        self._keep_chance = SAMPLE_SIZE / max(1, count - warm_up)
        self._chunk = lru_cache(_CHUNKS_REMEMBERED)(self._draw)

    def operation(self, index: int) -> int:
        """Return which of `operations.LABELS` request number `index` is."""
        return int(self._chunk(index // CHUNK).draws.operations[index % CHUNK])

    def build(self, index: int) -> bytes:
        """Return the bytes of request number `index`."""
        chunk, place = self._chunk(index // CHUNK), index % CHUNK
        operation, vector = self.operation(index), chunk.vectors[place]
        name = self._spaces[int(chunk.draws.spaces[place])]
        if operation == STORE:
            return operations.store_request(self._endpoint, f"{STORED_PREFIX}{index}", vector, name)
        if operation == COMPLETION:
            return operations.completion_request(self._endpoint, vector, name)
        query = self.query(index)
        return operations.recall_request(self._endpoint, vector, query.limit, query.threshold, name)

    def keeps(self, index: int) -> bool:
        """Tell whether the answer to this request is wanted."""
        chunk, place = self._chunk(index // CHUNK), index % CHUNK
        wanted = index >= self._warm_up and self.operation(index) in {RECALL, SEARCH}
        return wanted and float(chunk.chances[place]) < self._keep_chance

    def answered(self, index: int, status: int, body: bytes) -> None:
        """Keep the answer, if it is one."""
        if status < 400:  # noqa: PLR2004 - HTTP's first error status
            self.kept[index] = body

    def query(self, index: int) -> Query:
        """Return the vector search that request number `index` is."""
        chunk, place = self._chunk(index // CHUNK), index % CHUNK
        draws = chunk.draws
        return Query(
            chunk.vectors[place], int(draws.limits[place]), float(draws.thresholds[place]), int(draws.spaces[place])
        )

    def digest(self) -> str:
        """Return the SHA-256 of every operation, parameter and vector."""
        content = hashlib.sha256()
        for number in range(-(-self._count // CHUNK)):
            chunk = self._draw(number)
            for column in (*chunk.draws, chunk.vectors):
                content.update(column[: self._count - number * CHUNK].tobytes())
        return content.hexdigest()

    def _draw(self, number: int) -> _Chunk:
        source = VectorSource(self._scenario.data, vectors.stream(self._seed, vectors.QUERIES, number))
        chances = vectors.stream(self._seed, vectors.SAMPLE, number).random(CHUNK)
        return _Chunk(operations.draw(self._scenario, CHUNK, self._seed, number), source.draw(CHUNK), chances)
