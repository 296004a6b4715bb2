"""Qdrant as the driver sees it: one collection of unnamed vectors, over REST."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from compbench.model.result import IndexProof
from compbench.systems.api import COLLECTION, NO_THRESHOLD, Loading
from compbench.systems.rest_client import RestClient, at
from compbench.systems.rival_client import failure_of, is_other, numbers_json

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Shape, Vectors
    from compbench.systems.qdrant.settings import QdrantSettings

_COLLECTION = f"/collections/{COLLECTION}".encode()
_POINTS = _COLLECTION + b"/points"
_DISTANCES = {"cosine": "Cosine", "dot": "Dot", "euclidean": "Euclid"}
# In JSON; a request may have 32 MB by default (max_request_size_mb).
_MOST_ROWS, _BYTES_A_NUMBER = 500, 12
_LOADS_IN_FLIGHT = 2
_IDS_AT_ONCE = 10_000
_POLL_S = 0.2
# Its optimizers begin within a second or so of what gives them work; after so long without a step they will not.
_STALLED_S = 60.0


class _Point(msgspec.Struct):
    id: int


class _Points(msgspec.Struct):
    points: list[_Point]


class _Found(msgspec.Struct):
    result: _Points


_ANSWERS = msgspec.json.Decoder(_Found)


class Client(RestClient):
    """The client half of Qdrant, whose ids are the numbers themselves."""

    name, title = "qdrant", "Qdrant"
    # The header of its API keys (qdrant.tech/documentation/guides/security).
    key_name = "api-key"
    unreadable = (msgspec.DecodeError,)
    _own: QdrantSettings

    def __init__(self, own: QdrantSettings, endpoint: str, shape: Shape) -> None:
        """Take the settings of Qdrant, which looks as widely as `ef_construct` says where a search says nothing."""
        super().__init__(own, endpoint, shape)
        self._effort = own.effort or own.ef_construct

    def search_start(self, vector: Vectors) -> bytes:
        """Return a search up to the limit."""
        return b'{"query":%b,"with_payload":false,"with_vector":false,"limit":' % numbers_json(vector)

    def search(self, start: Any, limit: int, threshold: float) -> bytes:
        """Return the request; one for more than it looks at would find less than it asks for."""
        end = b',"params":{"hnsw_ef":%d}}' % max(self._effort, limit)
        if threshold > 0:
            end = b',"score_threshold":%.9g%b' % (threshold, end)
        return self._endpoint.post(_POINTS + b"/query", b"%b%d%b" % (start, limit, end))

    def found(self, answer: bytes) -> list[int]:
        """Return the points that an answer holds."""
        return [point.id for point in _ANSWERS.decode(answer).result.points]

    async def count(self, ask: Ask) -> int | None:
        """Return its exact count; 0 if it has no such collection."""
        told = await self.answer_if_there(ask, self._endpoint.post(_POINTS + b"/count", b'{"exact":true}'))
        count = 0 if told is None else at(told, "result", "count")
        return count if isinstance(count, int) else None

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Make the collection, or look what it holds."""
        wanted, held = self._definition(), await self.answer_if_there(ask, self._endpoint.get(_COLLECTION))
        if held is None:
            await self.answer(ask, self._endpoint.request(b"PUT", _COLLECTION, orjson.dumps(wanted)))
        else:
            config = at(held, "result", "config")
            self.refuse_other(wanted["vectors"], at(config, "params", "vectors"))
            self.refuse_other(wanted["hnsw_config"], at(config, "hnsw_config"))
        there = await self._rows_there(ask, count)
        return Loading([there], self.rows_at_once(_MOST_ROWS, _BYTES_A_NUMBER), _LOADS_IN_FLIGHT)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare directions: by cosine it keeps nothing else."""
        body = b'{"ids":[%d],"with_payload":false,"with_vector":true}' % number
        held = at(await self.answer(ask, self._endpoint.post(_POINTS, body)), "result", 0, "vector")
        return held is not None and is_other(held, vector)

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        """Return the request, which is answered when a search sees the rows."""
        ids = list(range(first, first + step * len(rows), step))
        body = b'{"batch":{"ids":%b,"vectors":%b}}' % (orjson.dumps(ids), numbers_json(rows))
        return self._endpoint.request(b"PUT", _POINTS + b"?wait=true", body)

    async def build_index(self, ask: Ask) -> str:
        """Let every segment be indexed, however small, and give the collection back the threshold of its settings."""
        if _is_indexed(await self._info(ask)):
            return ""
        await self._set_threshold(ask, 1)
        if problem := await self._await_index(ask):
            return problem
        await self._set_threshold(ask, self._own.indexing_threshold)
        return await self._await_index(ask)

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Let its counters of each segment tell how a search was answered."""
        before = await self._searches(ask)
        answer = await self.answer(ask, self.search(self.search_start(query), 10, NO_THRESHOLD))
        after = await self._searches(ask)
        by_graph, by_scan = (now - then for now, then in zip(after, before, strict=True))
        info = await self._info(ask)
        indexed, points = at(info, "indexed_vectors_count"), at(info, "points_count")
        said = (
            f"a search went through the graph of {by_graph} segments and scanned {by_scan} (telemetry); {indexed} of"
            f" {points} vectors are indexed, status {at(info, 'status')}; it took {at(answer, 'time')} s by its clock"
        )
        if by_graph + by_scan == 0:
            return IndexProof(said=said)
        return IndexProof(is_used=by_graph > 0 and _is_indexed(info), said=said)

    def floor(self) -> bytes:
        """Return a question for its health."""
        return self._endpoint.get(b"/healthz")

    async def remove(self, ask: Ask) -> str:
        """Remove the collection."""
        return await failure_of(ask, self._endpoint.request(b"DELETE", _COLLECTION, b""))

    def _definition(self) -> dict[str, Any]:
        """Return the collection as it is made; 0 lets nothing be indexed while rows are loaded, as it recommends."""
        own, shape = self._own, self._shape
        return {
            "vectors": {"size": shape.dimension, "distance": _DISTANCES[shape.metric]},
            "hnsw_config": {
                "m": own.m,
                "ef_construct": own.ef_construct,
                "full_scan_threshold": own.full_scan_threshold,
            },
            "optimizers_config": {"indexing_threshold": 0},
        }

    async def _rows_there(self, ask: Ask, count: int) -> int:
        """Return how many of the first rows it has without a gap: it lists its points in the order of their ids."""
        if not await self.count(ask):
            return 0
        there = 0
        while there < count:
            body = b'{"limit":%d,"offset":%d,"with_payload":false,"with_vector":false}' % (_IDS_AT_ONCE, there)
            points = at(await self.answer(ask, self._endpoint.post(_POINTS + b"/scroll", body)), "result", "points")
            ids = [at(point, "id") for point in points or []]
            run = next((n for n, found in enumerate(ids) if found != there + n), len(ids))
            there += run
            if run < _IDS_AT_ONCE:
                break
        return min(there, count)

    async def _set_threshold(self, ask: Ask, kilobytes: int) -> None:
        body = orjson.dumps({"optimizers_config": {"indexing_threshold": kilobytes}})
        await self.answer(ask, self._endpoint.request(b"PATCH", _COLLECTION, body))

    async def _await_index(self, ask: Ask) -> str:
        """Wait until all points are indexed and no optimizer works; return why that does not come."""
        loop = asyncio.get_running_loop()
        last: Any = None
        since = loop.time()
        while not _is_indexed(info := await self._info(ask)):
            if at(info, "status") == "red":
                return f"its optimizer failed: {at(info, 'optimizer_status')}"
            now = at(info, "status"), at(info, "indexed_vectors_count")
            if now != last or now[0] == "yellow":
                last, since = now, loop.time()
            if loop.time() - since > _STALLED_S:
                return f"{now[1]} of {at(info, 'points_count')} vectors are indexed, and no more for {_STALLED_S:g} s"
            await asyncio.sleep(_POLL_S)
        return ""

    async def _info(self, ask: Ask) -> Any:
        return at(await self.answer(ask, self._endpoint.get(_COLLECTION)), "result")

    async def _searches(self, ask: Ask) -> tuple[int, int]:
        """Return how many searches of segments went through the graph so far, and how many scanned."""
        answer = await self.answer(ask, self._endpoint.get(b"/telemetry?details_level=10"))
        found = [0, 0]
        for collection in at(answer, "result", "collections", "collections") or []:
            shards = (at(collection, "shards") or []) if at(collection, "id") == COLLECTION else []
            segments = [segment for shard in shards for segment in at(shard, "local", "segments") or []]
            for searches in (each for segment in segments for each in at(segment, "vector_index_searches") or []):
                found[0] += at(searches, "unfiltered_hnsw", "count") or 0
                found[1] += at(searches, "unfiltered_plain", "count") or 0
        return found[0], found[1]


def _is_indexed(info: Any) -> bool:
    indexed, points = at(info, "indexed_vectors_count"), at(info, "points_count")
    return at(info, "status") == "green" and isinstance(indexed, int) and bool(points) and indexed >= points
