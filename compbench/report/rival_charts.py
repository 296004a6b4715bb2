"""The charts of a run that compares several systems, made from its contests, frontiers and the drivers' histograms."""

from __future__ import annotations

from pathlib import Path

from compbench.report import distributions
from compbench.report.charts import rivals
from compbench.report.charts.rivals import Reached, Stand
from compbench.report.charts.vega import Spec
from compbench.report.contenders import Contender
from compbench.report.duels import Contest
from compbench.report.versus import Versus


def charts_of_rivals(folder: Path, versus: Versus) -> dict[str, Spec]:
    """Return the charts of all systems by name: how they stand, and of each scenario frontier and percentiles."""
    stands = [_stand(contest, entry) for contest in versus.contests for entry in contest.entries]
    found = {"versus": rivals.standing_chart(stands, versus.systems)}
    for contest in versus.contests:
        found[f"{contest.scenario}_frontier"] = _frontier(contest, versus.systems)
        found[f"{contest.scenario}_rivals"] = _percentiles(folder, contest, versus.systems)
    return {name: spec for name, spec in found.items() if spec is not None}


def _stand(contest: Contest, entry: Contender) -> Stand:
    values = entry.p99s_ms
    capture = entry.capture
    is_leader = contest.leader is entry
    if not values or capture is None or capture.result is None:
        return Stand(contest.scenario, entry.system, note=entry.why_not)
    return Stand(
        scenario=contest.scenario,
        system=entry.system,
        ms=capture.result.p99_latency_ms,
        low_ms=min(values),
        high_ms=max(values),
        note=f"not compared: {entry.why_not}" if entry.why_not else "",
        is_leader=is_leader,
        is_compared=not entry.why_not,
    )


def _frontier(contest: Contest, systems: list[str]) -> Spec | None:
    points = [
        Reached(entry.system, p.effort, p.recall, p.p99_ms, is_chosen=p.effort == frontier.chosen, is_valid=p.valid)
        for entry in contest.entries
        if (frontier := entry.frontier) is not None
        for p in frontier.points
        if p.recall is not None and p.p99_ms > 0
    ]
    goal = next((entry.goal for entry in contest.entries if entry.goal is not None), None)
    return rivals.frontier_chart(points, systems, goal)


def _percentiles(folder: Path, contest: Contest, systems: list[str]) -> Spec | None:
    curves = {
        entry.system: distributions.read_curves(folder, entry.capture).get("response time", [])
        for entry in contest.entries
        if entry.capture is not None
    }
    faint = {entry.system for entry in contest.entries if entry.why_not}
    target = next((entry.target for entry in contest.entries if entry.target), None)
    target_ms = target.expected_p99_latency_ms if target else None
    return rivals.percentiles_chart(curves, systems, target_ms, uncompared=faint)
