"""Every chart as a Vega-Lite specification: plain data, the same for the page (interactive) and for files (static).

Pure. Colours are CSS variables of the page, so that one drawing serves light, dark and print; `drawing` replaces them
where there is no page. A chart that has nothing to show is None, never an empty frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]
Row = dict[str, Any]

INK, SOFT, GRID = "var(--ink)", "var(--soft)", "var(--line)"
SERIES = ("var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)")
GOOD, WARN, BAD = "var(--good)", "var(--warn)", "var(--bad)"

CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT,
        "titleColor": SOFT,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelFontSize": 11,
        "titleFontSize": 11,
    },
    "legend": {
        "labelColor": INK,
        "labelFontSize": 11,
        "title": None,
        "orient": "top",
        "symbolStrokeWidth": 3,
    },
    "text": {"color": INK},
    "line": {"strokeWidth": 2},
}


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


def overview(standings: Sequence[Standing]) -> Spec | None:
    """Return P99 measured, wanted and published of each scenario, on a logarithmic axis."""
    marks = {"measured": SERIES[0], "target": INK, "published, other hardware": SERIES[1]}
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
    shape = {**what, "scale": {"domain": list(marks), "range": ["circle", _TICK, "diamond"]}}
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
            "tooltip": _tooltips(scenario="scenario", what="figure", text="P99"),
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
    return _spec(rows, {"layer": [names, ranges, points, *labels], "height": {"step": 84}})


# More names than these stand in two columns: in one line they would not fit on a phone.
_WIDE_LEGEND = 3
# Measured above its mark, the others below in two lines: labels of figures that are close never cover each other.
_LABEL_OFFSETS = (-14, 16, 29)
_TICK = "M-0.12,-1.1L0.12,-1.1L0.12,1.1L-0.12,1.1Z"


def percentile_curve(curves: dict[str, list[tuple[float, float]]], target_ms: float | None) -> Spec | None:
    """Return latency over percentile, stretched so that each further nine has the same width.

    Args:
        curves: by name, points of (percentile in per cent below 100, milliseconds).
        target_ms: the scenario's limit for P99, if it has one.
    """
    rows = [
        {"what": name, "nines": 1 / (1 - percentile / 100), "ms": ms, "percentile": f"P{percentile:.6g}"}
        for name, points in curves.items()
        for percentile, ms in points
    ]
    if not rows:
        return None
    axis = {
        "values": [1, 2, 10, 100, 1000, 10_000, 100_000],
        "labelExpr": "datum.value == 1 ? '0' : 'P' + format(100 - 100 / datum.value, '.6~g')",
        "title": "percentile of all operations",
    }
    x = {"field": "nines", "type": "quantitative", "scale": {"type": "log", "nice": False}, "axis": axis}
    lines = {
        "mark": {"type": "line", "interpolate": "monotone"},
        "encoding": {"x": x, "y": _y("ms", "ms"), "color": _colour(list(curves))},
    }
    hover = {
        "mark": {"type": "point", "opacity": 0, "size": 90},
        "encoding": {
            "x": x,
            "y": _y("ms", "ms"),
            "tooltip": _tooltips(what="time", percentile="percentile", ms="ms"),
        },
    }
    layers = [lines, hover]
    if target_ms is not None:
        layers += _limit([{"nines": 100, "ms": target_ms, "label": f"target: P99 {target_ms:g} ms"}], x)
    return _spec(rows, {"layer": layers, "height": 240})


def _limit(values: list[Row], x: Spec) -> list[Spec]:
    point = {
        "data": {"values": values},
        "mark": {"type": "point", "shape": "triangle-down", "filled": True, "size": 90, "color": BAD, "opacity": 1},
        "encoding": {"x": x, "y": _y("ms", "ms"), "tooltip": _tooltips(label="limit")},
    }
    label = {
        "data": {"values": values},
        "mark": {"type": "text", "dy": -11, "fontSize": 11, "color": BAD},
        "encoding": {"x": x, "y": _y("ms", "ms"), "text": {"field": "label"}},
    }
    return [point, label]


def over_time(
    series: Mapping[str, Iterable[tuple[float, float | None]]],
    title: str,
    *,
    log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> Spec | None:
    """Return named series over the seconds of a measurement; `marks` are moments with a warning.

    A value that is None leaves a gap. `log` stretches what spans orders of magnitude, such as P50 beside the maximum.
    """
    rows = [{"what": name, "s": s, "value": value} for name, points in series.items() for s, value in points]
    if not any(row["value"] is not None for row in rows):
        return None
    x = {"field": "s", "type": "quantitative", "title": "seconds of the measurement", "axis": {"grid": False}}
    y = _y("value", title, log=log)
    lines = {
        "mark": {"type": "line", "invalid": "break-paths-show-domains"},
        "encoding": {"x": x, "y": y, "color": _colour(list(series))},
    }
    hover = {
        "mark": {"type": "point", "opacity": 0, "size": 60},
        "transform": [{"filter": "isValid(datum.value)"}],
        "encoding": {"x": x, "y": y, "tooltip": _tooltips(what="figure", s="second", value=title)},
    }
    layers = [lines, hover]
    if marks:
        layers += _warnings(marks, x)
    return _spec(rows, {"layer": layers, "height": 190})


def _warnings(marks: Sequence[tuple[float, str]], x: Spec) -> list[Spec]:
    data = {"values": [{"s": s, "warning": text} for s, text in marks]}
    rule = {"type": "rule", "color": WARN, "strokeDash": [3, 3], "strokeWidth": 1}
    sign = {"type": "point", "shape": "triangle-up", "filled": True, "size": 110, "color": WARN, "opacity": 1}
    tooltip = _tooltips(warning="warning", s="second")
    return [
        {"data": data, "mark": rule, "encoding": {"x": x, "tooltip": tooltip}},
        {"data": data, "mark": sign, "encoding": {"x": x, "y": {"value": 6}, "tooltip": tooltip}},
    ]


# Labels of moments stand at the foot of the chart, which axes that begin at zero leave free.
_HISTORY_HEIGHT = 180


def history(
    rows: Sequence[Row], title: str, changes: Sequence[Row], machines: Sequence[Row], *, zero: bool = False
) -> Spec | None:
    """Return one figure over all runs: `rows` have `at` (ISO 8601), `value`, `series`, `run`, `commit`, `state`.

    `changes` (`at`, `label`, `worse`) are change points, `machines` (`at`, `label`) are where another machine begins.
    """
    if not rows:
        return None
    series = list(dict.fromkeys(row["series"] for row in rows))
    x = {
        "field": "at",
        "type": "temporal",
        "title": None,
        "axis": {"grid": False, "labelOverlap": True, "format": "%Y-%m-%d"},
    }
    y = _y("value", title, zero=zero)
    tooltip = _tooltips(run="run", value=title, commit="commit", state="outcome", series="measured on")
    legend = {"columns": 1, "symbolType": "stroke"} if len(series) > 1 else None
    base = {"x": x, "y": y, "color": {**_colour(series, "series"), "legend": legend}}
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 1.5}, "encoding": base},
        {"mark": {"type": "point", "filled": True, "size": 28, "opacity": 1}, "encoding": {**base, "tooltip": tooltip}},
    ]
    worse, better = ([change for change in changes if change["worse"] == is_worse] for is_worse in (True, False))
    for marked, colour in ((worse, BAD), (better, GOOD), (machines, SOFT)):
        if marked:
            layers += _moments(marked, colour, x)
    return _spec(list(rows), {"layer": layers, "height": _HISTORY_HEIGHT})


def _moments(values: Sequence[Row], colour: str, x: Spec) -> list[Spec]:
    data = {"values": list(values)}
    rule = {"type": "rule", "color": colour, "strokeDash": [5, 3], "strokeWidth": 1.5}
    text = {"type": "text", "align": "left", "dx": 4, "fontSize": 11, "color": colour}
    place = {"x": x, "y": {"value": _HISTORY_HEIGHT - 8}, "text": {"field": "label"}}
    return [
        {"data": data, "mark": rule, "encoding": {"x": x, "tooltip": _tooltips(label="change", at="from")}},
        {"data": data, "mark": text, "encoding": place},
    ]


def capacity_curve(rows: Sequence[Row], limit_ms: float | None) -> Spec | None:
    """Return P99 over the offered rate of a capacity search: `rate_ops_s`, `p99_ms`, `sustained`."""
    known = [row for row in rows if row.get("p99_ms") is not None]
    if not known:
        return None
    known = [{**row, "what": "sustained" if row.get("sustained") else "not sustained"} for row in known]
    x = {"field": "rate_ops_s", "type": "quantitative", "title": "offered, ops/s", "scale": {"zero": False}}
    scale = {"domain": ["sustained", "not sustained"], "range": [GOOD, BAD]}
    layers: list[Spec] = [
        {"mark": {"type": "line", "color": SOFT}, "encoding": {"x": x, "y": _y("p99_ms", "P99, ms", log=True)}},
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {
                "x": x,
                "y": _y("p99_ms", "P99, ms", log=True),
                "color": {"field": "what", "type": "nominal", "scale": scale},
                "tooltip": _tooltips(rate_ops_s="offered, ops/s", achieved_ops_s="achieved, ops/s", p99_ms="P99, ms"),
            },
        },
    ]
    if limit_ms is not None:
        rule = {"type": "rule", "color": BAD, "strokeDash": [5, 3]}
        layers.append({"mark": rule, "encoding": {"y": {"datum": limit_ms, "type": "quantitative"}}})
    return _spec(known, {"layer": layers, "height": 190})


def _standing_rows(standing: Standing, names: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    values = [
        (names[0], standing.measured_ms, standing.low_ms, standing.high_ms, "measured "),
        (names[1], standing.target_ms, None, None, "target "),
        (names[2], standing.published_low_ms, standing.published_low_ms, standing.published_high_ms, standing.system),
    ]
    for what, ms, low, high, prefix in values:
        if ms is None or ms <= 0:
            continue
        spans = high is not None and low is not None and high > low > 0
        until = f"-{high:g}" if spans and what != names[0] else ""
        text = f"{prefix} {figure(ms)}{until} ms".strip()
        bounds = {"low": low, "high": high} if spans else {}
        rows.append({"scenario": standing.scenario, "what": what, "ms": ms, "text": text, "first": not rows, **bounds})
    return rows


def figure(ms: float) -> str:
    """Return milliseconds to three digits, but never as a power of ten: `0.29`, `27.9`, `708`, `1200`."""
    return f"{ms:.3g}" if ms < 1000 else f"{ms:.0f}"  # noqa: PLR2004 - three digits


def _spec(rows: Sequence[Row], parts: Spec) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": list(rows)},
        "config": CONFIG,
        **parts,
    }


def _y(field: str, title: str, *, log: bool = False, zero: bool = True) -> Spec:
    scale = {"type": "log"} if log else {"zero": zero}
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": scale,
        "axis": {"tickCount": 5, "format": ",.4~g"},
    }


def _colour(names: Sequence[str], field: str = "what") -> Spec:
    colours = [SERIES[position % len(SERIES)] for position in range(len(names))]
    scale = {"domain": list(names), "range": colours}
    return {
        "field": field,
        "type": "nominal",
        "scale": scale,
        "legend": {"symbolType": "stroke", "columns": 2 if len(names) > _WIDE_LEGEND else 0},
    }


def _tooltips(**fields: str) -> list[Spec]:
    numbers = ("ms", "value", "s", "p99_ms", "rate_ops_s", "achieved_ops_s")
    return [
        {
            "field": field,
            "title": title,
            **({"type": "quantitative", "format": ",.4~g"} if field in numbers else {"type": "nominal"}),
        }
        for field, title in fields.items()
    ]
