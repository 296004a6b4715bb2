"""What the driver's halves of rivals with a REST interface have in common: requests and answers in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from compbench.config.credentials import headers_of
from compbench.model.errors import UserError
from compbench.systems.api import COLLECTION
from compbench.systems.rival_client import RivalClient, numbers_json
from compbench.transport.http_pool import Endpoint, Pool

if TYPE_CHECKING:
    from compbench.config.system_tables import RivalSettings
    from compbench.systems.api import Ask, Call, Shape, Vectors
    from compbench.transport.exchange import Transport

# Half of the 32 MB that Qdrant takes by default (max_request_size_mb).
_MOST_LOAD_BYTES = 16_000_000
NOT_FOUND = "HTTP 404"


class RestClient(RivalClient):
    """The part of a client that is the same for those that are asked over HTTP with JSON.

    Attributes:
        key_name: the header of a key, as in the server half.
    """

    key_name = "Authorization"

    def __init__(self, own: RivalSettings, endpoint: str, shape: Shape) -> None:
        """Take where the server is asked, with headers of every request.

        Raises:
            UserError: it can't be asked at such an endpoint, or the data needs several memory spaces.
        """
        super().__init__(own, endpoint, shape)
        self._endpoint = Endpoint(endpoint, self.headers())

    def headers(self) -> dict[str, str]:
        """Return those of each request: a key, if there is one, or name and password."""
        return headers_of(self._credentials, self.key_name)

    def transport(self, size: int) -> Transport:
        """Return a pool of keep-alive connections."""
        return Pool(self._endpoint, size)

    def search_start(self, vector: Vectors) -> Any:
        """Return the vector in JSON."""
        return numbers_json(vector)

    def rows_at_once(self, most: int, bytes_a_number: int) -> int:
        """Return how many rows a request of a load brings: as many as a server takes, and no more than `most`."""
        return min(most, max(1, _MOST_LOAD_BYTES // (self._shape.dimension * bytes_a_number)))

    def refuse_other(self, wanted: Mapping[str, Any], held: Any) -> None:
        """Refuse a collection that was made with other values.

        Raises:
            UserError: with the first key whose value is another one.
        """
        for key, value in wanted.items():
            if (found := at(held, key)) != value:
                has = f"has a collection `{COLLECTION}` whose {key} is {found}, not {value}"
                raise UserError(f"{self._url} {has}: remove it, or start the server afresh")

    async def answer(self, ask: Ask, call: Call, what: str = "") -> Any:
        """Return what the answer's JSON says.

        Raises:
            UserError: there is no answer, or it reports a failure.
        """
        return decoded(self.body_of(await ask(call), what))

    async def answer_if_there(self, ask: Ask, call: Call) -> Any:
        """Return what the answer's JSON says, None if there is no such thing.

        Raises:
            UserError: there is no answer, it reports another failure, or says nothing.
        """
        exchange = await ask(call)
        if exchange.problem == NOT_FOUND:
            return None
        if (found := decoded(self.body_of(exchange))) is None:
            raise UserError(f"{self._url}: an answer is no JSON: is {self.title} running there?")
        return found


def decoded(answer: bytes) -> Any:
    """Return the JSON of an answer, None if it is none."""
    try:
        return orjson.loads(answer)
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
