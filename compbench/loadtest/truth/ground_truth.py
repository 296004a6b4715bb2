"""The exact nearest neighbours of a scenario's query pool, computed once and kept in a cache folder.

The file's name is a hash of everything that the neighbours depend on, so a cached one is right by its name alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from compbench.loadtest.truth.listed import listed_numbers, verified_truth
from compbench.loadtest.truth.nearest import DEPTH, Nearest, Truth
from compbench.loadtest.truth.neighbour_files import Begun, read_begun, read_truth, write_begun, write_truth
from compbench.loadtest.truth.row_blocks import row_blocks
from compbench.loadtest.truth.spans import Span, left_of, rows_within, with_span
from compbench.loadtest.workload.set_identity import queries_identity
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.vectors import VectorSet
from compbench.loadtest.workload.workload import POOL_SIZE
from compbench.model.errors import UserError
from compbench.model.scenario import Scenario

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# To be raised whenever pool or file change, so that files cached before are not used.
FORMAT = 2
# The time that a run may spend on neighbours that are not cached.
SHORT_LIMIT_S = 20.0
# A state is 1 MB, written to the disk's medium; an interruption costs as much work as this at most.
_SAVE_EVERY_S = 10.0

Tick = Callable[[float, int], None]


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


def begun_file(path: Path) -> Path:
    """Return where the state of neighbours is kept while they are computed; its name has the same hash."""
    return path.with_name(f"{path.name}.begun")


def load(path: Path) -> Truth | None:
    """Return the cached neighbours, or None if there are none; a damaged file counts as none."""
    return read_truth(path)


def save_neighbours(path: Path, truth: Truth) -> None:
    """Write the neighbours whole: beside their place first, then renamed.

    Raises:
        NotKeptError: they can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_truth(path, truth)
    except OSError as error:
        text = f"{path}: can't be written ({error.strerror}): mend that, or set another cache folder"
        raise NotKeptError(text, truth) from None


def find_neighbours(
    folder: Path,
    scenario: Scenario,
    count: int,
    seed: int,
    tick: Tick,
    time_limit_s: float = float("inf"),
    elsewhere: RowSearch | None = None,
) -> Truth | None:
    """Return the neighbours from the cache, or compute and cache them; None if that takes longer than the limit.

    What is computed is saved now and then (`begun_file`), so that the next call goes on from there, also if this one
    is killed or given up.

    Raises:
        NotKeptError: they can't be written; it has them all the same.
        UserError: the data set can't be read, or brings neighbours that are wrong.
    """
    path = path_of(folder, scenario, count, seed)
    truth = load(path)
    if truth is None:
        begun = begun_file(path)
        try:
            truth = compute(scenario, count, seed, tick, time_limit_s, begun, elsewhere)
        except OutOfTimeError:
            return None
        save_neighbours(path, truth)
        with contextlib.suppress(OSError):  # it is of no use any more, and does no harm
            begun.unlink(missing_ok=True)
    return truth


def compute(
    scenario: Scenario,
    count: int,
    seed: int,
    tick: Tick,
    time_limit_s: float = float("inf"),
    begun: Path | None = None,
    elsewhere: RowSearch | None = None,
) -> Truth:
    """Compare every query of the pool with every prepared memory, or take the neighbours that the set brings.

    Blocks of rows keep memory under 200 MB however many rows there are, at up to 4096 dimensions: two blocks of 25 MB,
    their similarities to 1000 queries, and what drawing 1024 rows takes.

    Args:
        scenario: whose data set it is.
        count: how many memories of it were prepared.
        seed: of the data set and the pool.
        tick: told the seconds since the start and how many memories are compared, after each block.
        time_limit_s: after so long it is given up.
        begun: where the state is saved now and then, and taken up; None to compute at one go.
        elsewhere: compares the rows in place of this process; what the set brings is verified here all the same.

    Raises:
        OutOfTimeError: the time limit was reached.
        UserError: the data set can't be read, or brings neighbours that are wrong.
    """
    rows, spaces = open_vectors(scenario, seed), scenario.data.memory_spaces
    pool = rows.queries(POOL_SIZE, count)
    advance = Advance(tick, time_limit_s, count, begun)
    numbers = listed_numbers(scenario, rows, len(pool), count)
    if numbers is not None:
        return verified_truth(scenario, rows, pool, numbers, advance.tell)
    search = elsewhere or _search_here
    return search(Searched(scenario, seed, count, rows, pool, spaces), advance)


class Searched(NamedTuple):
    """What is compared: the first `row_count` rows of a set, drawn from `seed`, with the pool of queries."""

    scenario: Scenario
    seed: int
    row_count: int
    rows: VectorSet
    pool: Vectors
    spaces: int


class Advance:
    """Tells how far a computation is, saves its state now and then, and ends it at its time limit.

    Attributes:
        state: what is known, at first that of the computation before.
    """

    def __init__(self, tick: Tick, time_limit_s: float, count: int, file: Path | None) -> None:
        self._tick, self._limit_s, self._count, self._file = tick, time_limit_s, count, file
        self.state = (read_begun(file, count) if file else None) or Begun()
        self._began = self._saved_at = time.monotonic()

    @property
    def known(self) -> Truth:
        """Return the nearest of the rows that are compared; of none yet there are none."""
        assert self.state.truth is not None  # noqa: S101 - whoever asks has compared rows
        return self.state.truth

    def step(self, truth: Truth, span: Span) -> None:
        """Take the nearest of all rows so far, now that those of one more span are among them.

        Raises:
            OutOfTimeError: the time limit was reached, with rows left.
        """
        self.state = Begun(truth, with_span(self.state.spans, span))
        done = rows_within(self.state.spans)
        if time.monotonic() - self._saved_at >= _SAVE_EVERY_S and done < self._count:
            self.save()
        self.tell(done)

    def tell(self, done: int) -> None:
        """Tell that so many rows are compared.

        Raises:
            OutOfTimeError: the time limit was reached, with rows left.
        """
        elapsed_s = time.monotonic() - self._began
        self._tick(elapsed_s, done)
        if elapsed_s > self._limit_s and done < self._count:
            raise OutOfTimeError

    def save(self) -> None:
        """Save the state; where that fails, an interruption costs more, and the neighbours' own file tells of it."""
        if self._file:
            with contextlib.suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_begun(self._file, self.state)
        self._saved_at = time.monotonic()


# Compares all rows that the state has not, telling each step; returns the nearest.
RowSearch = Callable[[Searched, Advance], Truth]


def _search_here(searched: Searched, advance: Advance) -> Truth:
    nearest = Nearest(searched.pool, searched.rows.metric, searched.spaces, advance.state.truth)
    for span in left_of(advance.state.spans, searched.row_count):
        for first, block in row_blocks(searched.rows, span.last, span.first):
            nearest.take(first, block)
            advance.step(nearest.best, Span(first, first + len(block)))
    return nearest.best
