"""The vector index: dimensions, metrics, what it keeps of a vector, and its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compbench.embedded.vector_index import METRICS, Vector, VectorIndex, VectorMetric

COUNT, QUERIES, NEAREST = 400, 40, 10


def similarities(metric: VectorMetric, rows: Vector, query: Vector) -> Vector:
    """Return the similarity of each row (n, d) with the query (d,)."""
    products: Vector = rows @ query
    lengths: Vector = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    distances: Vector = np.linalg.norm(rows - query, axis=1)
    return {"cosine": products / lengths, "dot": products, "euclidean": -distances}[metric]


def drawn(dimension: int, count: int, seed: int) -> Vector:
    """Draw vectors of different lengths near a plane of few dimensions, as real ones are, shape (count, dimension).

    Vectors that spread over all of 4096 dimensions have no neighbours to speak of.
    """
    rng = np.random.default_rng(seed)
    axes = np.random.default_rng(dimension).standard_normal((min(8, dimension), dimension), dtype=np.float32)
    rows = rng.standard_normal((count, len(axes)), dtype=np.float32) @ axes
    return rows + np.float32(0.1) * rng.standard_normal(rows.shape, dtype=np.float32)


def made(metric: VectorMetric, dimension: int) -> tuple[VectorIndex, Vector]:
    """Return an index and its vectors, whose keys are 1000 and up."""
    rows = drawn(dimension, COUNT, seed=1)
    index = VectorIndex(dimension, metric)
    index.add(np.arange(1000, 1000 + COUNT, dtype=np.uint64), rows, threads=2)
    return index, rows


@pytest.mark.parametrize("dimension", [3, 100, 768, 4096])
@pytest.mark.parametrize("metric", METRICS)
def test_it_finds_the_nearest_by_its_metric(metric: VectorMetric, dimension: int) -> None:
    index, rows = made(metric, dimension)
    queries = drawn(dimension, QUERIES, seed=9)
    hits = 0
    for query, found in zip(queries, index.search(queries, NEAREST, threads=2), strict=True):
        exact = similarities(metric, rows, query)
        hits += len({key - 1000 for key in found.keys} & set(np.argsort(-exact)[:NEAREST].tolist()))
        told = exact[[key - 1000 for key in found.keys]]
        assert np.allclose(found.similarities, told, rtol=0.01, atol=0.01 * np.abs(exact).max())
    assert hits >= 0.95 * QUERIES * NEAREST, f"{hits} of {QUERIES * NEAREST} nearest neighbours were found"


@pytest.mark.parametrize("dimension", [3, 768])
def test_it_keeps_vectors_but_for_their_last_digits(dimension: int) -> None:
    index, rows = made("cosine", dimension)
    kept, absent = index.vectors([1007, 7])
    assert absent is None
    assert kept is not None
    assert np.allclose(kept, rows[7], rtol=0.004)
    assert kept @ rows[7] > 0.9999 * np.linalg.norm(kept) * np.linalg.norm(rows[7])
    assert index.vectors([]) == []


def test_one_query_is_answered_as_several_are() -> None:
    index, rows = made("cosine", 20)
    assert index.search(rows[:1], 5, threads=1) == index.search(rows[:2], 5, threads=2)[:1]
    assert VectorIndex(20, "cosine").search(rows[:1], 5, threads=1) == [([], [])]
    found = index.search(rows[:2], COUNT + 10, threads=2)
    assert min(len(one.keys) for one in found) >= 0.98 * COUNT, "inserts side by side may leave a few out of reach"


def test_a_removed_vector_is_not_found() -> None:
    index, rows = made("euclidean", 20)
    index.remove(1003)
    assert 1003 not in index.search(rows[3:4], 10, threads=1)[0].keys


def test_its_file_is_read_and_never_written_to(tmp_path: Path) -> None:
    index, rows = made("dot", 300)
    index.save(tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    again = VectorIndex(300, "dot")
    again.load(tmp_path / "file")
    assert again.search(rows[:3], 10, threads=1) == index.search(rows[:3], 10, threads=1)
    again.add(np.array([7], np.uint64), rows[:1] * 100, threads=1)
    again.remove(1000)
    assert again.search(rows[:1], 1, threads=1)[0].keys == [7]
    assert (tmp_path / "file").read_bytes() == content


def test_a_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"nothing of that kind" * 100)
    with pytest.raises(RuntimeError):
        VectorIndex(300, "dot").load(tmp_path / "file")
