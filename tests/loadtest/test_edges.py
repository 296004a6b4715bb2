"""Edges from the seed, and what a right traversal finds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.workload.edges import ExpectedGraph, edge_chunks


def all_edges(count: int, degree: float, seed: int = 1) -> NDArray[np.uint32]:
    return np.concatenate(list(edge_chunks(count, degree, seed)))


def test_edges_are_those_of_the_seed_without_loops_or_repetitions() -> None:
    edges = all_edges(3000, 10)
    assert np.array_equal(edges, all_edges(3000, 10))
    assert not np.array_equal(edges[:1000], all_edges(3000, 10, seed=2)[:1000])
    assert (edges[:, 0] != edges[:, 1]).all()
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert edges.max() < 3000


def test_the_average_degree_is_the_one_asked_for() -> None:
    # Poisson: five standard deviations of the mean over 100,000 nodes, and less than one in 5000 is lost to repetition.
    assert abs(len(all_edges(100_000, 10)) / 100_000 - 10) < 5 * (10 / 100_000) ** 0.5 + 0.002


def test_within_agrees_with_a_walk_over_all_edges() -> None:
    edges = all_edges(300, 4).tolist()
    graph = ExpectedGraph(300, 4, 1)
    assert len(graph) == len(edges)
    for start in range(50):
        one = {target for source, target in edges if source == start}
        two = one | {target for source, target in edges if source in one}
        assert graph.within(start, 1) == one - {start}
        assert graph.within(start, 2) == two - {start}
