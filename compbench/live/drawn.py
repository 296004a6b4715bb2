"""The page's charts as Vega-Lite specifications without data, and which rows of which series go into each. Pure."""

from __future__ import annotations

from typing import Any

from compbench.report.charts.vega import SERIES, Spec, chart_of, y_axis

# The name by which the page hands data to a chart.
ROWS = "rows"
_HEIGHT = 190


def charts() -> dict[str, dict[str, Any]]:
    """Return each chart with its title, the series that it is `of`, and its lines by the field of a row."""
    return {
        "latency": {
            "title": "Latency, ms, by the second",
            "of": ["seconds"],
            "lines": {"p50": "P50", "p95": "P95", "p99": "P99"},
            "spec": _over_seconds("ms", log=True, names=("P50", "P95", "P99")),
        },
        "throughput": {
            "title": "Throughput, operations a second",
            "of": ["seconds", "rates"],
            "lines": {"offered": "offered", "achieved": "answered", "errors": "errors"},
            "spec": _over_seconds("operations a second", names=("offered", "answered", "errors")),
        },
        "hosts": {
            "title": "P99 of each sending host, ms",
            "of": ["seconds"],
            "lines": {},
            "spec": _over_seconds("ms", log=True),
        },
        "cpu": {
            "title": "CPU: of one core; waiting and stolen: of all cores",
            "of": ["samples"],
            "lines": {"server": "server", "driver": "driver", "io_wait": "waiting for disks", "stolen": "stolen"},
            "spec": _over_seconds("per cent", names=("server", "driver", "waiting for disks", "stolen")),
        },
        "memory": {
            "title": "Memory, MB",
            "of": ["samples"],
            "lines": {"server_mb": "server", "driver_mb": "driver"},
            "spec": _over_seconds("MB", names=("server", "driver")),
        },
        "earlier": {"title": "P99 of earlier runs, ms", "of": [], "lines": {}, "spec": _over_runs()},
    }


def _over_seconds(title: str, *, log: bool = False, names: tuple[str, ...] = ()) -> Spec:
    """Return lines over the seconds of a measurement, in a frame as long as that will last."""
    domain = {"domainMin": {"expr": "since"}, "domainMax": {"expr": "until"}}
    x = {
        "field": "s",
        "type": "quantitative",
        "title": "seconds of the measurement",
        "axis": {"grid": False, "tickCount": 8},
        "scale": {**domain, "nice": False, "zero": False},
    }
    scale = {"domain": list(names), "range": list(SERIES[: len(names)])} if names else {"range": _many_colours()}
    legend = {"symbolType": "stroke", "columns": 0 if 0 < len(names) < 4 else 2}  # noqa: PLR2004 - see vega.colour_by
    parts = {
        "params": [{"name": "since", "value": 0}, {"name": "until", "value": 10}],
        "mark": {"type": "line", "invalid": "break-paths-show-domains", "clip": True},
        "encoding": {
            "x": x,
            "y": y_axis("value", title, log=log),
            "color": {"field": "what", "type": "nominal", "scale": scale, "legend": legend},
        },
        "height": _HEIGHT,
    }
    return {**chart_of([], parts), "data": {"name": ROWS}}


def _over_runs() -> Spec:
    parts = {
        "mark": {"type": "line", "point": True, "color": SERIES[0]},
        "encoding": {
            "x": {"field": "run", "type": "ordinal", "title": None, "axis": {"labels": False, "ticks": False}},
            "y": y_axis("p99", "ms"),
        },
        "height": 120,
    }
    return {**chart_of([], parts), "data": {"name": ROWS}}


def _many_colours() -> list[str]:
    return [f"var(--s{number})" for number in range(1, 10)]
