"""The command line of the built-in driver, which is that of Engram's `loadtest`.

Exit codes: 0 all targets met (or data set loaded, or capacity found); 1 a target missed, measurement invalid, data set
not loaded or the server's capacity not found, each with its report, or an error (`Error: ...` on stderr, no report);
2 wrong usage. A signal ends it at once, without a report.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from compbench.config.scenarios import load_scenario, scenario_names, scenario_title
from compbench.loadtest import report
from compbench.loadtest.asking import remove_data
from compbench.loadtest.capacity_run import CapacityOptions, find_capacity
from compbench.loadtest.cluster.host_driver import serve
from compbench.loadtest.cluster.looking import look_at_hosts
from compbench.loadtest.cluster.opening import Cluster, opened_cluster
from compbench.loadtest.cluster.spread import spread_over
from compbench.loadtest.driver_parser import SCENARIOS, driver_parser
from compbench.loadtest.engine.capacity import Goal
from compbench.loadtest.frontier_run import FrontierOptions, find_frontier
from compbench.loadtest.prepare import PrepareOptions, load_data
from compbench.loadtest.progress import Progress
from compbench.loadtest.request_sizes import sizes_of
from compbench.loadtest.run import RunOptions, run
from compbench.loadtest.truth import ground_truth
from compbench.loadtest.workload import set_scan
from compbench.model.errors import UserError
from compbench.model.scenario import Constant, Scenario, scaled_count
from compbench.systems.clients import ServerAddress


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    # A shell's background job inherits SIGINT ignored; this program must end by it all the same.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A title, or a unit, may have what an ASCII terminal lacks: that must end no measurement and no search.
        sys.stdout.reconfigure(errors="replace")
    options = driver_parser().parse_args(arguments)
    commands = {
        "run": _run,
        "capacity": _capacity,
        "frontier": _frontier,
        "prepare": _prepare,
        "ground-truth": _ground_truth,
        "check-set": _check_set,
        "remove": _remove,
        "check-hosts": _check_hosts,
        "host": _host,
        "sizes": _sizes,
        "list": _list,
    }
    try:
        return commands[options.command](options)
    except (UserError, OSError) as error:
        reason = str(error)
    except MemoryError:
        reason = "this takes more memory than there is: lower --scale, or the scenario's num_nodes or embedding_dim"
    print(f"Error: {reason}", file=sys.stderr)  # noqa: T201 - the contract's one line
    return 1


def _run(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    if options.target_rate is not None:
        scenario = msgspec.structs.replace(scenario, arrival=Constant(rate=options.target_rate))
    asked = _run_options(options, scenario, options.duration or scenario.duration_s)
    asked = asked._replace(
        warm_up_s=options.warm_up,
        hold=options.hold,
        output=_checked_folder("--output", options.output),
        hlog=_checked_folder("--hlog", options.hlog),
    )
    with Progress(options.progress) as progress, _hosts_opened(options) as cluster:
        return run(asked._replace(cluster=cluster), progress)


def _capacity(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    targets = scenario.validation
    p99_ms = options.p99 or targets.expected_p99_latency_ms
    if p99_ms is None:
        raise UserError(f"{options.scenario} has no expected_p99_latency_ms: give --p99")
    errors = options.max_error_rate if options.max_error_rate is not None else targets.max_error_rate or 0.0
    asked = CapacityOptions(
        trial=_run_options(options, scenario, options.step_duration),
        goal=Goal(p99_ms, errors, options.repeats, options.precision),
        output=_checked_folder("--output", options.output),
    )
    with Progress(options.progress) as progress, _hosts_opened(options) as cluster:
        return find_capacity(asked._replace(trial=asked.trial._replace(cluster=cluster)), progress)


def _frontier(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    asked = FrontierOptions(
        trial=_run_options(options, scenario, options.step_duration),
        knob=options.knob,
        recalls=options.recalls,
        capacity=None if options.no_capacity else _sustained(options, scenario),
        capacity_step_s=options.capacity_step_duration,
        output=_checked_folder("--output", options.output),
    )
    with Progress(options.progress) as progress, _hosts_opened(options) as cluster:
        find_frontier(asked._replace(trial=asked.trial._replace(cluster=cluster)), progress)
    return 0


def _sustained(options: argparse.Namespace, scenario: Scenario) -> Goal:
    """Return when a rate counts as sustained at one effort.

    Raises:
        UserError: the scenario has no limit to search by.
    """
    targets = scenario.validation
    if targets.expected_p99_latency_ms is None:
        raise UserError(f"{options.scenario} has no expected_p99_latency_ms to search by: give --no-capacity")
    errors = targets.max_error_rate or 0.0
    return Goal(targets.expected_p99_latency_ms, errors, options.capacity_repeats, options.precision)


def _run_options(options: argparse.Namespace, scenario: Scenario, duration_s: int) -> RunOptions:
    return RunOptions(
        scenario=scenario,
        seed=_seed(options, scenario),
        data_seed=_data_seed(options, scenario),
        address=_address(options),
        duration_s=duration_s,
        memories=_count(options, scenario),
        connections=options.connections,
        processes=options.processes,
        cache=options.cache,
        hosts_limit_s=options.hosts_timeout,
    )


@contextlib.contextmanager
def _hosts_opened(options: argparse.Namespace) -> Iterator[Cluster | None]:
    """Open the hosts that are asked for; None where load comes from here alone."""
    if options.hosts is None:
        yield None
        return
    with opened_cluster(options.hosts, options.cache) as cluster:
        yield cluster


def _prepare(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    output = _checked_folder("--output", options.output)
    count = _count(options, scenario)
    asked = PrepareOptions(
        scenario,
        _data_seed(options, scenario),
        _address(options),
        count,
        options.time_limit,
        fit=options.fit,
        with_edges=not options.no_edges,
    )
    with Progress(options.progress) as progress:
        result = load_data(asked, progress)
    if output:
        report.write_json(output, result)
    if not result.complete:
        print(f"Data set not loaded: {result.note}", file=sys.stderr)  # noqa: T201 - the one-line reason
        return 1
    rate = result.sent / max(result.elapsed_s, 1e-9)
    print(f"Loaded {result.wanted} memories in {result.elapsed_s:.2f}s ({rate:.0f}/s)")  # noqa: T201 - the answer
    return 0


def _remove(options: argparse.Namespace) -> int:
    scenario, address = load_scenario(options.scenario), _address(options)
    if problem := remove_data(scenario, _data_seed(options, scenario), address):
        print(f"Not removed from {address.endpoint}: {problem}", file=sys.stderr)  # noqa: T201 - the one-line reason
        return 1
    print(f"Removed from {address.endpoint} what was loaded")  # noqa: T201 - the answer
    return 0


def _sizes(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    seeds = _seed(options, scenario), _data_seed(options, scenario)
    found = sizes_of(scenario, *seeds, _address(options), _count(options, scenario))
    print(msgspec.json.encode(found).decode())  # noqa: T201 - the answer
    return 0


def _check_set(options: argparse.Namespace) -> int:
    seen = set_scan.seen_in(load_scenario(options.scenario), options.cache)
    print(msgspec.json.encode(seen).decode())  # noqa: T201 - the answer
    return 0


def _host(_options: argparse.Namespace) -> int:
    try:
        return serve()
    except json.JSONDecodeError:
        raise UserError("what standard input has is no order: this command is started by a driver, on hosts") from None


def _check_hosts(options: argparse.Namespace) -> int:
    with opened_cluster(options.hosts, options.cache) as cluster:
        seen = look_at_hosts(cluster, options.server)
    print(msgspec.json.encode(seen).decode())  # noqa: T201 - the answer
    return 0


def _ground_truth(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    count = _count(options, scenario)
    seed = _data_seed(options, scenario)
    with Progress(options.progress) as progress:
        tick = _Comparing(progress, count)
        elsewhere = None if options.hosts is None else spread_over(options.hosts, options.cache)
        ground_truth.find_neighbours(options.cache, scenario, count, seed, tick, elsewhere=elsewhere)
    print(ground_truth.path_of(options.cache, scenario, count, seed))  # noqa: T201 - the answer
    return 0


class _Comparing:
    """Writes how many of the rows are compared, and how long all of them will take."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress, self._count = progress, count
        self._first: tuple[float, int] | None = None

    def __call__(self, elapsed_s: float, done: int) -> None:
        """Take the seconds since the start, and how many rows are compared, those of earlier calls included."""
        began_s, begun = self._first = self._first or (elapsed_s, done)
        left_s = (self._count - done) * (elapsed_s - began_s) / (done - begun) if done > begun else None
        self._progress.write(
            "prepare",
            elapsed_s=elapsed_s,
            total_s=None if left_s is None else round(elapsed_s + left_s, 1),
            offered_ops_s=None,
            operations=done,
            errors=0,
            wanted=self._count,
            work="rows compared for exact neighbours",
        )


def _list(_options: argparse.Namespace) -> int:
    names = scenario_names(SCENARIOS)
    if not names:
        print(f"No scenarios in {SCENARIOS}")  # noqa: T201 - the answer
    for name in names:
        print(f"{name}: {scenario_title(SCENARIOS / f'{name}.toml')}")  # noqa: T201 - the answer
    return 0


def _seed(options: argparse.Namespace, scenario: Scenario) -> int:
    return scenario.seed if options.seed is None else int(options.seed)


def _data_seed(options: argparse.Namespace, scenario: Scenario) -> int:
    if options.data_seed is not None:
        return int(options.data_seed)
    return _seed(options, scenario) if scenario.data_set is None else scenario.data_seed


def _count(options: argparse.Namespace, scenario: Scenario) -> int:
    """Return how many rows of the data set are, or are to be, loaded.

    Raises:
        UserError: the data set has not so many.
    """
    count = options.rows or scaled_count(scenario, options.scale)
    if count > scenario.data.num_nodes:
        raise UserError(f"--rows {count}: {options.scenario} has num_nodes = {scenario.data.num_nodes}")
    return int(count)


def _address(options: argparse.Namespace) -> ServerAddress:
    return ServerAddress(options.endpoint, options.system, options.systems_dir, options.system_settings)


def _checked_folder(option: str, path: Path | None) -> Path | None:
    """Refuse an output file whose folder is missing before anything is measured, not after."""
    if path is not None and not path.parent.is_dir():
        raise UserError(f"{option} {path}: no folder {path.parent}")
    return path
