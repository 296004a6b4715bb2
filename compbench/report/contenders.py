"""Each system on each scenario of a run that compares several, and whether its figures may win or lose at all.

Pure. A figure is compared only if the system ran whole, at the recall that the scenario asks for, with its index in
use: a fast answer that is wrong is none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compbench.model.measurement import measurement_named
from compbench.model.metrics import ERRORS, P99, RECALL, given
from compbench.model.records import ELSEWHERE, Capture, DataSet, Manifest
from compbench.model.result import Frontier, RecallCapacity
from compbench.model.scenario import Validation
from compbench.report.groups import Group, group_captures
from compbench.systems import registry

# Rounding of a mean of fractions never makes a goal missed.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Contender:
    """One system on one scenario; `group` is None if it was not measured (yet).

    `goal` is the recall at which all systems are compared there, None if neither the scenario nor a frontier has one.
    """

    scenario: str
    system: str
    title: str
    group: Group | None
    target: Validation | None
    goal: float | None = None

    @property
    def state(self) -> str:
        """Return its verdict, or that it was not measured."""
        return self.group.verdict if self.group else "not measured"

    @property
    def capture(self) -> Capture | None:
        """Return the capture whose figures stand for all repeats; None where no repeat has figures that count."""
        return self.group.typical if self.group and self.group.measured else None

    @property
    def frontier(self) -> Frontier | None:
        """Return the record by which the effort of its searches was chosen."""
        captures = self.group.captures if self.group else ()
        return next((c.frontier for c in captures if c.frontier is not None), None)

    @property
    def effort(self) -> int | None:
        """Return the effort of its timed searches; None where it has no knob for that, or none was set."""
        details = self.capture.result.details if self.capture and self.capture.result else None
        return (details.effort or None) if details else None

    @property
    def mode(self) -> str:
        """Return the mode in which its server runs, as the newest repeat tells it; empty if none does."""
        modes = [c.system_facts.mode for c in self.group.captures if c.system_facts.mode] if self.group else []
        return modes[-1] if modes else ""

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether it is a server that was not started here: then neither machine nor limits are known."""
        return self.mode == ELSEWHERE

    @property
    def p99s_ms(self) -> list[float]:
        """Return the P99 of each repeat that counts."""
        return self.group.values(P99) if self.group else []

    @property
    def recall(self) -> float | None:
        """Return the mean recall of the timed answers over the repeats, as a fraction."""
        values = self.group.values(RECALL) if self.group else []
        return statistics.fmean(values) / 100 if values else None

    @property
    def data(self) -> DataSet | None:
        """Return its data set as the newest repeat had it."""
        sets = [c.data_set for c in self.group.captures if c.data_set] if self.group else []
        return sets[-1] if sets else None

    @property
    def why_not(self) -> str:
        """Return why its figures can neither win nor lose, empty if they can."""
        return _why_without_figures(self) or _why_not_equal(self)

    def of_data(self, read: Callable[[DataSet], float | None]) -> list[float]:
        """Return a figure of loading, of each repeat that loaded; of kept data the one that was kept."""
        sets = [c.data_set for c in self.group.captures if c.data_set] if self.group else []
        fresh = [value for one in sets if not one.is_kept and (value := read(one)) is not None]
        kept = [value for one in sets if one.is_kept and (value := read(one)) is not None]
        return fresh or kept[:1]

    @property
    def recall_capacity(self) -> RecallCapacity | None:
        """Return the capacity at the least recall, of those searched at, that reaches the goal."""
        found = self.frontier.capacities if self.frontier else []
        enough = [one for one in found if self.goal is not None and one.recall >= self.goal - _ROUNDING]
        return min(enough, key=lambda one: one.recall, default=None)


def contenders_of(
    manifest: Manifest, captures: Sequence[Capture], targets: Mapping[str, Validation]
) -> dict[str, list[Contender]]:
    """Return an entry of each system, the subject first, by scenario in the order of the run."""
    groups = {(group.scenario, group.system): group for group in group_captures(captures)}
    titles = {c.system: c.system_facts.title for c in captures if c.system_facts.title}
    selected = [measurement_named(name).scenario for name in manifest.selection]
    scenarios = dict.fromkeys([*selected, *(capture.scenario for capture in captures)])
    return {
        scenario: [
            Contender(
                scenario=scenario,
                system=system,
                title=titles.get(system) or registry.title_of(system),
                group=groups.get((scenario, system)),
                target=targets.get(scenario),
                goal=_goal(captures, scenario, targets.get(scenario)),
            )
            for system in manifest.systems
        ]
        for scenario in scenarios
    }


def _goal(captures: Sequence[Capture], scenario: str, target: Validation | None) -> float | None:
    """Return the scenario's own goal of recall, or else the one by which its systems' efforts were chosen."""
    if target is not None and target.expected_recall is not None:
        return target.expected_recall
    frontiers = (c.frontier for c in captures if c.scenario == scenario and c.frontier is not None)
    return next((frontier.goal for frontier in frontiers), None)


def _answers_searches(contender: Contender) -> bool:
    """Tell whether its recall is that of searches, and not of traversals, which no effort makes exact."""
    recall = contender.capture.result.recall if contender.capture and contender.capture.result else None
    return recall is None or recall.mean is not None


def _why_without_figures(entry: Contender) -> str:
    if entry.group is None:
        return "not measured"
    outcomes = [capture.outcome for capture in entry.group.captures]
    for verdict in ("failed", "not offered"):
        if reasons := [outcome.reason for outcome in outcomes if outcome.verdict == verdict]:
            return f"{verdict}: {reasons[0]}"
    if not entry.group.measured:
        return f"no valid measurement: {outcomes[-1].reason}"
    return ""


def _why_not_equal(entry: Contender) -> str:
    frontier, goal, recall = entry.frontier, entry.goal, entry.recall
    if frontier is not None and frontier.chosen is None and _answers_searches(entry):
        best = max((p.recall for p in frontier.points if p.recall is not None), default=None)
        reached = "" if best is None else f", the most is {given(round(best, 4))}"
        return f"no {frontier.knob or 'effort'} tried reaches recall {given(frontier.goal)}{reached}"
    if goal is not None and recall is None:
        return "the recall of its answers was not checked"
    if goal is not None and recall is not None and recall < goal - _ROUNDING:
        return f"its recall of {recall:.4f} misses the goal of {given(goal)}"
    errors = entry.group.values(ERRORS) if entry.group else []
    limit = entry.target.max_error_rate if entry.target else None
    if errors and limit is not None and statistics.fmean(errors) > 100 * limit + _ROUNDING:
        return f"{ERRORS.shown(statistics.fmean(errors))} of its requests failed"
    proof = entry.data.index_proof if entry.data else None
    if proof is not None and proof.is_used is False:
        return "its searches did not use the index"
    return ""
