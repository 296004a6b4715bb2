"""What the report page shows of a run, gathered from its manifest, captures and files; `page` puts it into words.

Reads the drivers' histograms and a capacity result, if there is one; everything else is given. Draws nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compbench.model import file_names
from compbench.model.metrics import P99, THROUGHPUT, figures_of
from compbench.model.records import Capture, Manifest
from compbench.model.result import Details, TimeSeries
from compbench.model.scenario import Validation
from compbench.report import distributions, validity
from compbench.report.baselines import Baseline, Comparison
from compbench.report.capacities import PublishedCapacity, beside_published
from compbench.report.charts import latency
from compbench.report.charts.overview import Standing
from compbench.report.charts.vega import Spec
from compbench.report.groups import Group, group_captures
from compbench.report.past.history import FoundCapacity
from compbench.report.statistics import Spread, spread
from compbench.report.validity import Doubt

_MEGABYTE = 1e6


@dataclass(frozen=True)
class ScenarioView:
    """Everything that the page says of one scenario; figures are those of its typical repeat."""

    group: Group
    capture: Capture
    figures: dict[str, float | None]
    target: Validation | None
    comparisons: list[Comparison]
    p99: Spread | None
    throughput: Spread | None
    doubts: list[Doubt]
    charts: dict[str, Spec]
    capacity: FoundCapacity | None = None
    published_capacities: list[PublishedCapacity] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the scenario's name."""
        return self.group.scenario

    @property
    def details(self) -> Details | None:
        """Return what only compbench's driver tells; None for another driver."""
        return self.capture.result.details if self.capture.result else None


def view_scenarios(
    folder: Path,
    manifest: Manifest,
    captures: Sequence[Capture],
    comparisons: Sequence[Comparison],
    targets: Mapping[str, Validation],
    capacities: Mapping[str, FoundCapacity],
    published: Sequence[Baseline] = (),
) -> list[ScenarioView]:
    """Return a view of each scenario that has a capture, in order."""
    found = []
    for group in group_captures(captures):
        own = [comparison for comparison in comparisons if comparison.scenario == group.scenario]
        capacity = capacities.get(group.scenario)
        view = _view(folder, manifest, group, own, targets.get(group.scenario), capacity)
        beside = beside_published(view.capture, capacity.facts if capacity else None, published)
        found.append(dataclasses.replace(view, published_capacities=beside))
    return found


def standings(views: Sequence[ScenarioView]) -> list[Standing]:
    """Return the rows of the picture at the top of the page."""
    found = []
    for view in views:
        published = next((c for c in view.comparisons if c.published_p99_ms is not None), None)
        values = view.group.values(P99)
        found.append(
            Standing(
                scenario=view.name,
                verdict=view.group.verdict,
                measured_ms=view.figures["p99_latency_ms"] if values else None,
                low_ms=min(values) if len(values) > 1 else None,
                high_ms=max(values) if len(values) > 1 else None,
                target_ms=view.target.expected_p99_latency_ms if view.target else None,
                published_low_ms=published.published_p99_ms if published else None,
                published_high_ms=published.published_p99_high_ms if published else None,
                is_comparable=not published or not published.caveat,
                system=published.system.partition(" ")[0] if published else "",
            )
        )
    return found


def _view(
    folder: Path,
    manifest: Manifest,
    group: Group,
    comparisons: list[Comparison],
    target: Validation | None,
    capacity: FoundCapacity | None,
) -> ScenarioView:
    capture = group.typical
    p99s, throughputs = group.values(P99), group.values(THROUGHPUT)
    p99 = spread(p99s) if p99s else None
    return ScenarioView(
        group=group,
        capture=capture,
        figures=figures_of(capture.result, capture.capacity),
        target=target,
        comparisons=comparisons,
        p99=p99,
        throughput=spread(throughputs) if throughputs else None,
        doubts=validity.doubts(group, manifest, p99),
        charts={name: spec for name, spec in _charts(folder, capture, target, capacity) if spec is not None},
        capacity=capacity,
        files=_files(folder, capture),
    )


def _charts(
    folder: Path, capture: Capture, target: Validation | None, capacity: FoundCapacity | None
) -> list[tuple[str, Spec | None]]:
    marks = validity.moments(capture.samples)
    details = capture.result.details if capture.result else None
    series = details.time_series if details else None
    limit_ms = target.expected_p99_latency_ms if target else None
    return [
        ("percentiles", latency.percentile_curve(distributions.read_curves(folder, capture), limit_ms)),
        ("latency", _latency(series)),
        ("throughput", _throughput(series, capture.duration_s)),
        ("cpu", _cpu(capture, marks)),
        ("memory", _memory(capture, marks)),
        ("capacity", latency.capacity_curve(capacity.facts if capacity else None)),
    ]


def _latency(recorded: TimeSeries | None) -> Spec | None:
    if recorded is None:
        return None
    columns = {
        "P50": recorded.response_p50_ms,
        "P99": recorded.response_p99_ms,
        "maximum": recorded.response_max_ms,
        "driver lag P99": recorded.lag_p99_ms,
    }
    series = {name: _positive(_points(recorded, column)) for name, column in columns.items() if column}
    return latency.over_time(series, "ms", log=True)


def _throughput(recorded: TimeSeries | None, duration_s: float) -> Spec | None:
    """Return operations a second while requests were sent; what came in afterwards would look like a collapse."""
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
    names = {
        "server CPU": "cpu_pct",
        "driver CPU": "driver_cpu_pct",
        "I/O wait": "io_wait_pct",
        "stolen": "steal_pct",
    }
    series = {
        shown: [(round(sample.elapsed_s, 1), getattr(sample, name)) for sample in capture.samples]
        for shown, name in names.items()
    }
    return latency.over_time(_with_values(series), "per cent", marks=marks)


def _memory(capture: Capture, marks: Sequence[tuple[float, str]]) -> Spec | None:
    names = {"server": "memory_bytes", "driver": "driver_memory_bytes", "swap in use": "swap_used_bytes"}
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
    """Leave out what a logarithmic axis has no place for."""
    return [(s, value if value else None) for s, value in points]


def _with_values(series: dict[str, list[tuple[float, float | None]]]) -> dict[str, list[tuple[float, float | None]]]:
    return {name: points for name, points in series.items() if any(value is not None for _, value in points)}


def _files(folder: Path, capture: Capture) -> list[tuple[str, str]]:
    """Return (what, name) of the scenario's other files that are there."""
    kinds = {
        "flame graph": "flamegraph",
        "samples": "system",
        "diagnostics": "diagnostics",
        "driver's report": "stdout",
        "driver's JSON": "driver_json",
        "server's log": "server_log",
        "capture": "capture",
    }
    names = {what: file_names.of_measurement(capture.run, capture.measurement, kind) for what, kind in kinds.items()}
    return [(what, name) for what, name in names.items() if (folder / name).is_file()]
