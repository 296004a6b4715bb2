"""A look at every row of a user's own set, made once for each content and kept: what is no vector, what is repeated."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from compbench.config.set_files import OwnSetSeen, rows_hash
from compbench.files.content_hashes import kept_file
from compbench.files.whole import write_whole
from compbench.loadtest.workload.own_sets import FileSet, as_vectors, first_not_finite, first_zero
from compbench.loadtest.workload.vector_files import NumberTable
from compbench.model.errors import UserError
from compbench.model.scenario import Scenario

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# To be raised whenever the facts change, so that those kept before are not used.
_FACTS_FORMAT = 1
# So many rows are compared with each other: their hashes are 32 MB.
_COMPARED = 4_000_000
_AT_ONCE = 1024


class RowFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the rows of a file.

    Attributes:
        count: how many rows there are.
        not_finite: the first row with NaN or an infinite value, None if there is none.
        zero: the first row of zeros only, None if there is none.
        compared: how many rows, chosen by their content, were compared with each other; equal ones are both or neither.
        repeats: how many of these are exactly equal to an earlier one.
    """

    count: int
    not_finite: int | None
    zero: int | None
    compared: int
    repeats: int


def examine(scenario: Scenario, cache: Path) -> tuple[FileSet, RowFacts]:
    """Open a scenario's own set, and look at all of it unless that is known already.

    Raises:
        UserError: a file is wrong, does not fit the scenario, or has vectors that can't be searched among.
    """
    vectors = FileSet(scenario)
    vectors.check_queries()
    facts = _facts(vectors.table, kept_file(cache, f"rows {_FACTS_FORMAT} {rows_hash(scenario, cache)}"))
    aimless = facts.zero if vectors.metric == "cosine" else None
    for row, what in ((facts.not_finite, "a value that is no finite number"), (aimless, "no direction (all zeros)")):
        if row is not None:
            name = vectors.table.path.name
            raise UserError(f"{scenario.path}: data_set.rows: row {row} of {name} has {what}: leave it out of the file")
    return vectors, facts


def seen_in(scenario: Scenario, cache: Path) -> OwnSetSeen:
    """Return what `examine` finds, for a reader in another process.

    Raises:
        UserError: as `examine`, or the scenario has no own set.
    """
    vectors, facts = examine(scenario, cache)
    return OwnSetSeen(
        described=vectors.described,
        metric=vectors.metric,
        rows=facts.count,
        compared=facts.compared,
        repeats=facts.repeats,
    )


def scan_rows(table: NumberTable, compared_at_most: int = _COMPARED) -> RowFacts:
    """Read a table once, by parts.

    Rows are compared by their hashes, of 64 bits and keyed anew in each process. Of a large table only those rows are
    compared whose hash has a certain remainder: equal rows have equal hashes, so none of them is compared alone.
    """
    divisor = -(-table.count // compared_at_most)
    not_finite = zero = None
    hashes = []
    for begin in range(0, table.count, _AT_ONCE):
        rows = as_vectors(table.read(begin, min(begin + _AT_ONCE, table.count)))
        if not_finite is None and (found := first_not_finite(rows)) is not None:
            not_finite = begin + found
        if zero is None and (found := first_zero(rows)) is not None:
            zero = begin + found
        own = _hashes(rows)
        hashes.append(own[own % divisor == 0])
    compared = np.concatenate(hashes)
    repeats = len(compared) - len(np.unique(compared))
    return RowFacts(count=table.count, not_finite=not_finite, zero=zero, compared=len(compared), repeats=repeats)


def _hashes(rows: Vectors) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    rows = rows + np.float32(0)  # -0 becomes 0, which is equal to it
    return np.fromiter((hash(row.tobytes()) for row in rows), np.int64, len(rows))


def _facts(table: NumberTable, path: Path) -> RowFacts:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(path.read_bytes(), type=RowFacts)
    facts = scan_rows(table)
    with contextlib.suppress(OSError):  # it is then read again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.encode(facts))
    return facts
