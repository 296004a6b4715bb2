"""`prepare`: load a scenario's data set, watch whether the server takes it, and say early if it doesn't.

What the server holds already is not sent again, so that an interrupted load goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import Any, NamedTuple

import numpy as np

from compbench.config.scenarios import Scenario
from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.loadtest.progress import Progress
from compbench.loadtest.truth import inventory
from compbench.loadtest.workload import batches, vectors
from compbench.loadtest.workload.batches import Batch
from compbench.loadtest.workload.edges import edge_chunks
from compbench.loadtest.workload.operations import PREPARED_PREFIX, space_names
from compbench.model.errors import UserError
from compbench.model.result import Prepared
from compbench.transport.http_pool import Endpoint, Pool

IN_FLIGHT = 16
LOOK_EVERY_S = 1.0
# The rate is that of the last few looks: an insert that grows slower with every memory must be seen.
RATE_WINDOW = 6
RATE_AFTER_S = 5.0
# A server that has kept less than half of so many acknowledged memories drops or merges them.
STORED_AFTER = 200
STORED_SHARE = 0.5


class PrepareOptions(NamedTuple):
    """What the command line asks of `prepare`."""

    scenario: Scenario
    seed: int
    endpoint: Endpoint
    scale: float
    time_limit_s: float


class Look(NamedTuple):
    """What one look at the loading saw; `acknowledged` counts the memories that were there before, too."""

    elapsed_s: float
    acknowledged: int
    stored: int | None


def prepare(options: PrepareOptions, progress: Progress) -> Prepared:
    """Load round(num_nodes x scale) memories, at least one, as `node-<i>`; stop early where that can't succeed.

    Raises:
        UserError: the server can't be reached, or holds another data set under the same ids.
    """
    return run_in_precise_loop(_Loading(options, progress).run())


def why_stop(looks: deque[Look], wanted: int, limit_s: float) -> str:
    """Say why going on is useless, judging by the last looks (oldest first); empty to go on."""
    first, last = looks[0], looks[-1]
    stored = last.acknowledged if last.stored is None else last.stored
    if last.acknowledged >= STORED_AFTER and stored < STORED_SHARE * last.acknowledged:
        return _not_kept(stored, last.acknowledged)
    if last.elapsed_s > limit_s:
        return f"{last.acknowledged} of {wanted} memories were in when the time limit of {limit_s:.0f} s was reached"
    gained, took_s = last.acknowledged - first.acknowledged, last.elapsed_s - first.elapsed_s
    if last.elapsed_s < RATE_AFTER_S or took_s <= 0:
        return ""
    rate = gained / took_s
    if last.elapsed_s + (wanted - last.acknowledged) / max(rate, 1e-9) > limit_s:
        needed = f"another {(wanted - last.acknowledged) / rate:.0f} s" if rate else "forever"
        return (
            f"at {rate:.0f} memories/s the rest of {wanted} takes {needed}, over the time limit of {limit_s:.0f} s:"
            " lower the scale or allow more time"
        )
    return ""


def _not_kept(stored: int, acknowledged: int) -> str:
    return f"the server keeps {stored} of {acknowledged} acknowledged memories: it merges similar ones, or evicts"


class _Loading:
    """Keeps requests in flight until all are acknowledged, or something says stop."""

    def __init__(self, options: PrepareOptions, progress: Progress) -> None:
        self._options, self._progress = options, progress
        self._wanted = vectors.prepared_count(options.scenario.data, options.scale)
        self._spaces = space_names(options.scenario.data.memory_spaces)
        self._found = self._acknowledged = self._sent = 0
        self._note = ""

    async def run(self) -> Prepared:
        endpoint = self._options.endpoint
        pool = Pool(endpoint, IN_FLIGHT + 1)  # one more for the questions about its count
        await pool.open()
        began = time.monotonic()
        bulk = [await inventory.bulk_of(pool.ask, endpoint, space) for space in self._spaces]
        told = [
            each for each in bulk if each is not None and each.dimension == self._options.scenario.data.embedding_dim
        ]
        in_bulk = len(told) == len(self._spaces)
        load = self._load_bulk(pool, told) if in_bulk else self._load_singly(pool)
        await self._watched(load, pool, began)
        stored = await self._stored(pool)
        edges = await self._edges_loaded(pool) if in_bulk else None
        pool.close()
        if not self._note and stored is not None and stored < self._wanted:
            self._note = _not_kept(stored, self._wanted)
        return Prepared(
            wanted=self._wanted,
            sent=self._sent,
            found=self._found,
            stored=stored,
            edges=edges,
            method="bulk" if in_bulk else "one by one",
            elapsed_s=round(time.monotonic() - began, 3),
            complete=not self._note,
            note=self._note,
        )

    # -- in bulk -----------------------------------------------------------------------------------------------------

    async def _load_bulk(self, pool: Pool, bulk: list[inventory.Bulk]) -> None:
        """Send rows in order, the next ones being drawn in a thread meanwhile, then the edges."""
        scenario, seed, endpoint = self._options.scenario, self._options.seed, self._options.endpoint
        loaded = [self._rows_loaded(space, each.rows) for space, each in enumerate(bulk)]
        await self._begin_after(pool, min(sum(loaded), self._wanted))
        rows = batches.row_batches(scenario, seed, endpoint, loaded, self._wanted)
        await self._send_in_turn(pool, rows)
        if scenario.graph is not None and not self._note:
            expected = self._edges_expected()
            if await self._edges_loaded(pool) != expected:
                await self._send_in_turn(pool, batches.edge_batches(scenario, seed, endpoint, self._wanted))
                if not self._note and (edges := await self._edges_loaded(pool)) != expected:
                    self._note = f"the server has {edges} of {expected} edges"

    def _rows_loaded(self, space: int, rows: inventory.LoadedRows | None) -> int:
        if rows is None:
            return 0
        if (rows.prefix, rows.first, rows.step) != (PREPARED_PREFIX, space, len(self._spaces)):
            raise UserError(f"{self._options.endpoint.url} holds rows of another data set: start it afresh")
        return rows.count

    async def _send_in_turn(self, pool: Pool, source: Iterator[Batch]) -> None:
        batch = await asyncio.to_thread(next, source, None)
        while batch is not None and not self._note:
            following = asyncio.create_task(asyncio.to_thread(next, source, None))
            await self._send(pool, batch)
            batch = await following

    async def _edges_loaded(self, pool: Pool) -> int | None:
        bulk = await inventory.bulk_of(pool.ask, self._options.endpoint, self._spaces[0])
        return bulk.edges if bulk else None

    def _edges_expected(self) -> int:
        graph = self._options.scenario.graph
        return sum(len(c) for c in edge_chunks(self._wanted, graph.average_degree, self._options.seed)) if graph else 0

    # -- one by one --------------------------------------------------------------------------------------------------

    async def _load_singly(self, pool: Pool) -> None:
        first = await self._first_missing(pool)
        await self._begin_after(pool, first)
        source = batches.single_batches(
            self._options.scenario, self._options.seed, self._options.endpoint, first, self._wanted
        )

        async def send_all() -> None:
            while not self._note and (batch := next(source, None)) is not None:
                await self._send(pool, batch)

        await asyncio.gather(*(send_all() for _ in range(IN_FLIGHT)))

    async def _first_missing(self, pool: Pool) -> int:
        """Return a number below which every memory is there; they were sent in order, with a few in flight."""
        if not await inventory.memories_stored(pool.ask, self._options.endpoint):
            return 0
        low, high = 0, self._wanted
        while low < high:
            middle = (low + high) // 2
            space = self._spaces[middle % len(self._spaces)]
            known = await inventory.has_memory(pool.ask, self._options.endpoint, f"{PREPARED_PREFIX}{middle}", space)
            low, high = (middle + 1, high) if known else (low, middle)
        return low if low == self._wanted else max(0, low - IN_FLIGHT)

    # -- both --------------------------------------------------------------------------------------------------------

    async def _begin_after(self, pool: Pool, found: int) -> None:
        """Take note of what is there already, if it is this data set."""
        self._found = self._acknowledged = found
        if not found:
            return
        _, chunk = next(vectors.prepared_vectors(self._options.scenario.data, 1, self._options.seed))
        own = np.asarray(chunk[0])
        if await inventory.holds_other_vector(
            pool.ask, self._options.endpoint, f"{PREPARED_PREFIX}0", self._spaces[0], own
        ):
            raise UserError(f"{self._options.endpoint.url} holds the data set of another seed: start it afresh")

    async def _send(self, pool: Pool, batch: Batch) -> None:
        exchange = await pool.ask(batch.payload)
        self._sent += batch.memories
        if exchange.failed:
            self._note = self._note or f"{batch.name}: refused: {exchange.explain()}"
        else:
            self._acknowledged += batch.memories

    async def _watched(self, load: Coroutine[Any, Any, None], pool: Pool, began: float) -> None:
        looks: deque[Look] = deque(maxlen=RATE_WINDOW)
        task = asyncio.create_task(load)
        while not task.done():
            await asyncio.wait([task], timeout=LOOK_EVERY_S)
            looks.append(Look(time.monotonic() - began, self._acknowledged, await self._stored(pool)))
            self._report(looks[-1])
            if not task.done():
                self._note = self._note or why_stop(looks, self._wanted, self._options.time_limit_s)
            if self._note:
                task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _stored(self, pool: Pool) -> int | None:
        """Return the server's count; a server that is gone is a reason to stop, with what was loaded till then."""
        try:
            return await inventory.memories_stored(pool.ask, self._options.endpoint)
        except UserError as error:
            self._note = self._note or str(error)
            return None

    def _report(self, look: Look) -> None:
        self._progress.write(
            "prepare",
            elapsed_s=look.elapsed_s,
            total_s=None,
            offered_ops_s=None,
            operations=look.acknowledged,
            errors=0,
            wanted=self._wanted,
        )
