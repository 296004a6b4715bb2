"""The edges of a scenario's graph, drawn from the seed in chunks, and the right answers of traversals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from compbench.loadtest.workload.streams import CHUNK, EDGES, stream

if TYPE_CHECKING:
    from compbench.systems.api import Pairs


def edge_chunks(count: int, average_degree: float, seed: int) -> Iterator[Pairs]:
    """Yield the edges that begin at each 1024 nodes in turn, ordered.

    How many edges begin at a node is Poisson distributed; each leads to any node with the same probability. Loops and
    repetitions are left out, so that in a small graph the average is a little lower.
    """
    for part in range(-(-count // CHUNK)):
        rng = stream(seed, EDGES, part)
        degrees = rng.poisson(average_degree, CHUNK)[: count - part * CHUNK]
        sources = np.repeat(np.arange(part * CHUNK, part * CHUNK + len(degrees)), degrees)
        targets = rng.integers(count, size=len(sources))
        distinct = np.unique(sources[sources != targets] * count + targets[sources != targets])
        yield np.stack(np.divmod(distinct, count), axis=1).astype(np.uint32)


class ExpectedGraph:
    """The whole graph as two arrays: 12 bytes an edge or less."""

    def __init__(self, count: int, average_degree: float, seed: int) -> None:
        pairs = np.concatenate([*edge_chunks(count, average_degree, seed), np.empty((0, 2), np.uint32)])
        self._starts = np.searchsorted(pairs[:, 0], np.arange(count + 1))
        self._targets = np.ascontiguousarray(pairs[:, 1])

    def __len__(self) -> int:
        return len(self._targets)

    def within(self, start: int, hops: int) -> set[int]:
        """Return the nodes that 1 to `hops` steps from `start` lead to, `start` itself left out."""
        reached, edge = {start}, {start}
        for _ in range(hops):
            edge = {target for node in edge for target in self._neighbours(node)} - reached
            reached |= edge
        return reached - {start}

    def _neighbours(self, node: int) -> list[int]:
        neighbours: list[int] = self._targets[self._starts[node] : self._starts[node + 1]].tolist()
        return neighbours
