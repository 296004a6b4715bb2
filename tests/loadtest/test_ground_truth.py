"""Exact neighbours: against brute force, streamed, cached by content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.ground_truth import DEPTH, NotKeptError, Truth
from compbench.loadtest.workload import vectors
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.workload import POOL_SIZE
from tests.load import scenario, toml

ROOT = Path(__file__).resolve().parent.parent.parent


def computed(nodes: int, spaces: int = 1) -> Truth:
    return ground_truth.compute(scenario(nodes=nodes, spaces=spaces), nodes, 7, lambda _elapsed_s, _done: None)


@pytest.mark.process
@pytest.mark.parametrize(("nodes", "spaces"), [(10_000, 1), (3000, 3)])
def test_neighbours_are_those_of_comparing_all_with_all(nodes: int, spaces: int) -> None:
    drawn = open_vectors(scenario(nodes=nodes, spaces=spaces), 7)
    rows = np.concatenate([chunk for _, chunk in vectors.prepared_vectors(drawn, nodes)]).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pool = drawn.queries(POOL_SIZE, nodes).astype(np.float64)
    truth = computed(nodes, spaces)
    for number in range(0, POOL_SIZE, 50):
        similarity = rows @ (pool[number] / np.linalg.norm(pool[number]))
        similarity[np.arange(nodes) % spaces != number % spaces] = -np.inf
        best = np.sort(similarity)[::-1][:DEPTH]
        assert np.allclose(truth.similarities[number], best, atol=1e-5)
        assert np.allclose(similarity[truth.numbers[number]], best, atol=1e-5)


def test_a_small_data_set_has_fewer_neighbours() -> None:
    truth = computed(5)
    assert (np.sort(truth.numbers[:, :5], axis=1) == np.arange(5)).all()
    assert (truth.numbers[:, 5:] == -1).all()


def test_what_is_cached_is_the_same_and_a_damaged_file_is_none(tmp_path: Path) -> None:
    made, ticks = scenario(nodes=2000), []
    found = ground_truth.find_neighbours(tmp_path, made, 2000, 7, lambda _elapsed_s, done: ticks.append(done))
    again = ground_truth.find_neighbours(tmp_path, made, 2000, 7, lambda _elapsed_s, done: ticks.append(done))
    assert ticks == [2000]
    assert found is not None
    assert again is not None
    assert np.array_equal(found.numbers, again.numbers)
    path = ground_truth.path_of(tmp_path, made, 2000, 7)
    path.write_bytes(path.read_bytes()[:1000])
    assert ground_truth.load(path) is None


def test_neighbours_that_cannot_be_kept_are_known_all_the_same(tmp_path: Path) -> None:
    made = scenario(nodes=2000)
    (tmp_path / "file").touch()
    with pytest.raises(NotKeptError, match=r"file/ground_truth.*Not a directory.*set another cache folder") as refused:
        ground_truth.find_neighbours(tmp_path / "file", made, 2000, 7, lambda _elapsed_s, _done: None)
    assert np.array_equal(refused.value.truth.numbers, computed(2000).numbers)


def test_other_data_has_another_name(tmp_path: Path) -> None:
    made = scenario(nodes=2000)
    other = scenario(nodes=2000, spaces=2)
    names = {
        ground_truth.path_of(tmp_path, *facts).name
        for facts in [(made, 9, 7), (made, 9, 8), (made, 8, 7), (other, 9, 7)]
    }
    assert len(names) == 4


def test_a_time_limit_gives_up(tmp_path: Path) -> None:
    made = scenario(nodes=20_000)
    assert (
        ground_truth.find_neighbours(tmp_path, made, 20_000, 7, lambda _elapsed_s, _done: None, time_limit_s=0.0)
        is None
    )


@pytest.mark.process
def test_the_command_line_computes_once_and_tells_its_progress(tmp_path: Path) -> None:
    path, progress = tmp_path / "made.toml", tmp_path / "progress"
    path.write_text(toml(scenario(nodes=2000)))
    argv = [sys.executable, "-m", "compbench.loadtest", "ground-truth", "--scenario", str(path)]
    argv += ["--cache", str(tmp_path / "cache"), "--progress", str(progress)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert Path(done.stdout.strip()).is_file()
    assert '"done":2000,"wanted":2000' in progress.read_text()
