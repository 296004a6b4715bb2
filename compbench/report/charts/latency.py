"""The charts of one scenario as Vega-Lite specifications: plain data, the same for the page and for files.

Pure. A chart that has nothing to show is None, never an empty frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from compbench.model.metrics import given
from compbench.model.result import Capacity
from compbench.report.charts.vega import BAD, GOOD, SOFT, WARN, Datum, Spec, chart_of, colour_by, tooltips, y_axis


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
        "encoding": {"x": x, "y": y_axis("ms", "ms"), "color": colour_by(list(curves))},
    }
    hover = {
        "mark": {"type": "point", "opacity": 0, "size": 90},
        "encoding": {
            "x": x,
            "y": y_axis("ms", "ms"),
            "tooltip": tooltips(what="time", percentile="percentile", ms="ms"),
        },
    }
    layers = [lines, hover]
    if target_ms is not None:
        layers += _limit(target_ms, max(ms for points in curves.values() for _, ms in points), x)
    return chart_of(rows, {"layer": layers, "height": 240})


# A limit so far above the highest point would make a flat line of the curve: it is named at the upper edge instead.
_NEAR = 1.25


def _limit(target_ms: float, highest_ms: float, x: Spec) -> list[Spec]:
    is_near = target_ms <= _NEAR * highest_ms
    label = f"target: P99 {given(target_ms)} ms"
    data = {"values": [{"nines": 100, "ms": target_ms, "label": label if is_near else f"{label}, above this chart"}]}
    y = y_axis("ms", "ms") if is_near else {"value": 6}
    shape = "triangle-down" if is_near else "triangle-up"
    mark = {"type": "point", "shape": shape, "filled": True, "size": 90, "color": BAD, "opacity": 1}
    text = {"type": "text", "dy": -11 if is_near else 14, "fontSize": 11, "color": BAD}
    return [
        {"data": data, "mark": mark, "encoding": {"x": x, "y": y, "tooltip": tooltips(label="limit")}},
        {"data": data, "mark": text, "encoding": {"x": x, "y": y, "text": {"field": "label"}}},
    ]


def over_time(
    series: Mapping[str, Iterable[tuple[float, float | None]]],
    title: str,
    *,
    log: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> Spec | None:
    """Return named series over the seconds of a measurement; `marks` are moments with a warning.

    A value that is None leaves a gap. `log` suits series that span orders of magnitude, such as P50 beside the maximum.
    """
    rows = [{"what": name, "s": s, "value": value} for name, points in series.items() for s, value in points]
    if not any(row["value"] is not None for row in rows):
        return None
    # From zero, so that the charts of one measurement begin alike.
    x = {
        "field": "s",
        "type": "quantitative",
        "title": "seconds of the measurement",
        "axis": {"grid": False},
        "scale": {"zero": True},
    }
    y = y_axis("value", title, log=log)
    lines = {
        "mark": {"type": "line", "invalid": "break-paths-show-domains"},
        "encoding": {"x": x, "y": y, "color": colour_by(list(series))},
    }
    hover = {
        "mark": {"type": "point", "opacity": 0, "size": 60},
        "transform": [{"filter": "isValid(datum.value)"}],
        "encoding": {"x": x, "y": y, "tooltip": tooltips(what="figure", s="second", value=title)},
    }
    layers = [lines, hover]
    if marks:
        layers += _warnings(marks, x)
    return chart_of(rows, {"layer": layers, "height": 190})


def _warnings(marks: Sequence[tuple[float, str]], x: Spec) -> list[Spec]:
    data = {"values": [{"s": s, "warning": text} for s, text in marks]}
    rule = {"type": "rule", "color": WARN, "strokeDash": [3, 3], "strokeWidth": 1}
    sign = {"type": "point", "shape": "triangle-up", "filled": True, "size": 110, "color": WARN, "opacity": 1}
    tooltip = tooltips(warning="warning", s="second")
    return [
        {"data": data, "mark": rule, "encoding": {"x": x, "tooltip": tooltip}},
        {"data": data, "mark": sign, "encoding": {"x": x, "y": {"value": 6}, "tooltip": tooltip}},
    ]


_SUSTAINED = {True: "sustained", False: "not sustained", None: "spoiled by the driver"}


def capacity_curve(found: Capacity | None) -> Spec | None:
    """Return P99 over the offered rate of a search for a capacity."""
    if found is None or not found.curve:
        return None
    rows: list[Datum] = [
        {
            "rate_ops_s": tried.rate_ops_s,
            "achieved_ops_s": tried.achieved_ops_s,
            "p99_ms": tried.p99_ms,
            "what": _SUSTAINED[tried.sustained],
        }
        for tried in found.curve
    ]
    x = {"field": "rate_ops_s", "type": "quantitative", "title": "offered, ops/s", "scale": {"zero": False}}
    scale = {"domain": list(_SUSTAINED.values()), "range": [GOOD, BAD, SOFT]}
    layers: list[Spec] = [
        {"mark": {"type": "line", "color": SOFT}, "encoding": {"x": x, "y": y_axis("p99_ms", "P99, ms", log=True)}},
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y_axis("p99_ms", "P99, ms", log=True),
                "color": {"field": "what", "type": "nominal", "scale": scale},
                "tooltip": tooltips(rate_ops_s="offered, ops/s", achieved_ops_s="achieved, ops/s", p99_ms="P99, ms"),
            },
        },
    ]
    rule = {"type": "rule", "color": BAD, "strokeDash": [5, 3]}
    layers.append({"mark": rule, "encoding": {"y": {"datum": found.p99_limit_ms, "type": "quantitative"}}})
    return chart_of(rows, {"layer": layers, "height": 190})
