"""The neighbours that a data set brings with it: taken if a sample of them is right, refused with a figure if not.

Only which rows are listed counts. How near they are is computed anew, since files have squared distances, other
similarities, or none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.truth.nearest import DEPTH, Nearest, Truth
from compbench.loadtest.truth.row_blocks import row_blocks
from compbench.loadtest.workload.vectors import VectorSet
from compbench.model.errors import UserError
from compbench.model.scenario import Scenario

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# The queries whose neighbours are searched for exactly. Of a file that is wrong in a fifth of them, or for another
# metric or other rows, which is wrong in all, one is among so many with 99 %.
CHECKED = 20
_NAMES = {"cosine": "cosine", "dot": "inner product", "euclidean": "distance"}


def listed_numbers(scenario: Scenario, rows: VectorSet, queries: int, count: int) -> NDArray[np.int64] | None:
    """Return the neighbours that the set brings for that many queries, shape (queries, 64), best first, or None.

    None are of use where they are fewer than 64, or not those among exactly the rows that are searched: of a part of
    the set, or of one space of several. That each is a row of the set, the set itself has made sure.

    Raises:
        UserError: they name one row twice.
    """
    if scenario.data.memory_spaces > 1 or rows.size != count:
        return None
    known = rows.known_neighbours(queries, count)
    if known is None or len(known) < queries or known.shape[1] < DEPTH:
        return None
    numbers = np.asarray(known[:queries, :DEPTH], np.int64)
    in_order = np.sort(numbers, axis=1)
    repeated = (in_order[:, 1:] == in_order[:, :-1]).any(axis=1)
    if repeated.any():
        raise _refusal(scenario, f"those of query {np.argmax(repeated)} have one row twice", "")
    return numbers


def _refusal(scenario: Scenario, what: str, otherwise: str) -> UserError:
    """Name file and key, also where the neighbours are in the file of the rows and no key names them."""
    return UserError(
        f'{scenario.path}: data_set.neighbours: {what}: {otherwise}set data_set.neighbours = "none" to have the exact'
        " ones computed"
    )


def verified_truth(
    scenario: Scenario, rows: VectorSet, pool: Vectors, numbers: NDArray[np.int64], step: Callable[[int], None]
) -> Truth:
    """Return the listed neighbours, shape (queries, 64), with their similarities, once a sample of them is verified.

    All rows go by once: for the listed ones' similarities, and for an exact search of 20 queries. These are the same
    each time, so that a set is refused always or never.

    Args:
        scenario: whose data set it is, which an error names.
        rows: the data set.
        pool: what is searched for, shape (queries, dimension).
        numbers: the neighbours that the set lists, each a row of it.
        step: told how many rows have gone by, after each block.

    Raises:
        UserError: a neighbour of a verified query is farther than one that is not listed.
    """
    count = rows.size or 0
    checked = np.sort(np.random.default_rng(0).choice(len(pool), min(CHECKED, len(pool)), replace=False))
    search, measure = Nearest(pool[checked], rows.metric), Nearest(pool, rows.metric)
    order = np.argsort(numbers, axis=None, kind="stable")
    ascending, similarities = numbers.ravel()[order], np.empty(numbers.size, np.float32)
    for first, block in row_blocks(rows, count):
        search.take(first, block)
        begin, end = np.searchsorted(ascending, (first, first + len(block)))
        pairs = order[begin:end]
        similarities[pairs] = measure.similarities(pairs // DEPTH, block, ascending[begin:end] - first)
        step(first + len(block))
    listed = _sorted(Truth(numbers, similarities.reshape(numbers.shape), rows.metric))
    sample = Truth(listed.numbers[checked], listed.similarities[checked], rows.metric)
    _refuse_wrong(scenario, checked, sample, search.best)
    return listed


def _sorted(truth: Truth) -> Truth:
    order = np.argsort(-truth.similarities, axis=1, kind="stable")
    numbers = np.take_along_axis(truth.numbers, order, axis=1)
    return Truth(numbers, np.take_along_axis(truth.similarities, order, axis=1), truth.metric)


def _refuse_wrong(scenario: Scenario, queries: NDArray[np.intp], listed: Truth, found: Truth) -> None:
    """Compare by similarity, not by number: of rows equally near either may be listed."""
    tolerances = np.array([[found.tolerance(place)] for place in range(len(queries))])
    nearer = found.similarities > listed.similarities + tolerances
    wrong = np.flatnonzero(nearer.any(axis=1))
    if not len(wrong):
        return
    one = wrong[0]
    place = np.argmax(nearer[one])
    sign = -1 if found.metric == "euclidean" else 1
    figures = [f"{sign * truth.similarities[one, place]:.6g}" for truth in (listed, found)]
    what = (
        f"those of {len(wrong)} of {len(queries)} checked queries are wrong by {found.metric}, e.g. query"
        f" {queries[one]}: {_NAMES[found.metric]} {figures[0]} listed, {figures[1]} found at row"
        f" {found.numbers[one, place]}"
    )
    raise _refusal(scenario, what, "if they are of another metric, set data_set.metric, else ")
