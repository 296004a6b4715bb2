"""`capacity`: a search whose trials are runs at constant rates, and its result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from compbench.loadtest import __version__, report, verdict
from compbench.loadtest.engine.capacity import CapacitySearch, Goal, Point, RateBracket, Trial
from compbench.loadtest.progress import Progress
from compbench.loadtest.run import RunOptions, measure_load
from compbench.model.result import CAPACITY_SCHEMA, Capacity, CapacityReport, TriedRate
from compbench.model.scenario import Constant

# The target works off what the trial before has left, and is warm, before each trial's figures count.
SETTLE_S = 0.5
WARM_UP_S = 1.0


class CapacityOptions(NamedTuple):
    """What the command line asks of a search; `trial` is a run, but for its rate."""

    trial: RunOptions
    goal: Goal
    output: Path | None


def find_capacity(options: CapacityOptions, progress: Progress) -> int:
    """Search, printing each trial; return 0 if the target's own limit was found, 1 if not.

    Raises:
        UserError: the server can't be reached, or a file can't be written.
    """
    goal = options.goal
    _say(f"Capacity of {options.trial.address.endpoint}: {options.trial.scenario.title}")
    _say(f"Sustained: P99 up to {goal.p99_ms:g}ms, errors up to {goal.max_error_rate:.2%}, all but 3% achieved\n")
    found, points = search_capacity(options, progress)
    _say(f"\n{_conclusion(found)}")
    if options.output:
        report.write_json(options.output, _report(options, found, points))
    return 0 if found.bound in {"target", "limit"} else 1


def search_capacity(options: CapacityOptions, progress: Progress) -> tuple[RateBracket, list[Point]]:
    """Search, printing each trial; return the answer, and all trials.

    Raises:
        UserError: the server can't be reached.
    """
    search, began = CapacitySearch(options.goal), time.monotonic()
    _say(f"{'ops/sec':>10} {'achieved':>10} {'P99 ms':>10} {'errors':>8}  sustained")
    while (rate := search.next_rate) is not None:
        search.add(_try(options, rate, progress, began))
        _say(_line(search.points[-1]))
        time.sleep(SETTLE_S)
    return search.result(), search.points


def capacity_of(goal: Goal, found: RateBracket, points: list[Point]) -> Capacity:
    """Return the record of a search."""
    return Capacity(
        low_ops_s=found.low,
        high_ops_s=found.high,
        bound=found.bound,
        p99_limit_ms=goal.p99_ms,
        max_error_rate=goal.max_error_rate,
        precision_pct=goal.precision_pct,
        curve=[_tried(point) for point in points],
        note=_conclusion(found),
        fault=found.fault,
    )


def _try(options: CapacityOptions, rate: float, progress: Progress, began: float) -> Trial:
    scenario = msgspec.structs.replace(options.trial.scenario, arrival=Constant(rate=rate))
    trial = options.trial._replace(scenario=scenario, warm_up_s=WARM_UP_S)
    measured, _ = measure_load(trial, progress, tried_ops_s=rate)
    progress.write(
        "capacity",
        elapsed_s=time.monotonic() - began,
        total_s=None,
        offered_ops_s=rate,
        operations=measured.pooled.count,
        errors=measured.errors,
        wanted=measured.pooled.count,
    )
    # Requests in flight at the start make up for those in flight at the end, however long answers take.
    carried = measured.totals.carried / measured.duration_s
    return Trial(
        rate=rate,
        achieved=measured.throughput + carried,
        p99_ms=measured.pooled.times.response.percentile_ms(99),
        error_rate=measured.error_rate,
        invalid_reason=verdict.driver_fault(measured),
        is_host_lost=bool(measured.ended.fault),
    )


def _line(point: Point) -> str:
    trial = point.trial
    verdict = {True: "yes", False: "no", None: f"no evidence: {trial.invalid_reason}"}[point.sustained]
    return f"{trial.rate:10.0f} {trial.achieved:10.0f} {trial.p99_ms:10.2f} {trial.error_rate:8.2%}  {verdict}"


def _conclusion(found: RateBracket) -> str:
    if found.fault:
        return f"Capacity: not found; {found.fault}, and the search has ended there"
    if found.bound == "none":
        return f"Capacity: none; not even {found.high or 0:.0f} ops/sec were sustained"
    if found.high is None:
        return f"Capacity: at least {found.low:.0f} ops/sec, where the search ends"
    text = f"Capacity: {found.low:.0f} ops/sec sustained, {found.high:.0f} not"
    if found.bound == "driver":
        return f"{text}, but that is the driver's limit and no evidence about the server: try --processes"
    return text


def _report(options: CapacityOptions, found: RateBracket, points: list[Point]) -> CapacityReport:
    trial, goal = options.trial, options.goal
    return CapacityReport(
        schema=CAPACITY_SCHEMA,
        driver_version=__version__,
        scenario=trial.scenario.name,
        endpoint=trial.address.endpoint,
        seed=trial.seed,
        scale=trial.memories / trial.scenario.data.num_nodes,
        connections=trial.open_connections,
        processes=trial.processes,
        step_duration_s=trial.duration_s,
        repeats=goal.repeats,
        rate_ops_s=found.low,
        **msgspec.structs.asdict(capacity_of(goal, found, points)),
    )


def _tried(point: Point) -> TriedRate:
    trial = point.trial
    return TriedRate(
        rate_ops_s=trial.rate,
        achieved_ops_s=trial.achieved,
        p99_ms=trial.p99_ms,
        error_rate=trial.error_rate,
        sustained=point.sustained,
        valid=not trial.invalid_reason,
        invalid_reason=trial.invalid_reason or None,
    )


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the report
