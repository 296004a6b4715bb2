"""The seconds of a measurement as one line of text: the P99 of each as a row of little bars, and recall as known."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from compbench.model.events import SecondMeasured

BLOCKS = "▁▂▃▄▅▆▇█"
# For a terminal that knows ASCII alone, from little to much.
ASCII = ".:-=+*#@"
# No terminal is wider than this many bars.
_SECONDS_KEPT = 500
# Fewer bars than this show no course.
_BARS_LEAST = 8
_GAP = "  "


class SecondsSeen:
    """The seconds of the measurement under way, or of the newest trial of a search for a capacity."""

    def __init__(self) -> None:
        self._p99s: deque[float | None] = deque(maxlen=_SECONDS_KEPT)
        self._last: SecondMeasured | None = None

    def clear(self) -> None:
        """Forget all of them."""
        self._p99s.clear()
        self._last = None

    def take(self, second: SecondMeasured) -> None:
        """Take the next second; one whose number is no higher than the last one's begins another trial."""
        if self._last is not None and second.second <= self._last.second:
            self.clear()
        self._p99s.append(second.p99_ms)
        self._last = second

    def line(self, width: int, marks: str = BLOCKS) -> str:
        """Return the line, no longer than `width`; empty if there is nothing to show, or no room for it."""
        last, p99s = self._last, list(self._p99s)
        if last is None or all(value is None for value in p99s):
            return ""
        recall = "" if last.recall is None else f"recall {last.recall:.3f}"
        of = f" (of {last.checked})" if recall and last.checked else ""
        rate = "" if last.rate_ops_s is None else f"at {last.rate_ops_s:.0f}/s"
        for parts in ((rate, recall + of), (rate, recall), (recall,), ()):
            line = _with_bars(p99s, _GAP.join(filter(None, parts)), width, marks)
            if line:
                return line
        return recall if len(recall) <= width else ""


def sparkline(values: Sequence[float | None], marks: str = BLOCKS) -> str:
    """Return a mark a value, by its share of the highest one, so that what hardly changes looks so; a gap for None."""
    highest = max((value for value in values if value is not None), default=0.0)
    return "".join(" " if value is None else marks[_level(value, highest, len(marks))] for value in values)


def _level(value: float, highest: float, levels: int) -> int:
    return min(levels - 1, int(levels * value / highest)) if highest > 0 else 0


def _with_bars(p99s: list[float | None], more: str, width: int, marks: str) -> str:
    """Return the line with as many of the newest seconds as fit behind its words; empty if these are too few.

    The words come first, so that they stay where they are while bars are added.
    """
    room = width - len(_words(p99s, more)) - len(_GAP)
    if room < _BARS_LEAST:
        return ""
    shown = p99s[-room:]
    # The range is that of the bars; a shorter one can have a longer text (9.99 and 100).
    words = _words(shown, more) if any(value is not None for value in shown) else _words(p99s, more)
    return f"{words}{_GAP}{sparkline(shown, marks)}"[:width]


def _words(p99s: list[float | None], more: str) -> str:
    known = [value for value in p99s if value is not None]
    text = f"P99 {_ms(known[-1])} ms ({_ms(min(known))} to {_ms(max(known))})"
    return f"{text}{_GAP}{more}" if more else text


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - digits
