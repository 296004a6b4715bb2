"""recall@k of a sample of the measured searches, and whether the answers can be meant at all.

An answer of k memories is compared with the exact k nearest prepared ones (`node-<i>`). What the run itself stored
(`load-<i>`) is left out on both sides: an answer that holds s of those is compared with the best k - s. A memory is
right if its cosine is at least that of the last one expected, less a tolerance for rounding, so that ties can't count
as wrong. Expected are only those at or above the request's threshold; a search that expects none is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.edges import ExpectedGraph
from compbench.loadtest.ground_truth import Truth
from compbench.loadtest.operations import PREPARED_PREFIX, STORED_PREFIX, TRAVERSAL_LIMIT
from compbench.loadtest.workload import Query, Workload

TOLERANCE = 1e-5
# A store that holds no more than this share of the data set is all but empty: whatever it answers, it answers quickly.
EMPTY_SHARE = 0.1
# Two queries tell apart whether an answer depends on the query if at most half of what they should find is the same.
OVERLAP_LIMIT = 0.5
PAIRS_WANTED = 20
_Z_95 = 1.96
_NODE = re.compile(rf"{PREPARED_PREFIX}(\d{{1,18}})")

Verdict = Literal["ok", "empty-store", "ignores-query", "not-checked"]
# Answers of this kind make every figure meaningless.
MEANINGLESS = ("empty-store", "ignores-query")


class Recall(NamedTuple):
    """What the checked answers were worth.

    `mean` is the mean recall of `checked` vector searches with its 95 % confidence interval (`low`, `high`; normal
    approximation), over result limits from `k_min` to `k_max`; None where it can't be told. `exact_traversals` is the
    share of `traversals` whose answer was exactly right. `answers` is the verdict on the answers as such.
    """

    answers: Verdict
    note: str = ""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    checked: int = 0
    k_min: int | None = None
    k_max: int | None = None
    traversals: int = 0
    exact_traversals: float | None = None


class _Item(msgspec.Struct):
    id: str


class _Found(msgspec.Struct):
    vivid: list[_Item] = []
    associated: list[_Item] = []
    reconstructed: list[_Item] = []


class _Answer(msgspec.Struct):
    memories: _Found


class _NotCheckableError(Exception):
    """Why the answers can't be judged."""


class _Search(NamedTuple):
    """A vector search with what was found: numbers of prepared memories, and how many other memories."""

    query: Query
    nodes: list[int]
    others: int


def check(workload: Workload, kept: Mapping[int, bytes], truth: Truth | None, stored: int | None) -> Recall:
    """Judge the kept answers.

    Args:
        workload: what was sent.
        kept: the bodies of answers, by the number of their request.
        truth: the exact neighbours of the workload's pool, None if they are not known.
        stored: how many memories the server held before the run, None if it does not tell.
    """
    if stored is not None and stored <= EMPTY_SHARE * workload.prepared:
        share = f"holds {stored} of the {workload.prepared} memories of the data set"
        return Recall("empty-store", f"the server {share}: its figures are those of an all but empty store")
    try:
        return _traversals(workload, kept) if workload.traverses else _searches(workload, kept, truth)
    except _NotCheckableError as reason:
        return Recall("not-checked", str(reason))


def missed(found: Recall, expected_recall: float | None) -> list[str]:
    """Return a line if the expected recall was asked for and not reached, or can't be told."""
    if expected_recall is None:
        return []
    reached = found.exact_traversals if found.mean is None else found.mean
    if reached is None:
        return [f"Recall can't be told ({found.note}), expected {expected_recall:.3f}"]
    return [f"Recall {reached:.3f} below target {expected_recall:.3f}"] if reached < expected_recall else []


def found_ids(body: bytes) -> list[str]:
    """Return the ids that a recall's answer holds.

    Raises:
        msgspec.DecodeError: it has not the shape of Engram's answers.
    """
    found = msgspec.json.decode(body, type=_Answer).memories
    return [item.id for item in (*found.vivid, *found.associated, *found.reconstructed)]


def _searches(workload: Workload, kept: Mapping[int, bytes], truth: Truth | None) -> Recall:
    searches = [_search(workload.query(index), body, workload.prepared) for index, body in sorted(kept.items())]
    if not searches:
        raise _NotCheckableError("no vector search was answered")
    if not any(search.nodes for search in searches):
        return Recall("empty-store", f"none of {len(searches)} checked searches found a memory of the data set")
    if truth is None:
        raise _NotCheckableError("the exact neighbours are not known: `python -m compbench.loadtest ground-truth`")
    own = [_share(truth, search.query, search) for search in searches]
    judged = [(search, share) for search, share in zip(searches, own, strict=True) if share is not None]
    if not judged:
        raise _NotCheckableError("no prepared memory is as similar as the searches asked for")
    if reason := _ignores_query(truth, judged, workload.scenario.data.memory_spaces):
        return Recall("ignores-query", reason)
    shares = np.array([share for _, share in judged])
    limits = [search.query.limit for search, _ in judged]
    half = _half_width(shares)
    mean = float(shares.mean())
    return Recall(
        "ok",
        mean=mean,
        low=max(0.0, mean - half),
        high=min(1.0, mean + half),
        checked=len(shares),
        k_min=min(limits),
        k_max=max(limits),
    )


def _search(query: Query, body: bytes, prepared: int) -> _Search:
    ids = _ids(body)
    nodes = []
    for memory_id in ids:
        match = _NODE.fullmatch(memory_id)
        if match and int(match[1]) < prepared:
            nodes.append(int(match[1]))
        elif not memory_id.startswith(STORED_PREFIX):
            raise _NotCheckableError(f"{memory_id!r} is a memory that neither `prepare` nor this run has stored")
    return _Search(query, list(dict.fromkeys(nodes)), len(ids) - len(nodes))


def _ids(body: bytes) -> list[str]:
    try:
        return found_ids(body)
    except msgspec.DecodeError as error:
        raise _NotCheckableError(f"an answer has another shape than Engram's: {error}") from None


def _share(truth: Truth, query: Query, answer: _Search) -> float | None:
    """Return the share of what the query should find that the answer holds, or None if it should find nothing."""
    right = _expected(truth, query, answer.others)
    if not right.size:
        return None
    lowest = right[-1] - TOLERANCE
    near = truth.numbers[query.number][truth.similarities[query.number] >= lowest]
    return min(len(np.intersect1d(near, answer.nodes)), len(right)) / len(right)


def _expected(truth: Truth, query: Query, others: int) -> NDArray[np.float32]:
    """Return the similarities of what the query should find besides that many other memories, descending."""
    best = truth.similarities[query.number][: max(0, query.limit - others)]
    expected: NDArray[np.float32] = best[best >= max(query.threshold, -1.0)]
    return expected


def _ignores_query(truth: Truth, judged: list[tuple[_Search, float]], spaces: int) -> str:
    """Say why the answers don't depend on the queries; empty if they do, or if that can't be told.

    An answer that depends on its query fits that query better than another one's. Each answer is judged by the query
    of the next search of its space, too; the answers are meant only if the mean gain is above 0 by its 95 %
    confidence interval.
    """
    gains = []
    judged = sorted(judged, key=lambda each: each[0].query.number % spaces)
    for (search, own), (other, _) in zip(judged, [*judged[1:], judged[0]], strict=True):
        foreign = search.query._replace(number=other.query.number)
        same_space = (search.query.number - other.query.number) % spaces == 0
        if same_space and _overlap(truth, search.query, foreign) <= OVERLAP_LIMIT:
            gains.append(own - (_share(truth, foreign, search) or 0.0))
    if len(gains) < PAIRS_WANTED or float(np.mean(gains)) - _half_width(np.array(gains)) > 0:
        return ""
    firsts = {search.nodes[0] for search, _ in judged if search.nodes}
    if len(firsts) == 1:
        return f"{len(judged)} searches with different vectors were all answered with {PREPARED_PREFIX}{firsts.pop()}"
    return (
        f"the answers to {len(judged)} searches fit other searches' vectors as well as their own"
        f" (recall {np.mean([share for _, share in judged]):.3f})"
    )


def _overlap(truth: Truth, one: Query, other: Query) -> float:
    first, second = (truth.numbers[query.number][: query.limit] for query in (one, other))
    return len(np.intersect1d(first[first >= 0], second)) / max(1, int((first >= 0).sum()))


def _traversals(workload: Workload, kept: Mapping[int, bytes]) -> Recall:
    if not kept:
        raise _NotCheckableError("no traversal was answered")
    degree = workload.scenario.graph.average_degree if workload.scenario.graph else 0.0
    graph = ExpectedGraph(workload.prepared, degree, workload.seed)
    right, found_any, expected_any = [], False, False
    for index, body in sorted(kept.items()):
        traversal, ids = workload.traversal(index), _ids(body)
        expected = {f"{PREPARED_PREFIX}{number}" for number in graph.within(traversal.start, traversal.hops)}
        right.append(len(set(ids)) == len(ids) == min(len(expected), TRAVERSAL_LIMIT) and expected.issuperset(ids))
        found_any, expected_any = found_any or bool(ids), expected_any or bool(expected)
    if expected_any and not found_any:
        return Recall("empty-store", f"none of {len(right)} checked traversals found anything", traversals=len(right))
    share = sum(right) / len(right)
    if not any(right) and len(right) >= PAIRS_WANTED:
        return Recall(
            "ignores-query", f"none of {len(right)} checked traversals was answered right", traversals=len(right)
        )
    return Recall("ok", traversals=len(right), exact_traversals=share)


def _half_width(values: NDArray[np.float64]) -> float:
    """Return half of the 95 % confidence interval of the mean."""
    return _Z_95 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def as_json(found: Recall) -> dict[str, Any]:
    """Return the record for the report: fractions, counts."""
    return found._asdict()
