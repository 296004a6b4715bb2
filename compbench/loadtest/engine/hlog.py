"""An HdrHistogram log of a run: a file that the usual HDR tools open, with the histograms of every second."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from hdrh.log import HistogramLogWriter

from compbench.loadtest.engine.histogram import Histogram
from compbench.loadtest.engine.recorder import Interval, Part
from compbench.model.errors import UserError

# Values are microseconds; the column of maxima is in milliseconds, as the format's readers expect it.
US_PER_MS = 1000.0


class HdrLog:
    """Writes interval histograms of microseconds; without a path it writes nothing.

    A line without a tag holds the response times of all operations; one tagged with an operation's label those of
    that operation; the tags `service` and `lag` hold the other two times of all operations.
    """

    def __init__(self, path: Path | None, labels: Sequence[str]) -> None:
        """Open the file.

        Raises:
            UserError: it can't be written.
        """
        self._path, self._labels = path, labels
        try:
            self._file: TextIO | None = path.open("w", encoding="ascii") if path else None
        except OSError as error:
            raise UserError(f"--hlog {path}: can't be written ({error.strerror})") from None
        self._writer = HistogramLogWriter(self._file)
        self._started_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            self._file.close()

    def start(self, in_s: float) -> None:
        """Write the head; measuring starts in so many seconds."""
        # Whole milliseconds, as the head says it: readers leave out what seems to begin before the start.
        self._started_at = round(time.time() + in_s, 3)
        if self._file:
            self._writer.output_comment("[Logged with compbench; values are microseconds]")
            self._writer.output_log_format_version()
            self._writer.output_comment(f"[StartTime: {self._started_at:.3f} (seconds since epoch)]")
            self._writer.output_legend()

    def take(self, interval: Interval, pooled: Part) -> Iterator[None]:
        """Write a second's histograms, in steps of a fraction of a millisecond each.

        Raises:
            UserError: the file can't be written.
        """
        if self._file is None or interval.number < 0 or not pooled.count:
            return
        at = self._started_at + interval.number
        self._write(self._file, "", at, pooled.times.response)
        yield
        for operation, part in sorted(interval.parts.items()):
            self._write(self._file, f"Tag={self._labels[operation]},", at, part.times.response)
            yield
        self._write(self._file, "Tag=service,", at, pooled.times.service)
        yield
        self._write(self._file, "Tag=lag,", at, pooled.times.lag)

    def _write(self, file: TextIO, tag: str, at: float, histogram: Histogram) -> None:
        # The package's writer knows no tags: they come before the line that it writes.
        try:
            file.write(tag)
            self._writer.output_interval_histogram(histogram.to_hdr(), at, at + 1, US_PER_MS)
        except OSError as error:
            raise UserError(f"--hlog {self._path}: can't be written ({error.strerror})") from None
