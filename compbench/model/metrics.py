"""The figures by which measurements are shown, compared, followed and exported: one table that all of them read.

A name is the key in `results.json` and the column in `runs.csv`; its ending is the unit. Wherever a person reads a
figure, in a page, on the terminal or beside another one, the table prints it, so that it reads the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from compbench.model.result import Capacity, Details, Recall, Result

Read = Callable[[Result | None, Capacity | None], float | None]
# Where there is no figure.
NONE = "-"
_PRECISE_TO = 100


@dataclass(frozen=True)
class Gauge:
    """A figure in OpenMetrics, in base units (seconds, ratios): `value / divisor`."""

    name: str
    text: str
    divisor: float = 1.0


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes:
        name: its key, with the unit.
        label: its name for readers.
        unit: as a reader writes it.
        better: which way is an improvement.
        form: prints it, without the unit.
        read: finds it in the record of a measurement; None is not recorded.
        least_effect_pct: a smaller relative change is of no interest, whatever a test says.
        absolute: the change is judged by its difference in the figure's own unit (percentage points), not relatively.
        is_followed: whether runs are compared by it, and its history is drawn.
        gauge: its form in OpenMetrics, if it is exported.
    """

    name: str
    label: str
    unit: str
    better: Literal["lower", "higher"]
    form: Callable[[float], str]
    read: Read
    least_effect_pct: float = 5.0
    absolute: bool = False
    is_followed: bool = False
    gauge: Gauge | None = None

    @property
    def title(self) -> str:
        """Return its name for readers, with its unit."""
        return f"{self.label}, {self.unit}"

    def in_words(self, value: float) -> str:
        """Return the figure within a line of several: `P99 1.25 ms`, `1000 ops/s`, `0.10 % errors`."""
        if self is THROUGHPUT:
            return self.shown(value)
        if self is RECALL_BELOW:
            return f"{self.shown(value)} of {self.label}"
        return f"{self.shown(value)} {self.label}" if self is ERRORS else f"{self.label} {self.shown(value)}"

    def number(self, value: float | None) -> str:
        """Return a measured figure as a person reads it, where its unit stands beside it; `-` if there is none."""
        return NONE if value is None else self.form(value)

    def shown(self, value: float | None) -> str:
        """Return a measured figure as a person reads it, with its unit; `-` if there is none."""
        return NONE if value is None else f"{self.form(value)} {self.unit}"

    def is_worse(self, change: float) -> bool:
        """Tell whether a change of the figure by so much, not zero, is one for the worse."""
        return (change > 0) == (self.better == "lower")


def given(value: float | None) -> str:
    """Return a figure that was set or published, in the digits that it was given; `-` if there is none."""
    return NONE if value is None else f"{value:.10g}"


def change_pct(value: float | None) -> str:
    """Return a relative change in per cent as a person reads it: `+12.0 %`; `-` if there is none."""
    return NONE if value is None else f"{value:+.1f} %"


def _two_decimals(value: float) -> str:
    return f"{value:.2f}"


def _whole(value: float) -> str:
    """Return a rate as a whole number, but with three digits if it is so low that they matter."""
    return f"{value:.0f}" if value >= _PRECISE_TO else f"{value:.3g}"


def _of_result(find: Callable[[Result], float | None]) -> Read:
    """Return the reader of a figure of a measured load."""
    return lambda result, _: find(result) if result else None


def _of_details(find: Callable[[Details], float | None]) -> Read:
    """Return the reader of a figure that only compbench's driver tells."""
    return _of_result(lambda result: find(result.details) if result.details else None)


def _of_recall(find: Callable[[Recall], float | None]) -> Read:
    """Return the reader of a share of the checked searches, in per cent."""

    def read(result: Result) -> float | None:
        share = find(result.recall) if result.recall else None
        return None if share is None else 100 * share

    return _of_result(read)


P50 = Metric(
    "p50_latency_ms",
    "P50",
    "ms",
    "lower",
    _two_decimals,
    _of_result(lambda result: result.p50_latency_ms),
    gauge=Gauge("compbench_p50_latency_seconds", "Median response time", 1000),
)
P95 = Metric("p95_latency_ms", "P95", "ms", "lower", _two_decimals, _of_result(lambda result: result.p95_latency_ms))
# A regression is more than 5 % of latency or throughput, or 5 percentage points of errors (ENGRAM's performance
# checks). Recall is near 100 %, where one per cent of it is many wrong answers.
P99 = Metric(
    "p99_latency_ms",
    "P99",
    "ms",
    "lower",
    _two_decimals,
    _of_result(lambda result: result.p99_latency_ms),
    is_followed=True,
    gauge=Gauge("compbench_p99_latency_seconds", "99th percentile of response time", 1000),
)
P999 = Metric(
    "p999_latency_ms",
    "P99.9",
    "ms",
    "lower",
    _two_decimals,
    _of_details(lambda details: details.response_time_ms.p999 if details.response_time_ms else None),
)
# How long the server took once a request was sent: without the waiting before.
SERVICE_P50 = Metric(
    "service_p50_ms",
    "service P50",
    "ms",
    "lower",
    _two_decimals,
    _of_details(lambda details: details.service_time_ms.p50 if details.service_time_ms else None),
)
SERVICE_P99 = Metric(
    "service_p99_ms",
    "service P99",
    "ms",
    "lower",
    _two_decimals,
    _of_details(lambda details: details.service_time_ms.p99 if details.service_time_ms else None),
)
THROUGHPUT = Metric(
    "throughput_ops_s",
    "throughput",
    "ops/s",
    "higher",
    _whole,
    _of_result(lambda result: result.throughput_ops_s),
    is_followed=True,
    gauge=Gauge("compbench_throughput_operations_per_second", "Operations answered, at a fixed rate"),
)
RECALL = Metric(
    "recall_pct",
    "recall",
    "%",
    "higher",
    _two_decimals,
    _of_recall(lambda recall: recall.reached),
    least_effect_pct=1.0,
    absolute=True,
    is_followed=True,
    gauge=Gauge("compbench_recall_ratio", "Share of the true neighbours that were found", 100),
)
# The tail that a mean hides. A 5th percentile is coarse, its values a fifth apart at k = 5: less than five percentage
# points are no change.
RECALL_P5 = Metric(
    "recall_p5_pct",
    "recall P5",
    "%",
    "higher",
    _two_decimals,
    _of_recall(lambda recall: recall.p5),
    absolute=True,
    is_followed=True,
    gauge=Gauge("compbench_recall_p5_ratio", "Share of the true neighbours that 95 % of the searches found", 100),
)
RECALL_BELOW = Metric(
    "recall_below_080_pct",
    "searches below recall 0.8",
    "%",
    "lower",
    _two_decimals,
    _of_recall(lambda recall: recall.below_080),
    absolute=True,
    is_followed=True,
    gauge=Gauge("compbench_recall_below_080_ratio", "Share of the searches that found less than 80 %", 100),
)
ERRORS = Metric(
    "error_rate_pct",
    "errors",
    "%",
    "lower",
    _two_decimals,
    _of_result(lambda result: 100 * result.error_fraction),
    absolute=True,
    is_followed=True,
    gauge=Gauge("compbench_error_ratio", "Share of operations that failed", 100),
)
CAPACITY = Metric(
    "capacity_ops_s",
    "capacity",
    "ops/s",
    "higher",
    _whole,
    lambda _, capacity: capacity.low_ops_s if capacity else None,
    is_followed=True,
    gauge=Gauge("compbench_capacity_operations_per_second", "Highest rate sustained within the limits"),
)
OFFERED = Metric(
    "offered_ops_s", "offered", "ops/s", "higher", _whole, _of_details(lambda details: details.offered_ops_s)
)
# An empty request's, right after the load and at its rate: what of a latency is the way there and back, and no search.
ROUND_TRIP_P50 = Metric(
    "round_trip_p50_ms",
    "round trip P50",
    "ms",
    "lower",
    _two_decimals,
    _of_details(lambda details: details.floor.p50_ms if details.floor else None),
)
ROUND_TRIP_P99 = Metric(
    "round_trip_p99_ms",
    "round trip P99",
    "ms",
    "lower",
    _two_decimals,
    _of_details(lambda details: details.floor.p99_ms if details.floor else None),
)
ROUND_TRIP = (ROUND_TRIP_P50, ROUND_TRIP_P99)
ALL = (P50, P95, P99, P999, OFFERED, THROUGHPUT, RECALL, RECALL_P5, RECALL_BELOW, ERRORS, CAPACITY, *ROUND_TRIP)
# Whose spread a study of noise tells.
STUDIED = (P50, P99, P999, SERVICE_P50, SERVICE_P99, THROUGHPUT, RECALL)
FOLLOWED = tuple(metric for metric in ALL if metric.is_followed)


def figures_of(result: Result | None, capacity: Capacity | None = None) -> dict[str, float | None]:
    """Return every figure of a measurement by name; None is not recorded."""
    return {metric.name: metric.read(result, capacity) for metric in ALL}
