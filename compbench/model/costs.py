"""What one request costs the machine, of server and driver: counts of a load over the requests that it answered. Pure.

A count covers nearly all of a measurement, at whose rate requests are answered; so the requests of the counted time are
that rate by its seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from compbench.model.records import Capture, ProcessCosts

Whose = str
WHOSE: tuple[Whose, ...] = ("server", "driver")
UNKNOWN = "not readable here"
_NO_REQUESTS = "no request was answered"
_MILLION, _THOUSAND = 1e6, 1e3
_IN_MILLIONS_FROM, _IN_THOUSANDS_FROM, _WHOLE_FROM, _LEAST = 1e7, 1e4, 100, 0.001


class CostFigure(NamedTuple):
    """One figure: its key, its name for readers, the counts that it takes, and how these, by the requests, give it."""

    name: str
    label: str
    counts: tuple[str, ...]
    value: Callable[[list[float], float], float | None]

    def read(self, costs: ProcessCosts, requests: float) -> float | None:
        """Return the figure, None if a count of it is not known."""
        known = [count for name in self.counts if (count := getattr(costs, name)) is not None]
        return self.value(known, requests) if len(known) == len(self.counts) else None

    def why_not(self, costs: ProcessCosts, requests: float) -> str:
        """Return why there is no figure."""
        reasons = [costs.why_not[name] for name in self.counts if name in costs.why_not]
        return reasons[0] if reasons else "" if requests else _NO_REQUESTS


def _a_request(counts: list[float], requests: float) -> float | None:
    return counts[0] / requests if requests else None


def _ratio(counts: list[float], _: float) -> float | None:
    return counts[0] / counts[1] if counts[1] else None


def _share_pct(counts: list[float], _: float) -> float | None:
    return 100 * counts[0] / sum(counts) if sum(counts) else None


FIGURES: tuple[CostFigure, ...] = (
    CostFigure("instructions_per_request", "instructions a request", ("instructions",), _a_request),
    CostFigure("cycles_per_request", "cycles a request", ("cycles",), _a_request),
    CostFigure("instructions_per_cycle", "instructions a cycle", ("instructions", "cycles"), _ratio),
    CostFigure("context_switches_per_request", "context switches a request", ("context_switches",), _a_request),
    CostFigure(
        "involuntary_switches_pct",
        "of these pushed aside, %",
        ("involuntary_switches", "voluntary_switches"),
        _share_pct,
    ),
    CostFigure("migrations_per_request", "CPU migrations a request", ("migrations",), _a_request),
    CostFigure("page_faults_per_request", "page faults a request", ("page_faults",), _a_request),
)
FIGURE_OF = {figure.name: figure for figure in FIGURES}
# The counts of a record, in the order in which they are told.
COUNTS = (
    *("cycles", "instructions", "context_switches", "voluntary_switches", "involuntary_switches", "migrations"),
    "page_faults",
)
# As `results.json` and `runs.csv` name them.
NAMES = tuple(f"{whose}_{figure.name}" for whose in WHOSE for figure in FIGURES)


def costs_recorded(capture: Capture, whose: Whose) -> ProcessCosts | None:
    """Return what was counted of server or driver; None in an older record, and of a search for a capacity."""
    return capture.server.costs if whose == "server" else capture.driver_process.costs


def requests_counted(capture: Capture, costs: ProcessCosts) -> float:
    """Return how many requests were answered in the counted time, as far as the mean rate tells; 0 if none."""
    if capture.result is None or costs.counted_s is None:
        return 0.0
    return capture.result.throughput_ops_s * min(costs.counted_s, float(capture.duration_s))


def cost_figures(capture: Capture) -> dict[str, float | None]:
    """Return each figure of server and driver by its name; None is not known."""
    found: dict[str, float | None] = {}
    for whose in WHOSE:
        costs = costs_recorded(capture, whose)
        for figure in FIGURES:
            value = None if costs is None else figure.read(costs, requests_counted(capture, costs))
            found[f"{whose}_{figure.name}"] = value
    return found


def shown(value: float) -> str:
    """Return a figure as a person reads it, in three digits: `410k`, `1.42`, `< 0.001`."""
    if value >= _IN_MILLIONS_FROM:
        return f"{value / _MILLION:,.3g}M" if value < _IN_MILLIONS_FROM * _WHOLE_FROM else f"{value / _MILLION:,.0f}M"
    if value >= _IN_THOUSANDS_FROM:
        return f"{value / _THOUSAND:,.0f}k"
    if value >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"< {_LEAST}" if 0 < value < _LEAST else f"{value:.3g}"
