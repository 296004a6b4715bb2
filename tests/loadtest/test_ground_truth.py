"""Exact neighbours: against brute force, streamed, cached by content."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from compbench.embedded.turns import CORES
from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.ground_truth import NotKeptError
from compbench.loadtest.truth.nearest import DEPTH, Truth
from compbench.loadtest.workload import vectors
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.workload import POOL_SIZE
from compbench.model.errors import UserError
from compbench.model.scenario import SimilarityMetric
from tests.given_rows import DIMENSION, PlainSet, spread_rows
from tests.load import scenario, toml

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = 20_000


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


def brute(rows: Vectors, query: Vectors, metric: SimilarityMetric) -> NDArray[np.float64]:
    """Return the similarity of every row to one query, in double precision."""
    one, all_rows = query.astype(np.float64), rows.astype(np.float64)
    if metric == "euclidean":
        return -np.asarray(np.linalg.norm(all_rows - one, axis=1))
    products = all_rows @ one
    if metric == "dot":
        return np.asarray(products)
    return np.asarray(products / np.linalg.norm(all_rows, axis=1) / np.linalg.norm(one))


def of_set(monkeypatch: pytest.MonkeyPatch, made: PlainSet, spaces: int = 1) -> Truth:
    monkeypatch.setattr(ground_truth, "open_vectors", lambda _scenario, _seed: made)
    of = scenario(nodes=made.size, spaces=spaces)
    return ground_truth.compute(of, made.size, 7, lambda _elapsed_s, _done: None)


METRICS: list[SimilarityMetric] = ["cosine", "euclidean", "dot"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spaces", [1, 3])
def test_neighbours_by_any_metric_are_exact(
    monkeypatch: pytest.MonkeyPatch, metric: SimilarityMetric, spaces: int
) -> None:
    rows = spread_rows()
    made = PlainSet(rows, metric)
    truth, pool = of_set(monkeypatch, made, spaces), made.queries(POOL_SIZE, SMALL)
    assert truth.metric == metric
    for number in range(0, POOL_SIZE, 20):
        similarity = brute(rows, pool[number], metric)
        similarity[np.arange(SMALL) % spaces != number % spaces] = -np.inf
        best = np.sort(similarity)[::-1][:DEPTH]
        assert np.allclose(truth.similarities[number], best, rtol=1e-6, atol=3e-7)
        assert np.allclose(similarity[truth.numbers[number]], best, rtol=1e-6, atol=3e-7)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("mean", [1000, 3000])
@pytest.mark.parametrize("outlier", [1, 1e5])
def test_neighbours_far_from_the_origin_are_exact(
    monkeypatch: pytest.MonkeyPatch, metric: SimilarityMetric, mean: float, outlier: float
) -> None:
    rows = np.random.default_rng(4).normal(mean, 1, (9000, 64)).astype(np.float32)
    rows[0] *= np.float32(outlier)  # it moves the mean of the first rows, and makes all scores of its block unsure
    made = PlainSet(rows, metric)
    pool = rows[5::9] + np.random.default_rng(6).normal(0, 0.3, (1000, 64)).astype(np.float32)
    monkeypatch.setattr(made, "queries", lambda count, _among: pool[:count])
    truth = of_set(monkeypatch, made)
    for number in range(0, POOL_SIZE, 100):
        similarity = brute(rows, pool[number], metric)
        best = np.sort(similarity)[::-1][:DEPTH]
        assert np.allclose(similarity[truth.numbers[number]], best, rtol=1e-6, atol=3e-7)
        if metric == "euclidean":
            assert len(np.intersect1d(truth.numbers[number], np.argsort(-similarity)[:DEPTH])) >= DEPTH - 1


@pytest.mark.parametrize("sizes", [(1e-24, 1e-24), (1e20, 1e20), (1e-37, 1e35), (1e20, 1.0)])
def test_cosines_of_very_small_and_large_numbers_are_right(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[float, float]
) -> None:
    ordinary = np.random.default_rng(8).normal(0, 1, (3000, DIMENSION))
    rows = (ordinary * np.where(np.arange(3000) % 2, *sizes)[:, None]).astype(np.float32)
    made = PlainSet(rows, "cosine")
    pool = (ordinary[::3] * sizes[0]).astype(np.float32)
    monkeypatch.setattr(made, "queries", lambda count, _among: pool[:count])
    truth = of_set(monkeypatch, made)
    for number in range(0, POOL_SIZE, 100):
        similarity = brute(rows, pool[number], "cosine")
        best = np.sort(similarity)[::-1][:DEPTH]
        assert np.allclose(truth.similarities[number], best, atol=3e-7)
        assert np.allclose(similarity[truth.numbers[number]], best, atol=3e-7)


def test_a_row_without_direction_stays_one_of_zeros() -> None:
    rows = np.array([[0, 0], [3e-30, 4e-30], [3, 4]], np.float32)
    assert np.allclose(vectors.directions(rows), np.array([[0, 0], [0.6, 0.8], [0.6, 0.8]], np.float32))


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_that_cannot_be_compared_is_named(monkeypatch: pytest.MonkeyPatch, metric: SimilarityMetric) -> None:
    rows = spread_rows(9000)
    made = PlainSet(rows, metric)
    monkeypatch.setattr(made, "queries", lambda count, _among: spread_rows(100)[:count])
    rows[8500, 3] = np.nan
    with pytest.raises(UserError, match="row 8500 of the data set: has numbers that are not finite"):
        of_set(monkeypatch, made)


def test_rows_equally_near_stay_in_their_order_and_are_each_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = of_set(monkeypatch, PlainSet(np.ones((30_000, DIMENSION), np.float32), "cosine"))
    assert all(len(set(numbers)) == DEPTH for numbers in truth.numbers.tolist())
    assert np.allclose(truth.similarities, truth.similarities[:, :1])


def test_more_rows_take_no_more_memory() -> None:
    def peak_bytes(nodes: int) -> int:
        tracemalloc.start()
        computed(nodes)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak = peak_bytes(17_000)
    assert peak < 200_000_000
    # What the two threads hold at once differs from run to run by a few MB; the rows themselves are 50 MB more.
    assert peak_bytes(34_000) < 1.1 * peak


def test_what_is_killed_goes_on_from_its_last_state_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ticks = scenario(nodes=20_000), list[int]()
    path = ground_truth.path_of(tmp_path, made, 20_000, 7)
    begun = ground_truth.begun_file(path)
    monkeypatch.setattr(ground_truth, "_SAVE_EVERY_S", 0.0)

    def killed(_elapsed_s: float, done: int) -> None:
        if done > 10_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ground_truth.find_neighbours(tmp_path, made, 20_000, 7, killed)
    assert begun.is_file()
    assert not path.exists()
    other = ground_truth.path_of(tmp_path, made, 20_001, 7)
    assert ground_truth.begun_file(other) != begun
    found = ground_truth.find_neighbours(tmp_path, made, 20_000, 7, lambda _elapsed_s, done: ticks.append(done))
    assert ticks == [20_000]
    assert not begun.exists()
    whole = computed(20_000)
    assert found is not None
    assert np.array_equal(found.numbers, whole.numbers)
    assert np.array_equal(found.similarities, whole.similarities)


def test_a_damaged_state_is_none_and_one_that_cannot_be_saved_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenario(nodes=9000)
    begun = ground_truth.begun_file(ground_truth.path_of(tmp_path, made, 9000, 7))
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"PK\x03\x04 and no more")
    monkeypatch.setattr(ground_truth, "_SAVE_EVERY_S", 0.0)
    (tmp_path / "file").touch()
    ticks: list[int] = []
    ground_truth.compute(made, 9000, 7, lambda _elapsed_s, done: ticks.append(done), begun=begun)
    refused = tmp_path / "file" / "x.begun"
    ground_truth.compute(made, 9000, 7, lambda _elapsed_s, done: ticks.append(done), begun=refused)
    assert ticks == [8192, 9000] * 2


# -- neighbours that a set brings --------------------------------------------------------------------------------------


def listed_by(rows: Vectors, metric: SimilarityMetric, depth: int = 100) -> NDArray[np.int64]:
    pool = PlainSet(rows, metric).queries(POOL_SIZE, len(rows))
    return np.array([np.argsort(-brute(rows, query, metric), kind="stable")[:depth] for query in pool])


@pytest.mark.parametrize("metric", METRICS)
def test_listed_neighbours_are_taken_with_similarities_of_their_own(
    monkeypatch: pytest.MonkeyPatch, metric: SimilarityMetric
) -> None:
    rows = spread_rows(3000)
    computed_truth = of_set(monkeypatch, PlainSet(rows, metric))
    listed = listed_by(rows, metric)
    monkeypatch.setattr(ground_truth, "Nearest", None)  # nothing is searched for but the sample
    taken = of_set(monkeypatch, PlainSet(rows, metric, listed[:, ::-1][:, -DEPTH:]))
    assert np.allclose(taken.similarities, computed_truth.similarities, rtol=1e-6, atol=3e-7)
    assert taken.metric == metric
    assert all(set(mine) <= set(theirs) for mine, theirs in zip(taken.numbers.tolist(), listed.tolist(), strict=True))


@pytest.mark.parametrize(("depth", "spaces"), [(DEPTH - 1, 1), (DEPTH, 2)])
def test_listed_neighbours_that_are_too_few_or_of_other_rows_are_computed(
    monkeypatch: pytest.MonkeyPatch, depth: int, spaces: int
) -> None:
    rows = spread_rows(3000)
    made = PlainSet(rows, "cosine", np.zeros((POOL_SIZE, depth), np.int64))
    assert np.array_equal(
        of_set(monkeypatch, made, spaces).numbers, of_set(monkeypatch, PlainSet(rows, "cosine"), spaces).numbers
    )


def test_a_row_equally_near_may_be_listed_in_anothers_place(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = spread_rows(3000)
    rows[1500:] = rows[:1500]
    listed = listed_by(rows, "euclidean")[:, :DEPTH]
    other = (listed + 1500) % 3000
    of_set(monkeypatch, PlainSet(rows, "euclidean", other))


def test_wrong_listed_neighbours_are_refused_with_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = spread_rows(3000)
    listed = listed_by(rows, "euclidean")
    listed[:, 3] = listed[:, 90]
    said = (
        r"made\.toml: data_set\.neighbours: those of \d+ of 20 checked queries are wrong by euclidean, e\.g\. query"
        r" \d+: distance [\d.]+ listed, [\d.]+ found at row \d+: if they are of another metric, set data_set\.metric,"
        r' else set data_set\.neighbours = "none" to have the exact ones computed'
    )
    with pytest.raises(UserError, match=said):
        of_set(monkeypatch, PlainSet(rows, "euclidean", listed[:, :DEPTH]))
    with pytest.raises(UserError, match=r"of 20 checked .* by cosine"):
        of_set(monkeypatch, PlainSet(rows, "cosine", listed_by(rows, "dot")))


def test_a_row_that_is_listed_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = spread_rows(3000)
    listed = listed_by(rows, "cosine")
    listed[7, 5] = listed[7, 6]
    said = r'data_set\.neighbours: those of query 7 have one row twice: set data_set\.neighbours = "none"'
    with pytest.raises(UserError, match=said):
        of_set(monkeypatch, PlainSet(rows, "cosine", listed))


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
@pytest.mark.parametrize("set_to", [None, "7"])
def test_a_core_is_left_to_the_thread_that_draws_rows_unless_it_is_set_otherwise(set_to: str | None) -> None:
    name = "OPENBLAS_NUM_THREADS"
    environment = {key: value for key, value in os.environ.items() if key != name} | ({name: set_to} if set_to else {})
    code = f"import os, compbench.loadtest.__main__; print(os.environ['{name}'])"
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert done.stdout.strip() == (set_to or str(max(1, CORES - 1)))


@pytest.mark.parametrize("may_use", [1, 3])
def test_only_cores_that_may_be_used_count(monkeypatch: pytest.MonkeyPatch, may_use: int) -> None:
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(may_use)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    runpy.run_module("compbench.loadtest.__main__", run_name="not the program")
    assert os.environ["OPENBLAS_NUM_THREADS"] == str(max(1, may_use - 1))


@pytest.mark.process
def test_the_command_line_computes_once_and_tells_its_progress(tmp_path: Path) -> None:
    path, progress = tmp_path / "made.toml", tmp_path / "progress"
    path.write_text(toml(scenario(nodes=2000)))
    argv = [sys.executable, "-m", "compbench.loadtest", "ground-truth", "--scenario", str(path)]
    argv += ["--cache", str(tmp_path / "cache"), "--progress", str(progress)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert Path(done.stdout.strip()).is_file()
    assert '"done":2000,"wanted":2000,"work":"rows compared for exact neighbours"' in progress.read_text()


def test_the_benchmark_measures_without_the_extra_that_several_hosts_need() -> None:
    code = "import sys; sys.modules |= {'dask': None, 'distributed': None}; import benchmarks.ground_truth"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
