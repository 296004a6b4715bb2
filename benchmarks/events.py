"""What telling events costs the runner: CPU for an event in the run's record, and in the display, in the same process.

A minute of measuring is told as it is in a suite, progress four times a second, a sample and the figures of each
second, to the display on a terminal, to the display as plain lines, and to `events.jsonl`, in turn. Prints the CPU of
each for a second of measuring, and the ratio of the record to the display on a terminal (aim: at most 1).
"""

from __future__ import annotations

import contextlib
import os
import pty
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from compbench.cli.display import Display
from compbench.model.events import (
    Event,
    MeasurementBegan,
    PhaseBegan,
    ProgressMade,
    SampleTaken,
    SecondMeasured,
    Subscriber,
)
from compbench.model.sample import Sample
from compbench.store.event_log import EventLog

REPEATS = 5
SECONDS = 60
STEPS_A_SECOND = 4
BEGAN_AT = 1_000_000.0
NUMBERS = [name for name in Sample.__struct_fields__ if name != "per_core_pct"]
SAMPLE = msgspec.convert({**dict.fromkeys(NUMBERS, 12_345.0), "per_core_pct": [50.123456] * 8}, Sample, strict=False)


class Clock:
    """A clock that goes with the events."""

    now_s = BEGAN_AT

    def __call__(self) -> float:
        """Return the time of the event."""
        return self.now_s


def minute(clock: Clock) -> Iterator[Event]:
    """Yield what happens in a minute of measuring, and let the clock go with it."""
    clock.now_s = BEGAN_AT
    yield MeasurementBegan(at=BEGAN_AT, measurement="alpha", title="Alpha", place=1, of=4, left_s=240.0)
    yield PhaseBegan(at=BEGAN_AT, measurement="alpha", phase="measure", limit_s=float(SECONDS))
    for step in range(SECONDS * STEPS_A_SECOND):
        clock.now_s = BEGAN_AT + step / STEPS_A_SECOND
        progress = ProgressMade(at=clock.now_s, measurement="alpha", elapsed_s=step / STEPS_A_SECOND)
        yield msgspec.structs.replace(progress, offered_ops_s=500.0, achieved_ops_s=499.5)
        if step % STEPS_A_SECOND == 0:
            yield SampleTaken(at=clock.now_s, measurement="alpha", sample=SAMPLE)
            yield second_of(step // STEPS_A_SECOND, clock.now_s)


def second_of(number: int, at: float) -> SecondMeasured:
    """Return the figures of a second, with recall as known; no two P99s are the same."""
    figures = dict.fromkeys(("p50_ms", "p95_ms", "max_ms", "lag_p99_ms", "recall"), 0.9876)
    more = {**figures, "p99_ms": 3.0 + number % 17 / 10, "checked": 10 * number, "errors": 2}
    facts = {"at": at, "measurement": "alpha", "second": number, "offered": 1000, "completed": 998, **more}
    return msgspec.convert({"event": "second-measured", **facts}, SecondMeasured)


def spent_us(subscriber: Subscriber, clock: Clock) -> float:
    """Return the CPU time in microseconds that a second of measuring costs a subscriber."""
    spent_ns = 0
    for event in minute(clock):
        began = time.thread_time_ns()
        subscriber(event)
        spent_ns += time.thread_time_ns() - began
    return spent_ns / 1000 / SECONDS


def measure(make: Callable[[], tuple[Subscriber, Callable[[], None]]], clock: Clock) -> float:
    """Return the CPU time of a subscriber made for it, once it has been through a minute before."""
    subscriber, end = make()
    spent_us(subscriber, clock)
    spent = spent_us(subscriber, clock)
    end()
    return spent


def main() -> None:
    """Print every figure."""
    clock = Clock()
    ours, theirs = pty.openpty()
    threading.Thread(target=_read_away, args=(ours,), daemon=True).start()
    os.environ["TERM"] = "xterm-256color"
    with (
        os.fdopen(theirs, "w") as terminal,
        Path(os.devnull).open("w") as null,
        tempfile.TemporaryDirectory() as folder,
    ):

        def living() -> tuple[Subscriber, Callable[[], None]]:
            display = Display(terminal, clock)
            return display, display.stop

        def plain() -> tuple[Subscriber, Callable[[], None]]:
            return Display(null, clock), lambda: None

        def record() -> tuple[Subscriber, Callable[[], None]]:
            log = EventLog(Path(folder), print)
            return log, log.close

        rows = [[measure(make, clock) for make in (living, plain, record)] for _ in range(REPEATS)]
    for number, name in enumerate(("display on a terminal", "display in a file", "events.jsonl")):
        print(f"{name}: {statistics.median(row[number] for row in rows):.0f} us of CPU a second of measuring")
    ratio = statistics.median(row[2] / row[0] for row in rows)
    print(f"ratio of the record to the display on a terminal: {ratio:.3f} (aim: at most 1)")


def _read_away(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # Linux's word for the other end's being closed
        while os.read(descriptor, 65_536):
            pass


if __name__ == "__main__":
    main()
