"""Which vectors a scenario means: those of its `[data_set]`, or else of its `embedding_distribution`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compbench.loadtest.workload.embeddings import Embeddings
from compbench.loadtest.workload.own_sets import FileSet
from compbench.loadtest.workload.vectors import DistributedSet, VectorSet
from compbench.model.scenario import GeneratedSet, OwnSet, Scenario, SimilarityMetric
from compbench.systems.api import Shape

if TYPE_CHECKING:
    import numpy as np

    from compbench.systems.api import Vectors


def open_vectors(scenario: Scenario, seed: int) -> VectorSet:
    """Return the vectors of a scenario's data set; nothing is drawn or read as a whole.

    Args:
        scenario: whose vectors are asked for.
        seed: of the set; sets from files have none.

    Raises:
        UserError: files can't be read, or are no set of vectors.
    """
    match scenario.data_set:
        case GeneratedSet():
            return _GeneratedVectors(scenario.data_set, scenario.data.embedding_dim, seed)
        case OwnSet():
            return FileSet(scenario)
        case None:
            return DistributedSet(scenario.data, seed)


class _GeneratedVectors:
    """Generated embeddings, with the queries that a scenario asks for."""

    metric: SimilarityMetric = "cosine"
    size: int | None = None

    def __init__(self, asked: GeneratedSet, dimension: int, seed: int) -> None:
        self.dimension, self._queries = dimension, asked.queries
        self._embeddings = Embeddings(dimension, seed, asked.near_duplicates)

    def rows(self, part: int) -> Vectors:
        """Return the rows from 1024 x `part` on, shape (1024, dimension)."""
        return self._embeddings.rows(part)

    def queries(self, count: int, among: int) -> Vectors:
        """Return vectors to search for among the first so many rows, shape (count, dimension)."""
        return self._embeddings.queries(self._queries, count, among)

    def unseen(self, rng: np.random.Generator, count: int, among: int) -> Vectors:
        """Return further embeddings of the kind, shape (count, dimension)."""
        return self._embeddings.unseen(rng, count, among)

    def known_neighbours(self, count: int, among: int) -> None:
        """Return None: the exact neighbours are to be computed."""
        del count, among


def shape_of(scenario: Scenario, vectors: VectorSet) -> Shape:
    """Return what a system has to be made for."""
    return Shape(vectors.dimension, scenario.data.memory_spaces, vectors.metric)
