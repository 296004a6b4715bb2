"""What the driver reports over each transport of a server of known delay and stalls, its lag, and what a request costs.

Each run sends real searches of a system's client, vectors of 768 dimensions, to `tests/stand_ins/known_server.py`. What
must come out is computed from the schedule and the server's behaviour, for a driver and a machine that take no time.
Each case is run several times; noise of the machine only ever adds to a time, so the least is told beside the median.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import NamedTuple

from tests.known import TRANSPORTS, Known, Told, percentile, told_of

LAG_LIMIT_MS = 1.0


class Row(NamedTuple):
    """One figure: what a perfect driver would report, and where the report has it."""

    name: str
    expected: float
    reported: Callable[[Told], float]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="of each run")
    options = parser.parse_args()
    seconds, rounds = options.seconds, options.rounds
    print(f"searches with vectors of 768 dimensions, runs of {seconds} s, {rounds} rounds\n")
    print(
        f"{'transport':18} {'server':36} {'figure':16} {'expected':>9} {'least':>9} {'median':>9} {'least is off':>13}"
    )
    for transport in TRANSPORTS:
        for name, known in cases(seconds).items():
            told = runs(transport, known, rounds)
            for row in rows_of(known):
                values = [row.reported(one) for one in told]
                least, off = min(values), 100 * (min(values) / row.expected - 1)
                shown = f"{row.expected:9.2f} {least:9.2f} {statistics.median(values):9.2f} {off:+12.2f}%"
                print(f"{transport:18} {name:36} {row.name:16} {shown}", flush=True)
    print("\n1000 requests a second, a server of 2 ms, 32 connections")
    lags = f"{'lag P50 ms':>10} {'P99':>8} {'median':>8} {'P99.9':>8} {'max':>8}"
    print(f"{'transport':18} {lags} {'CPU us':>7} {'P50 ms':>7}  judged")
    for transport in TRANSPORTS:
        print_cost(transport, runs(transport, Known(2, 1000, seconds, 32), rounds))


def cases(seconds: int) -> dict[str, Known]:
    """Return the servers and their load."""
    return {
        "20 ms": Known(20, 300, seconds, 64),
        "2 ms, nothing for 0.2 s of every 1 s": Known(2, 300, seconds, 8, stall_every_s=1, stall_for_s=0.2),
    }


def runs(transport: str, known: Known, rounds: int) -> list[Told]:
    """Return what several runs tell.

    Raises:
        SystemExit: requests failed, or are not accounted for.
    """
    told = [told_of(TRANSPORTS[transport], known) for _ in range(rounds)]
    for one in told:
        if one.totals.completed != known.rate * known.seconds:
            raise SystemExit(f"{transport}: {one.totals.completed} requests succeeded: {dict(one.totals.reasons)}")
    return told


def rows_of(known: Known) -> list[Row]:
    """Return the figures of a run: under a stall, the service times are what a closed loop would tell."""
    response, service = known.expected()
    found = [
        Row(f"response P{percent}", percentile(response, percent), _response(percent))
        for percent in ((50, 90, 99) if known.stall_every_s else (50, 99))
    ]
    if known.stall_every_s:
        found.append(Row("service P90", percentile(service, 90), _service_p90))
    return found


def print_cost(transport: str, told: list[Told]) -> None:
    """Print lag and processor time of a transport's runs: the least of each, and the median of the lag's P99.

    Maximum and P99.9 would tell of the driver's own start, in the first second of a run.
    """
    lags = [one.part.times.lag.summary() for one in told]
    median = statistics.median(lag.p99 for lag in lags)
    least = min(lag.p99 for lag in lags)
    response = min(one.part.times.response.percentile_ms(50) for one in told)
    valid = sum(not one.fault for one in told)
    judged = f"{valid} of {len(told)} valid" + ("" if least < LAG_LIMIT_MS else f", lag over {LAG_LIMIT_MS:g} ms")
    cpu_us = min(one.cpu_us for one in told)
    highest = f"{min(lag.p999 for lag in lags):8.3f} {min(lag.max for lag in lags):8.3f}"
    lag = f"{min(lag.p50 for lag in lags):10.3f} {least:8.3f} {median:8.3f} {highest}"
    print(f"{transport:18} {lag} {cpu_us:7.0f} {response:7.2f}  {judged}", flush=True)


def _response(percent: int) -> Callable[[Told], float]:
    return lambda told: told.part.times.response.percentile_ms(percent)


def _service_p90(told: Told) -> float:
    return told.part.times.service.percentile_ms(90)


if __name__ == "__main__":
    main()
