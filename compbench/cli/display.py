"""A suite's progress for a person: a living display on a terminal, plain lines ten seconds apart in a file.

Progress goes to the stream it is given (doit's output), errors with time, scenario and phase to standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from compbench.cli.sparkline import SecondsSeen
from compbench.machine import standard_streams
from compbench.model.events import (
    Event,
    MeasurementBegan,
    NoticeGiven,
    OutcomeReached,
    PhaseBegan,
    ProgressMade,
    SecondMeasured,
)
from compbench.model.measurement import measurement_named
from compbench.model.metrics import CAPACITY, ERRORS, P50, P95, P99, RECALL, RECALL_BELOW, RECALL_P5, THROUGHPUT
from compbench.model.notices import Phase
from compbench.model.times import iso_utc, span

PLAIN_INTERVAL_S = 10.0
LIVE_INTERVAL_S = 1.0
_STYLES = {
    "passed": "bold green",
    "missed": "bold yellow",
    "failed": "bold red",
    "invalid": "bold magenta",
    "not offered": "bold",
    "warning": "yellow",
}


class Display:
    """Prints lines, keeps the live line of the phase under way, and passes errors to standard error."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self._live: Any = None
        self._console: Any = None
        self._seconds = SecondsSeen()
        self._place = ""
        self._phase: Phase | None = None
        self._limit_s: float | None = None
        self._ends_at: float | None = None
        self._shown_at = 0.0
        self._said: set[tuple[str, str]] = set()

    @property
    def is_living(self) -> bool:
        """Tell whether the stream is a terminal."""
        return bool(getattr(self.stream, "isatty", lambda: False)())

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print a line that stays; `style` colours its first word on a terminal that wants colour."""
        with standard_streams.lasting(self.stream, self._lose):
            self._print(text, style)

    def _print(self, text: str, style: str | None) -> None:
        if self.is_living and text:
            from rich.padding import Padding  # noqa: PLC0415 - costs 0.1 s that plain output and preflight need not pay
            from rich.text import Text  # noqa: PLC0415 - see above

            words = text.lstrip()
            rendered = Text(words)
            if style is not None:
                rendered.stylize(_STYLES[style], 0, len((words.split() or [""])[0]))
            # Padding, so that a long line goes on under its own beginning.
            self._rich_console().print(Padding(rendered, (0, 0, 0, len(text) - len(words)), expand=False))
        else:
            self.stream.write(f"{text}\n")
            self.stream.flush()

    def error(self, text: str, scenario: str = "", phase: str = "") -> None:
        """Print an error to standard error, with time, scenario and phase."""
        where = " ".join(filter(None, (scenario, f"[{phase}]" if phase else "")))
        with standard_streams.lasting(sys.stderr, lambda _: None):  # there is nobody left to tell
            sys.stderr.write(f"{iso_utc(time.time())} ERROR {where + ': ' if where else ''}{text}\n")
            sys.stderr.flush()

    def __call__(self, event: Event) -> None:
        """Show an event, if it is one for people."""
        match event:
            case MeasurementBegan():
                self._begin_measurement(event)
            case PhaseBegan():
                self._begin_phase(event)
            case ProgressMade():
                self._show_progress(event)
            case SecondMeasured():
                self._seconds.take(event)  # it is shown with the next progress
            case NoticeGiven():
                self._warn(event)
            case OutcomeReached():
                self._end_measurement(event)

    def _begin_measurement(self, event: MeasurementBegan) -> None:
        """Name the measurement, its place among how many, and how long they all will take if that can be told."""
        self._place = f"[{event.place}/{event.of}]"
        self._ends_at = None if event.left_s is None else self.clock() + event.left_s
        left = "" if event.left_s is None else f" (about {span(event.left_s)} left in the suite)"
        self.line(f"{self._place} {event.measurement}: {event.title}{left}")
        if event.data:
            self.line(f"      data: {event.data}")

    def _begin_phase(self, event: PhaseBegan) -> None:
        self._phase, self._limit_s = event.phase, event.limit_s
        self._shown_at = self.clock()
        self._seconds.clear()
        if self.is_living:
            self._show(ProgressMade(at=event.at, elapsed_s=0.0, note=event.note))
        elif event.phase == "quiet":
            why = f" ({event.note})" if event.note else ""
            self.line(f"      quiet: waiting until the machine is quiet, at most {event.limit_s:g} s{why}")
        elif event.phase == "measure":
            self.line(f"      measure: {event.limit_s:g} s" if event.limit_s else "      measure: until it is found")

    def _show_progress(self, progress: ProgressMade) -> None:
        """Show how far the phase is, not more often than the kind of output bears."""
        interval_s = LIVE_INTERVAL_S if self.is_living else PLAIN_INTERVAL_S
        if self.clock() - self._shown_at < interval_s:
            return
        self._shown_at = self.clock()
        self._show(progress)

    def _warn(self, event: NoticeGiven) -> None:
        """Print a warning, and a failed start that is tried again as the error that it was.

        A warning that says the same twice of one scenario, whose repeats are alike, is printed once.
        """
        notice = event.notice
        if notice.code == "start-retried":
            self.stop()
            self.error(notice.text, event.measurement, self._phase or "")
            return
        told = (measurement_named(event.measurement).scenario, notice.text)
        if told not in self._said:
            self._said.add(told)
            self.line(f"      warning: {notice.text}", "warning")

    def _end_measurement(self, event: OutcomeReached) -> None:
        """Print the result at once; why there is none goes to standard error alone."""
        self.stop()
        outcome = event.outcome
        self.line(f"      {outcome.verdict}  {headline(event)}", outcome.verdict)
        if event.again:
            others = "the others" if measurement_named(event.measurement).repeat is None else "the others of its round"
            self.line(f"      {outcome.reason}; it is made again once {others} are made")
        elif not outcome.is_measurement and outcome.verdict != "not offered":
            # Standard error stands alone, without the line of the verdict.
            invalid = "measurement invalid: " if outcome.verdict == "invalid" else ""
            self.error(f"{invalid}{outcome.reason}", event.measurement, outcome.phase or "")

    def stop(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            with standard_streams.lasting(self.stream, self._lose):
                self._live.stop()
            self._live = None

    def _lose(self, why: str) -> None:
        self._live = None
        self.error(f"the output can't be written any more ({why}); the work goes on without")

    def _show(self, progress: ProgressMade) -> None:
        text = self.describe(progress)
        if not self.is_living:
            self.line(f"      {text}")
            return
        with standard_streams.lasting(self.stream, self._lose):
            self._refresh_live(progress, text)

    def _refresh_live(self, progress: ProgressMade, text: str) -> None:
        if self._live is None:
            self._start_live()
        bar = {"total": self._limit_s, "completed": progress.elapsed_s}
        if progress.wanted and self._phase == "prepare":
            bar = {"total": progress.wanted, "completed": progress.done or 0}
        if self._phase not in ("quiet", "measure", "cooldown", "prepare"):
            bar = {"total": None, "completed": 0}
        self._live.show(self._place, text, bar)

    def describe(self, progress: ProgressMade) -> str:
        """Return one line on the phase: elapsed and remaining seconds, rates where known, the suite's ETA."""
        elapsed_s, total_s = progress.elapsed_s, progress.total_s or self._limit_s
        parts = [f"{elapsed_s:.0f}s elapsed"]
        if total_s is not None and self._phase in ("measure", "cooldown", "quiet"):
            parts.append(f"{max(0.0, total_s - elapsed_s):.0f}s left")
        if progress.wanted and self._phase == "prepare":
            parts.append(f"{progress.done or 0:,} of {progress.wanted:,} {progress.work or 'memories'}")
            if progress.total_s is not None:
                parts.append(f"about {span(max(0.0, progress.total_s - elapsed_s))} left")
        elif progress.offered_ops_s is not None and progress.achieved_ops_s is not None:
            parts.append(f"offered {progress.offered_ops_s:.0f}/s, achieved {progress.achieved_ops_s:.0f}/s")
        if progress.note:
            parts.append(f"waiting: {progress.note}")
        elif self._ends_at is not None:
            parts.append(f"suite: {span(max(0.0, self._ends_at - self.clock()))} left")
        return f"{' '.join(filter(None, (self._phase, progress.system)))}: {', '.join(parts)}"

    def _start_live(self) -> None:
        from compbench.cli.living import LivingLines  # noqa: PLC0415 - it imports rich, see line

        self._live = LivingLines(self._rich_console(), self._seconds)
        self._live.start()

    def _rich_console(self) -> Any:
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415 - see line

            self._console = Console(file=self.stream, highlight=False)
        return self._console


def headline(event: OutcomeReached) -> str:
    """Return an outcome's figures, and what was missed or where it went wrong, as one line."""
    outcome, figures = event.outcome, event.figures
    parts = []
    for metric in (P50, P95, P99, THROUGHPUT, ERRORS, RECALL, RECALL_P5, RECALL_BELOW, CAPACITY):
        if metric.name in figures:
            parts.append(metric.in_words(figures[metric.name]))
    if (outcome.is_measurement or outcome.verdict == "not offered") and outcome.reason:
        parts.append(outcome.reason)
    elif not outcome.is_measurement:
        parts.append(f"in {outcome.phase} ({outcome.code})" if outcome.phase else f"({outcome.code})")
    return "  ".join(parts)
