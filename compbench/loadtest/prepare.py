"""`prepare`: load a scenario's data set, watch whether the server takes it, and say early if it doesn't.

Rows that the server holds already are not sent again, so that an interrupted load is resumed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import Any, NamedTuple

from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.loadtest.progress import Progress
from compbench.loadtest.sizing import GIVEN_UP_FROM, Step, will_do
from compbench.loadtest.workload import batches
from compbench.loadtest.workload.edges import edge_chunks
from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.loadtest.workload.vectors import VectorSet
from compbench.loadtest.workload.workload import POOL_SIZE
from compbench.model.errors import UserError
from compbench.model.result import IndexProof, Prepared
from compbench.model.scenario import Scenario
from compbench.model.sizes import round_numbers
from compbench.systems.api import Call, Client, Loading
from compbench.systems.clients import ServerAddress, open_client
from compbench.transport.exchange import Transport

# More requests than this no system gets at once.
IN_FLIGHT_LIMIT = 16
LOOK_EVERY_S = 1.0
# The rate is that of the last few states: an insert that grows slower with every memory must be seen.
RATE_WINDOW = 6
RATE_AFTER_S = 5.0
# A server that has kept less than half of so many acknowledged memories drops or merges them.
STORED_AFTER = 200
STORED_SHARE = 0.5
# A count may be a scan of all rows: next to a load it takes no more than this share of the time.
COUNTING_SHARE = 0.01


class PrepareOptions(NamedTuple):
    """What the command line asks of `prepare`.

    Attributes:
        scenario: whose data set is loaded.
        seed: of the data set.
        address: of the server.
        memories: how many rows are loaded, at most if `fit` is set.
        time_limit_s: how long that may take.
        fit: load as many as the time allows.
        with_edges: load the scenario's edges too.
    """

    scenario: Scenario
    seed: int
    address: ServerAddress
    memories: int
    time_limit_s: float
    fit: bool = False
    with_edges: bool = True


class LoadState(NamedTuple):
    """The state of a load at one moment; `acknowledged` includes the memories that were there before."""

    elapsed_s: float
    acknowledged: int
    stored: int | None


def load_data(options: PrepareOptions, progress: Progress) -> Prepared:
    """Load the data set's first rows; stop early where that can't succeed.

    Raises:
        UserError: the server can't be reached, or holds another data set.
    """
    rows = open_vectors(options.scenario, options.seed)
    client = open_client(options.address, shape_of(options.scenario, rows))
    return run_in_precise_loop(_Loading(options, rows, client, progress).run())


def why_useless(state: LoadState) -> str:
    """Say why the load can't succeed, however long it takes; empty to go on."""
    stored = state.acknowledged if state.stored is None else state.stored
    if state.acknowledged >= STORED_AFTER and stored < STORED_SHARE * state.acknowledged:
        return _not_kept(stored, state.acknowledged)
    return ""


def why_too_slow(states: deque[LoadState], wanted: int, limit_s: float) -> str:
    """Say why the load won't end in time, judging by the last states (oldest first); empty to go on."""
    first, last = states[0], states[-1]
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


def _too_many(stored: int, wanted: int) -> str:
    return f"the server holds {stored} memories, of which only {wanted} belong to the data set: start it afresh"


def _of_each_space(rows: int, spaces: int) -> list[int]:
    """Return how many of the first rows lie in each space."""
    return [len(range(space, rows, spaces)) for space in range(spaces)]


class _Batch(NamedTuple):
    """One request of a load, the number of memories in it, and its name in messages."""

    call: Call
    memories: int
    name: str


class _Counting:
    """Asks a server now and then how many rows it has, beside a load that does not wait for the answer.

    Nothing depends on an answer that is late or fails: a server that is dead shows by the load itself.

    Attributes:
        is_held: no question is asked now, since the server builds an index.
    """

    def __init__(self, client: Client) -> None:
        self._client, self.is_held = client, False
        self._question: asyncio.Task[int | None] | None = None
        self._asked, self._next_at_s = LoadState(0, 0, None), 0.0

    def newest(self, transport: Transport, state: LoadState) -> LoadState | None:
        """Return an answer that has come, with the state in which it was asked for; ask again when it is time to."""
        answered = None
        if self._question is not None and self._question.done():
            answered, self._question = self._asked._replace(stored=self._question.result()), None
        if self._question is None and not self.is_held and time.monotonic() >= self._next_at_s:
            self._asked, self._question = state, asyncio.create_task(self._ask(transport))
        return answered

    def end(self) -> None:
        """Wait for no answer any more."""
        if self._question is not None:
            self._question.cancel()

    async def _ask(self, transport: Transport) -> int | None:
        began_s = time.monotonic()
        try:
            return await self._client.count(transport.ask)
        except UserError:
            return None
        finally:
            ended_s = time.monotonic()
            self._next_at_s = ended_s + (ended_s - began_s) / COUNTING_SHARE


class _Loading:
    """Keeps requests in flight until all are acknowledged, or there is a reason to stop."""

    def __init__(self, options: PrepareOptions, vectors: VectorSet, client: Client, progress: Progress) -> None:
        self._options, self._vectors, self._client, self._progress = options, vectors, client, progress
        self._wanted = options.memories
        self._found = self._acknowledged = self._sent = self._fits = 0
        self._note, self._out_of_time = "", False
        self._began_s = time.monotonic()
        self._index_s = 0.0
        self._states: deque[LoadState] = deque(maxlen=RATE_WINDOW)
        self._counting = _Counting(client)

    async def run(self) -> Prepared:
        # One more for the questions about its count.
        transport = self._client.transport(IN_FLIGHT_LIMIT + 1)
        await transport.open()
        self._began_s = time.monotonic()
        loading = await self._client.begin_loading(transport.ask, self._wanted)
        await self._watched(self._load(transport, loading), transport)
        elapsed_s = self._elapsed_s()
        stored = await self._stored(transport)
        edges = await self._client.edges_held(transport.ask)
        if not self._note and stored is not None and stored != self._wanted:
            self._note = _not_kept(stored, self._wanted) if stored < self._wanted else _too_many(stored, self._wanted)
        proof = None if self._note else await self._proof(transport)
        transport.close()
        return Prepared(
            wanted=self._wanted,
            sent=self._sent,
            found=self._found,
            stored=stored,
            edges=edges,
            method="one by one" if loading.rows_at_once == 1 else "bulk",
            elapsed_s=round(elapsed_s, 3),
            complete=not self._note,
            fits=self._fits,
            out_of_time=self._out_of_time,
            index_s=round(self._index_s, 3),
            index_proof=proof,
            note=self._note,
        )

    async def _load(self, transport: Transport, loading: Loading) -> None:
        """Send the missing rows, then the missing edges, and have them indexed."""
        await self._begin_after(transport, min(sum(loading.there), self._wanted))
        if self._options.fit:
            await self._send_what_fits(transport, loading)
        else:
            await self._send_all(transport, self._rows(loading), loading.in_flight)
        if self._options.with_edges and self._options.scenario.graph is not None and not self._note:
            await self._load_edges(transport)
        if not self._note:
            await self._build_index(transport)

    async def _build_index(self, transport: Transport) -> None:
        began_s = time.monotonic()
        self._counting.is_held = True
        problem = await self._client.build_index(transport.ask)
        self._counting.is_held = False
        self._index_s += time.monotonic() - began_s
        if problem:
            self._note = f"not indexed: {problem}"

    async def _proof(self, transport: Transport) -> IndexProof:
        """Ask whether the index answers one of the searches; a system that can't be asked has not told."""
        query = self._vectors.queries(POOL_SIZE, self._wanted)[0]
        try:
            return await self._client.prove_index(transport.ask, query)
        except UserError as error:
            return IndexProof(said=str(error))

    async def _send_what_fits(self, transport: Transport, loading: Loading) -> None:
        """Go on from one round number to the next while the time will do; the last one is what was wanted.

        The index belongs to each step: rows that can't be searched yet are not loaded.
        """
        steps: list[Step] = []
        for number in round_numbers(self._options.memories):
            if not will_do(steps, number, self._options.time_limit_s):
                break
            self._wanted = number
            self._states.clear()  # the time that an index took is no rate of loading
            await self._send_all(transport, self._rows(loading), loading.in_flight)
            if not self._note:
                await self._build_index(transport)
            if self._note:
                return
            self._fits = number
            steps.append(Step(number, self._elapsed_s()))
            loading = loading._replace(there=_of_each_space(number, len(loading.there)))
        self._wanted = self._fits

    async def _begin_after(self, transport: Transport, found: int) -> None:
        """Skip the rows that the server has already, if they are of this data set."""
        self._found = self._acknowledged = found
        if not found:
            return
        if await self._client.holds_other(transport.ask, 0, self._vectors.rows(0)[0]):
            raise UserError(f"{self._options.address.endpoint} holds the data set of another seed: start it afresh")

    async def _load_edges(self, transport: Transport) -> None:
        expected = self._edges_expected()
        held = await self._client.edges_held(transport.ask)
        if held is None or held == expected:
            return
        await self._send_all(transport, self._edges(), 1)
        if not self._note and (held := await self._client.edges_held(transport.ask)) != expected:
            self._note = f"the server has {held} of {expected} edges"

    def _rows(self, loading: Loading) -> Iterator[_Batch]:
        spaces = self._options.scenario.data.memory_spaces
        for first, step, rows in batches.row_batches(self._vectors, spaces, loading, self._wanted):
            name = f"row {first}" if len(rows) == 1 else f"the rows from {first} on"
            yield _Batch(self._client.load(first, step, rows), len(rows), name)

    def _edges(self) -> Iterator[_Batch]:
        for pairs in batches.edge_batches(self._options.scenario, self._options.seed, self._wanted):
            yield _Batch(self._client.load_edges(pairs), 0, "edges")

    def _edges_expected(self) -> int:
        graph = self._options.scenario.graph
        return sum(len(c) for c in edge_chunks(self._wanted, graph.average_degree, self._options.seed)) if graph else 0

    async def _send_all(self, transport: Transport, source: Iterator[_Batch], in_flight: int) -> None:
        if in_flight == 1:
            await self._send_in_turn(transport, source)
            return

        async def send_some() -> None:
            while not self._note and (batch := next(source, None)) is not None:
                await self._send(transport, batch)

        await asyncio.gather(*(send_some() for _ in range(min(in_flight, IN_FLIGHT_LIMIT))))

    async def _send_in_turn(self, transport: Transport, source: Iterator[_Batch]) -> None:
        """Send one at a time, the next one being made in a thread meanwhile."""
        batch = await asyncio.to_thread(next, source, None)
        while batch is not None and not self._note:
            following = asyncio.create_task(asyncio.to_thread(next, source, None))
            await self._send(transport, batch)
            batch = await following

    async def _send(self, transport: Transport, batch: _Batch) -> None:
        exchange = await transport.ask(batch.call)
        self._sent += batch.memories
        if exchange.ok:
            self._acknowledged += batch.memories
        else:
            self._note = self._note or f"{batch.name}: refused: {exchange.explain()}"

    async def _watched(self, load: Coroutine[Any, Any, None], transport: Transport) -> None:
        limit_s = self._options.time_limit_s * (GIVEN_UP_FROM if self._options.fit else 1)
        states = self._states
        task = asyncio.create_task(load)
        while not task.done():
            await asyncio.wait([task], timeout=LOOK_EVERY_S)
            states.append(LoadState(self._elapsed_s(), self._acknowledged, None))
            self._report(states[-1])
            if not task.done() and (counted := self._counting.newest(transport, states[-1])) is not None:
                self._note = self._note or why_useless(counted)
            if not task.done() and not self._note:
                self._note = why_too_slow(states, self._wanted, limit_s)
                self._out_of_time = bool(self._note)
            if self._note:
                task.cancel()
        self._counting.end()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _stored(self, transport: Transport) -> int | None:
        """Return the server's count after loading; a server that does not answer has not told that it has all."""
        try:
            return await self._client.count(transport.ask)
        except UserError as error:
            self._note = self._note or str(error)
            return None

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _report(self, state: LoadState) -> None:
        self._progress.write(
            "prepare",
            elapsed_s=state.elapsed_s,
            total_s=None,
            offered_ops_s=None,
            operations=state.acknowledged,
            errors=0,
            wanted=self._wanted,
            sent=self._sent,  # only after the server's data was found to be nobody else's
        )
