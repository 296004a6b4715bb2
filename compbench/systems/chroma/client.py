"""Chroma as the driver sees it: one collection, which it names by an id of its own making."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import orjson

from compbench.config.credentials import credentials_in, headers_of
from compbench.machine.ask import AskError, ask
from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import NO_THRESHOLD, UNKNOWN, AnswerError, Loading
from compbench.systems.plain_client import is_other
from compbench.systems.rest_client import RestClient, at, decoded, numbers_json

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Shape, Vectors
    from compbench.systems.chroma.settings import ChromaSettings

_BASE = b"/api/v2/tenants/default_tenant/databases/default_database/collections"
_NAME = "compbench"
_SPACES = {"cosine": "cosine", "dot": "ip", "euclidean": "l2"}
# It takes 5,461 at most (pre-flight-checks); in base64 a number has 5.4 bytes.
_MOST_ROWS = 1000
_MOST_LOAD_BYTES = 16_000_000
_BYTES_A_NUMBER = 6
_LOOK_UP_TIMEOUT_S = 10.0


class _Found(msgspec.Struct):
    ids: list[list[str]]


_ANSWERS = msgspec.json.Decoder(_Found)


class Client(RestClient):
    """The client half of Chroma, whose ids are the numbers as texts."""

    title = "Chroma"

    def __init__(self, own: ChromaSettings, endpoint: str, shape: Shape) -> None:
        """Take the settings of Chroma."""
        self._headers = headers_of(credentials_in(own.chosen_mode, "chroma"))
        super().__init__(endpoint, shape, self._headers)
        self._own = own
        self._path = b""

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each search, once; each process of the driver has to learn the collection's id for itself."""
        if not self._path:
            self._learn(_looked_up(self._endpoint.url.rstrip("/"), self._headers))
        super().take_queries(pool, completes=completes)

    def search_start(self, vector: Vectors) -> bytes:
        """Return a search up to the limit."""
        return b'{"query_embeddings":[%b],"include":[],"n_results":' % numbers_json(vector)

    def search(self, start: Any, limit: int, threshold: float) -> bytes:
        """Return the request; a plain search wants no negative similarity, and who checks the answers sees one.

        Raises:
            UserError: it has a threshold.
        """
        if threshold > 0:
            raise UserError("Chroma's searches take no threshold")
        return self._endpoint.post(self._path + b"/query", b"%b%d}" % (start, limit))

    def ids(self, answer: bytes) -> list[int]:
        """Return the numbers of the records that an answer holds."""
        try:
            (found,) = _ANSWERS.decode(answer).ids
        except (msgspec.DecodeError, ValueError) as error:
            raise AnswerError(f"an answer has another shape than Chroma's: {error}") from None
        return [int(name) if name.isdecimal() else UNKNOWN for name in found]

    async def count(self, ask: Ask) -> int | None:
        """Return the count of the collection; 0 if there is none."""
        if not self._path and await self._collection(ask) is None:
            return 0
        count = await self._answer(ask, self._endpoint.get(self._path + b"/count"))
        return count if isinstance(count, int) else None

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Make the collection, or look what it holds: one request at a time was under way, so nothing is missing."""
        del count
        held = await self._collection(ask)
        if held is None:
            made = orjson.dumps({"name": _NAME, "configuration": {"hnsw": self._definition()}})
            self._learn(await self._answer(ask, self._endpoint.post(_BASE, made)))
        else:
            self._refuse_other(held)
        rows = min(_MOST_ROWS, max(1, _MOST_LOAD_BYTES // (self._shape.dimension * _BYTES_A_NUMBER)))
        return Loading([await self.count(ask) or 0], rows, in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare directions."""
        call = self._endpoint.post(self._path + b"/get", b'{"ids":["%d"],"include":["embeddings"]}' % number)
        held = at(await self._answer(ask, call), "embeddings", 0)
        return held is not None and is_other(held, vector)

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        """Return the request; it takes vectors as the base64 of their bytes, too, which costs least."""
        ids = [str(number) for number in range(first, first + step * len(rows), step)]
        texts = [base64.b64encode(row.tobytes()).decode() for row in np.ascontiguousarray(rows, "<f4")]
        return self._endpoint.post(self._path + b"/add", orjson.dumps({"ids": ids, "embeddings": texts}))

    async def build_index(self, ask: Ask) -> str:
        """Search once, which waits until the index has what its log has; without an answer, again."""
        ones = np.ones(self._shape.dimension, np.float32)
        while True:
            exchange = await ask(self.search(self.search_start(ones), 1, NO_THRESHOLD))
            if exchange.ok:
                return ""
            if exchange.is_answered or "no response" not in exchange.problem:
                return exchange.explain()

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Return that it does not tell."""
        del query
        hnsw = at(await self._collection(ask), "configuration_json", "hnsw")
        return IndexProof(said=f"it tells no plan of a search; its collection is defined as hnsw {hnsw}")

    def floor(self) -> bytes:
        """Return a question for its heartbeat."""
        return self._endpoint.get(b"/api/v2/heartbeat")

    async def remove(self, ask: Ask) -> str:
        """Remove the collection."""
        exchange = await ask(self._endpoint.request(b"DELETE", b"%b/%b" % (_BASE, _NAME.encode()), b""))
        self._path = b""
        return "" if exchange.ok else exchange.explain()

    async def _collection(self, ask: Ask) -> Any:
        """Return what it says of the collection, None if there is none."""
        exchange = await ask(self._endpoint.get(b"%b/%b" % (_BASE, _NAME.encode())))
        if exchange.problem == "HTTP 404":
            return None
        if not exchange.ok:
            raise UserError(f"{self._endpoint.url}: {exchange.explain()}: is Chroma running there?")
        self._learn(decoded(exchange))
        return decoded(exchange)

    def _learn(self, collection: Any) -> None:
        name = at(collection, "id")
        if not isinstance(name, str):
            raise UserError(f"{self._endpoint.url} has no collection `{_NAME}`: load the data first")
        self._path = b"%b/%b" % (_BASE, name.encode())

    def _definition(self) -> dict[str, Any]:
        own = self._own
        return {
            "space": _SPACES[self._shape.metric],
            "max_neighbors": own.max_neighbors,
            "ef_construction": own.ef_construction,
            "ef_search": own.ef_search,
        }

    def _refuse_other(self, held: Any) -> None:
        wanted: dict[str, Any] = {"dimension": self._shape.dimension, **self._definition()}
        for key, value in wanted.items():
            found = at(held, "dimension") if key == "dimension" else at(held, "configuration_json", "hnsw", key)
            if found not in (value, None):
                raise UserError(
                    f"{self._endpoint.url} has a collection `{_NAME}` whose {key} is {found}, not {value}: remove it,"
                    " or start the server afresh"
                )


def _looked_up(url: str, headers: Mapping[str, str]) -> Any:
    """Return what a server says of the collection, asked outside of any event loop; None if it says nothing."""
    with contextlib.suppress(AskError, orjson.JSONDecodeError):
        return orjson.loads(ask(f"{url}{_BASE.decode()}/{_NAME}", _LOOK_UP_TIMEOUT_S, headers=headers).body)
    return None
