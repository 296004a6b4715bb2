"""How many rows load within a time, found by loading: on from one round number to the next while that will do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

# A time that is shorter tells little about the rate.
TELLING_S = 0.5
# A step is begun if it is foreseen to end by the first share of the limit, and given up at the second: what is foreseen
# is not exact, and what was loaded before a step that is given up has to be loaded again without it.
BEGUN_UP_TO, GIVEN_UP_FROM = 0.9, 1.1


class Step(NamedTuple):
    """So many rows were in after so many seconds of loading."""

    rows: int
    elapsed_s: float


def will_do(steps: Sequence[Step], rows: int, limit_s: float) -> bool:
    """Tell whether so many rows will be in within the limit; True as long as too little is known."""
    return not steps or steps[-1].elapsed_s < TELLING_S or foreseen_s(steps, rows) <= BEGUN_UP_TO * limit_s


def foreseen_s(steps: Sequence[Step], rows: int) -> float:
    """Return when so many rows will be in, by the last two telling steps.

    An insert that looks at all rows takes longer with each: the time is a times the rows and b times their square,
    neither below 0. Of a single step only a is known.
    """
    last = steps[-1]
    earlier = [step for step in steps[:-1] if step.elapsed_s >= TELLING_S / 2 and step.rows < last.rows]
    if not earlier:
        return last.elapsed_s / last.rows * rows
    first = earlier[-1]
    pace_first, pace_last = first.elapsed_s / first.rows, last.elapsed_s / last.rows
    growth = max(0.0, (pace_last - pace_first) / (last.rows - first.rows))
    pace = max(0.0, pace_last - growth * last.rows)
    return pace * rows + growth * rows**2
