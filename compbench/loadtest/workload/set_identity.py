"""What decides the rows of a data set: equal for one and the same set, whichever scenarios use it. Without NumPy."""

from __future__ import annotations

from compbench.loadtest.workload import VECTORS_FORMAT
from compbench.model.errors import UserError
from compbench.model.scenario import GeneratedSet, OwnSet, QueryKind, Scenario

_QUERIES: dict[QueryKind, str] = {
    "held-out": "held-out draws of the same kind",
    "jittered": "members of the set, moved a little",
    "out-of-distribution": "of another distribution",
}


def rows_identity(scenario: Scenario, seed: int) -> tuple[object, ...]:
    """Return what decides a scenario's rows, apart from their number: to be hashed into names of kept files."""
    data = scenario.data
    shape = (VECTORS_FORMAT, data.embedding_dim, data.memory_spaces)
    match scenario.data_set:
        case GeneratedSet(near_duplicates=share):
            return (*shape, "embeddings", seed, share)
        case OwnSet():
            raise UserError("files: to come")
        case None:
            return (*shape, "distribution", seed, data.embedding_distribution)


def describe_set(scenario: Scenario) -> str:
    """Return which set a scenario is about, and what is searched for in it, in a few words."""
    match scenario.data_set:
        case GeneratedSet(seed=seed, queries=queries, near_duplicates=share):
            repeated = f", {100 * share:g} % near duplicates" if share else ""
            return f"generated embeddings, seed {seed}{repeated}; queries: {_QUERIES[queries]}"
        case OwnSet(rows=rows):
            return f"own set {rows}"
        case None:
            kind = str(scenario.data.embedding_distribution.__struct_config__.tag).replace("_", " ")
            return f"{kind} random vectors, seed {scenario.data_seed}"


def queries_identity(scenario: Scenario, seed: int) -> tuple[object, ...]:
    """Return what decides which vectors are searched for, besides the rows and their number."""
    kind = scenario.data_set.queries if isinstance(scenario.data_set, GeneratedSet) else "own"
    return (*rows_identity(scenario, seed), kind)
