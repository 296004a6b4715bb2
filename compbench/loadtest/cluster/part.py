"""What a host does of an exact search: it compares the rows of one span, which it draws or reads itself.

Nothing but the order comes over the network, and nothing but the nearest of the span goes back: 0.8 MB.
"""

from __future__ import annotations

import pickle
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from compbench.loadtest.cluster.leases import code_digest
from compbench.loadtest.cluster.same_work import are_same_vectors
from compbench.loadtest.truth.nearest import Nearest, Truth, below_floors, without_floors
from compbench.loadtest.truth.row_blocks import row_blocks
from compbench.loadtest.truth.spans import Span
from compbench.loadtest.workload.streams import CHUNK
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.vectors import VectorSet
from compbench.loadtest.workload.workload import POOL_SIZE
from compbench.model.errors import UserError
from compbench.model.scenario import Scenario

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# What is compared of two hosts' sets: so many rows and queries, spread evenly; a chunk is drawn for each row.
_SAMPLED = 16
_one_at_a_time = threading.Lock()


class SearchOrder(NamedTuple):
    """What hosts are to compare: the same for each span of a search.

    Attributes:
        sample: some of the rows and queries, which a host has to have too.
    """

    scenario: Scenario
    seed: int
    rows: int
    sample: Vectors

    def packed(self) -> bytes:
        """Return it as it is sent."""
        return pickle.dumps(self)


class Refused(NamedTuple):
    """Why a host did not compare, and the address of its Dask worker."""

    worker: str
    reason: str


def order_for(scenario: Scenario, seed: int, count: int, rows: VectorSet, pool: Vectors) -> SearchOrder:
    """Return the order to compare the first `count` rows; hosts find files of an own set at the same path as here."""
    sent = msgspec.structs.replace(scenario, path=scenario.path.absolute())
    return SearchOrder(sent, seed, count, _sample(rows, pool, count))


def nearest_in_span(code: str, packed: bytes, floors: Vectors, first: int, last: int) -> Truth | Refused:
    """Return the nearest of the rows from number `first` to `last`, for each query of the pool; runs on a host.

    Those that are farther than 64 others are known to be are left out, which saves most of the work on them.

    What a person can mend is returned, not raised: Dask would log its traceback.

    Args:
        code: the hash of compbench, which a host has to have too.
        packed: the `SearchOrder`, which another compbench could not even read.
        floors: how near a row has to be to each query, shape (queries,).
        first: the first of the rows.
        last: the first that is none of them.
    """
    if code != code_digest():
        return Refused(_own_address(), "another compbench is installed there than here: install the same one")
    try:
        return _nearest(packed, floors, Span(first, last))
    except (UserError, OSError) as error:
        return Refused(_own_address(), str(error))
    except MemoryError:
        return Refused(_own_address(), "too little memory: a thread of a Dask worker takes up to 200 MB: give it fewer")


def _nearest(packed: bytes, floors: Vectors, span: Span) -> Truth:
    order, pool = _taken(packed)
    rows = open_vectors(order.scenario, order.seed)
    spaces, start = order.scenario.data.memory_spaces, below_floors(floors, rows.metric)
    nearest = Nearest(pool, rows.metric, spaces, start)
    for first, block in row_blocks(rows, span.last, span.first):
        nearest.take(first, block)
    return without_floors(nearest.best)


def _taken(packed: bytes) -> tuple[SearchOrder, Vectors]:
    """Return an order and its pool of queries; drawn once, whichever thread is first."""
    with _one_at_a_time:
        return _unpacked(packed)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> tuple[SearchOrder, Vectors]:
    """Return an order and its pool.

    Raises:
        UserError: this host has other rows.
    """
    order: SearchOrder = pickle.loads(packed)  # noqa: S301 - from whoever runs code here by Dask anyway
    rows = open_vectors(order.scenario, order.seed)
    if rows.size is not None and rows.size < order.rows:
        raise UserError(f"its files have {rows.size} rows, of {order.rows} that are wanted: copy the same files there")
    pool = rows.queries(POOL_SIZE, order.rows)
    if not are_same_vectors(_sample(rows, pool, order.rows), order.sample):
        raise UserError("it has other rows than are here: install the same versions there, or copy the same files")
    return order, pool


def _sample(rows: VectorSet, pool: Vectors, count: int) -> Vectors:
    """Return some rows and queries, shape (n, dimension)."""
    numbers = np.unique(np.linspace(0, count - 1, _SAMPLED).astype(np.int64)).tolist()
    chosen = [rows.rows(number // CHUNK)[number % CHUNK] for number in numbers]
    return np.array([*chosen, *pool[:: max(1, len(pool) // _SAMPLED)]], np.float32)


def _own_address() -> str:
    from distributed import get_worker  # noqa: PLC0415 - only on a host

    return str(get_worker().address)
