"""What the server itself says that it holds, asked outside of any schedule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import numpy as np

from compbench.loadtest.workload.operations import MEMORIES, traversal_request
from compbench.loadtest.workload.vectors import Vector, directions
from compbench.model.errors import UserError
from compbench.transport.http_connection import Exchange
from compbench.transport.http_pool import Endpoint

T = TypeVar("T")
Ask = Callable[[bytes], Awaitable[Exchange]]

# A server may round a vector's numbers to 16 bits; another vector of the same cluster is further away than that.
SAME_VECTOR_COSINE = 0.9999


class LoadedRows(msgspec.Struct, frozen=True):
    """The memories that were loaded in bulk: `count` ids `prefix` + number, from `first` on, `step` apart."""

    prefix: str
    first: int
    step: int
    count: int

    @property
    def next_number(self) -> int:
        """Return the number of the row that has to come next."""
        return self.first + self.step * self.count


class Bulk(msgspec.Struct, frozen=True):
    """How a space takes bulk loads, and how far one has come."""

    dimension: int
    row_type: str
    limit_bytes: int
    rows: LoadedRows | None = None
    edges: int = 0


class _Health(msgspec.Struct):
    class Space(msgspec.Struct):
        memories: int

    spaces: list[Space]


class _Memory(msgspec.Struct):
    embedding: list[float] | None = None


async def memories_stored(ask: Ask, endpoint: Endpoint) -> int | None:
    """Return the server's own count of its memories in all spaces, or None if it gives none.

    Raises:
        UserError: there is no answer at all.
    """
    exchange = await ask(endpoint.get(b"/api/v1/system/health"))
    if not exchange.status:
        raise UserError(f"{endpoint.url}: no answer ({exchange.problem}): is the server running there?")
    health = _decoded(exchange, _Health)
    return sum(space.memories for space in health.spaces) if health else None


async def bulk_of(ask: Ask, endpoint: Endpoint, space: str) -> Bulk | None:
    """Return how the space takes bulk loads, or None if this server has no such interface (Engram has none)."""
    exchange = await ask(endpoint.get(MEMORIES + b"/bulk?space=" + space.encode()))
    return None if exchange.failed else _decoded(exchange, Bulk)


async def has_memory(ask: Ask, endpoint: Endpoint, memory_id: str, space: str) -> bool:
    """Tell whether the server knows a memory of that id."""
    return not (await ask(_one_memory(endpoint, memory_id, space))).failed


async def holds_other_vector(ask: Ask, endpoint: Endpoint, memory_id: str, space: str, vector: Vector) -> bool:
    """Tell whether the memory of that id is there with another vector than this one, shape (dimension,)."""
    exchange = await ask(_one_memory(endpoint, memory_id, space))
    memory = None if exchange.failed else _decoded(exchange, _Memory)
    if memory is None or memory.embedding is None:
        return False
    if len(memory.embedding) != len(vector):
        return True
    both = directions(np.array([memory.embedding, vector], np.float32))
    return float(both[0] @ both[1]) < SAME_VECTOR_COSINE


async def can_traverse(ask: Ask, endpoint: Endpoint) -> bool:
    """Tell whether the server follows edges; Engram's own answers such a recall with 400."""
    return not (await ask(traversal_request(endpoint, 0, 1))).failed


def _one_memory(endpoint: Endpoint, memory_id: str, space: str) -> bytes:
    return endpoint.get(b"%b/%b?space=%b" % (MEMORIES, memory_id.encode(), space.encode()))


def _decoded(exchange: Exchange, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(b"".join(exchange.body), type=kind)
    except msgspec.DecodeError:
        return None
