"""The picture at the top of the page: each scenario's P99 as measured, as wanted, and as published by a competitor.

Pure: a Vega-Lite specification, as in `charts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compbench.model.metrics import P99, given
from compbench.report.charts.vega import INK, SERIES, SOFT, Datum, Spec, chart_of, tooltips


@dataclass(frozen=True)
class Standing:
    """One scenario in the overview: milliseconds, None where there is none; `low` and `high` bound the repeats."""

    scenario: str
    verdict: str
    measured_ms: float | None
    low_ms: float | None = None
    high_ms: float | None = None
    target_ms: float | None = None
    published_low_ms: float | None = None
    published_high_ms: float | None = None
    system: str = ""
    is_comparable: bool = True


def overview(standings: Sequence[Standing]) -> Spec | None:
    """Return P99 measured, wanted and published of each scenario, on a logarithmic axis."""
    marks = {
        "measured": SERIES[0],
        "target": INK,
        "published, other hardware": SERIES[1],
        "published, not comparable": SOFT,
    }
    rows = [row for standing in standings for row in _standing_rows(standing, list(marks))]
    if not rows:
        return None
    y = {"field": "scenario", "type": "nominal", "sort": None, "title": None, "axis": {"labels": False, "ticks": False}}
    x = {
        "field": "ms",
        "type": "quantitative",
        "scale": {"type": "log", "nice": True},
        "title": "P99 response time, ms",
    }
    # No legend: every mark bears its own name.
    what: Spec = {"field": "what", "type": "nominal", "legend": None}
    colour = {**what, "scale": {"domain": list(marks), "range": list(marks.values())}}
    shape = {**what, "scale": {"domain": list(marks), "range": ["circle", _TICK, "diamond", "diamond"]}}
    place: Spec = {"y": y, "x": x, "color": colour}
    names = {
        "mark": {"type": "text", "align": "left", "dy": -30, "fontSize": 12, "fontWeight": "bold"},
        "transform": [{"filter": "datum.first"}],
        "encoding": {"y": y, "x": {"value": 0}, "text": {"field": "scenario"}},
    }
    ranges = {
        "mark": {"type": "rule", "strokeWidth": 4, "opacity": 0.5},
        "transform": [{"filter": "isValid(datum.high)"}],
        "encoding": {**place, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
    }
    points: Spec = {
        "mark": {"type": "point", "size": 130, "filled": True, "opacity": 1},
        "encoding": {
            **place,
            "shape": shape,
            "tooltip": tooltips(scenario="scenario", what="figure", text="P99"),
        },
    }
    labels: list[Spec] = [
        {
            "mark": {"type": "text", "dy": offset, "fontSize": 11},
            "transform": [{"filter": f"datum.what == '{name}'"}],
            "encoding": {**place, "text": {"field": "text"}},
        }
        for name, offset in zip(marks, _LABEL_OFFSETS, strict=True)
    ]
    return chart_of(rows, {"layer": [names, ranges, points, *labels], "height": {"step": 84}})


# Measured above its mark, the others below in two lines: labels of figures that are close never cover each other.
_LABEL_OFFSETS = (-14, 16, 29, 29)
_TICK = "M-0.12,-1.1L0.12,-1.1L0.12,1.1L-0.12,1.1Z"


def _standing_rows(standing: Standing, names: Sequence[str]) -> list[Datum]:
    rows: list[Datum] = []
    published = names[2] if standing.is_comparable else names[3]
    values = [
        (names[0], standing.measured_ms, standing.low_ms, standing.high_ms, "measured "),
        (names[1], standing.target_ms, None, None, "target "),
        (published, standing.published_low_ms, standing.published_low_ms, standing.published_high_ms, standing.system),
    ]
    for what, ms, low, high, prefix in values:
        if ms is None or ms <= 0:
            continue
        spans = high is not None and low is not None and high > low > 0
        until = f"-{given(high)}" if spans and what != names[0] else ""
        text = f"{prefix} {P99.number(ms) if what == names[0] else given(ms)}{until} ms".strip()
        bounds = {"low": low, "high": high} if spans else {}
        rows.append({"scenario": standing.scenario, "what": what, "ms": ms, "text": text, "first": not rows, **bounds})
    return rows
