"""The lines that live on a terminal: how far the phase is, and below it the seconds that were measured so far.

Imports rich, which takes a tenth of a second that only a terminal pays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from compbench.cli.sparkline import ASCII, BLOCKS, SecondsSeen

# Under the beginning of the phase's own line, where there is room for that.
_INDENT = 6
_WIDE = 70


class LivingLines(Progress):
    """One phase's progress, redrawn when it is told to, and the seconds seen so far."""

    def __init__(self, console: Console, seconds: SecondsSeen) -> None:
        self._terminal, self._seconds = console, seconds
        columns = (TextColumn("{task.fields[place]}"), BarColumn(bar_width=24), TextColumn("{task.fields[text]}"))
        super().__init__(*columns, console=console, auto_refresh=False, transient=True)
        self._phase_task = self.add_task("", place="", text="")

    def show(self, place: str, text: str, bar: dict[str, Any]) -> None:
        """Draw the lines anew."""
        self.update(self._phase_task, place=place, text=text, **bar)
        self.refresh()

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the line of the phase, and that of the seconds if there are any."""
        yield from super().get_renderables()
        indent = _INDENT if self._terminal.width >= _WIDE else 0
        marks = ASCII if self._terminal.options.ascii_only else BLOCKS
        if line := self._seconds.line(self._terminal.width - indent - 1, marks):
            yield Text(" " * indent + line, no_wrap=True, overflow="crop")
