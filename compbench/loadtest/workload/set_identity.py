"""What decides the rows of a data set: equal for one and the same set, whichever scenarios use it. Without NumPy."""

from __future__ import annotations

from pathlib import Path

from compbench.config.set_files import rows_hash, set_hashes
from compbench.loadtest.workload import VECTORS_FORMAT
from compbench.model.scenario import GeneratedSet, OwnSet, Scenario


def rows_identity(scenario: Scenario, seed: int, cache: Path | None = None) -> tuple[object, ...]:
    """Return what decides a scenario's rows, apart from their number: to be hashed into names of kept files.

    Args:
        scenario: whose rows are meant.
        seed: of the set; sets from files have none.
        cache: the cache folder, which keeps the hashes of files, so that they are read once; None keeps them in this
            process only.

    Raises:
        UserError: a file of the user's own set is missing, or can't be read.
    """
    data = scenario.data
    shape = (VECTORS_FORMAT, data.embedding_dim, data.memory_spaces)
    match scenario.data_set:
        case GeneratedSet(near_duplicates=share):
            return (*shape, "embeddings", seed, share)
        case OwnSet(metric=metric):
            # An index that is kept with the rows is made for a metric, which the file tells unless the scenario does.
            return (*shape, "files", rows_hash(scenario, cache), metric)
        case None:
            return (*shape, "distribution", seed, data.embedding_distribution)


def queries_identity(scenario: Scenario, seed: int, cache: Path | None = None) -> tuple[object, ...]:
    """Return what decides which vectors are searched for, besides the rows and their number, as `rows_identity` does.

    Of the user's own set the known neighbours belong to it, since they are taken as they are.
    """
    rows = rows_identity(scenario, seed, cache)
    match scenario.data_set:
        case OwnSet():
            return (*rows, *set_hashes(scenario, cache))
        case GeneratedSet(queries=kind):
            return (*rows, kind)
        case None:
            return (*rows, "own")
