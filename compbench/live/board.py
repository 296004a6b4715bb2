"""What the page shows, in named parts and series of rows, each with the revision in which it changed last.

Pure. A browser that has seen a revision gets what has changed since, one that has seen none gets everything: nothing
is lost, however long it was away.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

# A chart of more seconds would show none of them; older ones are in the run's files.
MOST_ROWS = 900

BoardRow = dict[str, Any]


class _Part(NamedTuple):
    revision: int
    value: Any


class Series:
    """Rows of one measurement; `began` is the revision in which the first one came."""

    def __init__(self, of: str, began: int) -> None:
        self.of = of
        self.began = began
        self.rows: deque[tuple[int, BoardRow]] = deque(maxlen=MOST_ROWS)

    @property
    def last(self) -> BoardRow | None:
        """Return the newest row."""
        return self.rows[-1][1] if self.rows else None


class Board:
    """The parts and series by name; `revision` counts every change."""

    def __init__(self) -> None:
        self.revision = 0
        self._parts: dict[str, _Part] = {}
        self.series: dict[str, Series] = {}

    def put(self, name: str, value: Any) -> None:
        """Show a part; one that is as it was is no change."""
        known = self._parts.get(name)
        if known is None or known.value != value:
            self._parts[name] = _Part(self._next(), value)

    def value(self, name: str) -> Any:
        """Return a part as it is shown, None if it never was."""
        known = self._parts.get(name)
        return known.value if known else None

    def begin(self, name: str, of: str) -> None:
        """Begin a series anew, of that measurement."""
        self.series[name] = Series(of, self._next())

    def append(self, name: str, row: BoardRow) -> None:
        """Add a row to a series that has begun."""
        self.series[name].rows.append((self._next(), row))

    def last_row(self, name: str) -> BoardRow | None:
        """Return the newest row of a series, None if there is none."""
        return self.series[name].last if name in self.series else None

    def since(self, revision: int) -> dict[str, Any]:
        """Return what has changed after a revision; of 0 it is everything. A `fresh` series takes the old one's place.

        Rows that came after it, but are too old to be kept by now, are left out.
        """
        parts = {name: part.value for name, part in self._parts.items() if part.revision > revision}
        series = {}
        for name, one in self.series.items():
            rows = [row for changed_in, row in one.rows if changed_in > revision]
            if rows or one.began > revision:
                series[name] = {"of": one.of, "fresh": one.began > revision, "rows": rows}
        return {"parts": parts, "series": series}

    def _next(self) -> int:
        self.revision += 1
        return self.revision
