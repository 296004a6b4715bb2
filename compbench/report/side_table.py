"""The table of systems and scenarios: each figure of each system, the best marked where noise can't be it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compbench.model import costs
from compbench.model.metrics import CAPACITY, NONE, P50, P99, RECALL, ROUND_TRIP_P50, ROUND_TRIP_P99, given
from compbench.model.records import Capture
from compbench.model.result import Capacity
from compbench.report.contenders import Contender
from compbench.report.duels import Contest, why_unequal
from compbench.report.elsewhere import UNKNOWN_THERE
from compbench.report.past.comparable import FoundCapacity
from compbench.report.statistics import ALPHA, ratio_of

Shown = Callable[[float], str]
_MEGABYTE = 1e6
_PRECISE_BELOW = 10


@dataclass(frozen=True)
class Column:
    """One figure of a system on a scenario: its title with the unit, and its repeats.

    `is_rated` tells whether less is better, so that the best may be marked; a figure such as recall is only told.
    `why_not` tells why there is none, if that is known.
    """

    name: str
    title: str
    shown: Shown
    values: Callable[[Contender], list[float]]
    is_rated: bool = True
    why_not: Callable[[Contender], str] = lambda _: ""


@dataclass(frozen=True)
class Cell:
    """What stands in the table; `note` says more."""

    text: str
    is_best: bool = False
    note: str = ""


@dataclass(frozen=True)
class Line:
    """A system's figures on a scenario; without any, `why_not` says why. `is_compared` tells if they may be best."""

    entry: Contender
    cells: list[Cell]
    is_compared: bool
    why_not: str

    @property
    def has_figures(self) -> bool:
        """Tell whether anything was measured."""
        return any(cell.text != NONE for cell in self.cells)


def lines_of(contest: Contest, capacities: dict[str, FoundCapacity], *, is_demonstration: bool) -> list[Line]:
    """Return the lines of one scenario; in a demonstration nothing is best.

    Args:
        contest: the scenario.
        capacities: results of searches for a capacity, by the name of scenario and system.
        is_demonstration: whether nothing is claimed.
    """
    rated = [] if is_demonstration else contest.compared
    best = {column.name: _best(column, rated) for column in COLUMNS if column.is_rated}
    found = {entry.system: _capacity(entry, capacities) for entry in contest.entries}
    best_capacity = _best_capacity(rated, {system: capacity for system, (capacity, _) in found.items()})
    lines = []
    for entry in contest.entries:
        cells = [_cell(column, entry, is_best=best.get(column.name) is entry) for column in COLUMNS]
        capacity, note = found[entry.system]
        place = [column.name for column in COLUMNS].index("p50") + 1
        shown = Cell(capacity_text(capacity), is_best=best_capacity is entry, note=note)
        cells.insert(place, shown)
        lines.append(Line(entry, cells, not entry.why_not, entry.why_not))
    return lines


def titles() -> list[str]:
    """Return the columns' titles, in order."""
    found = [column.title for column in COLUMNS]
    found.insert([column.name for column in COLUMNS].index("p50") + 1, CAPACITY.title)
    return found


def _cell(column: Column, entry: Contender, *, is_best: bool) -> Cell:
    values = column.values(entry)
    if not values:
        return Cell(NONE, note=column.why_not(entry))
    # The repeat that stands for all of them, so that a row is of one measurement; else the median.
    text = column.shown(statistics.median_high(values))
    spread = f"{column.shown(min(values))} to {column.shown(max(values))}" if len(values) > 1 else ""
    return Cell(text, is_best, spread if column.is_rated else "")


def _best(column: Column, entries: Sequence[Contender]) -> Contender | None:
    """Return the entry whose figure is lower than every other's by more than noise; None if that can't be told."""
    known = [(entry, values) for entry in entries if (values := column.values(entry))]
    if len(known) < 2 or len(known) < len(entries):  # noqa: PLR2004 - nothing to be better than, or one is unknown
        return None
    alpha = ALPHA / (len(known) - 1)
    best, lowest = min(known, key=lambda pair: statistics.fmean(pair[1]))
    ratios = [ratio_of(lowest, values, alpha) for entry, values in known if entry is not best]
    is_told = all(r is not None and r.low > 1 and r.is_over(P99.least_effect_pct) for r in ratios)
    return best if is_told and _is_comparable(best, entries) else None


def _is_comparable(best: Contender, entries: Sequence[Contender]) -> bool:
    """Tell whether an entry may be set beside each other one: what a duel does not compare is never better."""
    return not any(why_unequal(best, other) for other in entries if other is not best)


def _capacity(entry: Contender, capacities: dict[str, FoundCapacity]) -> tuple[Capacity | None, str]:
    """Return a capacity and what it holds at: of the frontier at the goal, or else of the newest search."""
    at_goal = entry.recall_capacity
    if at_goal is not None and at_goal.capacity is not None:
        return at_goal.capacity, f"at recall {given(at_goal.recall)}"
    name = entry.group.name if entry.group else ""
    if found := capacities.get(name):
        return found.facts, f"run {found.run}"
    return None, ""


def capacity_text(capacity: Capacity | None) -> str:
    """Return a capacity without its unit; `≥ 12000` where it was not the server that ended the search."""
    if capacity is None:
        return NONE
    if capacity.bound == "none":
        return "none"
    at_least = "≥ " if capacity.bound in ("driver", "limit") else ""
    return f"{at_least}{CAPACITY.number(capacity.low_ops_s)}"


def _best_capacity(entries: Sequence[Contender], capacities: dict[str, Capacity | None]) -> Contender | None:
    """Return the entry that sustains a rate which no other does; one that ended early, or has none, proves nothing."""
    found = {entry.system: capacity for entry in entries if (capacity := capacities[entry.system]) is not None}
    if len(found) < 2 or len(found) < len(entries):  # noqa: PLR2004 - nothing to be better than, or one is unknown
        return None
    top = max(entries, key=lambda entry: found[entry.system].low_ops_s)
    best, others = top.system, [capacity for system, capacity in found.items() if system != top.system]
    beaten = [c.high_ops_s is not None and c.bound in ("target", "none") for c in others]
    lower = [found[best].low_ops_s >= (c.high_ops_s or 0) > 0 for c in others]
    return top if all(beaten) and all(lower) and _is_comparable(top, entries) else None


def _of_captures(read: Callable[[Capture], float | None]) -> Callable[[Contender], list[float]]:
    def values(entry: Contender) -> list[float]:
        found = (read(capture) for capture in (entry.group.measured if entry.group else ()))
        return [value for value in found if value is not None]

    return values


def _server_cpu_us(capture: Capture) -> float | None:
    """Return the server's CPU time a request: its use of cores while measured, over the requests answered."""
    shares = [sample.cpu_pct for sample in capture.samples if sample.cpu_pct is not None]
    rate = capture.result.throughput_ops_s if capture.result else 0.0
    return 1e6 * statistics.fmean(shares) / 100 / rate if shares and rate else None


def _client_cpu_us(capture: Capture) -> float | None:
    return capture.result.details.client_cpu_us if capture.result and capture.result.details else None


def _why_not_there(entry: Contender) -> str:
    return UNKNOWN_THERE if entry.is_elsewhere else ""


def _effort(entry: Contender) -> list[float]:
    return [] if entry.effort is None else [float(entry.effort)]


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < _PRECISE_BELOW else f"{value:.0f}"


def _megabytes(value: float) -> str:
    return f"{value / _MEGABYTE:,.0f}" if value >= _PRECISE_BELOW * _MEGABYTE else f"{value / _MEGABYTE:.1f}"


def _micros(value: float) -> str:
    return f"{value:,.0f}"


def _cost(name: str) -> Column:
    """Return the column of what a request cost the server; not rated, since a cost is no merit by itself."""
    figure = costs.FIGURE_OF[name]

    def read(capture: Capture) -> float | None:
        counted = capture.server.costs
        return None if counted is None else figure.read(counted, costs.requests_counted(capture, counted))

    def why_not(entry: Contender) -> str:
        counted = entry.capture.server.costs if entry.capture else None
        if entry.capture is None or counted is None:
            return ""
        return f"{costs.UNKNOWN}: {figure.why_not(counted, costs.requests_counted(entry.capture, counted))}"

    title = f"server {figure.label.removesuffix(' a request')}"
    return Column(name, title, costs.shown, _of_captures(read), is_rated=False, why_not=why_not)


COLUMNS: tuple[Column, ...] = (
    Column("p99", P99.title, P99.form, lambda entry: entry.p99s_ms),
    Column("p50", P50.title, P50.form, _of_captures(lambda c: P50.read(c.result, None))),
    Column("recall", RECALL.title, RECALL.form, _of_captures(lambda c: RECALL.read(c.result, None)), is_rated=False),
    Column("effort", "effort", lambda value: f"{value:.0f}", _effort, is_rated=False),
    Column("load", "load, s", _seconds, lambda entry: entry.of_data(lambda data: data.load_s)),
    Column("index", "index, s", _seconds, lambda entry: entry.of_data(lambda data: data.index_s)),
    Column(
        "memory",
        "memory, MB",
        _megabytes,
        lambda entry: entry.of_data(lambda data: data.memory_bytes),
        why_not=_why_not_there,
    ),
    Column(
        "disk",
        "disk, MB",
        _megabytes,
        lambda entry: entry.of_data(lambda data: data.disk_bytes),
        why_not=_why_not_there,
    ),
    Column("server_cpu", "server CPU, µs", _micros, _of_captures(_server_cpu_us), why_not=_why_not_there),
    Column("client_cpu", "client CPU, µs", _micros, _of_captures(_client_cpu_us), is_rated=False),
    Column(
        "floor",
        "empty request P50, ms",
        P50.form,
        _of_captures(lambda c: ROUND_TRIP_P50.read(c.result, None)),
        is_rated=False,
    ),
    Column(
        "floor_p99",
        "empty request P99, ms",
        P99.form,
        _of_captures(lambda c: ROUND_TRIP_P99.read(c.result, None)),
        is_rated=False,
    ),
    _cost("context_switches_per_request"),
    _cost("instructions_per_request"),
)
