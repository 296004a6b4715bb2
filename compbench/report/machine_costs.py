"""The section of what a load cost the machine: counts of server and driver by the request, and its pressure. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from compbench.model.costs import FIGURES, UNKNOWN, WHOSE, CostFigure, costs_recorded, requests_counted, shown
from compbench.model.records import Capture, ProcessCosts
from compbench.model.sample import Sample

_NOT_RECORDED = "not recorded"
_WHOLE_PCT = 100.0
_NO_PRESSURE = (
    f"{UNKNOWN}: the kernel tells no pressure (Linux does from 4.20 on, if it was built and started with PSI)"
)
_PRESSURES = (
    ("CPU", "cpu_some_pct", ""),
    ("memory", "memory_some_pct", "memory_full_pct"),
    ("I/O", "io_some_pct", "io_full_pct"),
)


class CostTable(NamedTuple):
    """The rows (name, then server and driver), what has to be known of them, and the machine's pressure in words.

    `whose` says which machine that is where the server had another.
    """

    rows: list[tuple[str, list[str]]]
    notes: list[str]
    pressure: str
    whose: str = ""


def cost_table_of(capture: Capture) -> CostTable | None:
    """Return the section of a measured load; None of a search for a capacity, or where there was no load."""
    if capture.is_capacity or (capture.result is None and not capture.samples):
        return None
    recorded = {whose: costs_recorded(capture, whose) for whose in WHOSE}
    rows = [(figure.label, [_cell(capture, recorded[whose], figure) for whose in WHOSE]) for figure in FIGURES]
    if not any(recorded.values()):
        rows = []
    whose = " on the driver's machine" if capture.system_facts.is_elsewhere else ""
    return CostTable(rows, _notes(capture, recorded), pressure_told(capture.samples), whose)


def pressure_told(samples: Sequence[Sample]) -> str:
    """Return the machine's pressure in words: of CPU, memory and I/O, average and peak."""
    parts = []
    for name, some, full in _PRESSURES:
        average = _average(samples, some)
        if average is None:
            continue
        peak = max(value for sample in samples if (value := getattr(sample, some)) is not None)
        whole = _average(samples, full) if full else None
        stood = "" if whole is None else f"; everything stood still {whole:.1f} %"
        parts.append(f"{name} {average:.1f} % of the time (peak {peak:.1f} %{stood})")
    return ", ".join(parts) or _NO_PRESSURE


def average_pressures(samples: Sequence[Sample]) -> dict[str, float | None]:
    """Return the machine's pressure while it was measured, by kind, in per cent of the time; None is not readable."""
    names = [name for _, *both in _PRESSURES for name in both if name]
    return {name.removesuffix("_pct"): _average(samples, name) for name in names}


def _average(samples: Sequence[Sample], name: str) -> float | None:
    """Return a share's average over all intervals, each by its length."""
    total = length_s = before_s = 0.0
    for sample in samples:
        value = getattr(sample, name)
        if value is not None:
            total += value * (sample.elapsed_s - before_s)
            length_s += sample.elapsed_s - before_s
        before_s = sample.elapsed_s
    return total / length_s if length_s > 0 else None


def _cell(capture: Capture, costs: ProcessCosts | None, figure: CostFigure) -> str:
    if costs is None:
        return _NOT_RECORDED
    value = figure.read(costs, requests_counted(capture, costs))
    return UNKNOWN if value is None else shown(value)


def _notes(capture: Capture, recorded: dict[str, ProcessCosts | None]) -> list[str]:
    if not any(recorded.values()):
        return ["what server and driver cost the machine was not recorded"]
    notes: list[str] = []
    for text, whose in _by_text({whose: _missing(capture, costs) for whose, costs in recorded.items()}):
        notes.append(f"{whose}: {text}")
    for text, whose in _by_text({whose: _origin(costs) for whose, costs in recorded.items()}):
        notes.append(f"{whose}: {text}")
    return notes


def _by_text(texts: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return each text once, with all that it is said of."""
    found: dict[str, list[str]] = {}
    for whose, own in texts.items():
        for text in own:
            found.setdefault(text, []).append(whose)
    return [(text, " and ".join(whose)) for text, whose in found.items()]


def _missing(capture: Capture, costs: ProcessCosts | None) -> list[str]:
    """Return why figures are missing, those with the same reason together."""
    if costs is None:
        return [_NOT_RECORDED]
    requests = requests_counted(capture, costs)
    reasons: dict[str, list[str]] = {}
    for figure in FIGURES:
        if figure.read(costs, requests) is None:
            reasons.setdefault(figure.why_not(costs, requests), []).append(figure.label)
    if [len(labels) for labels in reasons.values()] == [len(FIGURES)]:
        reason = next(iter(reasons))
        return [f"{UNKNOWN}: {reason}"]
    return [f"{', '.join(labels)}: {UNKNOWN}{': ' * bool(why)}{why}" for why, labels in reasons.items()]


def _origin(costs: ProcessCosts | None) -> list[str]:
    """Return where the counts are from, and what they leave out."""
    if costs is None or costs.counted_s is None or not costs.source:
        return []
    told = [f"counted for {costs.counted_s:.1f} s by {costs.source}"]
    if costs.is_user_only:
        told.append("cycles and instructions of user space alone, without the kernel's")
    if costs.share_pct is not None and costs.share_pct < _WHOLE_PCT:
        told.append(f"the processor's counters were free {costs.share_pct:.0f} % of the time, the rest is estimated")
    if costs.ended_threads:
        told.append(f"without what /proc tells of {costs.ended_threads} threads that ended meanwhile")
    return ["; ".join(told)]
