"""Who is ahead on a scenario, by how much, and whether these measurements can tell it. Pure.

A system is ahead if the interval of the ratio of P99s lies on one side of 1 against every other; the interval holds for
all comparisons of a scenario together (Bonferroni), since the leader is picked after looking.
"""

from __future__ import annotations

import statistics as basic
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from compbench.model.metrics import RECALL
from compbench.report.contenders import Contender
from compbench.report.statistics import ALPHA, Ratio, ratio_of

Told = Literal["ahead", "behind", "can't tell", "not compared"]


@dataclass(frozen=True)
class Duel:
    """Two systems on one scenario: `ratio` is the other's P99 over the first's; `reason` says why there is none."""

    first: Contender
    other: Contender
    ratio: Ratio | None
    reason: str = ""

    @property
    def told(self) -> Told:
        """Return how the first stands."""
        if self.ratio is None:
            return "not compared"
        if self.ratio.low > 1:
            return "ahead"
        return "behind" if self.ratio.high < 1 else "can't tell"


@dataclass(frozen=True)
class Contest:
    """One scenario: its entries, the subject's duel with each rival, and the leader with the duel against the next.

    `nearest` is the closest duel of the system with the lowest P99; `leader` is None where that can't be told.
    `against` has all duels of that system.
    """

    scenario: str
    entries: list[Contender]
    duels: list[Duel]
    leader: Contender | None
    nearest: Duel | None
    against: list[Duel]

    @property
    def compared(self) -> list[Contender]:
        """Return the entries whose figures are compared."""
        return [entry for entry in self.entries if not entry.why_not]


def contest_of(scenario: str, entries: Sequence[Contender], *, is_demonstration: bool) -> Contest:
    """Return how the systems stand on a scenario; a demonstration has figures, and no claims."""
    eligible = [] if is_demonstration else [entry for entry in entries if not entry.why_not]
    alpha = ALPHA / max(1, len(eligible) - 1)
    reason = "a demonstration: nothing is claimed" if is_demonstration else ""
    duels = [_duel(entries[0], rival, alpha, reason) for rival in entries[1:]]
    lowest = min(eligible, key=_typical_p99_ms, default=None)
    against = [_duel(lowest, other, alpha, "") for other in eligible if lowest and other is not lowest]
    rated = sorted((duel for duel in against if duel.ratio), key=lambda duel: duel.ratio.ratio if duel.ratio else 0.0)
    is_ahead = bool(against) and all(duel.told == "ahead" for duel in against)
    untold = [duel for duel in rated if duel.told != "ahead"]
    return Contest(
        scenario=scenario,
        entries=list(entries),
        duels=duels,
        leader=lowest if is_ahead else None,
        nearest=next(iter(untold or rated), None),
        against=against,
    )


def contests_of(entries: Mapping[str, Sequence[Contender]], *, is_demonstration: bool) -> list[Contest]:
    """Return how the systems stand on each scenario."""
    return [contest_of(name, own, is_demonstration=is_demonstration) for name, own in entries.items()]


def _typical_p99_ms(entry: Contender) -> float:
    return basic.geometric_mean(entry.p99s_ms) if entry.p99s_ms and min(entry.p99s_ms) > 0 else 0.0


def _duel(first: Contender, other: Contender, alpha: float, reason: str) -> Duel:
    own = f"{first.title}: {first.why_not}" if first.why_not else ""
    reason = reason or own or other.why_not or _why_unequal(first, other)
    if reason:
        return Duel(first, other, None, reason)
    ratio = ratio_of(first.p99s_ms, other.p99s_ms, alpha)
    return Duel(first, other, ratio, "" if ratio else "it takes two valid repeats of each, and scipy, to tell")


def _why_unequal(first: Contender, other: Contender) -> str:
    """Return what two systems that both ran well did not have in common, if that forbids to compare them."""
    if first.data and other.data and first.data.wanted != other.data.wanted:
        return f"not the same amount of data: {first.data.wanted:,} and {other.data.wanted:,} memories"
    stored = [e.data.stored for e in (first, other) if e.data and e.data.stored is not None]
    if len(stored) == len((first, other)) and stored[0] != stored[1]:
        return f"not the same amount of data: {stored[0]:,} and {stored[1]:,} memories stored"
    recalls = [e.recall for e in (first, other)]
    if first.goal is None and recalls[0] is not None and recalls[1] is not None:
        points = 100 * abs(recalls[0] - recalls[1])
        if points > RECALL.least_effect_pct:
            return f"not at equal recall: {100 * recalls[0]:.2f} % and {100 * recalls[1]:.2f} %"
    return ""
