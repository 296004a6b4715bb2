"""Chroma as the driver sees it: one collection, which it names by an id of its own making."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import orjson

from compbench.machine.ask import AskError, ask
from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import COLLECTION, NO_THRESHOLD, UNKNOWN, Loading
from compbench.systems.rest_client import RestClient, at
from compbench.systems.rival_client import failure_of, is_other, numbers_json

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Vectors
    from compbench.systems.chroma.settings import ChromaSettings

_BASE = b"/api/v2/tenants/default_tenant/databases/default_database/collections"
_COLLECTION = b"%b/%b" % (_BASE, COLLECTION.encode())
_SPACES = {"cosine": "cosine", "dot": "ip", "euclidean": "l2"}
# It takes 5,461 at most (pre-flight-checks); in base64 a number has 5.4 bytes.
_MOST_ROWS, _BYTES_A_NUMBER = 1000, 6
_LOOK_UP_TIMEOUT_S = 10.0


class _Found(msgspec.Struct):
    ids: list[list[str]]


_ANSWERS = msgspec.json.Decoder(_Found)


class Client(RestClient):
    """The client half of Chroma, whose ids are the numbers as texts."""

    name, title = "chroma", "Chroma"
    unreadable = (msgspec.DecodeError, ValueError)
    _own: ChromaSettings
    # Of the collection, as soon as its id is known.
    _path = b""

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each search, once; each process of the driver has to learn the collection's id for itself."""
        if not self._path:
            self._learn(_looked_up(self._url.rstrip("/"), self.headers()))
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

    def found(self, answer: bytes) -> list[int]:
        """Return the numbers of the records that an answer holds."""
        (names,) = _ANSWERS.decode(answer).ids
        return [int(name) if name.isdecimal() else UNKNOWN for name in names]

    async def count(self, ask: Ask) -> int | None:
        """Return the count of the collection; 0 if there is none."""
        if not self._path and await self._collection(ask) is None:
            return 0
        count = await self.answer(ask, self._endpoint.get(self._path + b"/count"))
        return count if isinstance(count, int) else None

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Make the collection, or look what it holds: one request at a time was under way, so nothing is missing."""
        del count
        held = await self._collection(ask)
        if held is None:
            made = orjson.dumps({"name": COLLECTION, "configuration": {"hnsw": self._definition()}})
            self._learn(await self.answer(ask, self._endpoint.post(_BASE, made)))
        else:
            # What it does not tell, as the dimension before there are rows, can't be another.
            told = {"dimension": at(held, "dimension"), **(at(held, "configuration_json", "hnsw") or {})}
            wanted = {"dimension": self._shape.dimension, **self._definition()}
            self.refuse_other({key: value for key, value in wanted.items() if at(told, key) is not None}, told)
        return Loading([await self.count(ask) or 0], self.rows_at_once(_MOST_ROWS, _BYTES_A_NUMBER), in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare directions."""
        call = self._endpoint.post(self._path + b"/get", b'{"ids":["%d"],"include":["embeddings"]}' % number)
        held = at(await self.answer(ask, call), "embeddings", 0)
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
        self._path = b""
        return await failure_of(ask, self._endpoint.request(b"DELETE", _COLLECTION, b""))

    async def _collection(self, ask: Ask) -> Any:
        """Return what it says of the collection, None if there is none."""
        if (told := await self.answer_if_there(ask, self._endpoint.get(_COLLECTION))) is not None:
            self._learn(told)
        return told

    def _learn(self, collection: Any) -> None:
        name = at(collection, "id")
        if not isinstance(name, str):
            raise UserError(f"{self._url} has no collection `{COLLECTION}`: load the data first")
        self._path = b"%b/%b" % (_BASE, name.encode())

    def _definition(self) -> dict[str, Any]:
        own = self._own
        return {
            "space": _SPACES[self._shape.metric],
            "max_neighbors": own.max_neighbors,
            "ef_construction": own.ef_construction,
            "ef_search": own.ef_search,
        }


def _looked_up(url: str, headers: Mapping[str, str]) -> Any:
    """Return what a server says of the collection, asked outside of any event loop; None if it says nothing."""
    with contextlib.suppress(AskError, orjson.JSONDecodeError):
        return orjson.loads(ask(f"{url}{_COLLECTION.decode()}", _LOOK_UP_TIMEOUT_S, headers=headers).body)
    return None
