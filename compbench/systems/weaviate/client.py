"""Weaviate as the driver sees it: rows and searches by gRPC, definitions and counts by REST."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from compbench.config.credentials import credentials_in, headers_of
from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import AnswerError, Loading
from compbench.systems.plain_client import PlainClient, is_other
from compbench.systems.weaviate import requests
from compbench.systems.weaviate.channels import Channels
from compbench.systems.weaviate.counting import COUNT_QUESTION, count_of
from compbench.transport.grpc_calls import GrpcCall
from compbench.transport.http_pool import Endpoint

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Shape, Vectors
    from compbench.systems.weaviate.settings import WeaviateSettings

_ROWS_AT_ONCE = 500
_DISTANCES = {"cosine": "cosine", "euclidean": "l2-squared", "dot": "dot"}
_CLASS = f"/v1/schema/{requests.COLLECTION}"
# Of the vendor: between 100 and 500, 8 times the limit.
_DYNAMIC = -1


class Client(PlainClient):
    """The client half of Weaviate."""

    title = "Weaviate"

    def __init__(self, own: WeaviateSettings, endpoint: str, shape: Shape) -> None:
        """Take index definition and effort from the settings.

        Raises:
            UserError: it can't be asked there, or not with several spaces.
        """
        super().__init__(shape)
        self._headers = headers_of(credentials_in(own.chosen_mode, "weaviate"))
        self._own, self._endpoint = own, Endpoint(endpoint, self._headers)
        self._ends: dict[tuple[int, float], bytes] = {}

    def transport(self, size: int) -> Channels:
        """Return a channel with so many calls in flight, and a connection for definitions."""
        return Channels(self._endpoint, self._own.grpc_port, size, self._headers)

    def search_start(self, vector: Vectors) -> bytes:
        """Return a search up to its limit."""
        return requests.near_start(vector)

    def search(self, start: Any, limit: int, threshold: float) -> GrpcCall:
        """Return the call, whose end is the same for all of a limit and threshold."""
        end = self._ends.get((limit, threshold))
        if end is None:
            end = requests.near_end(limit, None if threshold <= 0 else threshold)
            self._ends[limit, threshold] = end
        return GrpcCall(requests.SEARCH, start + end)

    def ids(self, answer: bytes) -> list[int]:
        """Return the numbers that a search has found."""
        try:
            return requests.found_numbers(answer)
        except DecodeError as error:
            raise AnswerError(f"an answer has another shape than Weaviate's: {error}") from None

    async def count(self, ask: Ask) -> int | None:
        """Return its own count of the objects; none without their class."""
        exchange = await ask(self._endpoint.post(b"/v1/graphql", COUNT_QUESTION))
        if not exchange.is_answered:
            raise UserError(f"{self._endpoint.url}: no answer ({exchange.problem}): is the server running there?")
        return count_of(b"".join(exchange.body)) if exchange.ok else 0

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Define the class if it is not there; rows are loaded in order, and a batch that was cut off once more."""
        if await self._definition(ask) is None:
            exchange = await ask(self._post("/v1/schema", self._new_definition()))
            if not exchange.ok:
                raise UserError(f"{self._endpoint.url}: POST /v1/schema: {exchange.explain()}")
        held = await self.count(ask) or 0
        return Loading([held if held >= count else held - held % _ROWS_AT_ONCE], _ROWS_AT_ONCE, in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare directions: it keeps vectors that are compared by cosine at length one."""
        target = f"/v1/objects/{requests.COLLECTION}/{requests.row_id(number)}?include=vector"
        exchange = await ask(self._endpoint.get(target.encode()))
        if not exchange.ok:
            return False
        return is_other(json.loads(b"".join(exchange.body))["vector"], vector)

    def load(self, first: int, step: int, rows: Vectors) -> GrpcCall:
        """Return the call that stores rows."""
        return requests.batch(range(first, first + step * len(rows), step), rows)

    async def build_index(self, ask: Ask) -> str:
        """Do nothing: an acknowledged row is in the index (ASYNC_INDEXING is off by default)."""
        del ask
        return ""

    async def begin_measuring(self, ask: Ask) -> None:
        """Set `ef` of the index; a search can't bring it."""
        definition = await self._definition(ask)
        if definition is None:
            raise UserError(f"{self._endpoint.url}: no class {requests.COLLECTION}: it has to be loaded first")
        config, effort = definition["vectorIndexConfig"], self._own.effort or _DYNAMIC
        if config["ef"] == effort:
            return
        config["ef"] = effort
        exchange = await ask(self._put(definition))
        if not exchange.ok:
            raise UserError(f"{self._endpoint.url}: PUT {_CLASS}: {exchange.explain()}")

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Tell from the definition and the shards' state: it has no plan of a search."""
        del query
        definition = await self._definition(ask) or {}
        exchange = await ask(self._endpoint.get(b"/v1/nodes?output=verbose"))
        if not definition or not exchange.ok:
            return IndexProof(said=f"it does not tell: {exchange.problem or 'no class'}")
        shards = [shard for node in json.loads(b"".join(exchange.body))["nodes"] for shard in node["shards"] or []]
        shards = [shard for shard in shards if shard["class"] == requests.COLLECTION]
        states = sorted({shard["vectorIndexingStatus"] for shard in shards})
        waiting = sum(shard["vectorQueueLength"] for shard in shards)
        kind, skipped = definition["vectorIndexType"], definition["vectorIndexConfig"]["skip"]
        return IndexProof(
            is_used=kind == "hnsw" and not skipped and states == ["READY"] and not waiting,
            said=f"vectorIndexType {kind}, state {', '.join(states)}, {waiting} vectors waiting for the index",
        )

    def floor(self) -> GrpcCall:
        """Return gRPC's question for health."""
        return GrpcCall(requests.HEALTH, b"")

    async def remove(self, ask: Ask) -> str:
        """Delete the class with its objects."""
        exchange = await ask(self._endpoint.get(_CLASS.encode()).replace(b"GET", b"DELETE", 1))
        return "" if exchange.ok else exchange.explain()

    def _new_definition(self) -> dict[str, Any]:
        config = {
            "distance": _DISTANCES[self._shape.metric],
            "efConstruction": self._own.ef_construction,
            "maxConnections": self._own.m,
            "ef": self._own.effort or _DYNAMIC,
        }
        index = {"vectorIndexType": "hnsw", "vectorIndexConfig": config}
        return {"class": requests.COLLECTION, "vectorizer": "none", "properties": [], **index}

    async def _definition(self, ask: Ask) -> dict[str, Any] | None:
        exchange = await ask(self._endpoint.get(_CLASS.encode()))
        if not exchange.is_answered:
            raise UserError(f"{self._endpoint.url}: no answer ({exchange.problem}): is the server running there?")
        found: dict[str, Any] = json.loads(b"".join(exchange.body)) if exchange.ok else {}
        return found or None

    def _post(self, target: str, body: dict[str, Any]) -> bytes:
        return self._endpoint.post(target.encode(), json.dumps(body).encode())

    def _put(self, definition: dict[str, Any]) -> bytes:
        return self._post(_CLASS, definition).replace(b"POST", b"PUT", 1)
