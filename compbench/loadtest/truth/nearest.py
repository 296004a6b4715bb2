"""The nearest rows of each query, while a data set goes by block by block.

Every row is compared with every query in single precision, which a BLAS does at the machine's full speed. That only
finds candidates: those at least as near as the 64th best so far, less what rounding may hide. Their similarities are
computed anew in double precision, so that what is kept is exact however the vectors lie.

Distances are compared from a point among the rows, since those of vectors far from the origin would be lost in the
rounding of their lengths. Where single precision still leaves more candidates than a few, double precision chooses
among them. What is kept is the same however the rows are parted into blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.truth.best_lists import best_of, perhaps_best
from compbench.loadtest.workload import vectors
from compbench.loadtest.workload.operations import SEARCH_LIMITS
from compbench.model.errors import UserError
from compbench.model.scenario import SimilarityMetric

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# More than any search asks for, so that memories as near as the last one expected are known too.
DEPTH = SEARCH_LIMITS[1] + 14
# Two rows whose similarities differ by no more count as equally near: a cosine by so much, else relatively.
TOLERANCE = 1e-5
# An inner product in single precision is right up to this share of both lengths. BLAS kernels sum in 16 lanes or more:
# 4096 numbers make chains of 256 sums, each rounded by 6e-8.
_ROUNDING = 2e-5
# Of more candidates than this, for one query in one block, only those are looked at that double precision leaves.
_CANDIDATES = DEPTH + 16
# A sum in double precision, of as many products as there are dimensions, is right up to this share of both lengths for
# each of them; twice, since the similarity that is kept is such a sum too, and twice for safety.
_DOUBLE_ROUNDING = 4 * 2.0**-53
# Each of these is relative to a square of a length: it covers the rounding of coordinates, and of a distance as kept.
_SQUARE_ROUNDING = 1e-6
# Rows and queries whose scores are computed in double precision at once: 8 MB of scores of a block.
_QUERIES_IN_DOUBLE = 128
_ROWS_IN_DOUBLE = 1024
# Vectors that are compared in double precision at once, as bytes. From 4 MB on, an array is new memory from the kernel
# each time, which took ten times as long as the computation.
_PAIRS_BYTES = 500_000


class Truth(NamedTuple):
    """The nearest prepared memories of each query of the pool, best first: numbers and similarities, (queries, 64).

    A similarity is a cosine, an inner product (`dot`), or the distance below zero (`euclidean`): more is nearer. Where
    there are fewer memories, numbers are -1 and similarities minus infinity. A query finds memories of its own space
    only: query q searches space q % spaces, memory i lies in space i % spaces.
    """

    numbers: NDArray[np.int64]
    similarities: NDArray[np.float32]
    metric: SimilarityMetric = "cosine"

    def tolerance(self, query: int) -> float:
        """Return by how much two similarities to that query may differ and count as equal: cosines by 0.00001.

        Inner products and distances by that share of the greatest of its list, since rounding grows with them.
        """
        if self.metric == "cosine":
            return TOLERANCE
        known = self.similarities[query][self.numbers[query] >= 0]
        return TOLERANCE * float(np.abs(known).max(initial=0.0))


def floors_of(truth: Truth) -> Vectors:
    """Return how near a row has to be at least to get into the list of each query, shape (queries,)."""
    return truth.similarities[:, -1].copy()


def below_floors(floors: Vectors, metric: SimilarityMetric) -> Truth:
    """Return lists of no rows, into which only rows get that are as near as these floors.

    What is found from there on lacks rows that are farther; `without_floors` makes lists of it.
    """
    places = np.repeat(np.nextafter(floors, np.float32(-np.inf))[:, None], DEPTH, axis=1)
    return Truth(np.full(places.shape, -1), places, metric)


def without_floors(truth: Truth) -> Truth:
    """Return lists whose places without a row are those of no row at all."""
    return truth._replace(similarities=np.where(truth.numbers < 0, np.float32(-np.inf), truth.similarities))


class Nearest:
    """The nearest rows so far of each query of a pool.

    Args:
        pool: what is searched for, shape (queries, dimension).
        metric: how vectors are compared.
        spaces: how many spaces hold the rows apart.
        so_far: the nearest of the rows that have gone by before, None if none have.

    Raises:
        UserError: a query has numbers that are not finite, or too large to compare.
    """

    def __init__(self, pool: Vectors, metric: SimilarityMetric, spaces: int = 1, so_far: Truth | None = None) -> None:
        self._pool = comparable_vectors(pool, metric)
        self._metric, self._spaces = metric, spaces
        self._scores = self._shifted = np.zeros(0, np.float32)
        self._centre, self._placed_pool = np.zeros(self._pool.shape[1], np.float32), self._pool
        self._lengths = _lengths(self._pool)
        self._is_placed = metric != "euclidean"
        _refuse_infinite("query", np.arange(len(pool)), self._lengths)
        shape = (len(pool), DEPTH)
        self.best = so_far or Truth(np.full(shape, -1), np.full(shape, -np.inf, np.float32), metric)

    def take(self, first: int, rows: Vectors) -> None:
        """Compare rows, shape (n, dimension), with the pool: those from number `first` on, as `row_blocks` has them.

        Raises:
            UserError: a row has numbers that are not finite, or too large to compare.
        """
        if not self._is_placed:
            self._place_among(rows)
        for space in range(min(self._spaces, len(self._pool))):
            offset = (space - first) % self._spaces
            own = rows[offset :: self._spaces]
            if len(own):
                numbers = np.arange(first + offset, first + len(rows), self._spaces)
                self._compare(np.arange(space, len(self._pool), self._spaces), numbers, own)

    def _place_among(self, rows: Vectors) -> None:
        """Compare from the middle of the first rows on, if they have one."""
        middle = np.median(rows[:_ROWS_IN_DOUBLE], axis=0).astype(np.float32)  # a mean is anywhere for one odd row
        if np.isfinite(middle).all():
            self._centre, self._placed_pool = middle, self._pool - middle
            self._lengths = _lengths(self._placed_pool)
            self._is_placed = True

    def _compare(self, queries: NDArray[np.intp], numbers: NDArray[np.int64], rows: Vectors) -> None:
        """Take rows of the space that these queries search."""
        lengths_squared = np.einsum("ij,ij->i", rows, rows)
        _refuse_infinite("row", numbers, lengths_squared)
        placed = rows
        if self._metric == "euclidean":
            placed = self._placed(rows)
            lengths_squared = np.einsum("ij,ij->i", placed, placed)
        scores = self._room(len(queries), len(rows))
        # A slice of the pool is a view, and its rows may be apart: BLAS needs no copy.
        np.matmul(self._placed_pool[queries[0] :: self._spaces], placed.T, out=scores)
        if self._metric == "euclidean":
            scores -= lengths_squared / 2
        unsure = self._unsure(queries, float(lengths_squared.max()))
        floors = self._floors(queries, unsure)
        hit = np.flatnonzero(scores.max(axis=1) >= floors)
        if len(hit):
            found = [_candidates(scores[each], floors[each], unsure[each]) for each in hit]
            self._choose(queries[hit], found, rows)
            self._keep(queries[hit], found, numbers, rows)

    def _placed(self, rows: Vectors) -> Vectors:
        """Return the rows as seen from the centre, in an array that all blocks share, as `_room` is."""
        if self._shifted.size < rows.size:
            self._shifted = np.empty(rows.size, np.float32)
        placed = self._shifted[: rows.size].reshape(rows.shape)
        return np.subtract(rows, self._centre, out=placed)

    def _room(self, queries: int, rows: int) -> Vectors:
        """Return the array that all blocks share; a new one for each would be given its memory page by page."""
        if self._scores.size < queries * rows:
            self._scores = np.empty(queries * rows, np.float32)
        return self._scores[: queries * rows].reshape(queries, rows)

    def _unsure(self, queries: NDArray[np.intp], longest_squared: float) -> NDArray[np.float64]:
        """Return by how much the score of a row may be wrong, for each query."""
        lengths = self._lengths[queries].astype(np.float64)
        unsure: NDArray[np.float64] = _ROUNDING * lengths * np.sqrt(longest_squared)
        if self._metric == "euclidean":
            unsure += _ROUNDING * longest_squared + _SQUARE_ROUNDING * lengths**2
        return unsure

    def _floors(self, queries: NDArray[np.intp], unsure: NDArray[np.float64]) -> Vectors:
        """Return the score that a row needs, to be perhaps among the nearest of each query."""
        reached = self.best.similarities[queries, -1].astype(np.float64)
        if self._metric == "euclidean":
            # The distance squared is the query's length squared less twice the score.
            reached = (self._lengths[queries].astype(np.float64) ** 2 - reached**2) / 2
        return np.asarray(reached - unsure, np.float32)

    def _choose(self, queries: NDArray[np.intp], found: list[NDArray[np.intp]], rows: Vectors) -> None:
        """Leave of too many candidates, in place, those that double precision can't rule out."""
        many = [each for each, places in enumerate(found) if len(places) > _CANDIDATES]
        for begin in range(0, len(many), _QUERIES_IN_DOUBLE):
            own = many[begin : begin + _QUERIES_IN_DOUBLE]
            scores, unsure = self._scores_in_double(queries[own], rows)
            for place, each in enumerate(own):
                least, most = (
                    self._as_kept(queries[each], scores[place, found[each]] + moved)
                    for moved in (-unsure[place], unsure[place])
                )
                found[each] = found[each][perhaps_best(least, most, DEPTH)]

    def _as_kept(self, query: np.intp, scores: NDArray[np.float64]) -> Vectors:
        """Return scores in double precision as similarities in single precision, in the same order."""
        if self._metric == "euclidean":
            centred = self._pool[query].astype(np.float64) - self._centre
            scores = -np.sqrt(np.maximum(centred @ centred - 2 * scores, 0))
        return scores.astype(np.float32)

    def _scores_in_double(
        self, queries: NDArray[np.intp], rows: Vectors
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scores of all rows, shape (queries, rows), and by how much any of a query's may be wrong.

        Rows are converted in pieces.
        """
        scores, longest_squared = np.empty((len(queries), len(rows))), 0.0
        centre = self._centre.astype(np.float64)
        pool = self._pool[queries] - centre
        for begin in range(0, len(rows), _ROWS_IN_DOUBLE):
            piece = rows[begin : begin + _ROWS_IN_DOUBLE] - centre
            lengths_squared = np.einsum("ij,ij->i", piece, piece)
            longest_squared = max(longest_squared, float(lengths_squared.max()))
            part = scores[:, begin : begin + len(piece)]
            part[:] = pool @ piece.T
            if self._metric == "euclidean":
                part -= lengths_squared / 2
        lengths_squared = np.einsum("ij,ij->i", pool, pool)
        products = np.sqrt(lengths_squared * longest_squared)
        if self._metric == "euclidean":
            products += lengths_squared + longest_squared
        return scores, _DOUBLE_ROUNDING * (rows.shape[1] + 16) * products

    def _keep(
        self,
        queries: NDArray[np.intp],
        found: list[NDArray[np.intp]],
        numbers: NDArray[np.int64],
        rows: Vectors,
    ) -> None:
        """Merge the best so far with candidates, the places of rows for each of these queries."""
        counts, places = np.array([len(each) for each in found]), np.concatenate(found)
        similarities = self.similarities(np.repeat(queries, counts), rows, places)
        filled = np.arange(counts.max()) < counts[:, None]
        new_numbers = np.full(filled.shape, -1)
        new_similarities = np.full(filled.shape, -np.inf, np.float32)
        new_numbers[filled], new_similarities[filled] = numbers[places], similarities
        all_numbers = np.concatenate([self.best.numbers[queries], new_numbers], axis=1)
        all_similarities = np.concatenate([self.best.similarities[queries], new_similarities], axis=1)
        # Where more rows tie than there is room for, the first ones stay: `ties` looks at the others that are answered.
        best = best_of(all_numbers, all_similarities, DEPTH)
        self.best.numbers[queries], self.best.similarities[queries] = best

    def similarities(self, queries: NDArray[np.intp], rows: Vectors, places: NDArray[np.intp]) -> Vectors:
        """Return how near query number `queries[i]` is to `rows[places[i]]`, computed in double precision."""
        found = np.empty(len(places), np.float32)
        step = max(1, _PAIRS_BYTES // (8 * rows.shape[1]))
        for begin in range(0, len(places), step):
            part = slice(begin, begin + step)
            pair = self._pool[queries[part]].astype(np.float64), rows[places[part]].astype(np.float64)
            found[part] = _similarity(*pair, self._metric)
        return found


def _lengths(rows: Vectors) -> Vectors:
    return np.asarray(np.linalg.norm(rows, axis=1), np.float32)


def _refuse_infinite(name: str, numbers: NDArray[np.int64], lengths: Vectors) -> None:
    """Refuse vectors that nothing can be compared with: the highest of several figures is unknown if one is."""
    if not np.isfinite(lengths).all():
        number = numbers[np.argmin(np.isfinite(lengths))]
        raise UserError(f"{name} {number} of the data set: has numbers that are not finite, or too large to compare")


def comparable_vectors(rows: Vectors, metric: SimilarityMetric) -> Vectors:
    """Return the vectors, shape (n, dimension), as they are compared: of cosines the directions alone."""
    return vectors.directions(rows) if metric == "cosine" else rows


def _candidates(scores: Vectors, floor: np.float32, unsure: float) -> NDArray[np.intp]:
    """Return the places of the scores that may be among the highest 64 and are not below the floor, ascending."""
    places = np.flatnonzero(scores >= floor)
    if len(places) > _CANDIDATES:
        # 64 rows truly have that score less what is unsure; a row needs it with what may be unsure of its own.
        reached = np.partition(scores[places], -DEPTH)[-DEPTH]
        places = places[scores[places] >= reached - 2 * unsure]
    return places


def _similarity(one: NDArray[np.float64], other: NDArray[np.float64], metric: SimilarityMetric) -> NDArray[np.float64]:
    """Return the similarities of comparable vectors, pair by pair, shape (n, dimension) each."""
    if metric == "euclidean":
        distances: NDArray[np.float64] = np.linalg.norm(one - other, axis=1)
        return -distances
    products: NDArray[np.float64] = np.einsum("ij,ij->i", one, other)
    return products
