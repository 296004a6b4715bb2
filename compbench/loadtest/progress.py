"""Progress as JSON lines in a file, about one a second, for the runner that started the driver."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TextIO

import msgspec
import orjson

from compbench.model.errors import UserError
from compbench.model.events import SecondMeasured

DriverPhase = Literal["prepare", "warm-up", "measure", "hold", "capacity"]


class Progress:
    """Appends lines to a file, each flushed at once; without a path it writes nothing."""

    def __init__(self, path: Path | None) -> None:
        """Open the file.

        Raises:
            UserError: it can't be written.
        """
        try:
            self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None
        except OSError as error:
            raise UserError(f"--progress {path}: can't be written ({error.strerror})") from None

    @property
    def is_wanted(self) -> bool:
        """Tell whether it is written anywhere."""
        return self._file is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def write(
        self,
        phase: DriverPhase,
        *,
        elapsed_s: float,
        total_s: float | None,
        offered_ops_s: float | None,
        operations: int,
        errors: int,
        wanted: int,
        work: str = "",
        sent: int | None = None,
    ) -> None:
        """Append one line on how far the phase is.

        `operations` are the finished ones of the phase so far, of which `errors` failed; `work` says what they are, if
        not requests. `total_s` is how long the phase takes in all, estimated where it depends on the work.
        `sent` is how many rows a load has sent by itself.
        """
        if not self._file:
            return
        line = {
            "at": time.time(),
            "phase": phase,
            "elapsed_s": round(elapsed_s, 3),
            "total_s": total_s,
            "offered_ops_s": offered_ops_s,
            "achieved_ops_s": round(operations / elapsed_s, 1) if elapsed_s > 0 else 0.0,
            "operations": operations,
            "errors": errors,
            "done": operations - errors,
            "wanted": wanted,
            **({"work": work} if work else {}),
            **({} if sent is None else {"sent": sent}),
        }
        self._append(line)

    def write_second(self, second: SecondMeasured) -> None:
        """Append a line on a second that is over; it says nothing about the phase."""
        self._append({"second": msgspec.to_builtins(second)})

    def _append(self, line: dict[str, Any]) -> None:
        if self._file:
            self._file.write(orjson.dumps(line).decode() + "\n")
            self._file.flush()
