"""The command line of the built-in driver, which is that of Engram's `loadtest`.

Exit codes: 0 all targets met (or data set loaded, or capacity found); 1 a target missed, measurement invalid, data set
not loaded or the server's capacity not found, each with its report, or an error (`Error: ...` on stderr, no report);
2 wrong usage. A signal ends it at once, without a report.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from compbench.config.hosts import FORMS, HostsAsked, read_hosts
from compbench.config.scenarios import load_scenario, scenario_names, scenario_title
from compbench.loadtest import __version__, report
from compbench.loadtest.asking import remove_data
from compbench.loadtest.capacity_run import CapacityOptions, find_capacity
from compbench.loadtest.cluster.host_driver import serve
from compbench.loadtest.cluster.looking import look_at_hosts
from compbench.loadtest.cluster.opening import Cluster, opened_cluster
from compbench.loadtest.cluster.spread import spread_over
from compbench.loadtest.engine.capacity import Goal
from compbench.loadtest.frontier_run import FrontierOptions, find_frontier
from compbench.loadtest.prepare import PrepareOptions, load_data
from compbench.loadtest.progress import Progress
from compbench.loadtest.request_sizes import sizes_of
from compbench.loadtest.run import RunOptions, run
from compbench.loadtest.truth import ground_truth
from compbench.loadtest.workload import set_scan
from compbench.model.efforts import RECALLS
from compbench.model.errors import UserError
from compbench.model.scenario import NODES_LIMIT, RATE_LIMIT, U64_MAX, Constant, Scenario, scaled_count
from compbench.systems.clients import ServerAddress

SCENARIOS = Path("scenarios/competitive")
CACHE = Path("tmp/cache")
# `select`, which this driver waits with outside of Linux, knows file descriptors up to 1023.
CONNECTIONS_LIMIT = 900
PROCESSES_LIMIT = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    # A shell's background job inherits SIGINT ignored; this program must end by it all the same.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    options = _parser().parse_args(arguments)
    commands = {
        "run": _run,
        "capacity": _capacity,
        "frontier": _frontier,
        "prepare": _prepare,
        "ground-truth": _ground_truth,
        "check-set": _check_set,
        "remove": _remove,
        "check-hosts": _check_hosts,
        "host": lambda _options: serve(),
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


def _check_hosts(options: argparse.Namespace) -> int:
    server = urlsplit(options.endpoint)
    with opened_cluster(options.hosts, options.cache) as cluster:
        seen = look_at_hosts(cluster, (server.hostname or "", server.port or 0))
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="compbench-loadtest", description="Open-loop load generator", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"compbench-loadtest {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument("--scenario", type=Path, required=True, metavar="PATH")
    common.add_argument("--scale", type=_above_0(1.0), default=1.0, metavar="F", help="share of num_nodes, over 0 to 1")
    common.add_argument("--rows", type=_whole(1, NODES_LIMIT), metavar="N", help="how many rows, in place of --scale")
    common.add_argument("--seed", type=_whole(0, U64_MAX), metavar="N", help="default: the scenario's")
    common.add_argument(
        "--data-seed", type=_whole(0, U64_MAX), metavar="N", help="of the data set; default: its own, or as --seed"
    )
    common.add_argument("--endpoint", default="http://localhost:7432", metavar="URL")
    common.add_argument("--system", default="engram", metavar="NAME", help="which client asks it (default: engram)")
    common.add_argument("--systems-dir", metavar="PATH", help="a folder of further systems")
    common.add_argument("--system-settings", default="{}", metavar="JSON", help="the system's own settings")
    common.add_argument("--output", type=Path, metavar="PATH", help="write a JSON report")
    common.add_argument("--progress", type=Path, metavar="PATH", help="append JSON lines, about one a second")
    common.add_argument("--cache", type=Path, default=CACHE, metavar="PATH", help="where exact neighbours are kept")
    hosts = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    hosts.add_argument("--hosts", type=_hosts, metavar="WORDS", help=f"to send from: {FORMS}")
    hosts.add_argument(
        "--hosts-timeout", type=_seconds, default=60.0, metavar="S", help="until when all hosts are to be ready"
    )
    sending = argparse.ArgumentParser(add_help=False, allow_abbrev=False, parents=[common, hosts])
    sending.add_argument("--connections", type=_whole(1, CONNECTIONS_LIMIT), default=64, metavar="N")
    sending.add_argument(
        "--processes", type=_whole(1, PROCESSES_LIMIT), default=1, metavar="N", help="to send from, on each host"
    )
    _add_run_arguments(commands.add_parser("run", parents=[sending], allow_abbrev=False, help="send load and report"))
    search = commands.add_parser("capacity", parents=[sending], allow_abbrev=False, help="find the highest rate")
    _add_capacity_arguments(search)
    ladder = commands.add_parser("frontier", parents=[sending], allow_abbrev=False, help="find recall against speed")
    _add_frontier_arguments(ladder)
    load = commands.add_parser("prepare", parents=[common], allow_abbrev=False, help="load the data set")
    load.add_argument("--time-limit", type=_seconds, default=600.0, metavar="S")
    load.add_argument("--fit", action="store_true", help="load as many rows as the time limit allows")
    load.add_argument("--no-edges", action="store_true", help="load the rows alone")
    commands.add_parser(
        "ground-truth", parents=[common, hosts], allow_abbrev=False, help="compute what searches should find"
    )
    commands.add_parser("remove", parents=[common], allow_abbrev=False, help="remove what was loaded, nothing else")
    commands.add_parser("sizes", parents=[common], allow_abbrev=False, help="how large requests are; asks no server")
    commands.add_parser("check-set", parents=[common], allow_abbrev=False, help="look at all of a set of your own")
    look = commands.add_parser("check-hosts", parents=[hosts], allow_abbrev=False, help="look at the hosts")
    look.add_argument("--endpoint", required=True, metavar="URL", help="the server that they are to reach")
    look.add_argument("--cache", type=Path, default=CACHE, metavar="PATH", help="where workers here may write")
    # Without help: it is for hosts, to which `agent` gives it.
    commands.add_parser("host", allow_abbrev=False)
    commands.add_parser("list", help=f"list the scenarios of {SCENARIOS}")
    return parser


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target-rate", type=_whole(1, RATE_LIMIT), metavar="N", help="constant arrivals, N a second")
    parser.add_argument("--duration", type=_whole(1, 86_400), metavar="S", help="whole seconds, measured")
    parser.add_argument("--warm-up", type=_seconds, default=0.0, metavar="S", help="sent before, not recorded")
    parser.add_argument("--hlog", type=Path, metavar="PATH", help="write an HdrHistogram log")
    parser.add_argument(
        "--hold", type=Path, metavar="PATH", help="hold the connections open after the load until this file is there"
    )


def _add_capacity_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--p99", type=_above_0(3_600_000), metavar="MS", help="default: the scenario's target")
    parser.add_argument("--max-error-rate", type=_share, metavar="F", help="default: the scenario's target, or 0")
    parser.add_argument("--step-duration", type=_whole(1, 3600), default=10, metavar="S", help="of each trial")
    parser.add_argument("--repeats", type=_whole(1, 99), default=3, metavar="N", help="the majority decides")
    parser.add_argument("--precision", type=_above_0(100), default=5.0, metavar="PCT", help="when to stop")


def _add_frontier_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--knob", default="", metavar="NAME", help="the system's own name for the effort, if it has one"
    )
    parser.add_argument("--step-duration", type=_whole(1, 3600), default=5, metavar="S", help="of each effort")
    parser.add_argument(
        "--recalls", type=_recalls, default=RECALLS, metavar="R,R", help="whose capacity is searched for"
    )
    parser.add_argument("--no-capacity", action="store_true", help="search for no capacity")
    parser.add_argument("--capacity-step-duration", type=_whole(1, 3600), default=5, metavar="S", help="of each rate")
    parser.add_argument("--capacity-repeats", type=_whole(1, 99), default=3, metavar="N", help="the majority decides")
    parser.add_argument("--precision", type=_above_0(100), default=5.0, metavar="PCT", help="of a capacity")


class _whole:  # noqa: N801 - argparse names the type in its messages
    """Reads a whole number within limits."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        if not re.fullmatch(r"\d{1,20}", text) or not self._low <= int(text) <= self._high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {self._low} to {self._high}")
        return int(text)


def _seconds(text: str) -> float:
    return _number(text, 0.0, 86_400.0)


def _share(text: str) -> float:
    return _number(text, 0.0, 1.0)


def _hosts(text: str) -> HostsAsked:
    try:
        return read_hosts(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _recalls(text: str) -> tuple[float, ...]:
    """Return recalls in ascending order."""
    return tuple(sorted({_above_0(1.0)(part) for part in text.split(",")}))


def _above_0(high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = _number(text, 0.0, high)
        if value == 0:
            raise argparse.ArgumentTypeError("must be over 0")
        return value

    return read


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
    return value
