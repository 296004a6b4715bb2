"""recall@k of a sample of the measured searches, and whether the answers depend on the queries at all.

An answer of k memories is compared with the exact k nearest rows of the data set. Memories that the run itself stored
are left out on both sides: an answer that holds s of them is compared with the best k - s. A memory is right if its
similarity is at least that of the last one expected, less a tolerance for rounding (`Truth.tolerance`), so that ties
can't count as wrong: where more rows tie than are listed, the set itself is asked (`ties`). Expected are only those at
or above the request's threshold; a search that expects none is left out. Of an answer with more memories than asked
for, the first ones count.

A mean hides searches that find nothing. So the tail is told, too: the recall that all but one in twenty searches
reach, and the share of searches that reach less than 0.8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.truth.answers import OVERLAP_LIMIT, NotCheckableError, half_width, is_gain, numbers_in
from compbench.loadtest.truth.nearest import Truth
from compbench.loadtest.truth.ties import Pair, similarities_of
from compbench.loadtest.truth.traversals import check_traversals
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.workload import Query, Workload
from compbench.model.errors import UserError
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


class _Judge(NamedTuple):
    """What answers are judged by: the lists, and how near rows are that a list cut inside a tie does not hold."""

    truth: Truth
    beyond: Mapping[Pair, float]


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
    except (NotCheckableError, UserError) as reason:
        return Recall("not-checked", str(reason))


def share_of(truth: Truth, query: Query, numbers: list[int], prepared: int) -> float | None:
    """Return the recall of one answer by itself, from the lists alone.

    None if the search expects nothing, or if only the data set could tell (`ties`).

    Raises:
        NotCheckableError: the answer holds what nobody has stored.
    """
    search = _search(query, numbers, prepared)
    if not _expected(truth, query, search.others).size or _beyond(truth, query, search):
        return None
    return _share(_Judge(truth, {}), query, search)


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
    expecting = [search for search in searches if _expected(truth, search.query, search.others).size]
    if not expecting:
        raise NotCheckableError("no prepared memory is as similar as the searches asked for")
    foreign = _foreign(truth, expecting, workload.scenario.data.memory_spaces)
    judge = _judge(workload, truth, [*((search.query, search) for search in expecting), *foreign])
    judged = [(search, _share(judge, search.query, search)) for search in expecting]
    if reason := _ignores_query(judge, judged, foreign):
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
    if not all(0 <= number < prepared or number >= STORED_FROM for number in numbers):
        raise NotCheckableError("an answer holds a memory that neither `prepare` nor this run has stored")
    counted = numbers[: query.limit]
    rows = [number for number in counted if number < prepared]
    return _Search(query, list(dict.fromkeys(rows)), len(counted) - len(rows))


def _judge(workload: Workload, truth: Truth, answers: Sequence[tuple[Query, _Search]]) -> _Judge:
    """Look at the rows that were answered beyond a list, of answers that are each judged by a query."""
    pairs = {pair for query, answer in answers for pair in _beyond(truth, query, answer)}
    if not pairs:
        return _Judge(truth, {})
    rows = open_vectors(workload.scenario, workload.data_seed)
    return _Judge(truth, similarities_of(rows, workload.pool, pairs))


def _beyond(truth: Truth, query: Query, answer: _Search) -> list[Pair]:
    """Return the answered rows that may tie with the last one expected, and that the query's list has no room for."""
    right, numbers = _expected(truth, query, answer.others), truth.numbers[query.number]
    is_cut = right.size and numbers[-1] >= 0 and truth.similarities[query.number, -1] >= _lowest(truth, query, right)
    return [(query.number, row) for row in np.setdiff1d(answer.nodes, numbers).tolist()] if is_cut else []


def _lowest(truth: Truth, query: Query, right: NDArray[np.float32]) -> float:
    return float(right[-1]) - truth.tolerance(query.number)


def _share(judge: _Judge, query: Query, answer: _Search) -> float:
    """Return the share of the expected memories that the answer holds, 0 if none are expected."""
    truth, right = judge.truth, _expected(judge.truth, query, answer.others)
    if not right.size:
        return 0.0
    lowest = _lowest(truth, query, right)
    near = truth.numbers[query.number][truth.similarities[query.number] >= lowest]
    found = len(np.intersect1d(near, answer.nodes))
    found += sum(judge.beyond.get((query.number, row), -np.inf) >= lowest for row in answer.nodes)
    return min(found, len(right)) / len(right)


def _expected(truth: Truth, query: Query, others: int) -> NDArray[np.float32]:
    """Return the similarities of the memories expected besides that many others, descending."""
    best = truth.similarities[query.number][: max(0, query.limit - others)]
    # Where there are fewer rows than that, the list ends in minus infinity.
    expected: NDArray[np.float32] = best[np.isfinite(best) & (best >= query.threshold)]
    return expected


def _foreign(truth: Truth, searches: list[_Search], spaces: int) -> list[tuple[Query, _Search]]:
    """Return each answer with the query of the next search of its space, where those two should find other rows."""
    found = []
    in_order = sorted(searches, key=lambda search: search.query.number % spaces)
    for search, other in zip(in_order, [*in_order[1:], in_order[0]], strict=True):
        query = search.query._replace(number=other.query.number)
        same_space = (search.query.number - other.query.number) % spaces == 0
        if same_space and _overlap(truth, search.query, query) <= OVERLAP_LIMIT:
            found.append((query, search))
    return found


def _ignores_query(judge: _Judge, judged: list[tuple[_Search, float]], foreign: Sequence[tuple[Query, _Search]]) -> str:
    """Say why the answers don't depend on the queries; empty if they do, or if that can't be told.

    An answer that depends on its query fits that query better than another one's. Each answer is judged by a foreign
    query, too; the answers depend on their queries if the mean gain is above 0 (`is_gain`).
    """
    gains = [_share(judge, search.query, search) - _share(judge, query, search) for query, search in foreign]
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
