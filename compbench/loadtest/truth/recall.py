"""recall@k of a sample of the measured searches, and whether the answers depend on the queries at all.

An answer of k memories is compared with the exact k nearest rows of the data set. Memories that the run itself stored
are left out on both sides: an answer that holds s of them is compared with the best k - s. A memory is right if its
similarity is at least that of the last one expected, less a tolerance for rounding (`Truth.tolerance`), so that ties
can't count as wrong. Expected are only those at or above the request's threshold; a search that expects none is left
out.

A mean hides searches that find nothing. So the tail is told, too: the recall that all but one in twenty searches
reach, and the share of searches that reach less than 0.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.truth.answers import OVERLAP_LIMIT, NotCheckableError, half_width, is_gain, numbers_in
from compbench.loadtest.truth.nearest import Truth
from compbench.loadtest.truth.traversals import check_traversals
from compbench.loadtest.workload.workload import Query, Workload
from compbench.model.result import Recall
from compbench.systems.api import STORED_FROM

# A search that finds less of its neighbours than this counts as a poor one.
POOR = 0.8
# A store that holds no more than this share of the data set is all but empty, and its quick answers mean nothing.
EMPTY_SHARE = 0.1


class _Search(NamedTuple):
    """A vector search and its answer: numbers of prepared memories, and how many other memories."""

    query: Query
    nodes: list[int]
    others: int


def check(workload: Workload, kept: Mapping[int, bytes], truth: Truth | None, stored: int | None) -> Recall:
    """Judge the kept answers.

    Args:
        workload: the requests that were sent.
        kept: the bodies of answers, by the number of their request.
        truth: the exact neighbours of the workload's pool, None if they are not known.
        stored: how many memories the server held before the run, None if it does not tell.
    """
    if stored is not None and stored <= EMPTY_SHARE * workload.prepared:
        share = f"holds {stored} of the {workload.prepared} memories of the data set"
        return Recall("empty-store", f"the server {share}: its figures are those of an all but empty store")
    try:
        return check_traversals(workload, kept) if workload.traverses else _searches(workload, kept, truth)
    except NotCheckableError as reason:
        return Recall("not-checked", str(reason))


def missed(found: Recall, expected_recall: float | None) -> list[str]:
    """Return a line if the expected recall was asked for and not reached, or can't be told."""
    if expected_recall is None:
        return []
    reached = found.reached
    if reached is None:
        return [f"Recall can't be told ({found.note}), expected {expected_recall:.3f}"]
    return [f"Recall {reached:.3f} below target {expected_recall:.3f}"] if reached < expected_recall else []


def _searches(workload: Workload, kept: Mapping[int, bytes], truth: Truth | None) -> Recall:
    searches = [
        _search(workload.query(index), numbers_in(workload.client, body), workload.prepared)
        for index, body in sorted(kept.items())
    ]
    if not searches:
        raise NotCheckableError("no vector search was answered")
    if not any(search.nodes for search in searches):
        return Recall("empty-store", f"none of {len(searches)} checked searches found a memory of the data set")
    if truth is None:
        raise NotCheckableError("the exact neighbours are not known: `python -m compbench.loadtest ground-truth`")
    own = [_share(truth, search.query, search) for search in searches]
    judged = [(search, share) for search, share in zip(searches, own, strict=True) if share is not None]
    if not judged:
        raise NotCheckableError("no prepared memory is as similar as the searches asked for")
    if reason := _ignores_query(truth, judged, workload.scenario.data.memory_spaces):
        return Recall("ignores-query", reason)
    shares = np.array([share for _, share in judged])
    limits = [search.query.limit for search, _ in judged]
    half = half_width(shares)
    mean = float(shares.mean())
    return Recall(
        "ok",
        mean=mean,
        low=max(0.0, mean - half),
        high=min(1.0, mean + half),
        # Of the observed values, not between two of them: recalls are coarse, a fifth apart at k = 5.
        p5=float(np.percentile(shares, 5, method="inverted_cdf")),
        below_080=float((shares < POOR).mean()),
        checked=len(shares),
        k_min=min(limits),
        k_max=max(limits),
    )


def _search(query: Query, numbers: list[int], prepared: int) -> _Search:
    rows = [number for number in numbers if 0 <= number < prepared]
    stored = sum(number >= STORED_FROM for number in numbers)
    if len(rows) + stored < len(numbers):
        raise NotCheckableError("an answer holds a memory that neither `prepare` nor this run has stored")
    return _Search(query, list(dict.fromkeys(rows)), stored)


def _share(truth: Truth, query: Query, answer: _Search) -> float | None:
    """Return the share of the expected memories that the answer holds, or None if none are expected."""
    right = _expected(truth, query, answer.others)
    if not right.size:
        return None
    lowest = right[-1] - truth.tolerance(query.number)
    near = truth.numbers[query.number][truth.similarities[query.number] >= lowest]
    return min(len(np.intersect1d(near, answer.nodes)), len(right)) / len(right)


def _expected(truth: Truth, query: Query, others: int) -> NDArray[np.float32]:
    """Return the similarities of the memories expected besides that many others, descending."""
    best = truth.similarities[query.number][: max(0, query.limit - others)]
    # Where there are fewer rows than that, the list ends in minus infinity.
    expected: NDArray[np.float32] = best[np.isfinite(best) & (best >= query.threshold)]
    return expected


def _ignores_query(truth: Truth, judged: list[tuple[_Search, float]], spaces: int) -> str:
    """Say why the answers don't depend on the queries; empty if they do, or if that can't be told.

    An answer that depends on its query fits that query better than another one's. Each answer is judged by the query
    of the next search of its space, too; the answers depend on their queries if the mean gain is above 0 (`is_gain`).
    """
    gains = []
    judged = sorted(judged, key=lambda each: each[0].query.number % spaces)
    for (search, own), (other, _) in zip(judged, [*judged[1:], judged[0]], strict=True):
        foreign = search.query._replace(number=other.query.number)
        same_space = (search.query.number - other.query.number) % spaces == 0
        if same_space and _overlap(truth, search.query, foreign) <= OVERLAP_LIMIT:
            gains.append(own - (_share(truth, foreign, search) or 0.0))
    if is_gain(gains):
        return ""
    firsts = {search.nodes[0] for search, _ in judged if search.nodes}
    if len(firsts) == 1:
        return f"{len(judged)} searches with different vectors were all answered with row {firsts.pop()}"
    return (
        f"the answers to {len(judged)} searches fit other searches' vectors as well as their own"
        f" (recall {np.mean([share for _, share in judged]):.3f})"
    )


def _overlap(truth: Truth, one: Query, other: Query) -> float:
    first, second = (truth.numbers[query.number][: query.limit] for query in (one, other))
    return len(np.intersect1d(first[first >= 0], second)) / max(1, int((first >= 0).sum()))
