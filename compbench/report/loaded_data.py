"""The data that a run's scenarios were measured on, in words: which set, how much of it, and why no more."""

from __future__ import annotations

from collections.abc import Sequence

from compbench.model.records import Capture, DataSet
from compbench.report.groups import group_captures


def data_lines(captures: Sequence[Capture]) -> list[str]:
    """Return a line for each amount of each set, with the scenarios that had it."""
    found: dict[tuple[str, int, str], dict[str, DataSet]] = {}
    for group in group_captures(captures):
        data = group.captures[-1].data_set
        if data is not None:
            found.setdefault((data.what, data.wanted, data.reason), {})[group.scenario] = data
    return [_line(of_each) for of_each in found.values()]


def _line(of_each: dict[str, DataSet]) -> str:
    one = next(iter(of_each.values()))
    meant: dict[int, list[str]] = {}
    for name, data in of_each.items():
        meant.setdefault(data.nodes_in_scenario, []).append(name)
    parts = [f"{_of(count, one.wanted)} in {' and '.join(names)}" for count, names in meant.items()]
    reason = f": {one.reason}" if one.reason else ""
    what = f" ({one.what})" if one.what else ""
    return f"{one.wanted:,} memories, {', '.join(parts)}{reason}{what}"


def _of(meant: int, loaded: int) -> str:
    return "all" if meant <= loaded else f"of {meant:,}"
