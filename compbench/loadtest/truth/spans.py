"""Which rows of a data set are compared already, and which are left: ranges of row numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """The rows from number `first` on, up to `last`, which is not one of them."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """Return how many rows it has."""
        return self.last - self.first


def with_span(spans: Iterable[Span], new: Span) -> tuple[Span, ...]:
    """Return spans in order, with one more; those that touch are one. None has rows of another."""
    joined: list[Span] = []
    for span in sorted([*spans, new]):
        if joined and joined[-1].last == span.first:
            joined[-1] = Span(joined[-1].first, span.last)
        else:
            joined.append(span)
    return tuple(joined)


def rows_within(spans: Iterable[Span]) -> int:
    """Return how many rows the spans have in all."""
    return sum(span.size for span in spans)


def left_of(spans: Iterable[Span], count: int) -> tuple[Span, ...]:
    """Return the spans that are missing, in order, up to `count` rows."""
    left, reached = [], 0
    for span in [*sorted(spans), Span(count, count)]:
        if span.first > reached:
            left.append(Span(reached, span.first))
        reached = max(reached, span.last)
    return tuple(left)


def span_pieces(spans: Iterable[Span], most: int) -> Iterator[Span]:
    """Yield the spans cut into pieces of at most so many rows, that begin where multiples of it are, as far as can be.

    Pieces that begin at a multiple of a chunk draw no chunk twice.
    """
    for span in spans:
        first = span.first
        while first < span.last:
            last = min(span.last, (first // most + 1) * most)
            yield Span(first, last)
            first = last


def are_apart(spans: Iterable[Span], count: int) -> bool:
    """Tell whether these are spans of so many rows, none of which is in two of them."""
    reached = 0
    for span in sorted(spans):
        if not reached <= span.first < span.last <= count:
            return False
        reached = span.last
    return True
