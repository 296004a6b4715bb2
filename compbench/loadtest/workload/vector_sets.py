"""Which vectors a scenario means: those of its `[data_set]`, or else of its `embedding_distribution`."""

from __future__ import annotations

from compbench.loadtest.workload.own_sets import FileSet
from compbench.loadtest.workload.vectors import DistributedSet, VectorSet
from compbench.model.errors import UserError
from compbench.model.scenario import GeneratedSet, OwnSet, Scenario
from compbench.systems.api import Shape


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
            raise UserError("embeddings: to come")
        case OwnSet():
            return FileSet(scenario)
        case None:
            return DistributedSet(scenario.data, seed)


def shape_of(scenario: Scenario, vectors: VectorSet) -> Shape:
    """Return what a system has to be made for."""
    return Shape(vectors.dimension, scenario.data.memory_spaces, vectors.metric)
