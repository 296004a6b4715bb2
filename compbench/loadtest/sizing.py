"""How many rows load within a time, found by loading: on from one round number to the next while that will do. Pure.

Round numbers (1, 2 and 5 times a power of ten) make two machines of about the same speed, and two runs of one machine,
stop at the same size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

# Fewer rows than this are no data set, and load in no time.
LEAST = 100
# A time that is shorter tells little about the rate.
TELLING_S = 0.5
# So far over the limit a step that was begun may take: another load would cost more than that.
OVERRUN = 1.5


class Step(NamedTuple):
    """So many rows were in after so many seconds of loading."""

    rows: int
    elapsed_s: float


def round_numbers(most: int) -> Iterator[int]:
    """Yield 100, 200, 500, 1000 and so on below `most`, then `most` itself."""
    number, factors = LEAST, (2.0, 2.5, 2.0)
    for place in range(3 * len(str(most))):
        if number >= most:
            break
        yield number
        number = round(number * factors[place % 3])
    yield most


def will_do(steps: Sequence[Step], rows: int, limit_s: float) -> bool:
    """Tell whether so many rows will be in within the limit; True as long as too little is known."""
    return not steps or steps[-1].elapsed_s < TELLING_S or foreseen_s(steps, rows) <= limit_s


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
