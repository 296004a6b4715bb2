"""What the driver reports of a server of known behaviour, beside what is expected: a table.

Each line is a run of its own against `tests/stand_ins/http_server`. What a run is expected to show follows from the
server's behaviour by the arithmetic given in the table; noise of the machine only ever adds to a time.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from compbench.loadtest.engine.openloop import DRAIN_S
from tests.drive import constant, drive, serving

Own = dict[str, Any]


class Figure(NamedTuple):
    """One figure of a run: what it is expected to be, and where the report has it."""

    name: str
    expected: float
    reported: Callable[[Own], float]


class Case(NamedTuple):
    """A server, a load, and what must come out."""

    name: str
    server: str
    rate: int
    connections: int
    figures: tuple[Figure, ...]


def main() -> None:
    """Run every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="of each run; a multiple of 10 for the stall")
    seconds = parser.parse_args().seconds
    print(f"{'server':46} {'figure':28} {'expected':>10} {'reported':>10} {'off by':>8}")
    for case in cases(seconds):
        with serving(*case.server.split()) as url, tempfile.TemporaryDirectory() as folder:
            own = drive(Path(folder), url, constant(case.rate), seconds, "--connections", str(case.connections)).own
        for figure in case.figures:
            value = figure.reported(own)
            off = f"{100 * (value / figure.expected - 1):+7.2f}%" if figure.expected else f"{value:+8g}"
            print(f"{case.name:46} {figure.name:28} {figure.expected:10.2f} {value:10.2f} {off}")
        accounted = own["completed"] + own["failed"] + own["never_sent"]
        print(f"{'':46} {'every operation accounted for':28} {own['due']:10} {accounted:10}\n")


def cases(seconds: int) -> list[Case]:
    """Return the runs of so many seconds each."""
    total = 300 * seconds
    return [
        Case("20 ms", "--delay-ms 20", 300, 64, (_response("p50", 20), _response("p99", 20), _service("p50", 20))),
        Case(
            "5 ms, and 50 ms for one in ten",
            "--delay-ms 5 --slow-ms 50 --slow-share 0.1",
            300,
            64,
            (_response("p50", 5), _response("p95", 50), _response("p99", 50), Figure("mean ms", 9.5, _mean)),
        ),
        # In a stall of 1 s of every 10 the requests of 1 s wait from 1 s down to 0.
        Case(
            "2 ms, nothing for 1 s of every 10 s",
            "--delay-ms 2 --stall-every-s 10 --stall-for-s 1",
            300,
            64,
            (
                _response("p50", 2),
                _response("p99", 1000 * (1 - 0.01 / ((seconds // 10 - 1) / seconds))),
                _response("max", 1000),
            ),
        ),
        Case("3 % errors", "--error-share 0.03", 300, 64, (_count("failed", _drawn(0.03, total)),)),
        Case(
            "closes 2 % of connections, 2 % garbage",
            "--close-share 0.02 --garbage-share 0.02",
            300,
            64,
            (_count("failed", _drawn(0.04, total)),),
        ),
        # Request i is due at i / 300 and answered at i / 280.
        Case(
            "280 a second, 300 offered",
            "--rate 280",
            300,
            16,
            (
                Figure("achieved per second", 280, lambda own: float(own["achieved_ops_s"])),
                _response("p50", 500 * seconds * (300 / 280 - 1)),
                _response("max", 1000 * seconds * (300 / 280 - 1)),
                _service("p50", 16 / 280 * 1000),
            ),
        ),
        Case(
            "100 a second, 300 offered: not all is sent",
            "--rate 100",
            300,
            16,
            (
                _count("completed", 100 * (seconds + DRAIN_S)),
                _count("never_sent", total - 100 * (seconds + DRAIN_S) - 16),
            ),
        ),
        Case("an answer trickling for 100 ms", "--trickle-ms 100", 300, 64, (_service("p50", 100),)),
        Case(
            "never answers",
            "--silent-share 1",
            300,
            16,
            (
                _count("completed", 0),
                _count("failed", 16),
                _response("p50", 1000 * (seconds / 2 + DRAIN_S)),
            ),
        ),
    ]


def _response(name: str, expected_ms: float) -> Figure:
    return Figure(f"response {name} ms", expected_ms, lambda own: float(own["response_time_ms"][name]))


def _service(name: str, expected_ms: float) -> Figure:
    return Figure(f"service {name} ms", expected_ms, lambda own: float(own["service_time_ms"][name]))


def _count(name: str, expected: float) -> Figure:
    return Figure(name, expected, lambda own: float(own[name]))


def _mean(own: Own) -> float:
    return float(own["response_time_ms"]["mean"])


def _drawn(share: float, count: int) -> int:
    """Return how many of the server's draws are below a share: its generator's seed is known."""
    draw = random.Random(1).random
    return sum(draw() < share for _ in range(count))


if __name__ == "__main__":
    main()
