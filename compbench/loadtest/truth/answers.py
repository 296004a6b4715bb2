"""What is found out about the answers to measured requests: the record of it, and what all checks share."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compbench.systems.api import AnswerError, Client

# So many pairs tell whether answers depend on what was asked.
PAIRS_WANTED = 20
# Two requests tell it if at most half of what they should find is the same.
OVERLAP_LIMIT = 0.5
_Z_95 = 1.96
# Answers that depend on nothing reach this many standard errors once in 30,000 runs; true ones are far above it.
_STANDARD_ERRORS_WANTED = 4.0

# Answers of this kind make every figure meaningless.
MEANINGLESS = ("empty-store", "ignores-query")


class NotCheckableError(Exception):
    """Why the answers can't be judged."""


def numbers_in(client: Client, body: bytes) -> list[int]:
    """Return what an answer holds: rows of the data set, what the run stored from `STORED_FROM` on, or `UNKNOWN`.

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
