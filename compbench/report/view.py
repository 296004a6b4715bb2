"""What the report page shows of a run, gathered from its manifest, captures and files; `page` puts it into words.

Reads the drivers' histograms and a capacity result, if there is one; everything else is given. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compbench.config.scenarios import Validation
from compbench.model.records import Capture, Manifest
from compbench.report import distributions, validity
from compbench.report.baselines import Comparison
from compbench.report.charts import latency
from compbench.report.charts.overview import Standing
from compbench.report.charts.vega import Spec
from compbench.report.groups import Group, group_captures, metrics_of
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
    files: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the scenario's name."""
        return self.group.scenario

    @property
    def own(self) -> dict[str, Any]:
        """Return what only compbench's driver tells; empty for another driver."""
        return (self.capture.result or {}).get("own") or {}


def view_scenarios(
    folder: Path,
    manifest: Manifest,
    captures: Sequence[Capture],
    comparisons: Sequence[Comparison],
    targets: Mapping[str, Validation],
    capacities: Mapping[str, FoundCapacity],
) -> list[ScenarioView]:
    """Return a view of each scenario that has a capture, in order."""
    found = []
    for group in group_captures(captures):
        own = [comparison for comparison in comparisons if comparison.scenario == group.scenario]
        capacity = capacities.get(group.scenario)
        found.append(_view(folder, manifest, group, own, targets.get(group.scenario), capacity))
    return found


def standings(views: Sequence[ScenarioView]) -> list[Standing]:
    """Return the rows of the picture at the top of the page."""
    found = []
    for view in views:
        published = next((c for c in view.comparisons if c.published_p99_ms is not None), None)
        values = view.group.values("p99_latency_ms")
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
    p99s, throughputs = group.values("p99_latency_ms"), group.values("throughput_qps")
    p99 = spread(p99s) if p99s else None
    return ScenarioView(
        group=group,
        capture=capture,
        figures=metrics_of(capture),
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
    own = (capture.result or {}).get("own") or {}
    limit_ms = target.expected_p99_latency_ms if target else None
    search = capacity.facts if capacity else {}
    return [
        ("percentiles", latency.percentile_curve(distributions.read_curves(folder, capture), limit_ms)),
        ("latency", _latency(own)),
        ("throughput", _throughput(own, capture.duration_s)),
        ("cpu", _cpu(capture, marks)),
        ("memory", _memory(capture, marks)),
        ("capacity", latency.capacity_curve(search.get("curve") or [], search.get("p99_limit_ms"))),
    ]


def _latency(own: dict[str, Any]) -> Spec | None:
    names = {
        "P50": "response_p50_ms",
        "P99": "response_p99_ms",
        "maximum": "response_max_ms",
        "driver lag P99": "lag_p99_ms",
    }
    series = {shown: _series(own, name) for shown, name in names.items()}
    return latency.over_time({k: _positive(v) for k, v in series.items() if v}, "ms", log=True)


def _throughput(own: dict[str, Any], duration_s: float) -> Spec | None:
    """Return operations a second while requests were sent; what came in afterwards would look like a collapse."""
    names = {"offered": "offered", "completed": "completed", "errors": "errors"}
    per_s = 1 / float((own.get("time_series") or {}).get("interval_s") or 1)
    series = {
        shown: [(s, None if value is None else value * per_s) for s, value in points if s <= duration_s]
        for shown, name in names.items()
        if (points := _series(own, name))
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


def _series(own: dict[str, Any], name: str) -> list[tuple[float, float | None]]:
    """Return one list of the driver's time series with the second at which each interval ends."""
    recorded = own.get("time_series") or {}
    interval_s = float(recorded.get("interval_s") or 1)
    return [((number + 1) * interval_s, value) for number, value in enumerate(recorded.get(name) or [])]


def _positive(points: list[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    """Leave out what a logarithmic axis has no place for."""
    return [(s, value if value else None) for s, value in points]


def _with_values(series: dict[str, list[tuple[float, float | None]]]) -> dict[str, list[tuple[float, float | None]]]:
    return {name: points for name, points in series.items() if any(value is not None for _, value in points)}


def _files(folder: Path, capture: Capture) -> list[tuple[str, str]]:
    """Return (what, name) of the scenario's other files that are there."""
    stem = f"{capture.run}_{capture.measurement}"
    kinds = {
        "flame graph": "_flamegraph.svg",
        "samples": "_sys.txt",
        "diagnostics": "_diag.txt",
        "driver's report": ".txt",
        "driver's JSON": ".json",
        "server's log": "_server.log",
        "capture": "_capture.json",
    }
    return [(what, f"{stem}{ending}") for what, ending in kinds.items() if (folder / f"{stem}{ending}").is_file()]
