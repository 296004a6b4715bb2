"""Weaviate as the driver sees it: rows and searches by gRPC, definitions and counts by REST."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import Loading
from compbench.systems.rest_client import RestClient, decoded
from compbench.systems.rival_client import failure_of, is_other
from compbench.systems.weaviate import requests
from compbench.systems.weaviate.channels import Channels
from compbench.systems.weaviate.counting import COUNT_QUESTION, count_of
from compbench.transport.grpc_calls import GrpcCall

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Vectors
    from compbench.systems.weaviate.settings import WeaviateSettings

_ROWS_AT_ONCE = 500
_DISTANCES = {"cosine": "cosine", "euclidean": "l2-squared", "dot": "dot"}
_CLASS = f"/v1/schema/{requests.COLLECTION}".encode()


class Client(RestClient):
    """The client half of Weaviate, which uses REST outside of the schedule alone."""

    name, title = "weaviate", "Weaviate"
    unreadable = (DecodeError,)
    # Its own choice: between 100 and 500, 8 times the limit.
    default_effort = -1
    _own: WeaviateSettings

    def transport(self, size: int) -> Channels:
        """Return a channel with so many calls in flight, and a connection for definitions."""
        return Channels(self._endpoint, self._own.grpc_port, size, self.headers())

    def search_start(self, vector: Vectors) -> bytes:
        """Return a search up to its limit."""
        return requests.near_start(vector)

    def search(self, start: Any, limit: int, threshold: float) -> GrpcCall:
        """Return the call."""
        end = requests.near_end(limit, threshold if threshold > 0 else None)
        return GrpcCall(requests.SEARCH, start + end)

    def found(self, answer: bytes) -> list[int]:
        """Return the numbers that a search has found."""
        return requests.found_numbers(answer)

    async def count(self, ask: Ask) -> int | None:
        """Return its own count of the objects; none without their class."""
        exchange = self.answered(await ask(self._endpoint.post(b"/v1/graphql", COUNT_QUESTION)))
        return count_of(b"".join(exchange.body)) if exchange.ok else 0

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Define the class if it is not there; rows are loaded in order, and a batch that was cut off once more."""
        if await self._definition(ask) is None:
            made = self._endpoint.post(b"/v1/schema", json.dumps(self._new_definition()).encode())
            await self.answer(ask, made, "POST /v1/schema")
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
            raise UserError(f"{self._url}: no class {requests.COLLECTION}: it has to be loaded first")
        config, effort = definition["vectorIndexConfig"], self._effort
        if config["ef"] == effort:
            return
        config["ef"] = effort
        changed = self._endpoint.request(b"PUT", _CLASS, json.dumps(definition).encode())
        await self.answer(ask, changed, "PUT of its class")

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
        return await failure_of(ask, self._endpoint.get(_CLASS).replace(b"GET", b"DELETE", 1))

    def _new_definition(self) -> dict[str, Any]:
        config = {
            "distance": _DISTANCES[self._shape.metric],
            "efConstruction": self._own.ef_construction,
            "maxConnections": self._own.m,
            "ef": self._effort,
        }
        index = {"vectorIndexType": "hnsw", "vectorIndexConfig": config}
        return {"class": requests.COLLECTION, "vectorizer": "none", "properties": [], **index}

    async def _definition(self, ask: Ask) -> Any:
        """Return the definition of its class, None if there is none."""
        exchange = self.answered(await ask(self._endpoint.get(_CLASS)))
        if not exchange.ok:
            return None
        if (found := decoded(b"".join(exchange.body))) is None:
            raise UserError(f"{self._url}: the definition of {requests.COLLECTION} is no JSON")
        return found
