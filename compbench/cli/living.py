"""The lines that live on a terminal: how far the phase is, and below it the seconds that were measured so far.

Imports rich, which takes a tenth of a second that only a terminal pays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.text import Text

from compbench.cli.sparkline import ASCII, BLOCKS, SecondsSeen

# Under the beginning of the phase's own line, where there is room for that.
_INDENT = 6
_INDENTED_FROM = 70
# How long the bar is in a terminal of at least so many columns; in a narrower one there is none.
_BARS = ((112, 24), (76, 10))


class LivingLines(Progress):
    """One phase's progress, redrawn when it is told to, and the seconds seen so far."""

    def __init__(self, console: Console, seconds: SecondsSeen) -> None:
        self._terminal, self._seconds = console, seconds
        super().__init__(console=console, auto_refresh=False, transient=True)
        self._phase_task = self.add_task("", place="", text="")

    def show(self, place: str, text: str, bar: dict[str, Any]) -> None:
        """Draw the lines anew, for the width that the terminal has now."""
        bar_width = next((length for least, length in _BARS if self._terminal.width >= least), 0)
        words: list[ProgressColumn] = [TextColumn(f"{{task.fields[{name}]}}") for name in ("place", "text")]
        self.columns = (words[0], BarColumn(bar_width), words[1]) if bar_width else tuple(words)
        taken = len(place) + 1 + (bar_width + 1 if bar_width else 0)
        self.update(self._phase_task, place=place, text=fitting(text, self._terminal.width - taken), **bar)
        self.refresh()

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the line of the phase, and that of the seconds if there are any."""
        yield from super().get_renderables()
        indent = _INDENT if self._terminal.width >= _INDENTED_FROM else 0
        marks = ASCII if self._terminal.options.ascii_only else BLOCKS
        if line := self._seconds.line(self._terminal.width - indent - 1, marks):
            yield Text(" " * indent + line, no_wrap=True, overflow="crop")


def fitting(text: str, width: int) -> str:
    """Return a text of parts between commas without those at its end for which there is no room."""
    parts = text.split(", ")
    while len(parts) > 1 and len(", ".join(parts)) > width:
        parts.pop()
    return ", ".join(parts)
