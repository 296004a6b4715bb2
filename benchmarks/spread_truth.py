"""How fast exact neighbours are computed by 1, 2 and 3 workers: `python -m benchmarks.ground_truth spread 100000`.

Each worker has one thread that compares, as the computation without hosts has here, each with a second one that draws
rows meanwhile. What each worker loads and draws once is counted too, and shows with few rows. All are on this machine,
so more of them than cores can't be faster. Ends with 1 if a result differs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import distributed
import numpy as np
import psutil

from compbench.config.hosts import HostsAsked
from compbench.loadtest.cluster.opening import QUIET
from compbench.loadtest.cluster.spread import spread_over
from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.ground_truth import RowSearch
from compbench.loadtest.truth.nearest import Truth
from compbench.model.scenario import Scenario

WORKERS = (1, 2, 3)


@contextmanager
def workers(count: int) -> Iterator[RowSearch]:
    """Start so many workers, and yield the search by them."""
    with (
        dask.config.set(QUIET),
        distributed.LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=0
        ) as cluster,
    ):
        yield spread_over(HostsAsked("scheduler", scheduler=cluster.scheduler_address), Path())


def cpu_now_s() -> float:
    """Return the CPU seconds of this process and of the workers so far."""
    own = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in (own, *own.children(recursive=True)))


def timed_search(scenario: Scenario, elsewhere: RowSearch | None) -> tuple[Truth, float, float]:
    """Return the neighbours, and the seconds and CPU seconds that they took, without the start of workers."""
    began, cpu_s, count = time.perf_counter(), cpu_now_s(), scenario.data.num_nodes
    truth = ground_truth.compute(
        scenario, count, scenario.data_seed, lambda _elapsed_s, _done: None, elsewhere=elsewhere
    )
    return truth, time.perf_counter() - began, cpu_now_s() - cpu_s


def compare_hosts(scenario: Scenario) -> int:
    """Measure and print; return the exit code."""
    rows, cores = scenario.data.num_nodes, os.cpu_count() or 1
    print(f"{rows} x {scenario.data.embedding_dim} rows, {cores} cores, load {os.getloadavg()[0]:.1f} before")
    here, here_s, cpu_s = timed_search(scenario, None)
    print(f"no hosts: {here_s:.1f} s, {rows / here_s:.0f} rows/s ({cpu_s / rows * 1e6:.1f} us of CPU a row)")
    one_s, all_same = 0.0, True
    for count in WORKERS:
        with workers(count) as elsewhere:
            found, took_s, cpu_s = timed_search(scenario, elsewhere)
        one_s = one_s or took_s
        same = all(
            np.array_equal(one, other)
            for one, other in ((here.numbers, found.numbers), (here.similarities, found.similarities))
        )
        all_same &= same
        print(
            f"{count} worker{'s' if count > 1 else ''}: {took_s:.1f} s, {rows / took_s:.0f} rows/s"
            f" ({cpu_s / rows * 1e6:.1f} us of CPU a row), {one_s / took_s:.2f} times one worker,"
            f" {here_s / took_s:.2f} times no hosts; {'the same result' if same else 'ANOTHER RESULT'}"
            f"{f' (more workers than the {cores} cores: none can be gained)' if count > cores else ''}"
        )
    return 0 if all_same else 1
