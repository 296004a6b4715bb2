"""The sizes at which loading as much of a data set as fits may stop: round numbers, or all there is. Pure.

1, 2 and 5 times a power of ten make two machines of about the same speed, and two runs of one machine, stop at the same
size.
"""

from __future__ import annotations

from collections.abc import Iterator

# Fewer rows than this are no data set, and load in no time.
LEAST = 100


def round_numbers(most: int) -> Iterator[int]:
    """Yield 100, 200, 500, 1000 and so on below `most`, then `most` itself."""
    number, factors = LEAST, (2.0, 2.5, 2.0)
    for place in range(3 * len(str(most))):
        if number >= most:
            break
        yield number
        number = round(number * factors[place % 3])
    yield most


def round_below(most: int) -> int:
    """Return the largest round number up to `most`; `most` itself if that is less than 100."""
    return max((number for number in round_numbers(most + 1) if number <= most), default=most)
