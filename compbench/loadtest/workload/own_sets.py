"""A set of the user's own, from files, as the vectors of a scenario: its rows, its queries, its known neighbours."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compbench.config.set_files import SetFiles, set_files
from compbench.loadtest.workload.operations import SEARCH_LIMITS
from compbench.loadtest.workload.streams import CHUNK
from compbench.loadtest.workload.vector_files import (
    NO_NEIGHBOUR,
    Content,
    NumberTable,
    has_content,
    open_parts,
    open_table,
    told_distance,
)
from compbench.model.errors import UserError
from compbench.model.scenario import OwnSet, Scenario, SimilarityMetric

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# Known neighbours serve only where every query has so many: what answers are checked with (`truth.ground_truth.DEPTH`).
NEIGHBOURS_NEEDED = SEARCH_LIMITS[1] + 14
# As many queries as a run uses (`workload.POOL_SIZE`). A set without queries holds back its last rows as such: a tenth,
# at most so many.
HELD_BACK = 1000
# Rows that a run's own stores are made of, in memory from the start, since nothing may wait for a disk while measuring.
STORES_FROM = 4096
# Length of what is added to a row that is stored, relative to the row: no two stores are equal, all fit the set.
STORE_NOISE = 0.01
# The names of distances that files tell: those of ann-benchmarks, and `ip` and `normalized` of VIBE.
DISTANCES: dict[str, SimilarityMetric] = {
    "angular": "cosine",
    "cosine": "cosine",
    "normalized": "cosine",
    "euclidean": "euclidean",
    "l2": "euclidean",
    "dot": "dot",
    "ip": "dot",
}


class FileSet:
    """The vectors of a scenario's `[data_set]` of kind `files`; opens the files, and reads them by parts.

    Attributes:
        table: the rows, those that are held back as queries at its end.
        dimension: of every vector.
        metric: how vectors are compared: the scenario's, else what the files tell, else cosine.
        size: how many rows there are, without those that are held back as queries.
        described: what it is, for readers: a few words.

    Raises:
        UserError: a file can't be read, or does not fit the scenario or the others; has file, key, value, what to do.
    """

    size: int | None

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, files = scenario, set_files(scenario)
        self.table = open_parts(files.rows, "rows")
        self.dimension = self.table.dimension
        self._queries = _other_table(files, files.queries, "queries")
        self._held_back = 0 if self._queries else min(HELD_BACK, self.table.count // 10)
        self._row_count = self.size = self.table.count - self._held_back
        listed = not files.computes_neighbours
        self._neighbours = _other_table(files, files.neighbours, "neighbours") if listed else None
        self.metric, self._told = _metric_of(scenario, files)
        self._stores: tuple[int, Vectors] | None = None
        self.described = self._words(files)
        self._check()

    def rows(self, part: int) -> Vectors:
        """Return the rows from 1024 x `part` on, shape (up to 1024, dimension); any part, in any order."""
        return as_vectors(self.table.read(part * CHUNK, min((part + 1) * CHUNK, self._row_count)))

    def queries(self, count: int, among: int) -> Vectors:
        """Return the set's first queries, shape (up to `count`, dimension): its own, or the rows held back as such.

        Reads what `unseen` makes vectors of, too.
        """
        self._rows_for_stores(among)
        if self._queries is not None:
            return as_vectors(self._queries.read(0, min(count, self._queries.count)))
        return as_vectors(self.table.read(self._row_count, self._row_count + min(count, self._held_back)))

    def unseen(self, rng: np.random.Generator, count: int, among: int) -> Vectors:
        """Return rows behind the first `among`, or of all if there are none, each moved by a hundredth of its length.

        Shape (count, dimension).
        """
        rows = self._rows_for_stores(among)
        chosen = rows[rng.integers(len(rows), size=count)]
        noise = rng.standard_normal(chosen.shape, dtype=np.float32) / np.float32(np.sqrt(self.dimension))
        lengths = np.linalg.norm(chosen.astype(np.float64), axis=1, keepdims=True)  # whose squares float32 may not hold
        moved: Vectors = chosen + (STORE_NOISE * lengths * noise).astype(np.float32)
        return moved

    def known_neighbours(self, count: int, among: int) -> NDArray[np.int64] | None:
        """Return the numbers of the rows nearest to the first `count` queries, best first, as a file tells them.

        Shape (up to `count`, k), k being at least 64 or `among`. None if there are none, or they don't fit: they are
        about all rows, in one space, in the file's own metric.

        Raises:
            UserError: a neighbour is no row of the set, or is missing in front of another one.
        """
        fits = among == self._row_count and self._scenario.data.memory_spaces == 1 and self.metric == self._told
        if self._neighbours is None or not fits:
            return None
        numbers = self._placed(self._neighbours.read(0, min(count, self._neighbours.count)))
        self._check_neighbours(numbers, 0)
        known = int((numbers != NO_NEIGHBOUR).sum(axis=1).min())
        return numbers[:, :known] if known >= min(NEIGHBOURS_NEEDED, among) else None

    def check_queries(self) -> None:
        """Look at the queries that a run searches for, and at all neighbours.

        Raises:
            UserError: a query has a value that is no number, or no direction; or as `known_neighbours`.
        """
        queries = self.queries(HELD_BACK, self._row_count)
        for first, what in ((first_not_finite(queries), "a value that is no finite number"), self._aimless(queries)):
            if first is not None:
                raise self._error(f"{self._place_of(first)} has {what}: leave it out of the file")
        if self._neighbours is None:
            return
        for begin in range(0, self._neighbours.count, CHUNK):
            rows = self._neighbours.read(begin, min(begin + CHUNK, self._neighbours.count))
            self._check_neighbours(self._placed(rows), begin)

    def _place_of(self, query: int) -> str:
        if self._queries is not None:
            return f"data_set.queries: query {query} of {self._queries.path.name}"
        return f"data_set.rows: row {self._row_count + query} of {self.table.path.name}, held back as a query,"

    def _aimless(self, vectors: Vectors) -> tuple[int | None, str]:
        return first_zero(vectors) if self.metric == "cosine" else None, "no direction (all zeros), as cosine needs"

    def _rows_for_stores(self, among: int) -> Vectors:
        """Return the rows that stores are made of, read once: behind the loaded ones, as far as there are any."""
        if self._stores is None or self._stores[0] != among:
            first = among if among < self._row_count else 0
            self._stores = among, as_vectors(self.table.read(first, min(first + STORES_FROM, self._row_count)))
        return self._stores[1]

    def _placed(self, neighbours: NDArray[np.generic]) -> NDArray[np.int64]:
        """Return the places of the rows that these neighbours name, shape as given; -1 stays."""
        if neighbours.dtype.kind not in "iu":
            raise self._error(
                f"data_set.neighbours: values of type {neighbours.dtype}, no whole numbers: give those of the rows"
            )
        named = neighbours.astype(np.int64)
        if self._names is None:
            return named
        names, rows = self._names
        places = np.searchsorted(names, named).clip(max=len(names) - 1)
        # What is named by no row becomes a place that is none, which the check then names.
        return np.where(named == NO_NEIGHBOUR, named, np.where(names[places] == named, rows[places], len(names)))

    @cached_property
    def _names(self) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Return the numbers that rows are named by, ascending, and the row of each; None if those are their places."""
        names = self.table.identifiers()
        if names is None:
            return None
        order = np.argsort(names, kind="stable")
        ascending = names[order]
        if len(twice := np.flatnonzero(ascending[1:] == ascending[:-1])):
            raise self._error(
                f"data_set.rows: two rows of {self.table.path.name} have the id {ascending[twice[0]]}, by which"
                " neighbours are named: give each its own"
            )
        return ascending, order

    def _check_neighbours(self, numbers: NDArray[np.int64], begin: int) -> None:
        missing = numbers == NO_NEIGHBOUR
        wrong = (numbers >= self._row_count) | (numbers < NO_NEIGHBOUR)
        if len(odd := np.flatnonzero(wrong.any(axis=1))):
            query = int(odd[0])
            place = int(np.flatnonzero(wrong[query])[0])
            raise self._error(
                f"data_set.neighbours: neighbour {place} of query {begin + query} is none of the"
                f" {self._row_count} rows: give the neighbours of this set"
            )
        if len(odd := np.flatnonzero((missing[:, :-1] & ~missing[:, 1:]).any(axis=1))):
            raise self._error(
                f"data_set.neighbours: query {begin + int(odd[0])} has -1 in front of a neighbour: -1 says that there"
                " are no more, at the end of a list"
            )

    def _check(self) -> None:
        data, name = self._scenario.data, self.table.path.name
        if not self._row_count or not (self._queries or self._held_back):
            raise self._error(f"data_set.rows: {name} has {self.table.count} rows, which leaves none to search for")
        if data.embedding_dim != self.dimension:
            raise self._error(
                f"data.embedding_dim = {data.embedding_dim}: the vectors of {name} have {self.dimension} dimensions:"
                f" set it to {self.dimension}"
            )
        if data.num_nodes > self._row_count:
            held = f", besides {self._held_back} that are held back as queries" if self._held_back else ""
            raise self._error(
                f"data.num_nodes = {data.num_nodes}: {name} has {self._row_count} rows{held}: set it to at most"
                f" {self._row_count}"
            )
        if self._queries is not None and self._queries.dimension != self.dimension:
            raise self._error(
                f"data_set.queries: {self._queries.path.name} has {self._queries.dimension} dimensions, the rows have"
                f" {self.dimension}: give queries of this set"
            )
        self._check_counts()

    def _check_counts(self) -> None:
        if self._neighbours is None:
            return
        if self._queries is None:
            raise self._error("data_set.neighbours: whose neighbours they are is not told: give data_set.queries, too")
        if self._neighbours.count != self._queries.count:
            raise self._error(
                f"data_set.neighbours: {self._neighbours.path.name} has those of {self._neighbours.count} queries,"
                f" there are {self._queries.count}: give the neighbours of these queries"
            )

    def _words(self, files: SetFiles) -> str:
        name = files.rows[0].name if len(files.rows) == 1 else f"{files.rows[0].name} and {len(files.rows) - 1} more"
        if self._queries is None:
            return f"own set {name}, its last {self._held_back} rows held back as queries"
        return f"own set {name}, " + (f"queries of {files.queries.name}" if files.queries else "its own queries")

    def _error(self, text: str) -> UserError:
        return UserError(f"{self._scenario.path}: {text}")


def as_vectors(numbers: NDArray[np.generic]) -> Vectors:
    """Return numbers of any kind as float32 in memory, shape unchanged; what float32 can't hold becomes infinite."""
    with np.errstate(over="ignore"):
        # Always a copy: what is only mapped would be read from the disk when it is used, while measuring.
        return np.array(numbers, np.float32, copy=True, order="C", subok=False)


def first_not_finite(vectors: Vectors) -> int | None:
    """Return the number of the first row (n, d) with NaN or an infinite value, None if all are numbers."""
    # A sum is finite unless one of the values isn't, or all are beyond sense: much quicker than to look at each.
    with np.errstate(over="ignore", invalid="ignore"):
        suspects = np.flatnonzero(~np.isfinite(vectors.sum(axis=1)))
    return next((int(row) for row in suspects if not np.isfinite(vectors[row]).all()), None)


def first_zero(vectors: Vectors) -> int | None:
    """Return the number of the first row (n, d) of zeros only, None if each has a direction."""
    zeros = np.flatnonzero(~vectors.any(axis=1))
    return int(zeros[0]) if len(zeros) else None


def _other_table(files: SetFiles, path: Path | None, content: Content) -> NumberTable | None:
    """Open queries or neighbours: of a file of their own, or of that of the rows if it has them."""
    if path is not None:
        return open_table(path, content)
    if content == "neighbours" and files.queries is not None:
        return open_table(files.queries, content) if has_content(files.queries, content) else None
    return open_table(files.rows[0], content) if len(files.rows) == 1 and has_content(files.rows[0], content) else None


def _metric_of(scenario: Scenario, files: SetFiles) -> tuple[SimilarityMetric, SimilarityMetric | None]:
    """Return the metric that is meant, and the one that the known neighbours are of; None if that is none of ours."""
    own = scenario.data_set
    asked = own.metric if isinstance(own, OwnSet) else None
    told = _told_metrics(files)
    if asked is None and len(set(told.values())) > 1:
        words = " and ".join(f"{name} {metric!r}" for name, metric in told.items())
        raise UserError(f"{scenario.path}: data_set.metric: the files tell different distances, {words}: set it to one")
    for name, metric in told.items():
        if asked is None and metric not in DISTANCES:
            raise UserError(
                f"{scenario.path}: data_set.metric: {name} tells the distance {metric!r}, by which nothing here"
                " searches: set it to cosine, euclidean or dot"
            )
    # Neighbours that no key names are in the file of the queries, which comes last.
    last = list(told.values())[-1] if told else asked or "cosine"
    found = DISTANCES.get(last)
    # Who names a file of neighbours and a metric says that they are of that metric.
    return asked or found or "cosine", asked if asked and files.neighbours else found


def _told_metrics(files: SetFiles) -> dict[str, str]:
    """Return what the files of rows and of queries tell, by their paths, in our words if we have any."""
    paths = [path for path in (files.rows[0], files.queries) if path is not None]
    told = {str(path): distance for path in paths if (distance := told_distance(path))}
    return {path: DISTANCES.get(distance.lower(), distance) for path, distance in told.items()}
