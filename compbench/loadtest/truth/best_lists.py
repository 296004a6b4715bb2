"""Which rows a list of the nearest keeps, so that the same are kept however a data set was parted and in any order.

The nearer row is the one of the greater similarity as it is kept, in single precision; of rows equally near it is the
one of the lower number. That is an order without ties, so the best 64 of all rows are the best 64 of the best 64 of any
parts that cover them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from compbench.systems.api import Vectors


def best_of(numbers: NDArray[np.int64], similarities: Vectors, depth: int) -> tuple[NDArray[np.int64], Vectors]:
    """Return the best `depth` of each list, best first, shape (lists, depth), of lists of shape (lists, n >= depth)."""
    order = np.lexsort((numbers, -similarities), axis=1)[:, :depth]
    return np.take_along_axis(numbers, order, axis=1), np.take_along_axis(similarities, order, axis=1)


def perhaps_best(least: Vectors, most: Vectors, depth: int) -> NDArray[np.intp]:
    """Return the places, ascending, of all that may be among the best `depth`; of those that surely tie the first ones.

    Args:
        least: what each one's similarity is at least, as it would be kept, shape (n >= depth,).
        most: what it is at most: the same where it is known.
        depth: how many are wanted.
    """
    reached = np.partition(least, -depth)[-depth]
    tied = (least == reached) & (most == reached)
    chosen = (most >= reached) & ~tied
    chosen[np.flatnonzero(tied)[:depth]] = True
    return np.flatnonzero(chosen)
