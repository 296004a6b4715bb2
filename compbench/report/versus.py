"""A run that compares several systems, in words and tables: who is ahead where, and what is not equal.

Pure. The pages, their plain-text twins and `results.json` all read what is gathered here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compbench.model.metrics import P99
from compbench.model.records import Capture, Manifest
from compbench.model.scenario import Validation
from compbench.report import counted as counted_things
from compbench.report import side_table
from compbench.report.contenders import contenders_of
from compbench.report.duels import Contest, Duel, contests_of
from compbench.report.past.comparable import FoundCapacity
from compbench.report.side_table import Line
from compbench.report.statistics import Ratio
from compbench.report.unequal import Differences, differences_of
from compbench.systems import registry


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
    contests = contests_of(entries, is_demonstration=is_demonstration)
    return Versus(
        systems=manifest.systems,
        titles={entry.system: entry.title for own in entries.values() for entry in own},
        demonstration=demonstration,
        sentence=demonstration or _sentence(contests),
        answers={} if demonstration else {contest.scenario: answer(contest) for contest in contests},
        contests=contests,
        table={
            c.scenario: side_table.lines_of(c, dict(capacities), is_demonstration=is_demonstration) for c in contests
        },
        columns=side_table.titles(),
        differences=differences_of(manifest, captures, entries),
    )


def answer(contest: Contest) -> str:
    """Return who is ahead on a scenario and by how much, or that it can't be told and why."""
    nearest, compared = contest.nearest, contest.compared
    if len(compared) < 2:  # noqa: PLR2004 - a comparison takes two
        reasons = "; ".join(f"{e.title}: {e.why_not}" for e in contest.entries if e.why_not)
        return f"can't be told, for lack of two systems at equal recall ({reasons})"
    if contest.leader and nearest and nearest.ratio:
        rest = f", the next of {len(compared) - 1}," if len(compared) > 2 else ""  # noqa: PLR2004 - then it is no next
        return f"{contest.leader.title} is ahead: the P99 of {nearest.other.title}{rest} is {times(nearest.ratio)}"
    if nearest and nearest.ratio:
        first, other = nearest.first.title, nearest.other.title
        beaten = ", ".join(duel.other.title for duel in contest.against if duel.told == "ahead")
        rest = f"; {first} is ahead of {beaten}" if beaten else ""
        return f"can't be told between {first} and {other}, whose P99 is {times(nearest.ratio)}{rest}"
    reasons = "; ".join(dict.fromkeys(duel.reason for duel in contest.against if duel.reason))
    return f"can't be told: {reasons}"


def times(ratio: Ratio) -> str:
    """Return a ratio with its interval: `2.10 times as high (95 % interval 1.80 to 2.45)`."""
    return f"{ratio.ratio:.2f} times as high (95 % interval {ratio.low:.2f} to {ratio.high:.2f})"


def span_of(ratio: Ratio) -> str:
    """Return a ratio with its interval where a heading says what it is: `2.10 (1.80 to 2.45)`."""
    return f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


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


def _sentence(contests: Sequence[Contest]) -> str:
    """Return how often who has the lower P99, in one sentence."""
    titles = [entry.title for entry in contests[0].entries]
    leaders = [contest.leader.title for contest in contests if contest.leader]
    counted = {title: leaders.count(title) for title in titles if title in leaders}
    of_all = f"of {counted_things(len(contests), 'scenario')}"
    if not counted:
        return f"Who is ahead can't be told in any {of_all}."
    (first, count), *others = counted.items()
    parts = [f"At equal recall, {first} has the lowest P99 in {count} {of_all}"]
    parts += [f"{title} in {count}" for title, count in others]
    untold = len(contests) - len(leaders)
    rest = f"; in {untold} who is ahead can't be told" if untold else ""
    return f"{', '.join(parts)}{rest}."
