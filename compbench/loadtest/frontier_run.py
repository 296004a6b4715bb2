"""`frontier`: recall against speed over a ladder of efforts, and the capacity at each recall that is asked for.

Each step is a run, open loop, at the scenario's own rate, of its searches alone. Its recall is that of the very answers
whose times are told. Efforts ascend, and the ladder ends once the highest recall that matters is reached.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from compbench.loadtest import __version__, report, verdict
from compbench.loadtest.asking import ask_once
from compbench.loadtest.capacity_run import CapacityOptions, capacity_of, search_capacity
from compbench.loadtest.engine.capacity import Goal
from compbench.loadtest.progress import Progress
from compbench.loadtest.run import RunOptions, check_answers, client_of, measure_load
from compbench.loadtest.truth.answers import MEANINGLESS
from compbench.model import efforts
from compbench.model.efforts import best_effort, goal_of, least_effort, searches_of, step_length_s
from compbench.model.errors import UserError
from compbench.model.result import Capacity, Frontier, FrontierPoint, Recall, RecallCapacity


class FrontierOptions(NamedTuple):
    """What the command line asks for.

    Attributes:
        trial: a run of the scenario; its duration is that of a step at least.
        knob: the system's own name for the effort; empty if it has none, and searches in one way only.
        recalls: at which capacities are searched for.
        capacity: when a rate counts as sustained, None to search for no capacity.
        capacity_step_s: how long each rate is tried.
        output: where the record is written.
    """

    trial: RunOptions
    knob: str
    recalls: tuple[float, ...]
    capacity: Goal | None
    capacity_step_s: int
    output: Path | None


def find_frontier(options: FrontierOptions, progress: Progress) -> Frontier:
    """Climb the ladder and search for the capacities, printing each step; write the record.

    Raises:
        UserError: the server can't be reached, its recall can't be told, a host was lost, or a file can't be written.
    """
    scenario = options.trial.scenario
    if not efforts.has_vector_searches(scenario):
        raise UserError(f"{scenario.name} searches for no vectors: there is no recall to find an effort for")
    step_s = step_length_s(scenario, options.trial.duration_s)
    trial = options.trial._replace(scenario=searches_of(scenario), duration_s=step_s, warm_up_s=efforts.WARM_UP_S)
    goal = goal_of(scenario)
    _say(f"Recall against speed of {trial.address.endpoint}: {scenario.title}, {step_s}s for each effort\n")
    _say(f"{'effort':>8} {'recall':>8} {'P50 ms':>10} {'P99 ms':>10} {'achieved':>10}")
    points = _climb(options._replace(trial=trial), max(goal, *options.recalls), progress)
    if best_effort(points) is None:
        raise UserError(f"recall can't be told: {points[-1].note}")
    found = Frontier(
        driver_version=__version__,
        knob=options.knob,
        goal=goal,
        chosen=least_effort(points, goal),
        best=best_effort(points),
        step_s=step_s,
        seed=trial.seed,
        points=points,
        capacities=_capacities(options._replace(trial=trial), points, progress),
        measured_at=time.time(),
        note=_note(points, goal),
    )
    _say(f"\n{found.note}")
    if options.output:
        report.write_json(options.output, found)
    return found


def _climb(options: FrontierOptions, highest: float, progress: Progress) -> list[FrontierPoint]:
    points: list[FrontierPoint] = []
    began, ladder = time.monotonic(), efforts.LADDER if options.knob else (efforts.NO_KNOB,)
    for effort in ladder:
        if points and (refusal := _refusal(options, effort)):
            _say(f"{effort:8d}  the ladder ends before it: {refusal}")
            break
        points.append(_step(options, effort))
        _tell(progress, began, len(points), len(ladder), "efforts tried")
        _say(_line(points[-1]))
        reached = points[-1].recall
        if reached is None or reached >= highest:
            break
    return points


def _refusal(options: FrontierOptions, effort: int) -> str:
    """Return why the system takes no such effort, empty if it does; nothing is asked of the server."""
    try:
        client_of(_with_effort(options.trial, effort))
    except UserError as error:
        return str(error)
    return ""


def _step(options: FrontierOptions, effort: int) -> FrontierPoint:
    """Measure one effort; once more if driver or machine spoiled its times."""
    point = _point(options, effort)
    if not point.valid:
        _say(f"{effort:8d}  once more: {point.note}")
        point = _point(options, effort)
    return point


def _point(options: FrontierOptions, effort: int) -> FrontierPoint:
    trial = _with_effort(options.trial, effort)
    client = client_of(trial)
    stored = ask_once(client, client.count)
    measured, workload = measure_load(trial, Progress(None))
    if measured.ended.fault:  # its answers are lost with it, which says nothing of the server
        raise UserError(f"effort {effort}: {measured.ended.fault}")
    recall = check_answers(trial, workload, stored)
    time.sleep(efforts.SETTLE_S)
    if recall.answers in MEANINGLESS:
        raise UserError(f"effort {effort}: {recall.note}")
    fault = verdict.driver_fault(measured)
    response = measured.pooled.times.response
    return FrontierPoint(
        effort=effort,
        recall=recall.mean,
        recall_p5=recall.p5,
        checked=recall.checked,
        offered_ops_s=sum(measured.offered) / measured.duration_s,
        achieved_ops_s=measured.throughput,
        p50_ms=response.percentile_ms(50),
        p99_ms=response.percentile_ms(99),
        valid=not fault,
        note="; ".join(filter(None, (fault, _errors(measured), _sureness(recall)))),
    )


def _tell(progress: Progress, began: float, done: int, wanted: int, work: str) -> None:
    elapsed_s = time.monotonic() - began
    progress.write(
        "prepare",
        elapsed_s=elapsed_s,
        total_s=None,
        offered_ops_s=None,
        operations=done,
        errors=0,
        wanted=wanted,
        work=work,
    )


def _with_effort(trial: RunOptions, effort: int) -> RunOptions:
    return trial if effort == efforts.NO_KNOB else trial._replace(address=trial.address.with_effort(effort))


def _errors(measured: verdict.Measured) -> str:
    return f"{measured.error_rate:.2%} of the searches failed" if measured.errors else ""


def _sureness(recall: Recall) -> str:
    if recall.mean is None or recall.low is None or recall.high is None:
        return recall.note or "no answer was checked"
    return f"recall is {recall.low:.4f} to {recall.high:.4f} at 95 % confidence"


def _capacities(options: FrontierOptions, points: Sequence[FrontierPoint], progress: Progress) -> list[RecallCapacity]:
    """Search for the capacity at the least effort of each recall; recalls of one effort share the search."""
    by_effort: dict[int, Capacity] = {}
    found, began = [], time.monotonic()
    for number, recall in enumerate(options.recalls):
        _tell(progress, began, number, len(options.recalls), "capacities at a recall")
        effort = least_effort(points, recall)
        if effort is not None and options.capacity is not None and effort not in by_effort:
            _say(f"\nCapacity at effort {effort}, the least of recall {recall:g}:")
            trial = _with_effort(options.trial, effort)._replace(duration_s=options.capacity_step_s)
            asked = CapacityOptions(trial, options.capacity, None)
            by_effort[effort] = capacity_of(options.capacity, *search_capacity(asked, Progress(None)))
            if fault := by_effort[effort].fault:
                raise UserError(f"capacity at effort {effort}: {fault}")
        capacity = None if effort is None else by_effort.get(effort)
        found.append(RecallCapacity(recall=recall, effort=effort, capacity=capacity))
    return found


def _note(points: Sequence[FrontierPoint], goal: float) -> str:
    chosen, best, last = least_effort(points, goal), best_effort(points), points[-1]
    of_effort = {point.effort: point for point in points}
    if chosen is not None:
        point = of_effort[chosen]
        text = f"effort {chosen} is the least that reaches recall {goal:g}: {point.recall:.4f} ({point.note})"
    else:
        text = f"no effort reaches recall {goal:g}; the best is {best} with {of_effort[best or 0].recall:.4f}"
    if last.recall is None:
        return f"{text}; the ladder ended at effort {last.effort}: {last.note}"
    rest = [effort for effort in efforts.LADDER if effort > last.effort > efforts.NO_KNOB]
    return (
        f"{text}; nothing above {last.effort} was tried: it reaches all recalls that were asked for" if rest else text
    )


def _line(point: FrontierPoint) -> str:
    recall = "-" if point.recall is None else f"{point.recall:.4f}"
    times = f"{point.p50_ms:10.2f} {point.p99_ms:10.2f} {point.achieved_ops_s:10.0f}"
    return f"{point.effort:8d} {recall:>8} {times}  {point.note}"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the report
