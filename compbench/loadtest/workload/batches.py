"""The data set in the pieces in which it is loaded: rows of one space each, and edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compbench.loadtest.workload.edges import edge_chunks
from compbench.loadtest.workload.streams import CHUNK
from compbench.loadtest.workload.vectors import VectorSet, prepared_vectors
from compbench.model.scenario import Scenario
from compbench.systems.api import Loading

if TYPE_CHECKING:
    from compbench.systems.api import Pairs, Vectors

# Some 1 MB a request.
EDGES_A_BATCH = 131_072


class RowBatch(NamedTuple):
    """The rows `first`, `first + step` and so on, which all belong to one space; shape (n, dimension)."""

    first: int
    step: int
    vectors: Vectors


def row_batches(vectors: VectorSet, spaces: int, loading: Loading, count: int) -> Iterator[RowBatch]:
    """Yield those of the first `count` rows that are not loaded yet, ascending within each space."""
    following = [space + spaces * rows for space, rows in enumerate(loading.there)]
    for begin, chunk in prepared_vectors(vectors, count, min(following) // CHUNK * CHUNK):
        yield from sorted(_pieces(begin, chunk, following, loading.rows_at_once), key=lambda piece: piece.first)


def _pieces(begin: int, chunk: Vectors, following: list[int], at_once: int) -> Iterator[RowBatch]:
    step = len(following)
    for space, next_row in enumerate(following):
        first = max(next_row, begin + (space - begin) % step)
        rows = chunk[first - begin :: step] if first < begin + len(chunk) else chunk[:0]
        for skipped in range(0, len(rows), at_once):
            yield RowBatch(first + skipped * step, step, rows[skipped : skipped + at_once])


def edge_batches(scenario: Scenario, seed: int, count: int) -> Iterator[Pairs]:
    """Yield the graph's edges; none if the scenario has no graph."""
    if scenario.graph is None:
        return
    waiting = np.empty((0, 2), np.uint32)
    for chunk in edge_chunks(count, scenario.graph.average_degree, seed):
        waiting = np.concatenate([waiting, chunk])
        if len(waiting) >= EDGES_A_BATCH:
            yield waiting
            waiting = waiting[:0]
    if len(waiting):
        yield waiting
