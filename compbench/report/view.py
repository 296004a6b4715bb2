"""The report page's facts about a run, gathered from its manifest, captures and files; `page` puts them into words.

Looks which files a measurement left; all else is given, or read by `scenario_charts`. Draws nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compbench.model import file_names
from compbench.model.metrics import P99, figures_of
from compbench.model.records import Capture, Manifest
from compbench.model.result import Details
from compbench.model.scenario import Validation
from compbench.report import validity
from compbench.report.baselines import Baseline, Comparison
from compbench.report.capacities import PublishedCapacity, beside_published
from compbench.report.charts.overview import Standing
from compbench.report.charts.vega import Spec
from compbench.report.circumstances import Doubt
from compbench.report.groups import Group, group_captures
from compbench.report.machine_costs import CostTable, cost_table_of
from compbench.report.past.comparable import FoundCapacity
from compbench.report.scenario_charts import charts_of
from compbench.report.statistics import Spread, spread


@dataclass(frozen=True)
class ScenarioView:
    """Everything that the page says of one scenario; figures are those of its typical repeat."""

    group: Group
    capture: Capture
    figures: dict[str, float | None]
    target: Validation | None
    comparisons: list[Comparison]
    p99: Spread | None
    doubts: list[Doubt]
    charts: dict[str, Spec]
    costs: CostTable | None = None
    capacity: FoundCapacity | None = None
    published_capacities: list[PublishedCapacity] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the scenario's name, with the system's where the run compares several."""
        return self.group.name

    @property
    def details(self) -> Details | None:
        """Return the figures that only compbench's driver tells; None for another driver."""
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
    """Return a view of each scenario that has a capture, in order; of each of its systems where it compares several."""
    found = []
    for group in group_captures(captures):
        own = [c for c in comparisons if (c.scenario, c.measured_system) == (group.scenario, group.system)]
        capacity = capacities.get(group.name)
        view = _view(folder, manifest, group, own, targets.get(group.scenario), capacity)
        is_subject = group.system in ("", *manifest.systems[:1])
        facts = capacity.facts if capacity and is_subject else None
        beside = beside_published(view.capture, facts, published)
        found.append(dataclasses.replace(view, published_capacities=beside))
    return found


def standings(views: Sequence[ScenarioView], *, is_published: bool) -> list[Standing]:
    """Return the rows of the picture at the top of the page, or with published figures of the one at its end."""
    found = []
    for view in views:
        known = view.comparisons if is_published else []
        published = next((c for c in known if c.published_p99_ms is not None), None)
        if is_published and published is None:
            continue
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
    p99s = group.values(P99)
    p99 = spread(p99s) if p99s else None
    return ScenarioView(
        group=group,
        capture=capture,
        figures=figures_of(capture.result, capture.capacity),
        target=target,
        comparisons=comparisons,
        p99=p99,
        doubts=validity.doubts(group, manifest, p99),
        charts=charts_of(folder, capture, target, capacity),
        costs=cost_table_of(capture),
        capacity=capacity,
        files=_files(folder, capture),
    )


def _files(folder: Path, capture: Capture) -> list[tuple[str, str]]:
    """Return (kind, name) of the scenario's other files that are there."""
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
