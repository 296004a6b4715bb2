"""What the driver's halves of vector servers with a REST interface have in common: one space, no edges, JSON answers.

A derived client says how rows, searches and counts are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from compbench.model.errors import UserError
from compbench.systems.api import Search, Store
from compbench.transport.http_pool import Endpoint, Pool

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Call, Operation, Pairs, Shape, Vectors
    from compbench.transport.exchange import Exchange

# A server keeps a vector by cosine as one of length 1; another vector of the same cluster is further away than that.
_SAME_VECTOR_COSINE = 0.9999


class RestClient:
    """The part of a client that is the same for them; `title` is the system's name for readers."""

    title = ""

    def __init__(self, endpoint: str, shape: Shape) -> None:
        """Take where the server is asked, and the data's shape.

        Raises:
            UserError: it can't be asked at such an endpoint, or the data needs several spaces.
        """
        if shape.spaces > 1:
            raise UserError(f"{self.title} has one space, the scenario wants {shape.spaces}: set spaces = 1 in it")
        self._endpoint, self._shape = Endpoint(endpoint), shape
        self._queries: list[Any] = []

    def transport(self, size: int) -> Pool:
        """Return a pool of keep-alive connections."""
        return Pool(self._endpoint, size)

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each vector as a request has it, once."""
        del completes
        self._queries = [self.search_start(vector) for vector in pool]

    def encode(self, operation: Operation) -> Call:
        """Return the bytes of the request."""
        if isinstance(operation, Search):
            return self.search(self._queries[operation.query], operation.limit, operation.threshold)
        if isinstance(operation, Store):
            return self.load(operation.number, 1, operation.vector[None])
        raise UserError(f"{self.title} can't do this: {type(operation).__name__}")

    def search_start(self, vector: Vectors) -> Any:
        """Return all of a search that its vector decides, as `search` takes it."""
        return numbers_json(vector)

    def search(self, start: Any, limit: int, threshold: float) -> Call:
        """Return the request for the nearest vectors."""
        raise NotImplementedError

    def load(self, first: int, step: int, rows: Vectors) -> Call:
        """Return the request that loads the rows `first`, `first + step` and so on."""
        raise NotImplementedError

    async def follows_edges(self, ask: Ask) -> bool:
        """Return that it does not."""
        del ask
        return False

    def load_edges(self, pairs: Pairs) -> Call:
        """Refuse: it takes none."""
        raise UserError(f"{self.title} takes no edges, such as {len(pairs)}")

    async def edges_held(self, ask: Ask) -> int | None:
        """Return that it takes none."""
        del ask
        return None

    async def begin_measuring(self, ask: Ask) -> None:
        """Do nothing: each search says how widely it looks."""
        del ask

    async def _answer(self, ask: Ask, call: Call) -> Any:
        """Return what the answer's JSON says.

        Raises:
            UserError: there is none, or it reports a failure.
        """
        exchange = await ask(call)
        if not exchange.ok:
            raise UserError(
                f"{self._endpoint.url}: {exchange.explain() or 'no answer'}: is {self.title} running there?"
            )
        return decoded(exchange)


def numbers_json(vectors: Vectors) -> bytes:
    """Return the shortest JSON that reads back as the same 32 bit floats."""
    return orjson.dumps(np.ascontiguousarray(vectors, np.float32), option=orjson.OPT_SERIALIZE_NUMPY)


def decoded(exchange: Exchange) -> Any:
    """Return the JSON of an answer, None if it is none."""
    try:
        return orjson.loads(b"".join(exchange.body))
    except orjson.JSONDecodeError:
        return None


def at(answer: Any, *keys: str | int) -> Any:
    """Return what stands in an answer under the keys, one within the other; None if one is missing."""
    for key in keys:
        is_there = key in answer if isinstance(answer, Mapping) else isinstance(answer, list) and _is_index(key, answer)
        if not is_there:
            return None
        answer = answer[key]
    return answer


def is_other(held: Any, vector: Vectors) -> bool:
    """Tell whether a vector that a server holds, a list of numbers, has another direction than this one."""
    try:
        found = np.asarray(held, np.float32)
    except (TypeError, ValueError):
        return True
    if found.shape != vector.shape:
        return True
    lengths = float(np.linalg.norm(found) * np.linalg.norm(vector))
    return float(found @ vector) < _SAME_VECTOR_COSINE * lengths


def _is_index(key: str | int, items: list[Any]) -> bool:
    return isinstance(key, int) and -len(items) <= key < len(items)
