"""The generated embeddings: reproducible in parts, of length 1, and of the shape that the docs state."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from compbench.loadtest.workload.embeddings import NEAR_DUPLICATE, Embeddings
from compbench.loadtest.workload.streams import CHUNK

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

DIMENSION = 768
NEAR = 0.95


PARTS = 4


@lru_cache
def first_rows(near_duplicates: float = 0.0) -> Vectors:
    embeddings = Embeddings(DIMENSION, 1, near_duplicates)
    return np.concatenate([embeddings.rows(part) for part in range(PARTS)])


@lru_cache
def apart() -> Vectors:
    """Return the cosine of each of the first rows to the nearest other."""
    return nearest_others(first_rows())


def nearest(queries: Vectors, rows: Vectors) -> Vectors:
    """Return the cosine of each query's nearest row, shape (queries,)."""
    found: Vectors = (queries @ rows.T).max(axis=1)
    return found


def nearest_others(rows: Vectors) -> Vectors:
    """Return the cosine of each row's nearest other row, shape (rows,)."""
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -1)
    found: Vectors = cosines.max(axis=1)
    return found


def test_a_part_is_the_same_whoever_draws_it_and_whatever_was_drawn_before() -> None:
    in_order = first_rows()
    for part in (3, 0, 2):
        alone = Embeddings(DIMENSION, 1).rows(part)
        np.testing.assert_allclose(alone, in_order[part * CHUNK : (part + 1) * CHUNK], atol=1e-6)


def test_parts_differ_and_so_do_seeds() -> None:
    assert nearest(first_rows()[:CHUNK], first_rows()[CHUNK : 2 * CHUNK]).max() < NEAR
    assert nearest(first_rows()[:CHUNK], Embeddings(DIMENSION, 2).rows(0)).max() < 0.5


@pytest.mark.parametrize("dimension", [16, 64, 384, 1024, 4096])
def test_rows_have_length_1_in_any_dimension(dimension: int) -> None:
    rows = Embeddings(dimension, 1).rows(0)
    assert rows.shape == (CHUNK, dimension)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("count", [2_000, 10_000])
def test_a_beginning_has_the_shape_of_the_whole(count: int) -> None:
    embeddings = Embeddings(DIMENSION, 1)
    rows = np.concatenate([embeddings.rows(part) for part in range(-(-count // CHUNK))])[:count]
    # Beside each of some rows: itself, and its 100 nearest others.
    cosines = -np.sort(-(rows[:: count // 250] @ rows.T), axis=1)[:, 1:101]
    distances = np.sqrt(2 - 2 * cosines)
    dimensions = -1 / np.log(distances[:, :-1] / distances[:, -1:]).mean(axis=1)
    assert 18 < np.median(dimensions) < 35
    assert np.quantile(dimensions, 0.05) > 8
    assert np.quantile(dimensions, 0.95) < 50
    assert 0.4 < np.median(cosines[:, 0]) < 0.7


def test_variance_and_mean_are_as_published() -> None:
    rows = first_rows()
    mean = rows.mean(axis=0)
    covariance = np.cov(rows, rowvar=False)
    # The squares of all entries sum up to those of the eigenvalues.
    assert 80 < np.trace(covariance) ** 2 / (covariance**2).sum() < 250
    assert 0.05 < mean @ mean < 0.15


def test_no_two_rows_are_near_duplicates() -> None:
    assert apart().max() < NEAR


def test_near_duplicates_have_the_share_that_is_asked_for() -> None:
    rows = first_rows(near_duplicates=0.1)
    near = nearest_others(rows)
    # A duplicate and its original are both near to another; an original may have several.
    assert 0.15 < (near >= NEAR).mean() < 0.2
    assert near.max() < NEAR_DUPLICATE[1] + 1e-4
    changed = (rows != first_rows()).any(axis=1)
    assert changed.mean() == pytest.approx(0.1, abs=0.002)


def test_held_out_queries_have_neighbours_as_the_rows_have() -> None:
    rows = first_rows()
    queries = Embeddings(DIMENSION, 1).queries("held-out", 500, len(rows))
    assert np.median(nearest(queries, rows)) == pytest.approx(np.median(apart()), abs=0.03)


def test_jittered_queries_are_beside_a_row_of_the_set() -> None:
    rows = first_rows()[:3000]
    near = nearest(Embeddings(DIMENSION, 1).queries("jittered", 500, len(rows)), rows)
    np.testing.assert_allclose(near, 0.98, atol=0.002)


def test_queries_out_of_the_distribution_have_far_neighbours() -> None:
    rows = first_rows()
    queries = Embeddings(DIMENSION, 1).queries("out-of-distribution", 500, len(rows))
    assert np.quantile(nearest(queries, rows), 0.95) < np.quantile(apart(), 0.05)
    # They are of one kind themselves, and not mere noise: some rows are nearer than others.
    assert (queries @ queries.T).mean() > 0.2
    assert np.median(nearest(queries, rows)) > 0.12


def test_queries_are_reproducible() -> None:
    for kind in ("held-out", "jittered", "out-of-distribution"):
        first, second = (Embeddings(DIMENSION, 1).queries(kind, 10, 3000) for _ in range(2))
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_new_rows_are_of_the_rows_kind_and_follow_their_random_numbers() -> None:
    embeddings, rows = Embeddings(DIMENSION, 1), first_rows()
    new = embeddings.unseen(np.random.default_rng(5), 500, len(rows))
    assert np.median(nearest(new, rows)) == pytest.approx(np.median(apart()), abs=0.03)
    one = embeddings.unseen(np.random.default_rng(5), 1, len(rows))
    assert one.shape == (1, DIMENSION)
    assert (one == embeddings.unseen(np.random.default_rng(5), 1, len(rows))).all()
