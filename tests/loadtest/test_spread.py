"""Exact neighbours by several hosts: the same file as from one process, through deaths of hosts and of the driver."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest

from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.neighbour_files import read_begun
from compbench.loadtest.truth.row_blocks import rows_at_once
from compbench.loadtest.truth.spans import rows_within
from tests.load import scenario, toml
from tests.project import ROOT, eventually, is_running

ROWS = 400_000
# The first block, which the driver compares before there are hosts.
FIRST = rows_at_once(64)


class Ordered(NamedTuple):
    """A computation by the command line, over so many rows of 64 dimensions."""

    folder: Path
    rows: int

    @property
    def scenario(self) -> Path:
        return self.folder / "made.toml"

    @property
    def progress(self) -> Path:
        return self.folder / "progress"

    def argv(self, cache: str, *more: str) -> list[str]:
        argv = [sys.executable, "-m", "compbench.loadtest", "ground-truth", "--scenario", str(self.scenario)]
        return [*argv, "--cache", str(self.folder / cache), "--progress", str(self.progress), *more]

    def done(self) -> int:
        """Return how many rows are compared so far."""
        lines = self.progress.read_text().splitlines() if self.progress.exists() else []
        return int(json.loads(lines[-1])["done"]) if lines else 0

    def ended(self, cache: str, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(cache, *more), cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
        )

    @contextlib.contextmanager
    def running(self, cache: str, *more: str) -> Iterator[psutil.Popen]:
        """Start it, and end what is left of it."""
        argv = self.argv(cache, *more)
        child = psutil.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield child
        finally:
            family = [child, *child.children(recursive=True)] if child.is_running() else []
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            child.communicate()


def ordered(folder: Path, rows: int) -> Ordered:
    order = Ordered(folder, rows)
    order.scenario.write_text(toml(scenario(nodes=rows)).replace("embedding_dim = 768", "embedding_dim = 64"))
    return order


def arrays_of(name: str) -> dict[str, Any]:
    with np.load(Path(name.strip()), allow_pickle=False) as file:
        return dict(file)


def assert_same(one: str, other: str) -> None:
    left, right = arrays_of(one), arrays_of(other)
    assert left.keys() == right.keys()
    assert all(left[name].tobytes() == right[name].tobytes() for name in left)


@pytest.mark.process
@pytest.mark.slow
def test_two_hosts_find_what_one_process_finds_and_leave_nothing_running(tmp_path: Path) -> None:
    order = ordered(tmp_path, 20_000)
    here = order.ended("here")
    with order.running("there", "--hosts", "local:2") as child:
        family: set[int] = set()
        while child.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                family |= {process.pid for process in child.children(recursive=True)}
            time.sleep(0.1)
        said, errors = child.communicate()
    assert (child.returncode, errors) == (0, "")
    assert_same(here.stdout, said)
    assert len(family) >= 2
    assert eventually(lambda: not any(map(is_running, family)))


def workers_of(child: psutil.Popen) -> list[psutil.Process]:
    """Return the processes that compare rows."""
    return [each for each in child.children(recursive=True) if "spawn_main" in " ".join(each.cmdline())]


@pytest.mark.process
def test_a_host_that_is_killed_costs_its_rows_only_and_the_result_is_the_same(tmp_path: Path) -> None:
    order = ordered(tmp_path, ROWS)
    here = order.ended("here")
    order.progress.unlink()
    with order.running("there", "--hosts", "local:2") as child:
        assert eventually(lambda: order.done() > FIRST)
        family = [each.pid for each in child.children(recursive=True)]
        killed = max(workers_of(child), key=lambda each: sum(each.cpu_times()[:2]))
        killed.kill()
        assert order.done() < ROWS
        said, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, "")
    assert_same(here.stdout, said)
    assert eventually(lambda: not any(map(is_running, family)))


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_what_is_killed_leaves_no_host_running_and_goes_on_from_its_state(tmp_path: Path, number: int) -> None:
    order = ordered(tmp_path, ROWS)
    here = order.ended("here")
    order.progress.unlink()
    saving = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = ground_truth.begun_file(Path(here.stdout.strip().replace("/here/", "/there/")))
    code = (
        "from compbench.loadtest.truth import ground_truth; ground_truth._SAVE_EVERY_S = 0.0\n"
        "from compbench.loadtest.command_line import main\n"
        "import sys\n"
        "if __name__ == '__main__': sys.exit(main())\n"
    )
    program = tmp_path / "saving.py"
    program.write_text(code)
    argv = [sys.executable, str(program), *order.argv("there", "--hosts", "local:2")[3:]]
    child = psutil.Popen(argv, cwd=ROOT, env=saving)
    assert eventually(lambda: (state := read_begun(begun, ROWS)) and rows_within(state.spans) > FIRST)
    family = [each.pid for each in child.children(recursive=True)]
    child.send_signal(number)
    assert child.wait(30) == -number
    assert eventually(lambda: not any(map(is_running, family)))
    state = read_begun(begun, ROWS)
    assert state is not None
    order.progress.unlink()
    done = order.ended("there", "--hosts", "local:2")
    assert (done.returncode, done.stderr) == (0, "")
    first = json.loads(order.progress.read_text().splitlines()[0])["done"]
    assert first == rows_within(state.spans) > FIRST, "it went on"
    assert_same(here.stdout, done.stdout)
    assert not begun.exists()


# A scheduler with a worker in one process, which is spoiled before.
CLUSTER = """
import sys
if sys.argv[1] == "no compbench":
    sys.modules["compbench"] = None
if sys.argv[1] == "another compbench":
    from compbench.loadtest.cluster import leases
    leases.code_digest = lambda: "another"
if sys.argv[1] == "other rows":
    from compbench.loadtest.cluster import part
    of_seed = part.open_vectors
    part.open_vectors = lambda scenario, seed: of_seed(scenario, seed + 1)
import distributed
with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp") as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""
SAID = {
    "no compbench": r"can't run compbench \(.*compbench.*\): install the same one there, with the same extras",
    "another compbench": "another compbench is installed there than here: install the same one",
    "other rows": "it has other rows than are here: install the same versions there, or copy the same files",
}


@contextlib.contextmanager
def cluster_of(spoiled: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a scheduler with one worker, as a user would; yield its address and process."""
    argv = [sys.executable, "-c", CLUSTER, spoiled]
    child = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip(), child
    finally:
        child.kill()
        child.communicate()


@pytest.mark.process
@pytest.mark.parametrize(
    "spoiled", ["no compbench", *(pytest.param(each, marks=pytest.mark.slow) for each in list(SAID)[1:])]
)
def test_a_host_that_can_not_compare_the_same_is_named_in_one_line(tmp_path: Path, spoiled: str) -> None:
    with cluster_of(spoiled) as (address, _):
        done = ordered(tmp_path, 20_000).ended("there", "--hosts", address)
    assert done.returncode == 1
    assert re.fullmatch(rf"Error: host \S+: {SAID[spoiled]}\n", done.stderr)


@pytest.mark.process
@pytest.mark.slow
def test_a_scheduler_that_is_gone_is_told_and_what_was_compared_is_kept(tmp_path: Path) -> None:
    order = ordered(tmp_path, ROWS)
    with cluster_of("") as (address, cluster), order.running("there", "--hosts", address) as child:
        assert eventually(lambda: order.done() > FIRST)
        cluster.kill()
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert errors == "Error: the Dask scheduler is gone: begin again, which goes on from here\n"
    assert order.ended("there").returncode == 0
