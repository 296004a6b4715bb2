"""The pairs of a duet: which measurements belong together, and what makes the sides unequal besides speed. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from compbench.model.measurement import measurement_named
from compbench.model.records import Capture
from compbench.model.result import Details

BASE, HEAD = "base", "head"
# A build that finds so much less is not compared at equal recall.
_RECALL_DIFFERS = 0.005


def whole_pairs(captures: Sequence[Capture]) -> tuple[list[tuple[Capture, Capture]], list[str]]:
    """Return the pairs of which both sides are measurements, base first, and a line for each pair that is left out."""
    rounds: dict[int, dict[str, Capture]] = {}
    for capture in captures:
        number = measurement_named(capture.measurement).round_number
        rounds.setdefault(number, {})[capture.variant] = capture
    pairs, left_out = [], []
    for number, sides in sorted(rounds.items()):
        lacking = [f"{name} {_why_not(sides.get(name))}" for name in (BASE, HEAD) if _why_not(sides.get(name))]
        if lacking:
            left_out.append(f"pair {number}: {', '.join(lacking)}")
        else:
            pairs.append((sides[BASE], sides[HEAD]))
    return pairs, left_out


def _why_not(capture: Capture | None) -> str:
    """Say why a capture is no side of a pair; empty if it is one."""
    if capture is None:
        return "not measured"
    if not capture.outcome.is_measurement:
        return f"{capture.outcome.verdict} ({capture.outcome.reason})"
    return "" if details_of(capture).response_time_ms else "has no figures"


def details_of(capture: Capture) -> Details:
    """Return what the driver tells besides the plain figures; nothing if it told none."""
    return (capture.result.details if capture.result else None) or Details()


def cautions_of(pairs: Sequence[tuple[Capture, Capture]]) -> list[str]:
    """Say what makes the two sides unequal besides their speed: what their answers miss, and what they fail."""
    found = []
    recalls = [_mean([_recall(side[place]) for side in pairs]) for place in (0, 1)]
    if recalls[0] is not None and recalls[1] is not None and abs(recalls[1] - recalls[0]) > _RECALL_DIFFERS:
        found.append(f"not at equal recall: base {recalls[0]:.4f}, head {recalls[1]:.4f}")
    results = [[side[place].result for side in pairs] for place in (0, 1)]
    errors = [sum(result.total_errors for result in own if result) for own in results]
    if any(errors):
        found.append(f"requests that failed: base {errors[0]}, head {errors[1]}")
    missed = [sum(side[place].outcome.verdict == "missed" for side in pairs) for place in (0, 1)]
    if any(missed):
        found.append(f"rounds that missed a target: base {missed[0]}, head {missed[1]}, of {len(pairs)}")
    return found


def _recall(capture: Capture) -> float | None:
    recall = details_of(capture).recall
    return recall.reached if recall else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def minutes_of(captures: Sequence[Capture]) -> float:
    """Return how long measurements took, each with its rest and the waiting for quiet before it."""
    return sum(capture.ended_at - capture.started_at for capture in captures) / 60
