"""What it costs a measurement that its seconds are told, and recall with them: the driver's own figures, on and off.

A server of known delay is searched at a constant rate, in turn with each second's figures written to a file and some
answers judged meanwhile, and with neither. Prints the lag, the processor time of a request and the response times of
both, and the ratios of their medians (aim: 1, within what two runs of the same kind differ by, which is printed too).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from compbench.loadtest.engine.recorder import Interval
from compbench.loadtest.engine.shards import Plan, keep_schedule
from compbench.loadtest.engine.totals import Totals
from compbench.loadtest.progress import Progress
from compbench.loadtest.second_teller import SecondTeller
from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.recall_so_far import RecallSoFar
from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.loadtest.workload.workload import Workload
from compbench.systems.clients import ServerAddress, open_client, transport_maker
from tests.known import TRANSPORTS, WARM_UP_S, Known, known_server
from tests.load import SEARCHES, scenario

NAMES = ("lag P50, ms", "lag P99, ms", "lag P99.9, ms", "CPU of a request, us", "response P50, ms", "response P99, ms")
KINDS = ("off", "on", "off again")


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=1000)
    options = parser.parse_args()
    known = Known(2.0, options.rate, options.seconds, 32)
    taken: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in KINDS}
    for number in range(options.rounds):
        # In another order each time, so that what drifts meets all alike.
        for kind in (*KINDS[number % 3 :], *KINDS[: number % 3]):
            taken[kind].append(figures(known, is_told=kind == "on"))
    print(f"{'':22} {'off':>9} {'on':>9} {'on / off':>9} {'off again / off':>16}")
    for place, name in enumerate(NAMES):
        off, on, again = (statistics.median(row[place] for row in taken[kind]) for kind in KINDS)
        print(f"{name:22} {off:9.3f} {on:9.3f} {on / off:9.3f} {again / off:16.3f}")


def figures(known: Known, *, is_told: bool) -> tuple[float, ...]:
    """Keep a schedule; return the figures of `NAMES`."""
    made = scenario(SEARCHES)
    carried, rows = TRANSPORTS["HTTP"], open_vectors(made, made.seed)
    shape, count, totals = shape_of(made, rows), made.data.num_nodes, Totals()
    with known_server(carried, known) as url, tempfile.TemporaryDirectory() as folder:
        address = ServerAddress(url, carried.system)
        client = open_client(address, shape)
        requests, warm_up = int(known.rate * known.schedule.end_s), int(known.rate * WARM_UP_S)
        make = partial(Workload, made, made.seed, client, prepared=count, count=requests, warm_up=warm_up)
        workload, offered = make(), known.schedule.offered()[1]
        truth = ground_truth.compute(made, count, made.seed, lambda _elapsed_s, _done: None)
        with Progress(Path(folder) / "progress" if is_told else None) as progress:
            teller = SecondTeller(progress, offered, known=RecallSoFar(workload, truth))

            def consume(interval: Interval) -> Iterator[None]:
                yield from totals.take(interval, interval.pooled())
                if is_told:
                    yield from teller.take(interval.number, totals.last, {})

            plan = Plan(transport_maker(address, shape), known.schedule, known.connections, 1, make)
            ended = keep_schedule(plan, workload, lambda _: None, consume)
    part = totals.pooled()
    lag, response = part.times.lag.summary(), part.times.response.summary()
    return lag.p50, lag.p99, lag.p999, 1e6 * ended.cpu_s / part.count, response.p50, response.p99


if __name__ == "__main__":
    main()
