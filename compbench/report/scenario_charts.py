"""The charts of one scenario, made from its capture, the driver's histograms and the newest search for its capacity.

`charts` knows their looks; here their series are gathered, and the moments that they mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compbench.machine import thresholds
from compbench.model.records import Capture
from compbench.model.result import TimeSeries
from compbench.model.sample import Sample
from compbench.model.scenario import Validation
from compbench.report import distributions
from compbench.report.charts import latency
from compbench.report.charts.vega import Spec
from compbench.report.elsewhere import whose_machine
from compbench.report.past.comparable import FoundCapacity

_MEGABYTE = 1e6
_LAG = "driver lag P99"


def charts_of(
    folder: Path, capture: Capture, target: Validation | None, capacity: FoundCapacity | None
) -> dict[str, Spec]:
    """Return the charts that a measurement has something to show in, by name, in the order of the page.

    Args:
        folder: the run's, where the driver's report has the histograms.
        capture: the measurement.
        target: the scenario's targets, if they are known.
        capacity: the newest search for the scenario's capacity.
    """
    marks = moments(capture.samples)
    details = capture.result.details if capture.result else None
    series = details.time_series if details else None
    limit_ms = target.expected_p99_latency_ms if target else None
    found = {
        "percentiles": latency.percentile_curve(distributions.read_curves(folder, capture), limit_ms),
        "latency": _latency(series, capture.duration_s),
        "throughput": _throughput(series, capture.duration_s),
        "cpu": _cpu(capture, marks),
        "memory": _memory(capture, marks),
        "capacity": latency.capacity_curve(capacity.facts if capacity else None),
    }
    return {name: spec for name, spec in found.items() if spec is not None}


def moments(samples: list[Sample]) -> list[tuple[float, str]]:
    """Return when a sample alone passes a limit of the monitor, and which: the marks in the charts over time.

    A warning that lasts is marked where it begins.
    """
    marks, before = [], ""
    for sample in samples:
        codes = [notice.code for notice in thresholds.notices_so_far([sample])]
        codes += ["I/O wait"] if (sample.io_wait_pct or 0) > thresholds.HIGH_IO_WAIT_PCT else []
        codes += ["stolen time"] if (sample.steal_pct or 0) > thresholds.STEAL_PCT else []
        found = ", ".join(codes)
        if found and found != before:
            marks.append((round(sample.elapsed_s, 1), found))
        before = found
    return marks


def _latency(recorded: TimeSeries | None, duration_s: float) -> Spec | None:
    """Return response times to the last answer, but the driver's lag only until the last request."""
    if recorded is None:
        return None
    columns = {
        "P50": recorded.response_p50_ms,
        "P99": recorded.response_p99_ms,
        "maximum": recorded.response_max_ms,
        _LAG: recorded.lag_p99_ms,
    }
    series = {name: _positive(_points(recorded, column)) for name, column in columns.items() if column}
    if lag := series.get(_LAG):
        series[_LAG] = [(s, value) for s, value in lag if s <= duration_s]
    return latency.over_time(series, "ms", log=True)


def _throughput(recorded: TimeSeries | None, duration_s: float) -> Spec | None:
    """Return operations a second while requests were sent; late answers after that would look like a collapse."""
    if recorded is None:
        return None
    columns = {"offered": recorded.offered, "completed": recorded.completed, "errors": recorded.errors}
    interval_s = recorded.interval_s
    series = {
        name: [(s, None if v is None else v / interval_s) for s, v in _points(recorded, column) if s <= duration_s]
        for name, column in columns.items()
        if column
    }
    return latency.over_time(series, "operations per second")


def _cpu(capture: Capture, marks: Sequence[tuple[float, str]]) -> Spec | None:
    whose = whose_machine(capture)
    names = {
        "server CPU": "cpu_pct",
        "driver CPU": "driver_cpu_pct",
        f"{whose}I/O wait": "io_wait_pct",
        f"{whose}stolen": "steal_pct",
    }
    series = {
        shown: [(round(sample.elapsed_s, 1), getattr(sample, name)) for sample in capture.samples]
        for shown, name in names.items()
    }
    return latency.over_time(_with_values(series), "per cent", marks=marks)


def _memory(capture: Capture, marks: Sequence[tuple[float, str]]) -> Spec | None:
    swap = f"{whose_machine(capture)}swap in use"
    names = {"server": "memory_bytes", "driver": "driver_memory_bytes", swap: "swap_used_bytes"}
    series = {
        shown: [
            (round(s.elapsed_s, 1), None if (value := getattr(s, name)) is None else value / _MEGABYTE)
            for s in capture.samples
        ]
        for shown, name in names.items()
    }
    return latency.over_time(_with_values(series), "MB", marks=marks)


def _points(recorded: TimeSeries, column: Sequence[float | None]) -> list[tuple[float, float | None]]:
    """Return one figure of the driver's time series with the second at which each interval ends."""
    return [((number + 1) * recorded.interval_s, value) for number, value in enumerate(column)]


def _positive(points: list[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """Leave out zeros, for which a logarithmic axis has no place."""
    return [(s, value if value else None) for s, value in points]


def _with_values(series: dict[str, list[tuple[float, float | None]]]) -> dict[str, list[tuple[float, float | None]]]:
    return {name: points for name, points in series.items() if any(value is not None for _, value in points)}
