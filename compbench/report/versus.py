"""A run that compares several systems, in words and tables: who is ahead where, and what is not equal.

Pure. The pages, their plain-text twins and `results.json` all read what is gathered here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compbench.model.metrics import P99
from compbench.model.records import Capture, Manifest
from compbench.model.result import Frontier
from compbench.model.scenario import Validation
from compbench.report import side_table
from compbench.report.contenders import contenders_of
from compbench.report.duels import Contest, Duel, contests_of
from compbench.report.past.comparable import FoundCapacity
from compbench.report.side_table import Line
from compbench.report.standing_words import answer, run_sentence
from compbench.report.unequal import Differences, differences_of
from compbench.systems import registry

# What capacities are searched for at, where a system has a knob.
CAPACITY_RECALLS = (0.90, 0.95, 0.99)


@dataclass(frozen=True)
class Versus:
    """How several systems stand against each other.

    `demonstration` says why nothing is claimed, empty where claims are made; `sentence` is the answer, `answers` the
    same by scenario.
    """

    systems: list[str]
    titles: dict[str, str]
    demonstration: str
    sentence: str
    answers: dict[str, str]
    contests: list[Contest]
    table: dict[str, list[Line]]
    columns: list[str]
    differences: Differences

    @property
    def has_frontiers(self) -> bool:
        """Tell whether any system's recall against speed was found."""
        return any(entry.frontier is not None for contest in self.contests for entry in contest.entries)

    @property
    def where(self) -> str:
        """Return on which machines the systems ran, for a caption."""
        own = {entry.system: entry for contest in self.contests for entry in contest.entries if entry.mode}
        away = [entry.title for entry in own.values() if entry.is_elsewhere]
        if not away:
            return "on the same machine"
        if len(away) == len(own):
            return "of servers that were there before, on machines of their own"
        return f"on the same machine, but for {', '.join(away)} (elsewhere, and compared with none that runs here)"

    @property
    def capacity_rows(self) -> list[tuple[str, str, list[str]]]:
        """Return scenario, system, and its capacity at the least effort that reaches each of `CAPACITY_RECALLS`."""
        return [
            (contest.scenario, entry.system, [_capacity_at(entry.frontier, recall) for recall in CAPACITY_RECALLS])
            for contest in self.contests
            for entry in contest.entries
            if entry.frontier and entry.frontier.capacities
        ]


def versus_of(
    manifest: Manifest,
    captures: Sequence[Capture],
    targets: Mapping[str, Validation],
    capacities: Mapping[str, FoundCapacity],
) -> Versus | None:
    """Return how the systems of a run stand, None where it measures one, or searches for capacities."""
    if not manifest.systems or manifest.kind == "capacity" or not captures:
        return None
    entries = contenders_of(manifest, captures, targets)
    demonstration = _demonstration(manifest.systems)
    is_demonstration = bool(demonstration)
    not_measured = len(set(manifest.selection) - {capture.measurement for capture in captures})
    contests = contests_of(entries, is_demonstration=is_demonstration)
    return Versus(
        systems=manifest.systems,
        titles={entry.system: entry.title for own in entries.values() for entry in own},
        demonstration=demonstration,
        sentence=demonstration or run_sentence(contests, not_measured),
        answers={} if demonstration else {contest.scenario: answer(contest) for contest in contests},
        contests=contests,
        table={
            c.scenario: side_table.lines_of(c, dict(capacities), is_demonstration=is_demonstration) for c in contests
        },
        columns=side_table.titles(),
        differences=differences_of(manifest, captures, contests),
    )


def standings_of(versus: Versus) -> list[dict[str, Any]]:
    """Return who is ahead as plain values, for `results.json`."""
    return [
        {
            "scenario": contest.scenario,
            "leader": contest.leader.system if contest.leader else None,
            "answer": versus.answers.get(contest.scenario, versus.demonstration),
            "not_compared": {e.system: e.why_not for e in contest.entries if e.why_not},
            "duels": [_plain(duel) for duel in contest.duels],
        }
        for contest in versus.contests
    ]


def plain_table(versus: Versus) -> list[tuple[str, list[str]]]:
    """Return the lines of the summary by scenario: the first figures of each system, or why there are none."""
    found = []
    for scenario, lines in versus.table.items():
        told = []
        for line in lines:
            if not line.has_figures:
                told.append(f"{line.entry.system:<12} - {line.why_not}")
                continue
            figures = "  ".join(
                f"{title.partition(',')[0]} {cell.text + '*' * cell.is_best:<8}"
                for title, cell in zip(versus.columns[:4], line.cells, strict=False)
            )
            reason = f"({line.why_not})" if line.why_not else ""
            told.append(f"{line.entry.system:<12} {figures}  {reason}".rstrip())
        found.append((scenario, told))
    return found


def _capacity_at(frontier: Frontier, recall: float) -> str:
    """Return a capacity with its effort, or why there is none."""
    found = next((one for one in frontier.capacities if one.recall == recall), None)
    if found is None or (found.capacity is None and found.effort is not None):
        return "not searched"
    if found.capacity is None:
        return "not reached"
    effort = f" ({found.effort})" if found.effort else ""
    return f"{side_table.capacity_text(found.capacity)}{effort}"


def _plain(duel: Duel) -> dict[str, Any]:
    ratio = duel.ratio
    return {
        "system": duel.first.system,
        "other": duel.other.system,
        "metric": P99.name,
        "verdict": duel.told,
        "ratio": ratio.ratio if ratio else None,
        "low": ratio.low if ratio else None,
        "high": ratio.high if ratio else None,
        "confidence": ratio.confidence if ratio else None,
        "reason": duel.reason,
    }


def _demonstration(systems: Sequence[str]) -> str:
    """Return why a run is a demonstration of the page and no comparison: one system is no rival to any."""
    kinds = registry.not_comparable(systems)
    if not kinds:
        return ""
    told = "; ".join(f"{kind.title}: {kind.not_comparable}" for kind in kinds)
    return f"This shows what a comparison looks like, and claims nothing: it has figures of {told}."
