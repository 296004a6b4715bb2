"""`run`: from a scenario to a report. Reaches the server, keeps the schedule, checks a sample of the answers."""

from __future__ import annotations

import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from compbench.loadtest import __version__, answers, ground_truth, recall, report, vectors
from compbench.loadtest.arrivals import due_times
from compbench.loadtest.client import Endpoint, Exchange, Pool
from compbench.loadtest.inventory import can_traverse, memories_stored
from compbench.loadtest.openloop import OpenLoop, Seconds, Tally, Timed, run_in_precise_loop
from compbench.loadtest.operations import LABELS
from compbench.loadtest.progress import Phase, Progress
from compbench.loadtest.workload import Workload
from compbench.scenarios import Scenario, mean_rate

WARNINGS_LIMIT = 10


class RunOptions(NamedTuple):
    """What the command line asks of a run."""

    scenario: Scenario
    seed: int
    endpoint: Endpoint
    duration_s: int
    warm_up_s: float
    scale: float
    connections: int
    output: Path | None
    cache: Path


def run(options: RunOptions, progress: Progress) -> int:
    """Measure and report; return 0 if every target is met, 1 if one is missed or the measurement is invalid.

    Raises:
        UserError: the server can't be reached, the schedule is too large, or the output can't be written.
    """
    scenario = options.scenario
    _log("INFO", f"Starting load test: {scenario.title} (seed: {options.seed})")
    _log("INFO", f"Target rate: {mean_rate(scenario.arrival):.0f} ops/sec")
    _log("INFO", f"Duration: {options.duration_s} seconds")
    _log("INFO", f"Endpoint: {options.endpoint.url}")
    began = time.monotonic()
    due = _schedule(options)
    timed, workload, stored = run_in_precise_loop(_send(options, due, progress))
    _log_failures(timed.failures)
    _log("INFO", f"Load test completed in {time.monotonic() - began:.2f}s")
    operations = np.array([workload.operation(index) for index in range(len(due))], np.uint8)
    measured = report.measure(timed.times, operations, options.warm_up_s, options.duration_s)
    found = _recall(options, workload, stored)
    print(f"\n{report.text_report(scenario.title, measured)}\n", flush=True)  # noqa: T201 - the report
    if options.output:
        content = report.json_report(scenario.title, measured, _facts(options, due, timed, measured, found))
        content["compbench"] |= {"work_sha256": workload.digest(), "traversal": workload.traversal_facts()}
        report.write_json(options.output, content)
    return _judge(measured, scenario, found)


def _schedule(options: RunOptions) -> Seconds:
    """Return when requests are due: the warm-up, then the measurement with a schedule that does not depend on it."""
    arrival = options.scenario.arrival
    warm_up = due_times(arrival, options.warm_up_s, vectors.stream(options.seed, vectors.WARM_UP))
    measured = due_times(arrival, options.duration_s, vectors.stream(options.seed, vectors.ARRIVALS))
    return np.concatenate([warm_up, options.warm_up_s + measured])


async def _send(options: RunOptions, due: Seconds, progress: Progress) -> tuple[Timed, Workload, int | None]:
    pool = Pool(options.endpoint, options.connections)
    await pool.open()
    stored = await memories_stored(pool.ask, options.endpoint)
    workload = Workload(
        options.scenario,
        options.seed,
        options.endpoint,
        prepared=vectors.prepared_count(options.scenario.data, options.scale),
        count=len(due),
        warm_up=int(np.searchsorted(due, options.warm_up_s)),
        traverses=options.scenario.graph is not None and await can_traverse(pool.ask, options.endpoint),
    )
    warnings = 0

    def answered(exchange: Exchange) -> None:
        nonlocal warnings
        if exchange.failed and warnings < WARNINGS_LIMIT:
            warnings += 1
            operation = LABELS[workload.operation(exchange.index)]
            _log("WARN", f"Operation failed operation={operation} error={exchange.explain()}")
        elif workload.keeps(exchange.index):
            workload.answered(exchange.index, exchange.status, b"".join(exchange.body))

    watch = _Watch(options, due, progress)
    timed = await OpenLoop(pool, due, workload.build, answered, watch.tick).run()
    pool.close()
    return timed, workload, stored


def _recall(options: RunOptions, workload: Workload, stored: int | None) -> answers.Recall:
    truth = None
    if not workload.traverses:
        data, seed = options.scenario.data, options.seed
        truth = ground_truth.find(
            options.cache, data, workload.prepared, seed, lambda _elapsed_s, _done: None, ground_truth.SHORT_LIMIT_S
        )
    return recall.check(workload, workload.kept, truth, stored)


class _Watch:
    """Writes progress, with the counts of each phase on its own."""

    def __init__(self, options: RunOptions, due: Seconds, progress: Progress) -> None:
        self._options, self._progress = options, progress
        self._warm_up_count = int(np.searchsorted(due, options.warm_up_s))
        self._measured_count = len(due) - self._warm_up_count
        self._before = (0, 0)

    def tick(self, elapsed_s: float, tally: Tally) -> None:
        warm_up_s = self._options.warm_up_s
        if elapsed_s < warm_up_s:
            self._before = (tally.completed, tally.failed)
            self._write("warm-up", elapsed_s, warm_up_s, self._warm_up_count, (tally.completed, tally.failed))
        else:
            counts = (tally.completed - self._before[0], tally.failed - self._before[1])
            self._write("measure", elapsed_s - warm_up_s, self._options.duration_s, self._measured_count, counts)

    def _write(self, phase: Phase, elapsed_s: float, total_s: float, wanted: int, counts: tuple[int, int]) -> None:
        self._progress.write(
            phase,
            elapsed_s=elapsed_s,
            total_s=total_s,
            offered_ops_s=wanted / total_s if total_s else 0.0,
            operations=counts[0],
            errors=counts[1],
            wanted=wanted,
        )


def _facts(
    options: RunOptions, due: Seconds, timed: Timed, measured: report.Measured, found: answers.Recall
) -> dict[str, Any]:
    scenario = options.scenario
    counted = due >= options.warm_up_s
    return {
        "driver_version": __version__,
        "seed": options.seed,
        "endpoint": options.endpoint.url,
        "scenario": scenario.name,
        "scale": options.scale,
        "duration_s": options.duration_s,
        "warm_up_s": options.warm_up_s,
        "connections": options.connections,
        "arrival": msgspec.to_builtins(scenario.arrival),
        "offered_ops_s": int(counted.sum()) / options.duration_s,
        "sent": int(np.count_nonzero(~np.isnan(timed.times.sent[counted]))),
        "completed": measured.overall.total - measured.overall.errors,
        "in_flight_max": timed.in_flight_max,
        "driver_cpu_pct": round(timed.cpu_pct, 1),
        "recall": answers.as_json(found),
    }


def _judge(measured: report.Measured, scenario: Scenario, found: answers.Recall) -> int:
    reason = report.invalid_reason(measured)
    missed = report.missed_targets(measured, scenario.validation)
    missed += recall.missed(found, scenario.validation.expected_recall)
    if found.answers in answers.MEANINGLESS:
        _log("WARN", f"Answers are wrong ({found.answers}): {found.note}")
        reason = reason or found.note
    if reason:
        _log("WARN", f"Measurement invalid: {reason}")
    for line in missed:
        _log("WARN", line)
    if missed:
        _log("WARN", "Load test did not meet validation criteria!")
    return 1 if missed or reason else 0


def _log_failures(failures: Counter[str]) -> None:
    if (total := failures.total()) > WARNINGS_LIMIT:
        counts = ", ".join(f"{count} x {problem}" for problem, count in failures.most_common(5))
        _log("WARN", f"Operations failed: {total} in all ({counts})")


def _log(level: str, message: str) -> None:
    """Print a line as Engram's `loadtest` logs it, on stdout and without colours."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    print(f"{now} {level:>5} loadtest: {message}", file=sys.stdout, flush=True)  # noqa: T201 - see above
