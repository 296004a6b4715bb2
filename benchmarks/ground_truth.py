"""How fast exact neighbours are computed, and in how much memory: `python -m benchmarks.ground_truth rows=1000000`.

Prints rows a second of drawing alone, of comparing within the whole, and of the whole, each beside what the machine
can do at most, measured in the same run: multiplying matrices in single precision with a thread a core (the driver has
one less), and copying memory. `scenario=<path>` takes the rows of another scenario. On cores that others use, wall
times say little; so the CPU times stand beside them. Ends with 1 if memory rose by more than 300 MB.

`spread [rows]` compares it with the computation by several hosts instead (`spread_truth`).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import msgspec
import numpy as np

from compbench.config.scenarios import load_scenario
from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.nearest import Nearest
from compbench.loadtest.truth.row_blocks import row_blocks, rows_at_once
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.workload import POOL_SIZE
from compbench.model.scenario import Scenario

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

SCENARIO = "scenarios/competitive/qdrant_ann_1m_768d.toml"
THREADS = "OPENBLAS_NUM_THREADS"
MOST_MB = 300.0
REPEATS = 15
# So many rows are drawn alone, which is enough to know the speed.
DRAWN = 131_072
COPIED_BYTES = 128_000_000


class Timed(Nearest):
    """The search itself, which adds up the seconds that comparing takes."""

    spent_s = 0.0

    def take(self, first: int, rows: Vectors) -> None:
        """Compare as ever."""
        began = time.perf_counter()
        super().take(first, rows)
        Timed.spent_s += time.perf_counter() - began


def peak_mb() -> float:
    """Return the most memory that this process has had so far, in MB (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def median_s(act: Callable[[], object]) -> float:
    """Return how long an act takes, once it has been done before."""
    took = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def multiplied(dimension: int) -> tuple[float, float]:
    """Return the floating-point operations a second that NumPy's BLAS reaches on a block, and CPU seconds a row."""
    rng, rows = np.random.default_rng(0), rows_at_once(dimension)
    pool, block = (rng.random((count, dimension), np.float32) for count in (POOL_SIZE, rows))
    out = np.empty((POOL_SIZE, rows), np.float32)
    before_s = time.process_time()
    took_s = median_s(lambda: np.matmul(pool, block.T, out=out))
    cpu_s = (time.process_time() - before_s) / (REPEATS + 1)
    return 2 * POOL_SIZE * rows * dimension / took_s, cpu_s / rows


def limits(dimension: int) -> tuple[float, float]:
    """Return what `multiplied` does in a process whose BLAS has a thread for each core."""
    argv = [sys.executable, "-m", "benchmarks.ground_truth", f"limits={dimension}"]
    environment = {**os.environ, THREADS: str(os.cpu_count() or 1)}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    flops, cpu_s = map(float, done.stdout.split())
    return flops, cpu_s


def copied_bytes_s() -> float:
    """Return the bytes a second that are read and written again."""
    source = np.ones(COPIED_BYTES // 4, np.float32)
    target = np.zeros_like(source)
    return 2 * COPIED_BYTES / median_s(lambda: np.copyto(target, source))


def draw_all(scenario: Scenario, count: int) -> None:
    """Draw rows, and do nothing with them."""
    for _ in row_blocks(open_vectors(scenario, scenario.data_seed), count):
        pass


def timed(act: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds of an act."""
    began, before_s = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - began, time.process_time() - before_s


def compute(scenario: Scenario, count: int) -> None:
    """Compute the neighbours as the driver does, saving the state on the way."""
    with tempfile.TemporaryDirectory() as name, mock.patch.object(ground_truth, "Nearest", Timed):
        ground_truth.find_neighbours(Path(name), scenario, count, scenario.data_seed, lambda _elapsed_s, _done: None)


def scenario_of(path: str, count: int) -> Scenario:
    """Return a scenario with so many rows."""
    scenario = load_scenario(Path(path))
    return msgspec.structs.replace(scenario, data=msgspec.structs.replace(scenario.data, num_nodes=count))


def main(words: list[str]) -> int:
    """Measure and print; return the exit code."""
    if words and words[0].startswith("limits="):
        print(*multiplied(int(words[0].removeprefix("limits="))))
        return 0
    if words[:1] == ["spread"]:
        from benchmarks.spread_truth import compare_hosts  # noqa: PLC0415 - all else does without Dask

        return compare_hosts(scenario_of(SCENARIO, int(words[1]) if len(words) > 1 else 100_000))
    asked = {"rows": "1000000", "scenario": SCENARIO, **dict(word.split("=", 1) for word in words)}
    count = int(asked["rows"])
    scenario = scenario_of(asked["scenario"], count)
    dimension, spaces = scenario.data.embedding_dim, scenario.data.memory_spaces
    draw_all(scenario, 1)
    start_mb = peak_mb()
    wall_s, cpu_s = timed(lambda: compute(scenario, count))
    rise_mb = peak_mb() - start_mb
    drawn = min(DRAWN, count)
    drawing_s, drawing_cpu_s = timed(lambda: draw_all(scenario, drawn))
    # After the peak was read, which they would hide.
    (flops, multiplying_cpu_s), copied = limits(dimension), copied_bytes_s()
    drawn_bytes = 4 * dimension * drawn
    needed = 2 * POOL_SIZE * dimension * count / spaces
    print(
        f"the machine: {flops / 1e9:.0f} GFLOP/s multiplying in single precision"
        f" ({multiplying_cpu_s / spaces * 1e6:.1f} us of CPU a row), {copied / 1e9:.1f} GB/s copying\n"
        f"drawing {drawn} rows alone: {drawn / drawing_s:.0f} rows/s"
        f" ({drawing_cpu_s / drawn * 1e6:.1f} us of CPU a row), {drawn_bytes / drawing_s / copied:.3f} of copying\n"
        f"comparing {count} rows with {POOL_SIZE}: {count / Timed.spent_s:.0f} rows/s,"
        f" {needed / Timed.spent_s / flops:.2f} of multiplying\n"
        f"the whole: {wall_s:.1f} s, {count / wall_s:.0f} rows/s ({cpu_s / count * 1e6:.1f} us of CPU a row),"
        f" {needed / wall_s / flops:.2f} of multiplying\n"
        f"memory: {start_mb:.0f} MB before, {rise_mb:.0f} MB more at the peak (at most {MOST_MB:.0f} is wanted:"
        f" {'met' if rise_mb <= MOST_MB else 'not met'})"
    )
    return 0 if rise_mb <= MOST_MB else 1


if __name__ == "__main__":
    if THREADS not in os.environ:  # it is read when NumPy is loaded, so begin anew with the driver's
        os.environ[THREADS] = str(max(1, (os.cpu_count() or 1) - 1))
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.ground_truth", *sys.argv[1:]])
    raise SystemExit(main(sys.argv[1:]))
