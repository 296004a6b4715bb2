"""`run`: from a scenario to a report. Reaches the server, keeps the schedule, checks a sample of the answers."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from compbench.config import credentials
from compbench.loadtest import __version__, floor_run, report, verdict
from compbench.loadtest.asking import ask_once
from compbench.loadtest.cluster import hub
from compbench.loadtest.cluster.opening import Cluster
from compbench.loadtest.cluster.same_work import same_workload, sample_of
from compbench.loadtest.engine.gathering import Consume
from compbench.loadtest.engine.hlog import HdrLog
from compbench.loadtest.engine.openloop import Ended, RequestSource
from compbench.loadtest.engine.recorder import EXAMPLES, Interval
from compbench.loadtest.engine.shards import Plan, keep_schedule
from compbench.loadtest.engine.totals import Totals
from compbench.loadtest.progress import DriverPhase, Progress
from compbench.loadtest.rehearsal import rehearse
from compbench.loadtest.second_teller import SecondTeller
from compbench.loadtest.truth import answers, ground_truth, recall
from compbench.loadtest.truth.ground_truth import NotKeptError
from compbench.loadtest.truth.nearest import Truth
from compbench.loadtest.truth.recall_so_far import recall_so_far
from compbench.loadtest.workload.arrivals import Schedule
from compbench.loadtest.workload.operations import LABELS
from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.loadtest.workload.workload import Workload
from compbench.model.errors import UserError
from compbench.model.result import DETAILS_SCHEMA, Details, Floor, Recall
from compbench.model.scenario import Scenario, mean_rate
from compbench.systems.api import Client, Shape
from compbench.systems.clients import ServerAddress, open_client, transport_maker

# No longer does a driver hold its connections open for somebody who looks at the server.
HOLD_LIMIT_S = 30.0
_FLOOR_READY_LIMIT_S = 15.0
_HOLD_POLL_S = 0.02


class RunOptions(NamedTuple):
    """What the command line asks of a run.

    The connections are held open after the last answer until the file `hold` is there, if one is named. Where several
    hosts send, `cluster` has them, each is to be ready within `hosts_limit_s`, and there are `processes` on each.
    """

    scenario: Scenario
    seed: int
    data_seed: int
    address: ServerAddress
    duration_s: int
    memories: int
    connections: int
    processes: int
    cache: Path
    warm_up_s: float = 0.0
    output: Path | None = None
    hlog: Path | None = None
    hold: Path | None = None
    cluster: Cluster | None = None
    hosts_limit_s: float = 60.0

    @property
    def senders(self) -> int:
        """Return how many processes send."""
        return self.processes * (len(self.cluster.hosts) if self.cluster else 1)

    @property
    def open_connections(self) -> int:
        """Return over how many connections, of which each process needs at least one."""
        return max(self.connections, self.senders)


def run(options: RunOptions, progress: Progress) -> int:
    """Measure and report; return 0 if every target is met, 1 if one is missed or the measurement is invalid.

    Raises:
        UserError: the server can't be reached, or a file can't be written.
    """
    scenario, client = options.scenario, client_of(options)
    _log("INFO", f"Starting load test: {scenario.title} (seed: {options.seed})")
    _log("INFO", f"Target rate: {mean_rate(scenario.arrival):.0f} ops/sec")
    _log("INFO", f"Duration: {options.duration_s} seconds")
    _log("INFO", f"Endpoint: {options.address.endpoint}")
    began = time.monotonic()
    stored = ask_once(client, client.count)
    measured, workload = measure_load(options, progress)
    _log_failures(measured)
    _log("INFO", f"Load test completed in {time.monotonic() - began:.2f}s")
    if note := workload.traversal_facts().note:
        _log("WARN", f"No traversal was measured: {note}")
    least, floor_missing = _floor(options, measured)
    found = check_answers(options, workload, stored)
    if options.output:  # before anything is printed: nobody loses a measurement by a terminal that is gone
        asked = msgspec.structs.replace(_asked(options, workload, found), floor=least, floor_missing=floor_missing)
        report.write_json(options.output, report.json_report(scenario.title, measured, asked))
    print(f"\n{report.text_report(scenario.title, measured)}\n", flush=True)  # noqa: T201 - the report
    return _judge(measured, scenario, found)


def measure_load(
    options: RunOptions, progress: Progress, tried_ops_s: float | None = None
) -> tuple[verdict.Measured, Workload]:
    """Keep the schedule; return what was measured, and the workload with the answers that it keeps.

    Args:
        options: what to send.
        progress: is told how far it is, and of every second.
        tried_ops_s: the rate that this tries, in a search for a capacity.

    Raises:
        UserError: the server can't be reached, or a file can't be written.
    """
    schedule, graph = schedule_of(options), options.scenario.graph
    warm_up, offered = schedule.offered()
    client = client_of(options)
    ask_once(client, client.begin_measuring)
    make = partial(
        _make_workload,
        options._replace(cluster=None),  # no part of the work, and a connection can't be handed to another process
        prepared=options.memories,
        count=warm_up + sum(offered),
        warm_up=warm_up,
        traverses=graph is not None and ask_once(client, client.follows_edges),
    )
    workload = make()
    if options.cluster is not None:
        own_systems = options.address.systems_dir
        make = partial(same_workload, make, own_systems, sample_of(workload, own_systems))
    if warm_up:
        ask_once(client, partial(rehearse, workload, warm_up))
    transport = transport_maker(options.address, _shape_of(options))
    plan = Plan(transport, schedule, options.open_connections, options.senders, make)
    totals = Totals()
    with HdrLog(options.hlog, LABELS) as hlog:
        # Several processes hand their answers over at the end, and a search for a capacity checks none.
        is_checked = options.senders == 1 and options.cluster is None and tried_ops_s is None and progress.is_wanted
        known = recall_so_far(workload, options.cache) if is_checked else None
        teller = SecondTeller(progress, offered, tried_ops_s, known)
        watch = _Watch(options, progress, totals, hlog, teller, (warm_up, sum(offered)))
        ended = keep_on(options, plan, workload, watch.started, watch.take, watch.hold)
    return verdict.Measured(options.duration_s, offered, totals, totals.pooled(), ended, options.senders), workload


def keep_on(
    options: RunOptions,
    plan: Plan,
    workload: RequestSource,
    started: Callable[[float], None],
    consume: Consume,
    held: Callable[[], None] = lambda: None,
) -> Ended:
    """Keep a schedule from here, or from the hosts that the options have.

    Raises:
        UserError: the server can't be reached, or a process of the driver died.
    """
    if options.cluster is None:
        return keep_schedule(plan, workload, started, consume, held)
    return hub.keep_on_hosts(
        options.cluster,
        plan,
        workload,
        started,
        consume,
        held,
        ready_limit_s=options.hosts_limit_s,
        credentials=credentials.variables_of_system(options.address.system, os.environ),
    )


def schedule_of(options: RunOptions) -> Schedule:
    """Return when the requests of a run are due."""
    return Schedule(options.scenario.arrival, options.seed, options.warm_up_s, options.duration_s)


def client_of(options: RunOptions) -> Client:
    """Return a client for a run's server, which has no connection yet."""
    return open_client(options.address, _shape_of(options))


def _shape_of(options: RunOptions) -> Shape:
    return shape_of(options.scenario, open_vectors(options.scenario, options.data_seed))


def _make_workload(options: RunOptions, **how: Any) -> Workload:
    """Make the workload with its client, in the process that sends it."""
    return Workload(options.scenario, options.seed, client_of(options), data_seed=options.data_seed, **how)


def _floor(options: RunOptions, measured: verdict.Measured) -> tuple[Floor | None, str]:
    """Measure what protocol and client cost by themselves, or say why that can't be had, which costs no run."""
    try:
        asked = floor_run.FloorOptions(
            options.address,
            _shape_of(options),
            options.scenario.arrival,
            options.open_connections,
            options.senders,
            options.duration_s,
        )
        # A report that waits for hosts which are gone would come too late.
        soon = options._replace(hosts_limit_s=min(options.hosts_limit_s, _FLOOR_READY_LIMIT_S))
        return floor_run.measure_floor(asked, measured, partial(keep_on, soon)), ""
    except Exception as error:  # noqa: BLE001 - what was measured stays measured, whatever a system's client does here
        said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        _log("WARN", f"The floor is left out: {said}")
        return None, said


def check_answers(options: RunOptions, workload: Workload, stored: int | None) -> Recall:
    """Judge the kept answers by the exact neighbours, which are computed and kept if they are not there yet."""
    truth, not_kept = None, ""
    if not workload.traverses:
        truth, not_kept = _truth(options, workload.prepared)
    if not_kept:
        _log("WARN", f"The exact neighbours are not kept: {not_kept}")
    return msgspec.structs.replace(recall.check(workload, workload.kept, truth, stored), not_kept=not_kept)


def _truth(options: RunOptions, count: int) -> tuple[Truth | None, str]:
    """Return the exact neighbours, None if that takes too long; and why they can't be kept, which costs no run."""
    scenario, seed, limit_s = options.scenario, options.data_seed, ground_truth.SHORT_LIMIT_S
    try:
        return ground_truth.find_neighbours(
            options.cache, scenario, count, seed, lambda _elapsed_s, _done: None, limit_s
        ), ""
    except NotKeptError as error:
        return error.truth, str(error)
    except UserError as error:  # a set whose neighbours are wrong: what was measured stays measured
        _log("WARN", str(error))
        return None, ""


class _Watch:
    """Passes each second on to the totals, the log of histograms, the progress file and the terminal."""

    def __init__(
        self,
        options: RunOptions,
        progress: Progress,
        totals: Totals,
        hlog: HdrLog,
        teller: SecondTeller,
        wanted: tuple[int, int],
    ) -> None:
        self._options, self._progress, self._totals, self._hlog = options, progress, totals, hlog
        self._teller = teller
        self._wanted = wanted
        self._examples_left = EXAMPLES

    def started(self, in_s: float) -> None:
        """Note that everything is ready, and measuring starts in so many seconds."""
        self._hlog.start(in_s)
        self._report(-self._options.warm_up_s)

    def take(self, interval: Interval) -> Iterator[None]:
        """Take a second that is over."""
        pooled = interval.pooled()
        yield
        yield from self._totals.take(interval, pooled)
        yield from self._teller.take(interval.number, self._totals.last, self._totals.last_of_hosts)
        yield from self._hlog.take(interval, pooled)
        self._report(interval.number + 1)
        for operation, example in interval.examples[: self._examples_left]:
            self._examples_left -= 1
            _log("WARN", f"Operation failed operation={LABELS[operation]} error={example}")

    def hold(self) -> None:
        """Let somebody look at the server while it has all connections, if that is asked for."""
        if (until := self._options.hold) is None:
            return
        counts = (self._totals.completed + self._totals.errors, self._totals.errors)
        self._write("hold", self._options.duration_s, self._options.duration_s, self._wanted[1], counts)
        deadline = time.monotonic() + HOLD_LIMIT_S
        while not until.exists() and time.monotonic() < deadline:
            time.sleep(_HOLD_POLL_S)

    def _report(self, measured_s: float) -> None:
        totals, warm_up_s, (warm_up, wanted) = self._totals, self._options.warm_up_s, self._wanted
        if measured_s < 0:
            counts = (totals.warm_up, totals.warm_up_errors)
            self._write("warm-up", warm_up_s + measured_s, warm_up_s, warm_up, counts)
        else:
            counts = (totals.completed + totals.errors, totals.errors)
            self._write("measure", measured_s, self._options.duration_s, wanted, counts)

    def _write(
        self, phase: DriverPhase, elapsed_s: float, total_s: float, wanted: int, counts: tuple[int, int]
    ) -> None:
        self._progress.write(
            phase,
            elapsed_s=elapsed_s,
            total_s=total_s,
            offered_ops_s=wanted / total_s if total_s else 0.0,
            operations=counts[0],
            errors=counts[1],
            wanted=wanted,
        )


def _asked(options: RunOptions, workload: Workload, found: Recall) -> Details:
    """Return the options of a run as its report has them."""
    scenario = options.scenario
    return Details(
        schema=DETAILS_SCHEMA,
        driver_version=__version__,
        seed=options.seed,
        data_seed=options.data_seed,
        endpoint=options.address.endpoint,
        scenario=scenario.name,
        scale=options.memories / scenario.data.num_nodes,
        duration_s=options.duration_s,
        warm_up_s=options.warm_up_s,
        connections=options.open_connections,
        processes=options.processes,
        arrival=msgspec.to_builtins(scenario.arrival),
        workload_digest=workload_digest(schedule_of(options), workload),
        traversal=workload.traversal_facts(),
        # Under way a file has another ending; a reader of the report finds it without.
        hlog=options.hlog.name.removesuffix(".partial") if options.hlog else None,
        recall=found,
        effort=options.address.effort,
    )


def workload_digest(schedule: Schedule, workload: Workload) -> str:
    """Return the SHA-256 of the whole work: when every operation is due, what it is, with what parameters."""
    content = hashlib.sha256()
    for chunk in schedule.chunks():
        content.update(chunk.tobytes())
    content.update(workload.digest().encode())
    return content.hexdigest()


def _judge(measured: verdict.Measured, scenario: Scenario, found: Recall) -> int:
    reason = verdict.invalid_reason(measured)
    missed = verdict.missed_in_words(measured, scenario.validation)
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


def _log_failures(measured: verdict.Measured) -> None:
    reasons = measured.totals.reasons
    if measured.errors > EXAMPLES or measured.pooled.never_sent:
        counts = ", ".join(f"{count} x {problem}" for problem, count in reasons.most_common(5))
        _log("WARN", f"Operations failed: {measured.errors} in all ({counts})")


def _log(level: str, message: str) -> None:
    """Print a line as Engram's `loadtest` logs it, on stdout and without colours."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    print(f"{now} {level:>5} loadtest: {message}", flush=True)  # noqa: T201 - see above
