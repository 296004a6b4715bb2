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
from numpy.typing import NDArray

from compbench.errors import UserError
from compbench.loadtest import __version__, recall, report, vectors
from compbench.loadtest.arrivals import due_times
from compbench.loadtest.client import Endpoint, Exchange, Pool
from compbench.loadtest.openloop import OpenLoop, Seconds, Tally, Timed, run_in_precise_loop
from compbench.loadtest.operations import LABELS, RECALL, SEARCH, Draws, Query, RequestBuilder, draw
from compbench.loadtest.progress import Phase, Progress
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


class _Health(msgspec.Struct):
    class Space(msgspec.Struct):
        memories: int

    spaces: list[Space]


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
    draws = draw(scenario, len(due), options.seed)
    timed, answers, stored = run_in_precise_loop(_send(options, due, draws, progress))
    _log_failures(timed.failures)
    _log("INFO", f"Load test completed in {time.monotonic() - began:.2f}s")
    measured = report.measure(timed.times, draws.operations, options.warm_up_s, options.duration_s)
    count = vectors.prepared_count(scenario.data, options.scale)
    found = recall.check(answers, scenario.data, count, options.seed, stored)
    print(f"\n{report.text_report(scenario.title, measured)}\n", flush=True)  # noqa: T201 - the report
    if options.output:
        content = report.json_report(scenario.title, measured, _facts(options, due, timed, measured, found))
        report.write_json(options.output, content)
    return _judge(measured, scenario)


async def memories_stored(pool: Pool, endpoint: Endpoint) -> int | None:
    """Return the server's own count of its memories in all spaces, or None if it gives none.

    Raises:
        UserError: there is no answer at all.
    """
    exchange = await pool.ask(endpoint.get(b"/api/v1/system/health"))
    if not exchange.status:
        raise UserError(f"{endpoint.url}: no answer ({exchange.problem}): is the server running there?")
    try:
        return sum(space.memories for space in msgspec.json.decode(b"".join(exchange.body), type=_Health).spaces)
    except msgspec.DecodeError:
        return None


def _schedule(options: RunOptions) -> Seconds:
    """Return when requests are due: the warm-up, then the measurement with a schedule that does not depend on it."""
    arrival = options.scenario.arrival
    warm_up = due_times(arrival, options.warm_up_s, vectors.stream(options.seed, vectors.WARM_UP))
    measured = due_times(arrival, options.duration_s, vectors.stream(options.seed, vectors.ARRIVALS))
    return np.concatenate([warm_up, options.warm_up_s + measured])


async def _send(
    options: RunOptions, due: Seconds, draws: Draws, progress: Progress
) -> tuple[Timed, list[tuple[Query, bytes]], int | None]:
    pool = Pool(options.endpoint, options.connections)
    await pool.open()
    stored = await memories_stored(pool, options.endpoint)
    keep = _sample(draws, due >= options.warm_up_s, options.seed)
    builder = RequestBuilder(options.scenario, draws, options.seed, options.endpoint, keep)
    bodies: dict[int, bytes] = {}
    warnings = 0

    def answered(exchange: Exchange) -> None:
        nonlocal warnings
        if exchange.failed and warnings < WARNINGS_LIMIT:
            warnings += 1
            operation = LABELS[draws.operations[exchange.index]]
            _log("WARN", f"Operation failed operation={operation} error={exchange.explain()}")
        elif exchange.index in keep and not exchange.failed:
            bodies[exchange.index] = b"".join(exchange.body)

    watch = _Watch(options, due, progress)
    timed = await OpenLoop(pool, due, builder.build, answered, watch.tick).run()
    pool.close()
    return timed, [(builder.kept[index], body) for index, body in sorted(bodies.items())], stored


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


def _sample(draws: Draws, counted: NDArray[np.bool_], seed: int) -> frozenset[int]:
    searches = np.flatnonzero(counted & np.isin(draws.operations, (RECALL, SEARCH)))
    vectors.stream(seed, vectors.SAMPLE).shuffle(searches)
    return frozenset(searches[: recall.SAMPLE_SIZE].tolist())


def _facts(
    options: RunOptions, due: Seconds, timed: Timed, measured: report.Measured, found: recall.Recall
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
        "recall": found._asdict(),
    }


def _judge(measured: report.Measured, scenario: Scenario) -> int:
    reason = report.invalid_reason(measured)
    missed = report.missed_targets(measured, scenario.validation)
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
