"""Engram as the driver sees it: its HTTP interface, and in bulk where a server of that interface takes that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import STORED_FROM, UNKNOWN, AnswerError, Complete, Loading, Search, Store, Traverse
from compbench.systems.engram import requests
from compbench.transport.http_pool import Endpoint, Pool

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Operation, Pairs, Shape, Vectors
    from compbench.transport.exchange import Exchange

T = TypeVar("T")

# Rows and edges of a request in bulk; some 3 and 1 MB.
_ROWS_AT_ONCE = 1024
_LOADS_IN_FLIGHT = 16
# A server may round a vector's numbers to 16 bits; another vector of the same cluster is further away than that.
_SAME_VECTOR_COSINE = 0.9999
_ID = re.compile(rf"({requests.PREPARED_PREFIX}|{requests.STORED_PREFIX})(\d{{1,12}})")


class LoadedRows(msgspec.Struct, frozen=True):
    """The memories that were loaded in bulk: `count` ids `prefix` + number, from `first` on, `step` apart."""

    prefix: str
    first: int
    step: int
    count: int


class Bulk(msgspec.Struct, frozen=True):
    """How a space takes bulk loads, and how far one has come; dimension and metric are fixed by its first vectors."""

    dimension: int | None = None
    metric: str | None = None
    rows: LoadedRows | None = None
    edges: int = 0


class _Health(msgspec.Struct):
    class Space(msgspec.Struct):
        memories: int

    spaces: list[Space]


class _Memory(msgspec.Struct):
    embedding: list[float] | None = None


class _Item(msgspec.Struct):
    id: str


class _Found(msgspec.Struct):
    vivid: list[_Item] = []
    associated: list[_Item] = []
    reconstructed: list[_Item] = []


class _Answer(msgspec.Struct):
    memories: _Found


class Client:
    """The client half of Engram and of the embedded server."""

    def __init__(self, own: Any, endpoint: str, shape: Shape) -> None:
        """Take no settings: none of Engram's concerns its clients."""
        del own
        self._endpoint, self._shape = Endpoint(endpoint), shape
        self._spaces = requests.space_names(shape.spaces)
        self._recall_ends = [requests.recall_end(self._endpoint, name) for name in self._spaces]
        self._recall_starts: list[bytes] = []
        # Chosen once: only searches by cosine have a threshold.
        self._recall = requests.recall_request if shape.metric == "cosine" else requests.unlimited_recall_request
        self._slots: list[bytes] = []
        self._loads_in_bulk = False

    def transport(self, size: int) -> Pool:
        """Return a pool of keep-alive connections."""
        return Pool(self._endpoint, size)

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each vector as a request has it, once."""
        self._recall_starts = [requests.recall_start(self._endpoint, vector) for vector in pool]
        self._slots = [requests.partial_slots(vector) for vector in pool] if completes else []

    def encode(self, operation: Operation) -> bytes:
        """Return the bytes of the request."""
        if isinstance(operation, Search):  # most are, and a match would take twice as long
            query, limit, threshold, space = operation
            return self._recall(self._recall_starts[query], threshold, limit, self._recall_ends[space])
        match operation:
            case Traverse(start_row, hops, limit):
                return requests.traversal_request(self._endpoint, start_row, hops, limit)
            case Complete(query, space):
                return requests.completion_request(self._endpoint, self._slots[query], self._spaces[space])
            case Store(number, space, vector):
                return requests.store_request(self._endpoint, number, vector, self._spaces[space])

    def ids(self, answer: bytes) -> list[int]:
        """Return the numbers of the memories that a recall's answer holds."""
        try:
            found = msgspec.json.decode(answer, type=_Answer).memories
        except msgspec.DecodeError as error:
            raise AnswerError(f"an answer has another shape than Engram's: {error}") from None
        return [_number(item.id) for item in (*found.vivid, *found.associated, *found.reconstructed)]

    async def count(self, ask: Ask) -> int | None:
        """Return the server's own count of its memories in all spaces, or None if it gives none."""
        exchange = await ask(self._endpoint.get(requests.HEALTH))
        if not exchange.is_answered:
            raise UserError(f"{self._endpoint.url}: no answer ({exchange.problem}): is the server running there?")
        health = _decoded(exchange, _Health)
        return sum(space.memories for space in health.spaces) if health else None

    async def follows_edges(self, ask: Ask) -> bool:
        """Try it: Engram's own answers such a recall with 400."""
        return (await ask(requests.traversal_request(self._endpoint, 0, 1, 1000))).ok

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Ask whether every space takes rows in bulk; if not, they are stored one by one."""
        states = [await self._bulk_of(ask, name) for name in self._spaces]
        told = [state for state in states if state is not None]
        self._loads_in_bulk = len(told) == len(states)
        if self._loads_in_bulk:
            there = [self._rows_there(space, state) for space, state in enumerate(told)]
            return Loading(there, _ROWS_AT_ONCE, in_flight=1)
        first = await self._first_missing(ask, count)
        there = [len(range(space, first, self._shape.spaces)) for space in range(self._shape.spaces)]
        return Loading(there, 1, _LOADS_IN_FLIGHT)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare directions: a server may keep nothing else."""
        exchange = await ask(self._one(number))
        memory = _decoded(exchange, _Memory) if exchange.ok else None
        if memory is None or memory.embedding is None:
            return False
        if len(memory.embedding) != len(vector):
            return True
        held = np.array(memory.embedding, np.float32)
        lengths = float(np.linalg.norm(held) * np.linalg.norm(vector))
        return float(held @ vector) < _SAME_VECTOR_COSINE * lengths

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        """Return the request for rows in bulk, or the one that stores a single row."""
        name = self._spaces[first % self._shape.spaces]
        if not self._loads_in_bulk:
            return requests.store_request(self._endpoint, first, rows[0], name)
        return requests.rows_request(self._endpoint, first, step, rows, name, self._shape.metric)

    def load_edges(self, pairs: Pairs) -> bytes:
        """Return the request for edges in bulk."""
        return requests.edges_request(self._endpoint, pairs)

    async def edges_held(self, ask: Ask) -> int | None:
        """Return the count of a server that takes bulk loads; Engram itself can't be given edges."""
        state = await self._bulk_of(ask, self._spaces[0])
        return state.edges if state else None

    async def build_index(self, ask: Ask) -> str:
        """Do nothing: acknowledged memories are indexed."""
        del ask
        return ""

    async def begin_measuring(self, ask: Ask) -> None:
        """Do nothing: nothing of how widely it searches can be set."""
        del ask

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Return that it does not tell."""
        del ask, query
        return IndexProof(said="it has no plan of a search, and no metric of its index")

    def floor(self) -> bytes:
        """Return a question for its health."""
        return self._endpoint.get(b"/health")

    async def remove(self, ask: Ask) -> str:
        """Do nothing: its data folder goes with the server."""
        del ask
        return ""

    def _rows_there(self, space: int, state: Bulk) -> int:
        held = state.dimension or self._shape.dimension, state.metric or self._shape.metric
        if held != (self._shape.dimension, self._shape.metric):
            raise UserError(
                f"{self._endpoint.url} holds vectors of {held[0]} dimensions, compared by {held[1]}: start it afresh"
            )
        rows = state.rows
        if rows is None:
            return 0
        if (rows.prefix, rows.first, rows.step) != (requests.PREPARED_PREFIX, space, self._shape.spaces):
            raise UserError(f"{self._endpoint.url} holds rows of another data set: start it afresh")
        return rows.count

    async def _first_missing(self, ask: Ask, count: int) -> int:
        """Return a number below which every memory is there; they were sent in order, with a few in flight."""
        if not await self.count(ask):
            return 0
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if (await ask(self._one(middle))).ok else (low, middle)
        return low if low == count else max(0, low - _LOADS_IN_FLIGHT)

    def _one(self, number: int) -> bytes:
        return requests.memory_request(self._endpoint, number, self._spaces[number % self._shape.spaces])

    async def _bulk_of(self, ask: Ask, space: str) -> Bulk | None:
        """Return how the space takes bulk loads, or None if this server has no such interface (Engram has none)."""
        exchange = await ask(requests.bulk_state_request(self._endpoint, space))
        return _decoded(exchange, Bulk) if exchange.ok else None


def _number(memory_id: str) -> int:
    match = _ID.fullmatch(memory_id)
    if match is None:
        return UNKNOWN
    return int(match[2]) + (STORED_FROM if match[1] == requests.STORED_PREFIX else 0)


def _decoded(exchange: Exchange, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(b"".join(exchange.body), type=kind)
    except msgspec.DecodeError:
        return None
