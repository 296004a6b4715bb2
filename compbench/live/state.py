"""What a run's events amount to: where it is, what it has found, and the seconds of the measurement under way.

Pure. Events come as the lines of `events.jsonl` say them; what is not known is passed over.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from compbench.live.board import Board, BoardRow
from compbench.live.told import ToldEvent, count_told, moment_told, names_told, nested_told, number_told, words_told

_MOST_NOTICES = 200
_MEGABYTE = 1e6


class BegunMeasurement(NamedTuple):
    """A measurement that has begun, as it was told."""

    name: str
    title: str
    place: int
    of: int
    at: float
    left_s: float | None
    data: str


class BegunPhase(NamedTuple):
    """A phase that has begun: of a measurement, or, before all of them, of the making of a scenario's data."""

    of: str
    name: str
    at: float
    limit_s: float | None
    note: str


class ReachedOutcome(NamedTuple):
    """How a measurement has ended; `figures` are by the names of `model.metrics`."""

    measurement: str
    verdict: str
    reason: str
    attempt: int
    is_made_again: bool
    figures: dict[str, float]


class ToldNotice(NamedTuple):
    """A warning, and of which measurement it is; empty if of the run."""

    measurement: str
    text: str


class RunState:
    """A run as its events tell it; rows by the second go to the board at once.

    `limit_s` is how long the measurement lasts whose rows these are, None if that is not known; `news` is the newest of
    what is read aloud to somebody who does not see the page.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.selection: list[str] = []
        self.invocation = 0
        self.opened_at = 0.0
        self.last_at = 0.0
        self.measurement: BegunMeasurement | None = None
        self.phase: BegunPhase | None = None
        self.progress: ToldEvent = {}
        self.outcomes: dict[str, ReachedOutcome] = {}
        self.notices: deque[ToldNotice] = deque(maxlen=_MOST_NOTICES)
        self.limit_s: float | None = None
        self.news = ""
        self._is_fresh = True
        self._trial_began_s = 0.0
        self._takers = {
            "run-opened": self._open,
            "run-closed": self._close,
            "measurement-began": self._begin_measurement,
            "phase-began": self._begin_phase,
            "progress-made": self._make_progress,
            "second-measured": self._measure_second,
            "sample-taken": self._take_sample,
            "notice-given": self._give_notice,
            "outcome-reached": self._reach_outcome,
        }
        for name in ("seconds", "rates", "samples"):
            board.begin(name, "")

    def apply(self, event: ToldEvent) -> None:
        """Take note of an event; one of a kind that is not known only tells that somebody is at work."""
        self.last_at = moment_told(event, "at") or self.last_at
        if taker := self._takers.get(words_told(event, "event")):
            taker(event)

    def is_under_way(self, measurement: str) -> bool:
        """Tell whether a measurement has begun and not ended."""
        return self.measurement is not None and self.measurement.name == measurement

    def _open(self, event: ToldEvent) -> None:
        """Begin anew where an earlier invocation was interrupted: what it had under way is not any more."""
        self.selection = names_told(event, "selection")
        self.invocation = count_told(event, "invocation") or 1
        self.opened_at = self.last_at
        self.measurement, self.phase, self.progress = None, None, {}

    def _close(self, _event: ToldEvent) -> None:
        self.measurement, self.phase, self.progress = None, None, {}

    def _begin_measurement(self, event: ToldEvent) -> None:
        self.measurement = BegunMeasurement(
            name=words_told(event, "measurement"),
            title=words_told(event, "title"),
            place=count_told(event, "place"),
            of=count_told(event, "of"),
            at=self.last_at,
            left_s=number_told(event, "left_s"),
            data=words_told(event, "data"),
        )
        self.phase, self.progress = None, {}
        self.news = f"{self.measurement.name} begins, {self.measurement.place} of {self.measurement.of}."

    def _begin_phase(self, event: ToldEvent) -> None:
        self.phase = BegunPhase(
            of=words_told(event, "measurement"),
            name=words_told(event, "phase"),
            at=self.last_at,
            limit_s=number_told(event, "limit_s"),
            note=words_told(event, "note"),
        )
        self.progress = {}
        if self.phase.name == "measure":
            # What was measured last stays in sight until there is something new.
            self._is_fresh, self.limit_s = True, self.phase.limit_s

    def _make_progress(self, event: ToldEvent) -> None:
        self.progress = event
        offered, achieved = number_told(event, "offered_ops_s"), number_told(event, "achieved_ops_s")
        elapsed_s = number_told(event, "elapsed_s")
        if self.phase and self.phase.name == "measure" and achieved is not None and elapsed_s is not None:
            self._add("rates", event, {"s": round(elapsed_s, 1), "offered": offered, "achieved": achieved})

    def _measure_second(self, event: ToldEvent) -> None:
        row: BoardRow = {
            "offered": count_told(event, "offered"),
            "achieved": count_told(event, "completed"),
            "errors": count_told(event, "errors"),
            "p50": number_told(event, "p50_ms"),
            "p95": number_told(event, "p95_ms"),
            "p99": number_told(event, "p99_ms"),
            "max": number_told(event, "max_ms"),
            "lag": number_told(event, "lag_p99_ms"),
            "recall": number_told(event, "recall"),
            "checked": count_told(event, "checked"),
            "hosts": {
                name: _host_row(nested_told(hosts, name)) for hosts in [nested_told(event, "hosts")] for name in hosts
            },
        }
        self._add("seconds", event, {"s": self._second_of(event), **row})

    def _second_of(self, event: ToldEvent) -> float:
        """Return the second of the measurement; each trial of a search tells its own from 0 again."""
        second, last = number_told(event, "second") or 0.0, self.board.last_row("seconds")
        if self._is_fresh or last is None:
            self._trial_began_s = 0.0
        elif second + self._trial_began_s <= last["s"]:
            self._trial_began_s = last["s"] + 1
        return second + self._trial_began_s

    def _take_sample(self, event: ToldEvent) -> None:
        sample = nested_told(event, "sample")
        shares = {
            "server": "cpu_pct",
            "driver": "driver_cpu_pct",
            "io_wait": "io_wait_pct",
            "stolen": "steal_pct",
            "cpu_some": "cpu_some_pct",
            "memory_some": "memory_some_pct",
            "io_some": "io_some_pct",
            "machine_memory": "machine_memory_pct",
        }
        row: BoardRow = {"s": round(number_told(sample, "elapsed_s") or 0.0, 1)}
        row |= {name: number_told(sample, field) for name, field in shares.items()}
        for name, field in {"server_mb": "memory_bytes", "driver_mb": "driver_memory_bytes"}.items():
            held_bytes = number_told(sample, field)
            row[name] = None if held_bytes is None else round(held_bytes / _MEGABYTE, 1)
        self._add("samples", event, row)

    def _give_notice(self, event: ToldEvent) -> None:
        notice = ToldNotice(words_told(event, "measurement"), words_told(nested_told(event, "notice"), "text"))
        self.notices.append(notice)
        self.news = f"Warning: {notice.text}"

    def _reach_outcome(self, event: ToldEvent) -> None:
        name, outcome = words_told(event, "measurement"), nested_told(event, "outcome")
        figures = nested_told(event, "figures")
        known = {key: value for key in figures if (value := number_told(figures, key)) is not None}
        self.news = f"{name}: {words_told(outcome, 'verdict')}."
        self.outcomes.pop(name, None)  # the newest stands last
        self.outcomes[name] = ReachedOutcome(
            measurement=name,
            verdict=words_told(outcome, "verdict"),
            reason=words_told(outcome, "reason"),
            attempt=count_told(event, "attempt") or 1,
            is_made_again=event.get("again") is True,
            figures=known,
        )
        if self.is_under_way(name):
            self.measurement, self.phase, self.progress = None, None, {}

    def _add(self, series: str, event: ToldEvent, row: BoardRow) -> None:
        if self._is_fresh:
            for name in ("seconds", "rates", "samples"):
                self.board.begin(name, words_told(event, "measurement"))
            self._is_fresh = False
        self.board.append(series, row)


def _host_row(host: ToldEvent) -> BoardRow:
    return {
        "achieved": count_told(host, "completed"),
        "errors": count_told(host, "errors"),
        "p50": number_told(host, "p50_ms"),
        "p99": number_told(host, "p99_ms"),
        "lag": number_told(host, "lag_p99_ms"),
    }
