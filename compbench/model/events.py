"""What happens in an invocation, as it happens: one type for each kind of event, plain data that is JSON as it is.

Whoever measures tells events; the display, the run's `events.jsonl` and any later reader take them. Times (`at`) are
Unix seconds; `measurement` is the stem of the measurement's files, or empty where an event concerns the whole run.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from compbench.model.notices import Notice, Outcome, Phase
from compbench.model.sample import Sample


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    at: float
    measurement: str = ""


class RunOpened(_Event, frozen=True, kw_only=True, tag="run-opened"):
    """The run is open for writing, by this invocation; `selection` names its measurements in order."""

    run: str
    selection: list[str]
    invocation: int = 1


class RunClosed(_Event, frozen=True, kw_only=True, tag="run-closed"):
    """Every measurement of the run is made and its pages are written; nothing more is written into it."""

    run: str


class MeasurementBegan(_Event, frozen=True, kw_only=True, tag="measurement-began"):
    """A measurement begins: the `place`th of `of`; `left_s` estimates how long all that is left of them will take.

    `data` says what it is measured on.
    """

    title: str
    place: int
    of: int
    left_s: float | None = None
    data: str = ""


class PhaseBegan(_Event, frozen=True, kw_only=True, tag="phase-began"):
    """A phase begins; it lasts, or may last, `limit_s`, where that is known; `note` is what is waited for."""

    phase: Phase
    limit_s: float | None = None
    note: str = ""


class ProgressMade(_Event, frozen=True, kw_only=True, tag="progress-made"):
    """How far the phase is, told several times a second; rates in operations a second, where the driver tells them.

    `done` of `wanted` memories are loaded, or what else `work` says; `note` is what is waited for. `total_s` is how
    long the phase takes in all, where that is known or can be estimated. `system` is whose data is made, or
    whose effort is found, where there are several.
    """

    elapsed_s: float
    total_s: float | None = None
    offered_ops_s: float | None = None
    achieved_ops_s: float | None = None
    done: int | None = None
    wanted: int | None = None
    work: str = ""
    note: str = ""
    system: str = ""


class SampleTaken(_Event, frozen=True, kw_only=True, tag="sample-taken"):
    """Server, driver and machine over one sampling interval."""

    sample: Sample


class HostSecond(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a second that one host has sent; times in milliseconds, None where nothing ended."""

    completed: int
    errors: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    lag_p99_ms: float | None = None


class SecondMeasured(_Event, frozen=True, kw_only=True, tag="second-measured"):
    """A second of measuring is over; each is told once, `at` the moment when the runner heard of it.

    Attributes:
        second: counts from the start of measuring; those after the schedule's end are the drain's.
        offered: how many operations were due in it.
        completed: how many succeeded that ended in it.
        errors: how many failed, or were never sent.
        p50_ms: response times of the operations that ended in it, None where none did; likewise the next three.
        p95_ms: see above.
        p99_ms: see above.
        max_ms: see above.
        lag_p99_ms: by how much the driver itself was late.
        recall: the mean of the answers checked so far, for the eye; None: not known. The report's is of all kept ones.
        checked: how many answers these are.
        rate_ops_s: the rate that is tried, in a search for a capacity, each of whose trials counts its seconds from 0.
        hosts: each host's own part, where several send.
    """

    second: int
    offered: int
    completed: int
    errors: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    lag_p99_ms: float | None = None
    recall: float | None = None
    checked: int = 0
    rate_ops_s: float | None = None
    hosts: dict[str, HostSecond] = {}


class NoticeGiven(_Event, frozen=True, kw_only=True, tag="notice-given"):
    """A warning, once for each code and measurement."""

    notice: Notice


class OutcomeReached(_Event, frozen=True, kw_only=True, tag="outcome-reached"):
    """A measurement has ended and its capture is on disk; `figures` are the driver's, by their names, if it gave any.

    `again` tells that the measurement will be made again by itself, so that this outcome is not the last word.
    """

    outcome: Outcome
    attempt: int = 1
    again: bool = False
    figures: dict[str, float] = {}


Event = (
    RunOpened
    | RunClosed
    | MeasurementBegan
    | PhaseBegan
    | ProgressMade
    | SampleTaken
    | SecondMeasured
    | NoticeGiven
    | OutcomeReached
)
Subscriber = Callable[[Event], None]
