"""What the driver's halves of vector servers with a REST interface have in common: requests and answers in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from compbench.model.errors import UserError
from compbench.systems.plain_client import PlainClient
from compbench.transport.http_pool import Endpoint, Pool

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Call, Shape, Vectors
    from compbench.transport.exchange import Exchange


class RestClient(PlainClient):
    """The part of a client that is the same for those that are asked over HTTP with JSON."""

    def __init__(self, endpoint: str, shape: Shape, headers: Mapping[str, str] | None = None) -> None:
        """Take where the server is asked, the data's shape, and headers of every request.

        Raises:
            UserError: it can't be asked at such an endpoint, or the data needs several spaces.
        """
        super().__init__(shape)
        self._endpoint = Endpoint(endpoint, headers)

    def transport(self, size: int) -> Pool:
        """Return a pool of keep-alive connections."""
        return Pool(self._endpoint, size)

    def search_start(self, vector: Vectors) -> Any:
        """Return the vector in JSON."""
        return numbers_json(vector)

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


def _is_index(key: str | int, items: list[Any]) -> bool:
    return isinstance(key, int) and -len(items) <= key < len(items)
