"""How near rows are that an answer holds and the list of nearest rows does not: read from the set itself.

A list of 64 rows is cut inside a tie where more rows than that are as near as the last one expected. Which of them are
listed is chance, so each that is answered is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from compbench.loadtest.truth.nearest import Nearest, comparable_vectors
from compbench.loadtest.workload.streams import CHUNK
from compbench.loadtest.workload.vectors import VectorSet

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# The number of a query in the pool, and of a row.
Pair = tuple[int, int]


def similarities_of(rows: VectorSet, pool: Vectors, pairs: Iterable[Pair]) -> dict[Pair, float]:
    """Return how near each row is to its query of the pool, as `Truth` has it; each part of the set is read once.

    Raises:
        UserError: the rows can't be read.
    """
    measure = Nearest(pool, rows.metric)
    found: dict[Pair, float] = {}
    in_order = sorted(set(pairs), key=lambda pair: pair[1])
    for part, members in groupby(in_order, lambda pair: pair[1] // CHUNK):
        own = list(members)
        block = comparable_vectors(rows.rows(part), rows.metric)
        queries, numbers = np.array(own).T
        found |= zip(own, measure.similarities(queries, block, numbers - part * CHUNK).tolist(), strict=True)
    return found
