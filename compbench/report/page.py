"""The report of a run: one page that opens offline, its Markdown twin, and the pictures of both.

Everything is rendered from manifest and captures. Without the charting library the page has all its words and tables,
and says how to get the pictures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compbench.files.whole import write_whole
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.measurement import STUDIES, Measurement, measurement_named
from compbench.model.noise import NoiseRecord
from compbench.model.notices import Verdict
from compbench.model.records import Capture, Git, Machine, Manifest
from compbench.model.times import iso_utc
from compbench.report import baselines, missing_extra, pages, render
from compbench.report.baselines import Comparison, Priority
from compbench.report.builds_compared import DuetRecord
from compbench.report.capacities import BOUNDS, describe_capacity
from compbench.report.charts import drawing
from compbench.report.charts.overview import overview
from compbench.report.charts.vega import Spec
from compbench.report.comparison import RunComparison, compare_runs
from compbench.report.elsewhere import passages
from compbench.report.groups import name_of
from compbench.report.loaded_data import data_lines
from compbench.report.past import comparable, history
from compbench.report.past.comparable import FoundCapacity
from compbench.report.past.history import Past
from compbench.report.rival_charts import charts_of_rivals
from compbench.report.server_versions import versions_of_servers
from compbench.report.standing_words import span_of
from compbench.report.summary import rounds_of
from compbench.report.validity import FIXED_RATE
from compbench.report.versus import CAPACITY_RECALLS, Versus, versus_of
from compbench.report.view import ScenarioView, standings, view_scenarios
from compbench.store.record_files import read_record
from compbench.systems import registry

CHART_TITLES = {
    "percentiles": "Latency by percentile",
    "latency": "Latency over time",
    "throughput": "Throughput over time",
    "cpu": "CPU (% of a core); I/O wait and stolen time (% of all cores)",
    "memory": "Memory",
    "capacity": "Capacity search",
}
# Why a chart is not there; samples of the machine are missing only if the scenario failed before.
CHART_MISSING = {
    "percentiles": "the driver kept no histogram",
    "latency": "the driver recorded no time series",
    "throughput": "the driver recorded no time series",
    "cpu": "no samples were taken",
    "memory": "no samples were taken",
}
_VERDICTS = {"BETTER": "better", "COMPARABLE": "comparable", "WORSE": "worse"}
_STANDS = {"better": "better than", "comparable": "comparable to", "worse": "worse than"}


@dataclass(frozen=True)
class PageValues:
    """The values of the templates of the page and its Markdown twin."""

    manifest: Manifest
    captures: Sequence[Capture]
    views: list[ScenarioView]
    comparisons: list[Comparison]
    priorities: list[Priority]
    sentence: str
    state: str
    since: RunComparison | None
    versus: Versus | None = None
    duets: Sequence[DuetRecord] = ()


def gather(
    folder: Path,
    manifest: Manifest,
    captures: Sequence[Capture],
    scenarios_dir: Path,
    *,
    state: str,
    noises: Sequence[NoiseRecord] = (),
) -> PageValues:
    """Read and judge a run for its report; `noises` are the studies that tell how far single runs differ by chance.

    Raises:
        UserError: the file of baselines is wrong, or the record of a duet can't be read.
    """
    published = baselines.load_baselines(pages.baselines_file(scenarios_dir))
    comparisons = baselines.of_subject(baselines.compare(captures, published), manifest.systems)
    targets = pages.read_targets(folder, scenarios_dir, manifest)
    known, _ = history.read_history(folder.parent)
    amounts = {
        f"stored:{name_of(c)}": history.amount(c.data_set.stored, c.data_set.wanted) for c in captures if c.data_set
    }
    capacities = comparable.find_capacities(known, manifest.fingerprint | amounts)
    capacities |= {name_of(c): FoundCapacity(manifest.run, c.capacity) for c in captures if c.capacity}
    views = view_scenarios(folder, manifest, captures, comparisons, targets, capacities, published)
    targets_ms = {name: t.expected_p99_latency_ms for name, t in targets.items() if t.expected_p99_latency_ms}
    since = since_last_run(folder, manifest, known, noises)
    versus = versus_of(manifest, captures, targets, capacities)
    # In a run that is gone on with, the record is of what was measured before.
    duets = _duets_of(folder) if state == "closed" else []
    return PageValues(
        manifest=manifest,
        captures=captures,
        views=views,
        comparisons=comparisons,
        priorities=baselines.priorities(comparisons, targets_ms),
        sentence=_first_sentence(versus, duets)
        or rounds_of(manifest, captures)
        or sentence(views, comparisons, since, not_measured=_not_measured(manifest, captures)),
        state=state,
        since=since,
        versus=versus,
        duets=duets,
    )


def _duets_of(folder: Path) -> list[DuetRecord]:
    names = file_names.of_study(folder.name, "*", "duet")
    return [read_record(path, DuetRecord) for path in sorted(folder.glob(names))]


def _first_sentence(versus: Versus | None, duets: Sequence[DuetRecord]) -> str:
    """Return what a comparison within the run found, in a sentence; empty if nothing was compared."""
    return versus.sentence if versus else "; ".join(f"{duet.scenario}: {duet.verdict}" for duet in duets)


def write_report(folder: Path, report: PageValues, cache_dir: Path) -> str:
    """Write `<ts>_report.html`, `<ts>_report.md` and the pictures, each whole; return the Markdown.

    Raises:
        OSError: a file could not be written.
    """
    specs = _specs(folder, report)
    drawn = {name: drawing.draw_svg(spec) for name, spec in specs.items()} if drawing.can_draw() else {}
    pictures = {name: f"{folder.name}_{name}.svg" for name in drawn}
    for name, svg in drawn.items():
        write_whole(folder / pictures[name], drawing.standalone(svg))
    values: dict[str, Any] = {
        "report": report,
        "data": data_lines(report.captures),
        "elsewhere": passages(report.captures),
        "servers": versions_of_servers(report.captures),
        "not_comparable": registry.not_comparable(capture.system for capture in report.captures),
        "manifest": report.manifest,
        "provenance_git": report.manifest.provenance.git or Git(),
        "provenance_system": report.manifest.provenance.system or Machine(),
        "views": report.views,
        "titles": CHART_TITLES,
        "missing": CHART_MISSING,
        "verdicts": _VERDICTS,
        "remark": baselines.REMARK,
        "bounds": BOUNDS,
        "fixed_rate": FIXED_RATE,
        "iso": iso_utc,
        "span_of": span_of,
        "capacity_recalls": CAPACITY_RECALLS,
        "pictures": pictures,
        "can_draw": drawing.can_draw(),
    }
    markdown = render("report.md.j2", **values)
    write_whole(folder / file_names.of_run(folder.name, "markdown"), markdown)
    script = drawing.script(cache_dir) if drawn else ""
    if report.versus:  # within a closed part of a page a chart has no width to be drawn in: the still picture stands
        specs = {name: spec for name, spec in specs.items() if "@" not in name}
    page = render("report.html.j2", **values, drawn=drawn, specs=specs, script=script, light=drawing.LIGHT)
    write_whole(folder / file_names.of_run(folder.name, "report"), page)
    return markdown


def since_last_run(
    folder: Path, manifest: Manifest, known: Sequence[Past], noises: Sequence[NoiseRecord] = ()
) -> RunComparison | None:
    """Return the comparison with the newest comparable run before this one, None if there is none, or of a study."""
    if missing_extra() or manifest.kind in STUDIES:
        return None
    with contextlib.suppress(UserError):
        past = history.read_past(folder)
        if past is not None:
            earlier = [other for other in known if other.run < manifest.run]
            return compare_runs(*comparable.latest_pair([*earlier, past]), known, noises)
    return None


def sentence(
    views: Sequence[ScenarioView],
    comparisons: Sequence[Comparison],
    since: RunComparison | None,
    not_measured: Sequence[str] = (),
) -> str:
    """Return the sentence at the top: how many passed, how P99 stands beside published ones; or the capacities."""
    if views and all(view.capture.is_capacity for view in views):
        found = [(view.name, view.capture.capacity) for view in views]
        return "; ".join(f"{n}: {describe_capacity(c) if c else 'no capacity was found'}" for n, c in found) + "."
    parts = [
        f"{sum(view.group.verdict == 'passed' for view in views)} of {len(views) + len(not_measured)} scenarios passed"
    ]
    told: dict[Verdict, str] = {
        "missed": "missed a target",
        "not offered": "not offered",
        "failed": "failed",
        "invalid": "gave no measurement (invalid)",
    }
    for verdict, words in told.items():
        if names := [view.name for view in views if view.group.verdict == verdict]:
            parts.append(f"{', '.join(names)} {words}")
    if not_measured:
        parts.append(f"{', '.join(not_measured)} not measured")
    counted = {word: sum(c.status == status for c in comparisons) for status, word in _VERDICTS.items()}
    total = sum(counted.values())
    stands = [f"{_STANDS[word]} {count if total > 1 else 'the'}" for word, count in counted.items() if count]
    if total:
        figures = f"of {total} figures published from other machines"
        one = "figure published from another machine"
        parts.append(f"P99 is {', '.join(stands)} {figures if total > 1 else one}")
    if since is not None and since.compared:
        parts.append(f"since run {since.base.run} {since.summary}")
    return "; ".join(parts) + "."


def _not_measured(manifest: Manifest, captures: Sequence[Capture]) -> list[str]:
    """Return the selected scenarios without any capture, with their systems where the run compares several."""
    selected = [measurement_named(name) for name in manifest.selection]
    names = dict.fromkeys(Measurement(one.scenario, system=one.system).name for one in selected)
    return [name for name in names if name not in {name_of(capture) for capture in captures}]


def _specs(folder: Path, report: PageValues) -> dict[str, Spec]:
    """Return every chart of the page by the part of its file's name after the timestamp."""
    found: dict[str, Spec | None] = {}
    if report.versus:
        found = {**charts_of_rivals(folder, report.versus)}
    elif report.manifest.kind != "capacity":
        found = {"overview": overview(standings(report.views, is_published=False))}
    if report.manifest.kind != "capacity" and any(c.published_p99_ms for c in report.comparisons):
        found["published"] = overview(standings(report.views, is_published=True))
    drawn = {name: spec for name, spec in found.items() if spec}
    return drawn | {f"{view.name}_{name}": spec for view in report.views for name, spec in view.charts.items()}
