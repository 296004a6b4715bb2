"""The charts of several systems: how they stand, recall against speed, latency by percentile. Vega-Lite, pure.

A system has the same colour, shape and dash in every chart of a page, and its name beside its mark: nothing hangs on
colour alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from compbench.model.metrics import P99, given
from compbench.report.charts.vega import BAD, INK, SOFT, Datum, Spec, chart_of, tooltips, y_axis

# Of the page's style sheet: told apart with the usual kinds of colour blindness, and by their lightness.
COLOURS = tuple(f"var(--s{number})" for number in range(1, 10))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "stroke", "triangle-left", "arrow")
DASHES = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3], [5, 2], [1, 2], [12, 4], [3, 1], [8, 2, 2, 2, 2, 2])
_HEIGHT = 300
# Of a chart's height, for the axis and its title.
_AXIS_PX = 45
# Between two labels, and the width that they have at the right, as a share of the chart's.
_LABEL_PX = 15
_ROOM = 0.24
# With labels that say besides that a system is not compared.
_ROOM_UNCOMPARED = 0.4
_UNCOMPARED = "not compared"
_FAINT = 0.35


@dataclass(frozen=True)
class Stand:
    """A system's P99 on a scenario with the range of its repeats; `note` says why it has none, or is not compared."""

    scenario: str
    system: str
    ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    note: str = ""
    is_leader: bool = False
    is_compared: bool = True


@dataclass(frozen=True)
class Reached:
    """One effort of a system's frontier."""

    system: str
    effort: int
    recall: float
    p99_ms: float
    is_chosen: bool
    is_valid: bool


def standing_chart(stands: Sequence[Stand], systems: Sequence[str]) -> Spec | None:
    """Return P99 of every system on every scenario, a row each, on a logarithmic axis."""
    known = [stand.ms for stand in stands if stand.ms]
    if not known:
        return None
    rows: list[Datum] = []
    for scenario in dict.fromkeys(stand.scenario for stand in stands):
        rows.append({"row": f"{scenario} ", "head": scenario})
        rows += [_standing_row(stand, min(known)) for stand in stands if stand.scenario == scenario]
    order = [row["row"] for row in rows]
    highest = max(max(stand.high_ms or 0, stand.ms or 0) for stand in stands)
    lowest = min(min(stand.low_ms or stand.ms, stand.ms) for stand in stands if stand.ms)
    # Room at the left for the names, at the right for figures and notes.
    span = math.log(max(highest / lowest, 2))
    domain = [lowest * math.exp(-0.42 * span), highest * math.exp(0.42 * span)]
    y: Spec = {"field": "row", "type": "nominal", "sort": order, "title": None, "axis": None}
    x: Spec = {
        "field": "ms",
        "type": "quantitative",
        "scale": {"type": "log", "domain": domain, "nice": False},
        "title": "P99 response time, ms (repeats: bar)",
        "axis": {"values": _decades(lowest, highest), "format": ",.4~g"},
    }
    place: Spec = {"y": y, "color": _colour(systems)}
    text = {"type": "text", "align": "left", "fontSize": 12}
    layers: list[Spec] = [
        {
            "mark": {**text, "fontWeight": "bold"},
            "transform": [{"filter": "isValid(datum.head)"}],
            "encoding": {"y": y, "x": {"value": 0}, "text": {"field": "head"}},
        },
        {
            "mark": {**text, "dx": 8},
            "transform": [{"filter": "isValid(datum.what)"}],
            "encoding": {**place, "x": {"value": 0}, "text": {"field": "what"}},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 5, "opacity": 0.45},
            "transform": [{"filter": "isValid(datum.high) && datum.compared"}],
            "encoding": {**place, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
    ]
    for is_compared in (True, False):  # a hollow mark is in no comparison
        layers.append(
            {
                "mark": {"type": "point", "size": 95, "filled": is_compared, "opacity": 1 if is_compared else 0.6},
                "transform": [{"filter": f"isValid(datum.ms) && datum.compared == {str(is_compared).lower()}"}],
                "encoding": {
                    **place,
                    "x": x,
                    "shape": _shape(systems),
                    "tooltip": tooltips(scenario="scenario", what="system", text="P99"),
                },
            }
        )
    for is_leader, weight in ((True, "bold"), (False, "normal")):
        layers.append(
            {
                "mark": {**text, "fontSize": 11, "dx": 9, "fontWeight": weight},
                "transform": [{"filter": f"isValid(datum.ms) && datum.leader == {str(is_leader).lower()}"}],
                "encoding": {"y": y, "x": {**x, "field": "end"}, "text": {"field": "text"}},
            }
        )
    layers.append(
        {
            "mark": {**text, "fontSize": 11, "dx": 0, "color": SOFT},
            "transform": [{"filter": "isValid(datum.absent)"}],
            "encoding": {"y": y, "x": {**x, "field": "from"}, "text": {"field": "absent"}},
        }
    )
    return chart_of(rows, {"layer": layers, "height": {"step": 22}})


def frontier_chart(points: Sequence[Reached], systems: Sequence[str], goal: float | None) -> Spec | None:
    """Return recall against P99 of each system: steps, since between two efforts nothing was measured.

    A step leads from a recall to the effort that reaches the next one: what a reader of a recall has to pay.
    """
    if not points:
        return None
    names = [system for system in systems if any(point.system == system for point in points)]
    worst, best = min(p.recall for p in points), max(p.recall for p in points)
    right = best + _ROOM * max(best - min(worst, goal or worst), 0.01) / (1 - _ROOM)
    rows: list[Datum] = [
        {
            "what": p.system,
            "recall": p.recall,
            "ms": p.p99_ms,
            "effort": str(p.effort),
            "chosen": p.is_chosen,
            "valid": p.is_valid,
            "state": _state(p),
        }
        for p in points
    ]
    left = min(worst, goal or worst)
    x: Spec = {
        "field": "recall",
        "type": "quantitative",
        "title": "recall of the timed answers",
        "scale": {"domain": [left, right], "nice": False, "zero": False},
        "axis": {"values": _ticks(left, best), "format": ".3~f"},
    }
    y = _log_y([p.p99_ms for p in points], "P99 at the scenario's rate, ms")
    shared: Spec = {"x": x, "y": y, "color": _colour(names, systems)}
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "interpolate": "step-before"},
            "encoding": {**shared, "strokeDash": _dash(names, systems), "order": {"field": "recall"}},
        },
        {
            "mark": {"type": "point", "size": 55, "filled": True, "opacity": 1},
            "transform": [{"filter": "datum.valid"}],
            "encoding": {**shared, "shape": _shape(names, systems), "tooltip": _frontier_tooltip()},
        },
        {
            "mark": {"type": "point", "size": 55, "filled": False, "opacity": 1},
            "transform": [{"filter": "!datum.valid"}],
            "encoding": {**shared, "shape": _shape(names, systems), "tooltip": _frontier_tooltip()},
        },
        {
            "mark": {"type": "point", "size": 230, "filled": False, "strokeWidth": 2, "opacity": 1},
            "transform": [{"filter": "datum.chosen"}],
            "encoding": shared,
        },
    ]
    last = {name: max((p for p in points if p.system == name), key=lambda p: p.recall) for name in names}
    layers.append(_labels({name: (p.recall, p.p99_ms) for name, p in last.items()}, shared, best, "recall"))
    if goal is not None:
        layers += _goal(goal, x)
    return chart_of(rows, {"layer": layers, "height": _HEIGHT})


def percentiles_chart(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    systems: Sequence[str],
    target_ms: float | None,
    *,
    uncompared: Collection[str] = (),
) -> Spec | None:
    """Return latency over percentile of all systems, stretched so that each further nine has the same width.

    Those that are not compared are faint and called so: the lowest line is not the fastest if it answers wrongly.
    """
    curves = {name: points for name in systems if (points := curves.get(name))}
    if not curves:
        return None
    rows: list[Datum] = [
        {
            "what": name,
            "nines": 1 / (1 - percentile / 100),
            "ms": ms,
            "percentile": f"P{percentile:.6g}",
            "compared": name not in uncompared,
        }
        for name, points in curves.items()
        for percentile, ms in points
        if ms > 0
    ]
    highest = max(row["nines"] for row in rows)
    axis: Spec = {
        "values": [nines for nines in (1, 2, 10, 100, 1000, 10_000, 100_000) if nines <= highest],
        "labelExpr": "datum.value == 1 ? '0' : 'P' + format(100 - 100 / datum.value, '.6~g')",
        "title": "percentile of all operations",
    }
    names = list(curves)
    labels = {name: f"{name} ({_UNCOMPARED})" if name in uncompared else name for name in names}
    room = _ROOM if labels.keys() == set(labels.values()) else _ROOM_UNCOMPARED
    scale = {"type": "log", "nice": False, "domain": [1, highest ** (1 / (1 - room))]}
    x: Spec = {"field": "nines", "type": "quantitative", "scale": scale, "axis": axis}
    y = _log_y([row["ms"] for row in rows], "response time, ms")
    shared: Spec = {"x": x, "y": y, "color": _colour(names, systems)}
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "interpolate": "monotone", "opacity": 1 if is_compared else _FAINT},
            "transform": [{"filter": f"datum.compared == {str(is_compared).lower()}"}],
            "encoding": {**shared, "strokeDash": _dash(names, systems)},
        }
        for is_compared in (True, False)
    ]
    layers += [
        {
            "mark": {"type": "point", "opacity": 0, "size": 90},
            "encoding": {**shared, "tooltip": tooltips(what="system", percentile="percentile", ms="ms")},
        },
        _labels({n: (1 / (1 - p[-1][0] / 100), p[-1][1]) for n, p in curves.items()}, shared, highest, "nines", labels),
    ]
    if target_ms is not None:
        layers += _limit(target_ms, x, y)
    return chart_of(rows, {"layer": layers, "height": _HEIGHT})


def apart(values: Sequence[float], least: float) -> list[float]:
    """Return values moved as little as needed to be `least` apart, in their order: labels that don't cover each other.

    They are taken from the lowest upwards, and the whole is shifted back by half of what it grew.
    """
    order = sorted(range(len(values)), key=lambda place: values[place])
    moved = list(values)
    for before, place in itertools.pairwise(order):
        moved[place] = max(values[place], moved[before] + least)
    grown = sum(moved[place] - values[place] for place in order) / max(1, len(order))
    return [value - grown for value in moved]


def _standing_row(stand: Stand, lowest_ms: float) -> Datum:
    row: Datum = {"row": f"{stand.scenario} {stand.system}", "what": stand.system, "scenario": stand.scenario}
    if not stand.ms:
        return row | {"from": lowest_ms, "absent": f"- {_short(stand.note)}"}
    remark = f"  {_short(stand.note)}" if stand.note else ""
    sign = "  ahead" if stand.is_leader else ""
    row |= {"ms": stand.ms, "end": max(stand.high_ms or 0, stand.ms), "leader": stand.is_leader}
    row["compared"] = stand.is_compared
    row |= {"text": f"{P99.number(stand.ms)} ms{sign}{remark}"}
    if stand.low_ms and stand.high_ms and stand.high_ms > stand.low_ms:
        row |= {"low": stand.low_ms, "high": stand.high_ms}
    return row


_NOTE_LETTERS = 34


def _short(note: str) -> str:
    """Return a note as far as it fits beside a mark; the table has all of it."""
    first = note.partition(":")[0] if len(note) > _NOTE_LETTERS else note
    return first if len(first) <= _NOTE_LETTERS else f"{first[: _NOTE_LETTERS - 1].rstrip()}…"


def _state(point: Reached) -> str:
    parts = ["chosen"] if point.is_chosen else []
    parts += [] if point.is_valid else ["times spoiled by the driver or the machine"]
    return ", ".join(parts) or "measured"


def _frontier_tooltip() -> list[Spec]:
    return [
        *tooltips(what="system", effort="effort"),
        {"field": "recall", "title": "recall", "type": "quantitative", "format": ".4f"},
        *tooltips(ms="P99, ms", state=""),
    ]


def _scale_of(names: Sequence[str], systems: Sequence[str], looks: Sequence[object]) -> Spec:
    """Return the scale that gives each system its own look, whichever of them a chart shows."""
    return {"domain": list(names), "range": [looks[list(systems).index(name) % len(looks)] for name in names]}


def _colour(names: Sequence[str], systems: Sequence[str] = ()) -> Spec:
    scale = _scale_of(names, systems or names, COLOURS)
    return {"field": "what", "type": "nominal", "scale": scale, "legend": None}


def _shape(names: Sequence[str], systems: Sequence[str] = ()) -> Spec:
    scale = _scale_of(names, systems or names, SHAPES)
    return {"field": "what", "type": "nominal", "scale": scale, "legend": None}


def _dash(names: Sequence[str], systems: Sequence[str]) -> Spec:
    return {"field": "what", "type": "nominal", "scale": _scale_of(names, systems, DASHES), "legend": None}


def _log_y(values: Sequence[float], title: str) -> Spec:
    positive = [value for value in values if value > 0]
    low, high = min(positive) / 1.15, max(positive) * 1.15
    y = y_axis("ms", title, log=True)
    return {
        **y,
        "scale": {"type": "log", "domain": [low, high], "nice": False},
        "axis": {"values": _decades(low, high), "format": ",.4~g"},
    }


def _labels(
    ends: Mapping[str, tuple[float, float]],
    shared: Spec,
    right: float,
    field: str,
    names: Mapping[str, str] | None = None,
) -> Spec:
    """Return the systems' names at the right, each as near to the end of its line as the others let it."""
    low, high = (math.log(value) for value in shared["y"]["scale"]["domain"])
    logs = [math.log(max(ms, math.exp(low))) for _, ms in ends.values()]
    moved = apart(logs, _LABEL_PX * (high - low) / (_HEIGHT - _AXIS_PX))
    lowest, highest = min(moved, default=0.0), max(moved, default=0.0)
    shift = max(0.0, low - lowest) - max(0.0, highest - high)
    places = [
        {"what": name, "label": (names or {}).get(name, name), field: right, "ms": math.exp(at + shift)}
        for name, at in zip(ends, moved, strict=True)
    ]
    mark = {"type": "text", "align": "left", "dx": 12, "fontSize": 12, "fontWeight": "bold"}
    return {"data": {"values": places}, "mark": mark, "encoding": {**shared, "text": {"field": "label"}}}


def _goal(goal: float, x: Spec) -> list[Spec]:
    data = {"values": [{"recall": goal, "label": f"goal {given(goal)}"}]}
    text = {"type": "text", "align": "right", "dx": -5, "dy": 8, "fontSize": 11, "color": INK}
    return [
        {"data": data, "mark": {"type": "rule", "strokeDash": [5, 3], "color": INK}, "encoding": {"x": x}},
        {"data": data, "mark": text, "encoding": {"x": x, "y": {"value": 0}, "text": {"field": "label"}}},
    ]


def _limit(target_ms: float, x: Spec, y: Spec) -> list[Spec]:
    low, high = y["scale"]["domain"]
    if not low <= target_ms <= high:
        return []
    data = {"values": [{"nines": 100, "ms": target_ms, "label": f"target: P99 {given(target_ms)} ms"}]}
    mark = {"type": "point", "shape": "triangle-up", "filled": True, "size": 90, "color": BAD, "opacity": 1}
    text = {"type": "text", "dy": 16, "fontSize": 11, "color": BAD}
    return [
        {"data": data, "mark": mark, "encoding": {"x": x, "y": y, "tooltip": tooltips(label="limit")}},
        {"data": data, "mark": text, "encoding": {"x": x, "y": y, "text": {"field": "label"}}},
    ]


def _decades(low: float, high: float) -> list[float]:
    """Return ticks of a logarithmic axis: 1, 2, 5 of each power of ten where few powers are in sight."""
    steps = (1, 2, 5) if high / low < 100 else (1,)  # noqa: PLR2004 - two powers of ten
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [value for power in powers for step in steps if low <= (value := round(step * 10.0**power, 9)) <= high]


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round recalls, none above the highest that was reached."""
    wanted = max(high - low, 1e-3) / 5
    step = min((s for s in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if s >= wanted), default=0.2)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 4) for number in range(first, int(high / step + 1e-9) + 1)]
