"""Checks of the answers to measured requests: what all of them share."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compbench.systems.api import AnswerError, Client

# So many pairs are enough to see whether answers depend on the query.
PAIRS_WANTED = 20
# Two requests tell it if at most half of what they should find is the same.
OVERLAP_LIMIT = 0.5
_Z_95 = 1.96
# Answers that depend on nothing reach this many standard errors once in 30,000 runs; true ones are far above it.
_STANDARD_ERRORS_WANTED = 4.0

# Answers of this kind make every figure meaningless.
MEANINGLESS = ("empty-store", "ignores-query")


class NotCheckableError(Exception):
    """The answers can't be judged; the text says why."""


def numbers_in(client: Client, body: bytes) -> list[int]:
    """Return the numbers in an answer: rows of the data set, memories of the run from `STORED_FROM` on, `UNKNOWN`.

    Raises:
        NotCheckableError: it has not the shape of the system's answers.
    """
    try:
        return client.ids(body)
    except AnswerError as error:
        raise NotCheckableError(str(error)) from None


def is_gain(gains: list[float]) -> bool:
    """Tell whether the mean is above 0 by four standard errors; too few values are no ground for suspicion."""
    if len(gains) < PAIRS_WANTED:
        return True
    standard_error = half_width(np.array(gains)) / _Z_95
    return float(np.mean(gains)) > _STANDARD_ERRORS_WANTED * standard_error


def half_width(values: NDArray[np.float64]) -> float:
    """Return half of the 95 % confidence interval of the mean."""
    return _Z_95 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
