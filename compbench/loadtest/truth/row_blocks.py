"""The rows of a data set in blocks that are large enough for a BLAS, each drawn while the one before is compared."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from compbench.loadtest.workload import vectors
from compbench.loadtest.workload.streams import CHUNK
from compbench.loadtest.workload.vectors import VectorSet

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# 8192 rows of 768 dimensions; compared with 1000 queries they make 33 MB of similarities.
_BLOCK_BYTES = 24 * 2**20
_ROWS_LIMIT = 8192


def rows_at_once(dimension: int) -> int:
    """Return how many rows a block has: a multiple of 1024, up to 8192, and 25 MB unless 1024 rows are more."""
    return CHUNK * max(1, min(_ROWS_LIMIT, _BLOCK_BYTES // (4 * dimension)) // CHUNK)


def row_blocks(rows: VectorSet, count: int, first: int = 0) -> Iterator[tuple[int, Vectors]]:
    """Yield the rows from number `first` to `count` in blocks, as they are compared: of cosines the directions alone.

    Two blocks are held at a time. A thread draws the next one; drawing and comparing both let go of the interpreter.

    Yields:
        The number of the block's first row, and an array (n, dimension) that holds until the next one is asked for.
    """
    source = _filled(rows, count, first)
    with ThreadPoolExecutor(1, "rows") as thread:
        following = thread.submit(next, source, None)
        while (block := following.result()) is not None:
            following = thread.submit(next, source, None)
            yield block


def _filled(rows: VectorSet, count: int, first: int) -> Iterator[tuple[int, Vectors]]:
    """Fill two arrays in turn."""
    size = rows_at_once(rows.dimension)
    room = np.empty((2, min(size, count - first), rows.dimension), np.float32)
    begin, used, turn = first, 0, 0
    for _, chunk in vectors.prepared_vectors(rows, count, first):
        _put(chunk, room[turn, used : used + len(chunk)], is_cosine=rows.metric == "cosine")
        used += len(chunk)
        if begin + used == count or used + CHUNK > size:
            yield begin, room[turn, :used]
            begin, used, turn = begin + used, 0, 1 - turn


def _put(chunk: Vectors, place: Vectors, *, is_cosine: bool) -> None:
    """Copy rows; those of cosines are scaled to length 1 on the way, which `directions` does with arrays of its own."""
    if not is_cosine:
        place[:] = chunk
        return
    with np.errstate(over="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", chunk, chunk))
    np.divide(chunk, np.maximum(lengths, np.float32(1e-30))[:, None], out=place)
    vectors.scale_extremes(chunk, lengths, place)
