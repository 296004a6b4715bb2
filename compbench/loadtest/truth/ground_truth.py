"""The exact nearest neighbours of a scenario's query pool, computed once and kept in a cache folder.

The file's name is a hash of everything that the neighbours depend on, so a cached one is right by its name alone.
"""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from compbench.files.whole import write_whole_by
from compbench.loadtest.workload import vectors
from compbench.loadtest.workload.operations import SEARCH_LIMITS
from compbench.loadtest.workload.set_identity import queries_identity
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.workload import POOL_SIZE
from compbench.model.errors import UserError
from compbench.model.scenario import Scenario

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# To be raised whenever pool or file change, so that files cached before are not used.
FORMAT = 1
# More than any search asks for, so that memories as near as the last one expected are known too.
DEPTH = SEARCH_LIMITS[1] + 14
# The time that a run may spend on neighbours that are not cached.
SHORT_LIMIT_S = 20.0
# Chunks of vectors that are compared at once: 8192 vectors with 1000 queries are 33 MB of similarities.
_CHUNKS_AT_ONCE = 8

Tick = Callable[[float, int], None]


class Truth(NamedTuple):
    """The nearest prepared memories of each query of the pool, best first: numbers and cosines, shape (queries, 64).

    Where there are fewer memories, numbers are -1 and cosines minus infinity. A query finds memories of its own space
    only: query q searches space q % spaces, memory i lies in space i % spaces.
    """

    numbers: NDArray[np.int64]
    similarities: NDArray[np.float32]


class OutOfTimeError(Exception):
    """An exact search was given up."""


class NotKeptError(UserError):
    """The neighbours are known, as `truth`, and can't be written into the cache folder."""

    def __init__(self, text: str, truth: Truth) -> None:
        super().__init__(text)
        self.truth = truth


def path_of(folder: Path, scenario: Scenario, count: int, seed: int) -> Path:
    """Return where the neighbours for the first `count` rows of this scenario's data set are, or would be."""
    facts = (FORMAT, queries_identity(scenario, seed, folder), count, POOL_SIZE, DEPTH)
    return folder / "ground_truth" / f"{hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:24]}.npz"


def load(path: Path) -> Truth | None:
    """Return the cached neighbours, or None if there are none; a damaged file counts as none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return Truth(file["numbers"], file["similarities"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def save_neighbours(path: Path, truth: Truth) -> None:
    """Write the neighbours whole: beside their place first, then renamed.

    Raises:
        NotKeptError: they can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole_by(path, lambda file: np.savez(file, numbers=truth.numbers, similarities=truth.similarities))
    except OSError as error:
        text = f"{path}: can't be written ({error.strerror}): mend that, or set another cache folder"
        raise NotKeptError(text, truth) from None


def find_neighbours(
    folder: Path, scenario: Scenario, count: int, seed: int, tick: Tick, time_limit_s: float = float("inf")
) -> Truth | None:
    """Return the neighbours from the cache, or compute and cache them; None if that takes longer than the limit.

    Raises:
        NotKeptError: they can't be written; it has them all the same.
    """
    path = path_of(folder, scenario, count, seed)
    truth = load(path)
    if truth is None:
        try:
            truth = compute(scenario, count, seed, tick, time_limit_s)
        except OutOfTimeError:
            return None
        save_neighbours(path, truth)
    return truth


def compute(scenario: Scenario, count: int, seed: int, tick: Tick, time_limit_s: float = float("inf")) -> Truth:
    """Compare every query of the pool with every prepared memory, in blocks, so that memory stays small.

    Args:
        scenario: whose data set it is.
        count: how many memories of it were prepared.
        seed: of the data set and the pool.
        tick: told the seconds since the start and how many memories are compared, after each block.
        time_limit_s: after so long it is given up.

    Raises:
        OutOfTimeError: the time limit was reached.
    """
    began = time.monotonic()
    rows, spaces = open_vectors(scenario, seed), scenario.data.memory_spaces
    pool = vectors.directions(rows.queries(POOL_SIZE, count))
    space_of = np.arange(len(pool)) % spaces
    best = Truth(np.full((len(pool), DEPTH), -1), np.full((len(pool), DEPTH), -np.inf, np.float32))
    waiting: list[Vectors] = []
    first = 0
    for begin, chunk in vectors.prepared_vectors(rows, count):
        waiting.append(chunk)
        done = begin + len(chunk)
        if len(waiting) < _CHUNKS_AT_ONCE and done < count:
            continue
        numbers = np.arange(first, done)
        similarity = pool @ vectors.directions(np.concatenate(waiting)).T
        if spaces > 1:
            similarity[space_of[:, None] != numbers[None, :] % spaces] = -np.inf
        best = _better(best, numbers, similarity)
        waiting, first = [], done
        elapsed_s = time.monotonic() - began
        tick(elapsed_s, done)
        if elapsed_s > time_limit_s and done < count:
            raise OutOfTimeError
    return best


def _better(best: Truth, numbers: NDArray[np.int64], similarity: Vectors) -> Truth:
    """Merge the best so far with a block, shape (queries, memories), of similarities."""
    depth = min(DEPTH, similarity.shape[1])
    places = np.argpartition(similarity, -depth, axis=1)[:, -depth:]
    all_numbers = np.concatenate([best.numbers, numbers[places]], axis=1)
    all_similarities = np.concatenate([best.similarities, np.take_along_axis(similarity, places, axis=1)], axis=1)
    order = np.argsort(-all_similarities, axis=1, kind="stable")[:, :DEPTH]
    return Truth(np.take_along_axis(all_numbers, order, axis=1), np.take_along_axis(all_similarities, order, axis=1))
