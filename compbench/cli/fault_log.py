"""The log of faults, `tmp/compbench.log`: tracebacks, which a person does not want to see and a bug report needs."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compbench.model.times import iso_utc


@dataclass(frozen=True)
class FaultLog:
    """A file that texts are added to, each with its time; `now` is the clock, in Unix seconds."""

    path: Path
    now: Callable[[], float]

    def add(self, text: str) -> None:
        """Add a text."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as log:
            log.write(f"{iso_utc(self.now())}\n{text}\n")

    def add_traceback(self) -> None:
        """Add the traceback of the exception that is being handled."""
        self.add(traceback.format_exc())
