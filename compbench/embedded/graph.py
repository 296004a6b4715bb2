"""Directed edges between numbered memories, held as two arrays, and the nodes that can be reached along them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# (edges, 2): from, to.
EdgePairs = NDArray[np.uint32]


class DirectedGraph:
    """Edges, added in any order; the arrays to walk on are made when the first walk begins."""

    def __init__(self) -> None:
        self._parts: list[EdgePairs] = []
        self._starts = np.zeros(1, np.int64)
        self._targets = np.empty(0, np.uint32)

    def __len__(self) -> int:
        return len(self._targets) + sum(len(part) for part in self._parts)

    def add(self, pairs: EdgePairs) -> None:
        """Add edges; an edge that is there already changes nothing but the count."""
        self._parts.append(pairs)

    def pairs(self) -> EdgePairs:
        """Return all edges, ordered by where they begin."""
        self._arrange()
        sources = np.repeat(np.arange(len(self._starts) - 1, dtype=np.uint32), np.diff(self._starts))
        return np.stack([sources, self._targets], axis=1)

    def levels(self, start: int, hops: int) -> list[list[int]]:
        """Return the nodes that are first reached after 1, 2, ... `hops` steps, ascending; without `start` itself."""
        self._arrange()
        seen, edge, found = {start}, [start], []
        for _ in range(hops):
            reached = set().union(*(self._neighbours(node) for node in edge)) - seen
            edge = sorted(reached)
            seen |= reached
            found.append(edge)
        return found

    def _neighbours(self, node: int) -> list[int]:
        if node + 1 >= len(self._starts):
            return []
        neighbours: list[int] = self._targets[self._starts[node] : self._starts[node + 1]].tolist()
        return neighbours

    def _arrange(self) -> None:
        """Sort the added edges into compressed sparse rows."""
        if not self._parts:
            return
        parts, self._parts = self._parts, []
        if len(self._targets):
            parts.append(self.pairs())
        pairs = np.concatenate(parts)
        order = np.argsort(pairs[:, 0], kind="stable")
        self._targets = np.ascontiguousarray(pairs[order, 1])
        counts = np.bincount(pairs[:, 0])
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
