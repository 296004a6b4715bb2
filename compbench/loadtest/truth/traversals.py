"""Whether traversals were answered exactly right: every memory that the edges lead to, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from compbench.loadtest.truth.answers import OVERLAP_LIMIT, NotCheckableError, is_gain, numbers_in
from compbench.loadtest.workload.edges import ExpectedGraph
from compbench.loadtest.workload.operations import TRAVERSAL_LIMIT
from compbench.loadtest.workload.workload import Workload
from compbench.model.result import Recall


def check_traversals(workload: Workload, kept: Mapping[int, bytes]) -> Recall:
    """Judge the kept answers, by the number of their request, against the graph that was loaded.

    Raises:
        NotCheckableError: there are none, or they have another shape than the system's.
    """
    if not kept:
        raise NotCheckableError("no traversal was answered")
    degree = workload.scenario.graph.average_degree if workload.scenario.graph else 0.0
    graph = ExpectedGraph(workload.prepared, degree, workload.data_seed)
    walks = [_walk(workload, graph, index, body) for index, body in sorted(kept.items())]
    checked = f"{len(walks)} checked traversals"
    if any(walk.expected for walk in walks) and not any(walk.found for walk in walks):
        return Recall("empty-store", f"none of {checked} found anything", traversals=len(walks))
    gains = [
        _likeness(walk.found, walk.expected) - _likeness(walk.found, other.expected)
        for walk, other in zip(walks, [*walks[1:], walks[0]], strict=True)
        if _likeness(walk.expected, other.expected) <= OVERLAP_LIMIT
    ]
    if not is_gain(gains):
        note = f"the answers to {checked} fit other starting points as well as their own"
        return Recall("ignores-query", note, traversals=len(walks))
    right = sum(walk.is_right for walk in walks)
    return Recall("ok", traversals=len(walks), exact_traversals=right / len(walks))


class _Walk(NamedTuple):
    """A traversal with what it should and did find; right only if it is exactly that, each once."""

    expected: set[int]
    found: set[int]
    is_right: bool


def _walk(workload: Workload, graph: ExpectedGraph, index: int, body: bytes) -> _Walk:
    traversal, found = workload.traversal(index), numbers_in(workload.client, body)
    expected = graph.within(traversal.start, traversal.hops)
    is_right = len(set(found)) == len(found) == min(len(expected), TRAVERSAL_LIMIT) and expected.issuperset(found)
    return _Walk(expected, set(found), is_right)


def _likeness(one: set[int], other: set[int]) -> float:
    """Return the Jaccard index of two sets: 1 for equal ones, 0 for disjoint ones."""
    return len(one & other) / len(one | other) if one or other else 1.0
