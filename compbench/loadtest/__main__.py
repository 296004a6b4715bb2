"""`python -m compbench.loadtest`: the command line of the built-in driver, which is that of Engram's `loadtest`.

Exit codes: 0 all targets met (or data set loaded); 1 a target missed, measurement invalid or data set not loaded, each
with its report, or an error (`Error: ...` on stderr, no report); 2 wrong usage. A signal ends it at once, without a
report, in the way that signals end a program.
"""

from __future__ import annotations

import argparse
import math
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from compbench.errors import UserError
from compbench.loadtest import __version__, report
from compbench.loadtest.client import Endpoint
from compbench.loadtest.prepare import PrepareOptions, prepare
from compbench.loadtest.progress import Progress
from compbench.loadtest.run import RunOptions, run
from compbench.scenarios import U64_MAX, Constant, Scenario, load_scenario, scenario_names, title_of

SCENARIOS = Path("scenarios/competitive")
# `select`, which this driver waits with outside of Linux, knows file descriptors up to 1023.
CONNECTIONS_LIMIT = 900
PROCESSES_LIMIT = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    # A shell's background job inherits SIGINT ignored; this program must end by it all the same.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    options = _parser().parse_args(arguments)
    commands = {"run": _run, "prepare": _prepare, "list": _list}
    try:
        return commands[options.command](options)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the contract's one line
        return 1


def _run(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    if options.target_rate is not None:
        scenario = msgspec.structs.replace(scenario, arrival=Constant(rate=options.target_rate))
    if options.processes > options.connections:
        raise UserError(f"--processes {options.processes}: each needs a connection, and --connections is fewer")
    asked = RunOptions(
        scenario=scenario,
        seed=_seed(options, scenario),
        endpoint=Endpoint(options.endpoint),
        duration_s=options.duration or scenario.duration_s,
        warm_up_s=options.warm_up,
        scale=options.scale,
        connections=options.connections,
        processes=options.processes,
        output=_checked_folder("--output", options.output),
        hlog=_checked_folder("--hlog", options.hlog),
    )
    with Progress(options.progress) as progress:
        return run(asked, progress)


def _prepare(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    output = _checked_folder("--output", options.output)
    asked = PrepareOptions(
        scenario, _seed(options, scenario), Endpoint(options.endpoint), options.scale, options.time_limit
    )
    with Progress(options.progress) as progress:
        result = prepare(asked, progress)
    if output:
        report.write_json(output, result._asdict())
    if not result.complete:
        print(f"Data set not loaded: {result.note}", file=sys.stderr)  # noqa: T201 - the one-line reason
        return 1
    rate = result.sent / max(result.elapsed_s, 1e-9)
    print(f"Loaded {result.wanted} memories in {result.elapsed_s:.2f}s ({rate:.0f}/s)")  # noqa: T201 - the answer
    return 0


def _list(_options: argparse.Namespace) -> int:
    names = scenario_names(SCENARIOS)
    if not names:
        print(f"No scenarios in {SCENARIOS}")  # noqa: T201 - the answer
    for name in names:
        print(f"{name}: {title_of(SCENARIOS / f'{name}.toml')}")  # noqa: T201 - the answer
    return 0


def _seed(options: argparse.Namespace, scenario: Scenario) -> int:
    return scenario.seed if options.seed is None else int(options.seed)


def _checked_folder(option: str, path: Path | None) -> Path | None:
    """Refuse an output that has no folder before anything is measured, not after."""
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
    common.add_argument("--scale", type=_scale, default=1.0, metavar="F", help="share of num_nodes, over 0 to 1")
    common.add_argument("--seed", type=_whole(0, U64_MAX), metavar="N", help="default: the scenario's")
    common.add_argument("--endpoint", default="http://localhost:7432", metavar="URL")
    common.add_argument("--output", type=Path, metavar="PATH", help="write a JSON report")
    common.add_argument("--progress", type=Path, metavar="PATH", help="append JSON lines, about one a second")
    measure = commands.add_parser("run", parents=[common], allow_abbrev=False, help="send the load and report")
    measure.add_argument("--target-rate", type=_whole(1, 10**6), metavar="N", help="constant arrivals, N a second")
    measure.add_argument("--duration", type=_whole(1, 86_400), metavar="S", help="whole seconds, measured")
    measure.add_argument("--warm-up", type=_seconds, default=0.0, metavar="S", help="sent before, not recorded")
    measure.add_argument("--connections", type=_whole(1, CONNECTIONS_LIMIT), default=64, metavar="N")
    measure.add_argument("--processes", type=_whole(1, PROCESSES_LIMIT), default=1, metavar="N", help="to send from")
    measure.add_argument("--hlog", type=Path, metavar="PATH", help="write an HdrHistogram log")
    load = commands.add_parser("prepare", parents=[common], allow_abbrev=False, help="load the data set")
    load.add_argument("--time-limit", type=_seconds, default=600.0, metavar="S")
    commands.add_parser("list", help=f"list the scenarios of {SCENARIOS}")
    return parser


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


def _scale(text: str) -> float:
    value = _number(text, 0.0, 1.0)
    if value == 0:
        raise argparse.ArgumentTypeError("must be over 0")
    return value


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
    return value


if __name__ == "__main__":
    sys.exit(main())
