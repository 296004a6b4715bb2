"""`doit trend`: every scenario's figures over all closed runs, on one page that opens offline.

Change points come from `ruptures` (the pruned exact search for shifts of a mean) and must then pass the same test as a
comparison of two runs: large enough to matter and more than noise. In fewer than ten points none is looked for.
"""

from __future__ import annotations

import itertools
import math
import statistics as basic
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compbench.files.whole import write_whole
from compbench.model import file_names
from compbench.model.metrics import FOLLOWED, RECALL, RECALL_P5, Metric, change_pct
from compbench.model.times import iso_utc
from compbench.report import render
from compbench.report.charts import drawing
from compbench.report.charts.vega import BAD, GOOD, SOFT, Datum, Spec, chart_of, colour_by, tooltips, y_axis
from compbench.report.past.comparable import series_key, series_names
from compbench.report.past.history import Past
from compbench.report.statistics import judge_change, noise_of

# Fewer points were found unreliable by users of change point detection (cloud-bulldozer/orion, issue 263).
CHANGES_FROM = 10
# A segment of fewer runs is an outlier, not a new level.
_LEAST_SEGMENT = 4
# The name of a series, as much of it as fits on a phone.
_LABEL_PX = 255
# Stricter than between two runs: many points are looked at, and each could seem to be a change.
_ALPHA = 0.001


@dataclass(frozen=True)
class Shift:
    """A figure's new level: the first run that has it, its commit, and the change against the level before."""

    run: str
    at: str
    commit: str
    delta_pct: float
    worse: bool


@dataclass(frozen=True)
class Panel:
    """One chart of the page: a figure of a scenario, its shifts, and the reason why none can be told."""

    scenario: str
    metric: Metric
    name: str
    spec: Spec
    shifts: list[Shift]
    remark: str


def write_trend(output_dir: Path, cache_dir: Path, history: Sequence[Past], skipped: Sequence[str]) -> Path:
    """Write the page beside the runs and return its path.

    Raises:
        OSError: it could not be written.
    """
    panels = panels_of(history)
    path = output_dir / file_names.TREND
    page = render(
        "trend.html.j2",
        panels=panels,
        scenarios=list(dict.fromkeys(panel.scenario for panel in panels)),
        history=history,
        skipped=skipped,
        machines=sorted({past.machine for past in history}),
        specs={panel.name: panel.spec for panel in panels},
        script=drawing.script(cache_dir) if drawing.can_draw() and panels else "",
        light=drawing.LIGHT,
        changes_from=CHANGES_FROM,
    )
    write_whole(path, page)
    return path


def panels_of(history: Sequence[Past]) -> list[Panel]:
    """Return the charts, by scenario in the order of the newest runs, each figure that any run has."""
    names = dict.fromkeys(name for past in reversed(history) for name in past.scenarios)
    found = []
    for scenario in names:
        for metric in FOLLOWED:
            points = [past for past in history if past.values.get(scenario, {}).get(metric.name)]
            if points:
                found.append(_panel(scenario, metric, points))
    return found


def find_shifts(values: Sequence[float], least_effect_pct: float) -> list[int]:
    """Return the positions at which a figure (all values positive) takes a new level; none below ten values."""
    if len(values) < CHANGES_FROM:
        return []
    import numpy as np  # noqa: PLC0415 - with ruptures half a second, and only this page needs it
    import ruptures  # noqa: PLC0415 - see above

    logs = np.log(np.asarray(values, dtype=float))
    noise = noise_of(logs.tolist())
    if noise == 0:
        noise = math.log1p(least_effect_pct / 100) / 10  # a level that never varies: any step that matters stands out
    signal = (logs / noise).reshape(-1, 1)
    # The penalty of the Bayesian information criterion for a shift (its place and its level) at unit noise.
    penalty = 3 * math.log(len(values))
    ends = ruptures.KernelCPD(kernel="linear", min_size=_LEAST_SEGMENT).fit(signal).predict(pen=penalty)
    return _confirmed(values, [0, *ends], least_effect_pct)


def _confirmed(values: Sequence[float], bounds: list[int], least_effect_pct: float) -> list[int]:
    """Keep the shifts that a comparison of the levels on both sides confirms."""
    kept = [0]
    for start, end in itertools.pairwise(bounds[1:]):
        before, after = values[kept[-1] : start], values[start:end]
        if judge_change(before, after, least_effect_pct=least_effect_pct, alpha=_ALPHA).changed:
            kept.append(start)
    return kept[1:]


def _panel(scenario: str, metric: Metric, points: Sequence[Past]) -> Panel:
    series: dict[tuple[str | None, ...], list[Past]] = {}
    for past in points:
        series.setdefault(_level_of(past, scenario), []).append(past)
    shifts = [shift for own in series.values() for shift in shifts_of(own, scenario, metric)]
    longest = max(len(own) for own in series.values())
    few = f"too little history for change points: {longest} comparable runs of the {CHANGES_FROM} it takes"
    return Panel(
        scenario=scenario,
        metric=metric,
        name=f"{scenario}-{metric.name}",
        spec=_spec(scenario, metric, points, shifts),
        shifts=shifts,
        remark=few if longest < CHANGES_FROM else "",
    )


def shifts_of(points: Sequence[Past], scenario: str, metric: Metric) -> list[Shift]:
    """Return the lasting changes of a figure over comparable runs, oldest first, each of which has it."""
    values = [_value(past, scenario, metric) for past in points]
    if min(values) <= 0:
        return []
    places = find_shifts(values, metric.least_effect_pct)
    bounds = [0, *places, len(values)]
    found = []
    for number, place in enumerate(places):
        before, after = basic.fmean(values[bounds[number] : place]), basic.fmean(values[place : bounds[number + 2]])
        if metric.absolute and abs(after - before) <= metric.least_effect_pct:
            continue
        delta_pct = 100 * (after / before - 1)
        past = points[place]
        found.append(Shift(past.run, iso_utc(past.opened_at), past.commit[:12], delta_pct, metric.is_worse(delta_pct)))
    return found


def _spec(scenario: str, metric: Metric, points: Sequence[Past], shifts: Sequence[Shift]) -> Spec:
    names, efforts = series_names(points, scenario), len({past.efforts.get(scenario) for past in points})
    rows = [
        {
            "at": iso_utc(past.opened_at),
            "value": float(f"{(value := _value(past, scenario, metric)):.5g}"),
            "shown": metric.shown(value),
            "series": _name_of(past, scenario, names, efforts),
            "run": past.run,
            "commit": f"{past.commit[:12] or 'unknown'}{' + uncommitted' if past.dirty else ''}",
            "state": past.verdicts[scenario],
        }
        for past in points
    ]
    changes = [{"at": s.at, "label": change_pct(s.delta_pct), "worse": s.worse} for s in shifts]
    machines = [
        {"at": iso_utc(after.opened_at), "label": "another machine"}
        for before, after in itertools.pairwise(points)
        if before.fingerprint.get("machine") != after.fingerprint.get("machine")
    ]
    return _chart(rows, metric, changes, machines)


def _level_of(past: Past, scenario: str) -> tuple[str | None, ...]:
    """Return what runs have in common whose figures have one level: an effort that was found anew moves them all."""
    return (*series_key(past, scenario), past.efforts.get(scenario))


def _name_of(past: Past, scenario: str, names: Mapping[tuple[str | None, ...], str], efforts: int) -> str:
    """Return the name of a run's series, with the effort of its searches where there are several."""
    effort = f"effort {past.efforts.get(scenario, 'none')}, " if efforts > 1 else ""
    return f"{effort}{names[series_key(past, scenario)]}"


def _value(past: Past, scenario: str, metric: Metric) -> float:
    return basic.fmean(past.values[scenario][metric.name])


def _chart(rows: Sequence[Datum], metric: Metric, changes: Sequence[Datum], machines: Sequence[Datum]) -> Spec:
    """Return a figure over all runs: `rows` have `at` (ISO 8601), `value`, `shown`, `series`, `run`, `commit`, `state`.

    `changes` (`at`, `label`, `worse`) are change points, `machines` (`at`, `label`) are where another machine begins.
    """
    series = list(dict.fromkeys(row["series"] for row in rows))
    x = {
        "field": "at",
        "type": "temporal",
        "title": None,
        "axis": {"grid": False, "labelOverlap": True, "labelSeparation": 8, "format": "%Y-%m-%d"},
    }
    y = y_axis("value", metric.title, zero=metric not in (RECALL, RECALL_P5))
    tooltip = tooltips(run="run", shown=metric.label, commit="commit", state="outcome", series="measured on")
    legend = {"columns": 1, "symbolType": "stroke", "labelLimit": _LABEL_PX} if len(series) > 1 else None
    base = {"x": x, "y": y, "color": {**colour_by(series, "series"), "legend": legend}}
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": base},
        {"mark": {"type": "point", "filled": True, "size": 28, "opacity": 1}, "encoding": {**base, "tooltip": tooltip}},
    ]
    worse, better = ([change for change in changes if change["worse"] == is_worse] for is_worse in (True, False))
    for marked, colour in ((worse, BAD), (better, GOOD), (machines, SOFT)):
        if marked:
            layers += _moments(marked, colour, x)
    return chart_of(list(rows), {"layer": layers, "height": 180})


def _moments(values: Sequence[Datum], colour: str, x: Spec) -> list[Spec]:
    data = {"values": list(values)}
    rule = {"type": "rule", "color": colour, "strokeDash": [5, 3], "strokeWidth": 1.5}
    text = {"type": "text", "align": "left", "dx": 4, "dy": -8, "fontSize": 11, "color": colour}
    # At the foot of the chart, which an axis that begins at zero leaves free.
    place = {"x": x, "y": {"value": "height"}, "text": {"field": "label"}}
    return [
        {"data": data, "mark": rule, "encoding": {"x": x, "tooltip": tooltips(label="change", at="from")}},
        {"data": data, "mark": text, "encoding": place},
    ]
