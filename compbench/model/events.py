"""What happens in an invocation, as it happens: one type for each kind of event, plain data that is JSON as it is.

Whoever measures tells events; the display, the run's `events.jsonl` and any later reader take them. Times (`at`) are
Unix seconds; `measurement` is the stem of the measurement's files, or empty where an event concerns the whole run.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from compbench.model.notices import Notice, Outcome, Phase
from compbench.model.sample import Sample
from compbench.model.seconds import MeasuredSecond


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


class SecondMeasured(_Event, MeasuredSecond, frozen=True, kw_only=True, tag="second-measured"):
    """A second of measuring is over, each one is told once; `at` is when that was told, not when the second ended."""


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
