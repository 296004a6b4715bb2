"""The commands of the built-in driver and their options, as argparse reads them."""

from __future__ import annotations

import argparse
from pathlib import Path

from compbench.config.hosts import FORMS
from compbench.loadtest import __version__
from compbench.loadtest.option_types import (
    WholeNumber,
    above_0,
    host_port_option,
    hosts_option,
    recalls,
    seconds,
    share,
)
from compbench.model.efforts import RECALLS
from compbench.model.scenario import NODES_LIMIT, RATE_LIMIT, U64_MAX

SCENARIOS = Path("scenarios/competitive")
CACHE = Path("tmp/cache")
# `select`, which this driver waits with outside of Linux, knows file descriptors up to 1023.
CONNECTIONS_LIMIT = 900
PROCESSES_LIMIT = 64


def driver_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="compbench-loadtest", description="Open-loop load generator", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"compbench-loadtest {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    common.add_argument("--scenario", type=Path, required=True, metavar="PATH")
    common.add_argument("--scale", type=above_0(1.0), default=1.0, metavar="F", help="share of num_nodes, over 0 to 1")
    common.add_argument(
        "--rows", type=WholeNumber(1, NODES_LIMIT), metavar="N", help="how many rows, in place of --scale"
    )
    common.add_argument("--seed", type=WholeNumber(0, U64_MAX), metavar="N", help="default: the scenario's")
    common.add_argument(
        "--data-seed", type=WholeNumber(0, U64_MAX), metavar="N", help="of the data set; default: its own, or as --seed"
    )
    common.add_argument("--endpoint", default="http://localhost:7432", metavar="URL")
    common.add_argument("--system", default="engram", metavar="NAME", help="which client asks it (default: engram)")
    common.add_argument("--systems-dir", metavar="PATH", help="a folder of further systems")
    common.add_argument("--system-settings", default="{}", metavar="JSON", help="the system's own settings")
    common.add_argument("--output", type=Path, metavar="PATH", help="write a JSON report")
    common.add_argument("--progress", type=Path, metavar="PATH", help="append JSON lines, about one a second")
    common.add_argument("--cache", type=Path, default=CACHE, metavar="PATH", help="where exact neighbours are kept")
    hosts = _hosts_options(required=False)
    sending = argparse.ArgumentParser(add_help=False, allow_abbrev=False, parents=[common, hosts])
    sending.add_argument("--connections", type=WholeNumber(1, CONNECTIONS_LIMIT), default=64, metavar="N")
    sending.add_argument(
        "--processes", type=WholeNumber(1, PROCESSES_LIMIT), default=1, metavar="N", help="to send from, on each host"
    )
    _add_run_arguments(commands.add_parser("run", parents=[sending], allow_abbrev=False, help="send load and report"))
    search = commands.add_parser("capacity", parents=[sending], allow_abbrev=False, help="find the highest rate")
    _add_capacity_arguments(search)
    ladder = commands.add_parser("frontier", parents=[sending], allow_abbrev=False, help="find recall against speed")
    _add_frontier_arguments(ladder)
    load = commands.add_parser("prepare", parents=[common], allow_abbrev=False, help="load the data set")
    load.add_argument("--time-limit", type=seconds, default=600.0, metavar="S")
    load.add_argument("--fit", action="store_true", help="load as many rows as the time limit allows")
    load.add_argument("--no-edges", action="store_true", help="load the rows alone")
    commands.add_parser(
        "ground-truth", parents=[common, hosts], allow_abbrev=False, help="compute what searches should find"
    )
    commands.add_parser("remove", parents=[common], allow_abbrev=False, help="remove what was loaded, nothing else")
    commands.add_parser("sizes", parents=[common], allow_abbrev=False, help="how large requests are; asks no server")
    commands.add_parser("check-set", parents=[common], allow_abbrev=False, help="look at all of a set of your own")
    look = commands.add_parser(
        "check-hosts", parents=[_hosts_options(required=True)], allow_abbrev=False, help="look at the hosts"
    )
    look.add_argument(
        "--server",
        type=host_port_option,
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="what they are to reach",
    )
    look.add_argument("--cache", type=Path, default=CACHE, metavar="PATH", help="where workers here may write")
    # Without help: it is for hosts, to which `agent` gives it.
    commands.add_parser("host", allow_abbrev=False)
    commands.add_parser("list", help=f"list the scenarios of {SCENARIOS}")
    return parser


def _hosts_options(*, required: bool) -> argparse.ArgumentParser:
    hosts = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    hosts.add_argument("--hosts", type=hosts_option, required=required, metavar="WORDS", help=f"to send from: {FORMS}")
    hosts.add_argument(
        "--hosts-timeout", type=seconds, default=60.0, metavar="S", help="until when all hosts are to be ready"
    )
    return hosts


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target-rate", type=WholeNumber(1, RATE_LIMIT), metavar="N", help="constant arrivals, N a second"
    )
    parser.add_argument("--duration", type=WholeNumber(1, 86_400), metavar="S", help="whole seconds, measured")
    parser.add_argument("--warm-up", type=seconds, default=0.0, metavar="S", help="sent before, not recorded")
    parser.add_argument("--hlog", type=Path, metavar="PATH", help="write an HdrHistogram log")
    parser.add_argument(
        "--hold", type=Path, metavar="PATH", help="hold the connections open after the load until this file is there"
    )


def _add_capacity_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--p99", type=above_0(3_600_000), metavar="MS", help="default: the scenario's target")
    parser.add_argument("--max-error-rate", type=share, metavar="F", help="default: the scenario's target, or 0")
    parser.add_argument("--step-duration", type=WholeNumber(1, 3600), default=10, metavar="S", help="of each trial")
    parser.add_argument("--repeats", type=WholeNumber(1, 99), default=3, metavar="N", help="the majority decides")
    parser.add_argument("--precision", type=above_0(100), default=5.0, metavar="PCT", help="when to stop")


def _add_frontier_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--knob", default="", metavar="NAME", help="the system's own name for the effort, if it has one"
    )
    parser.add_argument("--step-duration", type=WholeNumber(1, 3600), default=5, metavar="S", help="of each effort")
    parser.add_argument(
        "--recalls", type=recalls, default=RECALLS, metavar="R,R", help="whose capacity is searched for"
    )
    parser.add_argument("--no-capacity", action="store_true", help="search for no capacity")
    parser.add_argument(
        "--capacity-step-duration", type=WholeNumber(1, 3600), default=5, metavar="S", help="of each rate"
    )
    parser.add_argument(
        "--capacity-repeats", type=WholeNumber(1, 99), default=3, metavar="N", help="the majority decides"
    )
    parser.add_argument("--precision", type=above_0(100), default=5.0, metavar="PCT", help="of a capacity")
