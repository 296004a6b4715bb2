"""What a run amounted to: histograms, the verdict on scenario and measurement, and the report as text and JSON.

Three times of each operation are kept apart: *response time* (from when it was due), *service time* (from when it
was sent), and *driver lag* (by how much the driver itself was late). Failed operations stay in the histograms of
response time, of their operation and overall: leaving them out would flatter a server that fails its slow requests.
Percentiles of all operations come from the merged histograms, never from other percentiles.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from compbench.errors import UserError
from compbench.loadtest.openloop import Times
from compbench.loadtest.operations import LABELS
from compbench.scenarios import Validation

SCHEMA = 1
HOUR_US = 3_600_000_000
DIGITS = 3
RULE = "━" * 42

# The LDBC rule: at most one operation in twenty may be sent more than a second late.
LATE_S = 1.0
LATE_FRACTION_LIMIT = 0.05
# A driver that is late is noise in the response time. Below a millisecond it doesn't matter here: on two cores that
# nobody else uses, the 99th percentile of lag was 0.11 to 0.13 ms at 1000 requests a second; a millisecond is eight
# times as much, and means that another process took the driver's core.
LAG_FLOOR_MS = 1.0
LAG_SHARE_LIMIT = 0.1


class Histograms(NamedTuple):
    """The three times of a set of operations, in microseconds."""

    response: HdrHistogram
    service: HdrHistogram
    lag: HdrHistogram


class Tallied(NamedTuple):
    """How many operations there were, how many failed, and their times."""

    total: int
    errors: int
    histograms: Histograms


class Measured(NamedTuple):
    """The measured part of a run: each operation that occurred, by label; all together; and how long it took.

    `elapsed_s` runs from the start of the measurement to its end, or to the last response if that came later.
    """

    operations: dict[str, Tallied]
    overall: Tallied
    elapsed_s: float
    late_fraction: float

    @property
    def throughput(self) -> float:
        """Return the operations a second that succeeded."""
        return (self.overall.total - self.overall.errors) / self.elapsed_s

    @property
    def error_rate(self) -> float:
        """Return the fraction of operations that failed."""
        return self.overall.errors / self.overall.total if self.overall.total else 0.0


def measure(times: Times, operations: NDArray[np.uint8], warm_up_s: float, duration_s: float) -> Measured:
    """Put what was noted after the warm-up into histograms."""
    counted = times.due >= warm_up_s
    lag = times.sent - np.fmax(times.due, times.free)
    response, service = times.done - times.due, times.done - times.sent
    tallied = {}
    for number, label in enumerate(LABELS):
        chosen = counted & (operations == number)
        if chosen.any():
            histograms = Histograms(*(_histogram(values[chosen]) for values in (response, service, lag)))
            tallied[label] = Tallied(int(chosen.sum()), int(times.failed[chosen].sum()), histograms)
    last = float(times.done[counted].max(initial=0.0)) - warm_up_s
    late = float(np.mean(lag[counted] > LATE_S)) if counted.any() else 0.0
    return Measured(tallied, _pool(tallied), max(duration_s, last), late)


def invalid_reason(measured: Measured) -> str:
    """Say why this is no measurement of the server; empty if it is one."""
    overall = measured.overall
    if not overall.total:
        return "no operation was due"
    if overall.errors == overall.total:
        return "every operation failed"
    if measured.late_fraction > LATE_FRACTION_LIMIT:
        return f"{measured.late_fraction:.1%} of the operations were sent over {LATE_S:.0f} s late by the driver"
    lag_ms = _percentile_ms(overall.histograms.lag, 99)
    response_ms = _percentile_ms(overall.histograms.response, 99)
    if lag_ms > LAG_FLOOR_MS and lag_ms > LAG_SHARE_LIMIT * response_ms:
        return (
            f"the driver's own lag has a P99 of {lag_ms:.2f}ms, over {LAG_FLOOR_MS:.0f}ms and over"
            f" {LAG_SHARE_LIMIT:.0%} of the P99 response time of {response_ms:.2f}ms: the driver lacked CPU time"
        )
    return ""


def missed_targets(measured: Measured, targets: Validation) -> list[str]:
    """Return a line for each target of the scenario that was not met."""
    lines = []
    p99_ms = _percentile_ms(measured.overall.histograms.response, 99)
    if targets.expected_p99_latency_ms is not None and p99_ms > targets.expected_p99_latency_ms:
        lines.append(f"P99 latency {p99_ms:.2f}ms exceeds target {targets.expected_p99_latency_ms:.2f}ms")
    expected = targets.expected_throughput_ops_sec
    if expected is not None and measured.throughput < expected:
        lines.append(f"Throughput {measured.throughput:.0f} ops/sec below target {expected:.0f} ops/sec")
    if targets.max_error_rate is not None and measured.error_rate > targets.max_error_rate:
        lines.append(f"Error rate {measured.error_rate:.2%} exceeds maximum {targets.max_error_rate:.2%}")
    return lines


def text_report(title: str, measured: Measured) -> str:
    """Return the report that a person reads, in the words and order of Engram's `loadtest`."""
    response = measured.overall.histograms.response
    lines = [
        f"Load Test Report: {title}",
        f"Duration: {measured.elapsed_s:.2f}s | Total Operations: {measured.overall.total}",
        RULE,
        f"Overall Throughput: {measured.throughput:.0f} ops/sec",
        f"Overall Error Rate: {measured.error_rate * 100:.2f}%",
        *(f"P{q} Latency: {_percentile_ms(response, q):.2f}ms" for q in (50, 95, 99)),
        "",
        "Per-Operation Statistics:",
        RULE,
    ]
    for label, tallied in measured.operations.items():
        response = tallied.histograms.response
        lines += [
            "",
            f"{label}:",
            f"  Count: {tallied.total}",
            f"  Throughput: {(tallied.total - tallied.errors) / measured.elapsed_s:.0f} ops/sec",
            *(f"  P{q}: {_percentile_ms(response, q):.2f}ms" for q in (50, 95, 99)),
            f"  Errors: {tallied.errors}",
        ]
    return "\n".join(lines)


def json_report(title: str, measured: Measured, facts: dict[str, Any]) -> dict[str, Any]:
    """Return `loadtest`'s JSON report; all that it lacks goes under `compbench`, after the given facts."""
    overall = measured.overall
    response = overall.histograms.response
    reason = invalid_reason(measured)
    return {
        "config_name": title,
        "elapsed_seconds": measured.elapsed_s,
        "total_operations": overall.total,
        "total_errors": overall.errors,
        "overall_throughput": measured.throughput,
        "overall_error_rate": measured.error_rate,
        **{f"p{q}_latency_ms": _percentile_ms(response, q) for q in (50, 95, 99)},
        "per_operation_stats": {label: _loadtest_stats(tallied) for label, tallied in measured.operations.items()},
        "compbench": {
            "schema": SCHEMA,
            **facts,
            **_summaries(overall.histograms),
            "late_over_1s_fraction": measured.late_fraction,
            "per_operation": {
                label: {"count": tallied.total, "errors": tallied.errors, **_summaries(tallied.histograms)}
                for label, tallied in measured.operations.items()
            },
            "histograms": {
                name: histogram.encode().decode("ascii") for name, histogram in overall.histograms._asdict().items()
            },
            "valid": not reason,
            "invalid_reason": reason or None,
        },
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole: beside its place first, then renamed.

    Raises:
        UserError: it can't be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("wb") as file:
            file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise UserError(f"--output {path}: can't be written ({error.strerror})") from None


def _histogram(seconds: NDArray[np.float64]) -> HdrHistogram:
    """Record times in microseconds, rounded up; NaN (never sent) is left out."""
    histogram = HdrHistogram(1, HOUR_US, DIGITS)
    micros = np.ceil(np.clip(seconds[~np.isnan(seconds)], 0, HOUR_US / 1e6) * 1e6).astype(np.int64)
    for value, count in zip(*(part.tolist() for part in np.unique(micros, return_counts=True)), strict=True):
        histogram.record_value(value, count)
    return histogram


def _pool(operations: dict[str, Tallied]) -> Tallied:
    merged = Histograms(*(HdrHistogram(1, HOUR_US, DIGITS) for _ in Histograms._fields))
    for tallied in operations.values():
        for into, histogram in zip(merged, tallied.histograms, strict=True):
            into.add(histogram)
    return Tallied(sum(t.total for t in operations.values()), sum(t.errors for t in operations.values()), merged)


def _percentile_ms(histogram: HdrHistogram, percentile: float) -> float:
    return float(histogram.get_value_at_percentile(percentile)) / 1000


def _summaries(histograms: Histograms) -> dict[str, dict[str, float]]:
    names = ("response_time_ms", "service_time_ms", "driver_lag_ms")
    return {name: _summary(histogram) for name, histogram in zip(names, histograms, strict=True)}


def _summary(histogram: HdrHistogram) -> dict[str, float]:
    empty = not histogram.get_total_count()
    return {
        **{f"p{q}": _percentile_ms(histogram, q) for q in (50, 90, 95, 99)},
        "p999": _percentile_ms(histogram, 99.9),
        "max": float(histogram.get_max_value()) / 1000,
        "mean": 0.0 if empty else float(histogram.get_mean_value()) / 1000,
    }


def _loadtest_stats(tallied: Tallied) -> dict[str, float]:
    response = tallied.histograms.response
    return {
        "count": tallied.total,
        "success_count": tallied.total - tallied.errors,
        "error_count": tallied.errors,
        **{f"p{q}_latency_us": int(response.get_value_at_percentile(q)) for q in (50, 95, 99)},
        "p999_latency_us": int(response.get_value_at_percentile(99.9)),
        "mean_latency_us": float(response.get_mean_value()),
        "max_latency_us": int(response.get_max_value()),
    }
