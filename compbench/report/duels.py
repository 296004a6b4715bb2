"""Who is ahead on a scenario, by how much, and whether these measurements can tell it. Pure.

A system is ahead if the interval of the ratio of P99s lies on one side of 1 against every other that it can be compared
with, and the difference is one that matters; the interval holds for all comparisons of a scenario together
(Bonferroni), since the leader is picked after looking.
"""

from __future__ import annotations

import statistics as basic
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from compbench.model.metrics import P99, RECALL, given
from compbench.report import missing_extra
from compbench.report.contenders import Contender
from compbench.report.statistics import ALPHA, Ratio, ratio_of

Told = Literal["ahead", "behind", "no difference", "can't tell", "not compared"]
_PAIR = 2
NO_DIFFERENCE = f"within {P99.least_effect_pct:g} %: no difference that matters"


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
        if self.ratio.low <= 1 <= self.ratio.high:
            return "can't tell"
        if not self.ratio.is_over(P99.least_effect_pct):
            return "no difference"
        return "ahead" if self.ratio.ratio > 1 else "behind"

    @property
    def in_words(self) -> str:
        """Return how the first stands as a table says it."""
        return NO_DIFFERENCE if self.told == "no difference" else self.told


@dataclass(frozen=True)
class Contest:
    """One scenario: its entries, the subject's duel with each rival, and the leader with the duel against the next.

    `against` has all duels of the system with the lowest P99 among those that can be compared with any other, and
    `nearest` is the closest of them that tells; `leader` is None where that can't be told.
    """

    scenario: str
    entries: list[Contender]
    duels: list[Duel]
    leader: Contender | None
    nearest: Duel | None
    against: list[Duel]

    @property
    def compared(self) -> list[Contender]:
        """Return the entries whose figures are compared, if with any."""
        return [entry for entry in self.entries if not entry.why_not]

    @property
    def rated(self) -> list[Contender]:
        """Return the system that leads, or might, and those that it was compared with; none where nothing was."""
        duels = [duel for duel in self.against if duel.ratio]
        return [duels[0].first, *(duel.other for duel in duels)] if duels else []

    @property
    def has_equal_recall(self) -> bool | None:
        """Tell whether those that are rated have the first's recall, but for a point; None if not all were checked."""
        recalls = [entry.recall for entry in self.rated]
        known = [recall for recall in recalls if recall is not None]
        if len(known) < len(recalls):
            return None
        return all(_points(known[0], recall) <= RECALL.least_effect_pct for recall in known)


def contest_of(scenario: str, entries: Sequence[Contender], *, is_demonstration: bool) -> Contest:
    """Return how the systems stand on a scenario; a demonstration has figures, and no claims."""
    eligible = [] if is_demonstration else [entry for entry in entries if not entry.why_not]
    alpha = ALPHA / max(1, len(eligible) - 1)
    reason = "a demonstration: nothing is claimed" if is_demonstration else ""
    against = _against(eligible, alpha)
    rated = sorted((duel for duel in against if duel.ratio), key=_closeness)
    is_ahead = bool(rated) and all(duel.told == "ahead" for duel in rated)
    return Contest(
        scenario=scenario,
        entries=list(entries),
        duels=[_duel(entries[0], rival, alpha, reason) for rival in entries[1:]],
        leader=rated[0].first if is_ahead else None,
        nearest=rated[0] if rated else None,
        against=against,
    )


def contests_of(entries: Mapping[str, Sequence[Contender]], *, is_demonstration: bool) -> list[Contest]:
    """Return how the systems stand on each scenario."""
    return [contest_of(name, own, is_demonstration=is_demonstration) for name, own in entries.items()]


def why_unequal(first: Contender, other: Contender) -> str:
    """Return what two systems that both ran well did not have in common, if that forbids to compare them."""
    away = [entry for entry in (first, other) if entry.is_elsewhere]
    if len(away) == 1:
        return f"{away[0].title} runs elsewhere (mode {away[0].mode})"
    if first.data and other.data and first.data.wanted != other.data.wanted:
        return f"not the same amount of data: {first.data.wanted:,} and {other.data.wanted:,} memories"
    stored = [e.data.stored for e in (first, other) if e.data and e.data.stored is not None]
    if len(stored) == _PAIR and stored[0] != stored[1]:
        return f"not the same amount of data: {stored[0]:,} and {stored[1]:,} memories stored"
    recalls = [e.recall for e in (first, other) if e.recall is not None]
    if first.goal is None and len(recalls) == _PAIR and _points(*recalls) > RECALL.least_effect_pct:
        return f"not at equal recall: {100 * recalls[0]:.2f} % and {100 * recalls[1]:.2f} %"
    return ""


def _against(eligible: Sequence[Contender], alpha: float) -> list[Duel]:
    """Return the duels of the system with the lowest P99, or of the next if that can't be compared with any."""
    found: list[Duel] = []
    for lowest in sorted(eligible, key=_typical_p99_ms):
        duels = [_duel(lowest, other, alpha, "") for other in eligible if other is not lowest]
        if any(duel.ratio for duel in duels):
            return duels
        found = found or duels
    return found


def _closeness(duel: Duel) -> tuple[int, float]:
    """Return by which duels of a leader are in order: first those that spoil its lead, the closest of them first."""
    spoils = {"can't tell": 0, "behind": 0, "no difference": 1}
    return spoils.get(duel.told, 2), duel.ratio.ratio if duel.ratio else 0.0


def _typical_p99_ms(entry: Contender) -> float:
    return basic.geometric_mean(entry.p99s_ms) if entry.p99s_ms and min(entry.p99s_ms) > 0 else 0.0


def _duel(first: Contender, other: Contender, alpha: float, reason: str) -> Duel:
    own = f"{first.title}: {first.why_not}" if first.why_not else ""
    reason = reason or own or other.why_not or why_unequal(first, other)
    if reason:
        return Duel(first, other, None, reason)
    ratio = ratio_of(first.p99s_ms, other.p99s_ms, alpha)
    return Duel(first, other, ratio, "" if ratio else _why_untold(first, other))


def _why_untold(first: Contender, other: Contender) -> str:
    """Return what is lacking where two systems could be compared, and no interval can be told."""
    few = [f"{len(e.p99s_ms)} of {e.title}" for e in (first, other) if len(e.p99s_ms) < _PAIR]
    if few:
        return f"it takes two valid repeats of each to tell, and there is {' and '.join(few)}"
    if min(*first.p99s_ms, *other.p99s_ms) <= 0:
        return f"a P99 of {given(0)} ms has no ratio"
    return missing_extra("scipy") or "the repeats are all alike, so that they do not tell what noise does"


def _points(one: float, other: float) -> float:
    return 100 * abs(one - other)
