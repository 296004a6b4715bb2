"""The common parts of all charts, in Vega-Lite's words: colours, fonts, axes, tooltips, and a chart's frame.

Pure. Colours are CSS variables of the page, so that one drawing serves light, dark and print; `drawing` replaces them
where there is no page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Spec = dict[str, Any]
Datum = dict[str, Any]

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


def chart_of(rows: Sequence[Datum], parts: Spec) -> Spec:
    """Return the specification of a chart over rows, as wide as its place."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": list(rows)},
        "config": CONFIG,
        **parts,
    }


def y_axis(field: str, title: str, *, log: bool = False, zero: bool = True) -> Spec:
    """Return the encoding of a vertical axis."""
    scale = {"type": "log"} if log else {"zero": zero}
    ticks = {"values": [10.0**power for power in range(-3, 7)]} if log else {"tickCount": 5}
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": scale,
        "axis": {**ticks, "format": ",.4~g"},
    }


# More names than these stand in two columns: in one line they would not fit on a phone.
_WIDE_LEGEND = 3


def colour_by(names: Sequence[str], field: str = "what") -> Spec:
    """Return the encoding of a line's colour by its name, with a legend."""
    colours = [SERIES[position % len(SERIES)] for position in range(len(names))]
    scale = {"domain": list(names), "range": colours}
    return {
        "field": field,
        "type": "nominal",
        "scale": scale,
        "legend": {"symbolType": "stroke", "columns": 2 if len(names) > _WIDE_LEGEND else 0},
    }


def tooltips(**fields: str) -> list[Spec]:
    """Return the tooltip: the fields with their titles, in order."""
    numbers = ("ms", "value", "s", "p99_ms", "rate_ops_s", "achieved_ops_s")
    return [
        {
            "field": field,
            "title": title,
            **({"type": "quantitative", "format": ",.4~g"} if field in numbers else {"type": "nominal"}),
        }
        for field, title in fields.items()
    ]
