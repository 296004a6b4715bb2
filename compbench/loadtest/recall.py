"""recall@k of a sample of the timed searches, against an exact search of the prepared data set.

Only prepared memories (`node-<i>`) count. What the run itself stored is left out on both sides: an answer of k that
holds s of those is compared with the exact best k - s prepared ones. An answer's memory is right if its exact cosine
similarity is at least that of the last one expected, less a tolerance for rounding, so that ties can't count as wrong.
Expected are only those at or above the request's threshold; a search that nothing can answer is left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.operations import PREPARED_PREFIX, STORED_PREFIX, Query
from compbench.loadtest.vectors import Vector, prepared_vectors
from compbench.scenarios import Data

SAMPLE_SIZE = 200
TOLERANCE = 1e-5
# An exact search of the sample passes the whole data set once; a large one is given up rather than waited for.
TIME_LIMIT_S = 20.0
_NODE = re.compile(rf"{PREPARED_PREFIX}(\d{{1,18}})")


class Recall(NamedTuple):
    """Mean recall@k of the `checked` searches; None with a note where it can't be told."""

    mean: float | None
    checked: int
    note: str = ""


class _Item(msgspec.Struct):
    id: str


class _Found(msgspec.Struct):
    vivid: list[_Item] = []
    associated: list[_Item] = []
    reconstructed: list[_Item] = []


class _Answer(msgspec.Struct):
    memories: _Found


def found_ids(body: bytes) -> list[str]:
    """Return the ids that a recall's answer holds.

    Raises:
        msgspec.DecodeError: it has not the shape of Engram's answers.
    """
    found = msgspec.json.decode(body, type=_Answer).memories
    return [item.id for item in (*found.vivid, *found.associated, *found.reconstructed)]


def check(answers: Sequence[tuple[Query, bytes]], data: Data, count: int, seed: int, stored: int | None) -> Recall:
    """Judge the sampled answers.

    Args:
        answers: queries and the bodies of their answers.
        data: the scenario's data set, of which `count` memories should have been prepared from `seed`.
        count: how many.
        seed: the seed.
        stored: how many memories the server held before the run, None if it does not tell.
    """
    try:
        shares = _shares(answers, data, count, seed, stored)
    except _NotCheckableError as reason:
        return Recall(None, 0, str(reason))
    return Recall(float(np.mean(shares)), len(shares))


class _NotCheckableError(Exception):
    """Why the recall of a run can't be told."""


def _shares(
    answers: Sequence[tuple[Query, bytes]], data: Data, count: int, seed: int, stored: int | None
) -> list[float]:
    if not answers:
        raise _NotCheckableError("no vector search was answered")
    if stored is not None and stored < count:
        raise _NotCheckableError(f"the server held {stored} of the {count} memories of the data set before the run")
    try:
        ids = [found_ids(body) for _, body in answers]
    except msgspec.DecodeError as error:
        raise _NotCheckableError(f"an answer has another shape than Engram's: {error}") from None
    queries = [query for query, _ in answers]
    exact = _exact_search(queries, [_prepared(found, count) for found in ids], data, count, seed)
    shares = [_share(query, len(found), answer) for query, found, answer in zip(queries, ids, exact, strict=True)]
    judged = [share for share in shares if share is not None]
    if not judged:
        raise _NotCheckableError("no prepared memory is as similar as the searches asked for")
    return judged


class _Exact(NamedTuple):
    """The exact similarities of the best prepared memories, descending, and of those in the answer."""

    best: NDArray[np.float32]
    answered: NDArray[np.float32]


def _share(query: Query, answered: int, exact: _Exact) -> float | None:
    """Return the share of the expected memories that was found, or None if none is expected."""
    own = answered - len(exact.answered)
    expected = exact.best[: query.limit - own]
    expected = expected[expected >= query.threshold]
    if not len(expected):
        return None
    right = int((exact.answered >= expected[-1] - TOLERANCE).sum())
    return min(right, len(expected)) / len(expected)


def _prepared(ids: list[str], count: int) -> list[int]:
    """Return the numbers of the prepared memories among the ids."""
    numbers = []
    for memory_id in ids:
        match = _NODE.fullmatch(memory_id)
        if match and int(match[1]) < count:
            numbers.append(int(match[1]))
        elif not memory_id.startswith(STORED_PREFIX):
            raise _NotCheckableError(f"{memory_id!r} is a memory that neither `prepare` nor this run has stored")
    return list(dict.fromkeys(numbers))


def _exact_search(queries: list[Query], nodes: list[list[int]], data: Data, count: int, seed: int) -> list[_Exact]:
    """Compare every query with every prepared memory of its space."""
    deadline = time.monotonic() + TIME_LIMIT_S
    wanted = _directions(np.stack([query.vector for query in queries]))
    spaces = np.array([query.space for query in queries])
    depth = max(query.limit for query in queries)
    best = np.full((len(queries), depth), -np.inf, np.float32)
    answered = [np.full(len(numbers), -np.inf, np.float32) for numbers in nodes]
    for first, similarity in _similarities(wanted, spaces, data, count, seed):
        best = -np.sort(-np.concatenate([best, similarity], axis=1), axis=1)[:, :depth]
        for row, numbers in enumerate(nodes):
            for place, number in enumerate(numbers):
                if first <= number < first + similarity.shape[1]:
                    answered[row][place] = similarity[row, number - first]
        if time.monotonic() > deadline:
            raise _NotCheckableError(f"an exact search of {count} memories takes longer than {TIME_LIMIT_S:.0f} s")
    return [_Exact(row[np.isfinite(row)], found) for row, found in zip(best, answered, strict=True)]


def _similarities(
    wanted: Vector, spaces: NDArray[np.int_], data: Data, count: int, seed: int
) -> Iterator[tuple[int, Vector]]:
    """Yield cosine similarities in chunks, (number of the first memory, (queries, memories)); -inf across spaces."""
    for first, chunk in prepared_vectors(data, count, seed):
        similarity = wanted @ _directions(chunk).T
        space_of = np.arange(first, first + len(chunk)) % data.memory_spaces
        similarity[spaces[:, None] != space_of[None, :]] = -np.inf
        yield first, similarity


def _directions(rows: Vector) -> Vector:
    directions: Vector = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-30))
    return directions
