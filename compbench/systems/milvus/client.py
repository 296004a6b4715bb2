"""Milvus as the driver sees it: its gRPC interface, with bytes of searches made before."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import Loading
from compbench.systems.milvus import requests
from compbench.systems.milvus.requests import TYPES, call, on_collection
from compbench.systems.rival_client import RivalClient, failure_of, is_other
from compbench.transport.grpc_calls import GrpcCall, GrpcCalls, host_and_port

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Shape, Vectors
    from compbench.systems.milvus.settings import MilvusSettings

# Some 3 MB; a message of the log behind it has at most 5 (`pulsar.maxMessageSize`).
_ROWS_AT_ONCE = 1000
_METRICS = {"cosine": "COSINE", "euclidean": "L2", "dot": "IP"}
_POLL_S = 0.1
_BUILD_LIMIT_S = 3600.0
_FINISHED, _FAILED, _LOADED = 3, 4, 3


class Client(RivalClient):
    """The client half of Milvus."""

    name, title = "milvus", "Milvus"
    unreadable = (DecodeError,)
    # A choice of compbench's, since the vendor has no default for it; the frontier of a measurement is what sets it.
    default_effort = 64
    _own: MilvusSettings

    def __init__(self, own: MilvusSettings, endpoint: str, shape: Shape) -> None:
        """Refuse what is no address."""
        super().__init__(own, endpoint, shape)
        host_and_port(endpoint)
        self._metric = _METRICS[shape.metric]

    def transport(self, size: int) -> GrpcCalls:
        """Return a channel with so many calls in flight."""
        token = self._credentials
        said = token.api_key or (f"{token.user}:{token.password}" if token.user else "")
        # As its own client has it (pymilvus, client/utils.py).
        headers = {"authorization": base64.b64encode(said.encode()).decode()} if said else {}
        return GrpcCalls(self._url, size, requests.refusal, headers)

    def search_start(self, vector: Vectors) -> bytes:
        """Return a search up to its parameters."""
        return requests.search_start(vector)

    def search(self, start: Any, limit: int, threshold: float) -> GrpcCall:
        """Return the call."""
        end = requests.search_end(limit, self._effort, threshold if threshold > 0 else None, self._metric)
        return GrpcCall(requests.SEARCH, start + end)

    def found(self, answer: bytes) -> list[int]:
        """Return the numbers that a search has found."""
        return requests.found_ids(answer)

    async def count(self, ask: Ask) -> int | None:
        """Return its exact count where it is loaded; before that it does not say: rows wait to be flushed."""
        query = {"output_fields": ["count(*)"], "consistency_level": requests.STRONG}
        exchange = self.answered(await ask(on_collection("Query", "QueryRequest", **query)))
        if not exchange.ok:
            return None
        (field,) = TYPES["QueryResults"].FromString(b"".join(exchange.body)).fields_data
        return int(field.scalars.long_data.data[0])

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Make the collection, or flush the one that is there: only flushed rows can be counted before it is loaded."""
        del count
        has = await self._answer(ask, on_collection("HasCollection"), "BoolResponse")
        if not has.value:
            await self._answer(ask, requests.create_collection(self._shape.dimension), "BoolResponse")
            return Loading([0], _ROWS_AT_ONCE, in_flight=1)
        await self._flush(ask)
        return Loading([await self._flushed(ask)], _ROWS_AT_ONCE, in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare directions, where the collection is loaded so that it can be asked."""
        query = {"expr": f"{requests.ID_FIELD} == {number}", "output_fields": [requests.VECTOR_FIELD]}
        exchange = await ask(on_collection("Query", "QueryRequest", **query))
        fields = TYPES["QueryResults"].FromString(b"".join(exchange.body)).fields_data if exchange.ok else []
        for field in fields:
            held = np.frombuffer(field.vectors.float_vector.data, "<f4")
            if field.field_name == requests.VECTOR_FIELD and len(held):
                return is_other(held, vector)
        return False

    def load(self, first: int, step: int, rows: Vectors) -> GrpcCall:
        """Return the call that stores rows."""
        return requests.insert([first + step * i for i in range(len(rows))], rows)

    async def build_index(self, ask: Ask) -> str:
        """Flush, build, load, and wait for each; an index that is there is left as it is."""
        try:
            await self._flush(ask)
            if not (await ask(on_collection("DescribeIndex"))).ok:
                await self._answer(ask, self._index_definition(), "BoolResponse")
            await self._wait(ask, self._index_is_built, "the index")
            await self._answer(ask, on_collection("LoadCollection", "LoadCollectionRequest"), "BoolResponse")
            await self._wait(ask, self._is_loaded, "the loaded collection")
        except UserError as error:
            return str(error)
        return ""

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Tell from the loaded segments: each one that is sealed names its index."""
        del query
        told = await self._answer(
            ask, on_collection("GetQuerySegmentInfo", "SegmentInfoRequest"), "SegmentInfoResponse"
        )
        rows = sum(info.num_rows for info in told.infos)
        indexed = sum(info.num_rows for info in told.infos if info.index_name)
        return IndexProof(
            is_used=bool(rows) and indexed == rows,
            said=f"{indexed:,} of {rows:,} loaded rows are in segments with an HNSW index",
        )

    def floor(self) -> GrpcCall:
        """Return the question for its version."""
        return call("GetVersion", "Empty")

    async def remove(self, ask: Ask) -> str:
        """Drop the collection."""
        return await failure_of(ask, on_collection("DropCollection"))

    def _index_definition(self) -> GrpcCall:
        own = self._own
        params = f'{{"M":{own.m},"efConstruction":{own.ef_construction}}}'
        values = {"index_type": "HNSW", "metric_type": self._metric, "params": params}
        return on_collection(
            "CreateIndex", "CreateIndexRequest", field_name=requests.VECTOR_FIELD, extra_params=requests.pairs(values)
        )

    async def _flush(self, ask: Ask) -> None:
        """Write what was inserted to segments, and wait until that is done."""
        flush = call("Flush", "FlushRequest", collection_names=[requests.COLLECTION])
        said = await self._answer(ask, flush, "FlushResponse")
        segments = [number for entry in said.segments for number in entry.value.data]
        times = [entry.value for entry in said.times]
        asked = {"segmentIDs": segments, "flush_ts": times[0] if times else 0}
        state = on_collection("GetFlushState", "GetFlushStateRequest", **asked)

        async def is_flushed(ask: Ask) -> bool:
            return bool((await self._answer(ask, state, "BoolResponse")).value)

        await self._wait(ask, is_flushed, "the flush")

    async def _flushed(self, ask: Ask) -> int:
        told = await self._answer(ask, on_collection("GetCollectionStatistics"), "StatisticsResponse")
        return sum(int(pair.value) for pair in told.stats if pair.key == "row_count")

    async def _index_is_built(self, ask: Ask) -> bool:
        told = await self._answer(ask, on_collection("DescribeIndex"), "DescribeIndexResponse")
        if failed := [index.reason for index in told.index_descriptions if index.state == _FAILED]:
            raise UserError(f"{self._url}: the index was not built: {failed[0]}")
        return all(
            index.state == _FINISHED and index.indexed_rows == index.total_rows and not index.pending_index_rows
            for index in told.index_descriptions
        )

    async def _is_loaded(self, ask: Ask) -> bool:
        told = await self._answer(ask, on_collection("GetLoadState", "LoadState"), "GetLoadStateResponse")
        if told.state != _LOADED:
            return False
        return (await self.prove_index(ask, np.empty(0, np.float32))).is_used is True

    async def _wait(self, ask: Ask, is_done: Any, what: str) -> None:
        """Ask again and again.

        Raises:
            UserError: it took too long.
        """
        deadline = time.monotonic() + _BUILD_LIMIT_S
        while not await is_done(ask):
            if time.monotonic() > deadline:
                raise UserError(f"{self._url}: {what} was not there after {_BUILD_LIMIT_S:.0f} s")
            await asyncio.sleep(_POLL_S)

    async def _answer(self, ask: Ask, request: GrpcCall, kind: str) -> Any:
        """Return the message of a successful answer.

        Raises:
            UserError: there is none.
        """
        exchange = self.answered(await ask(request))
        if not exchange.ok:  # its problem has the reason, its body only once more, in bytes
            raise UserError(f"{self._url}: {request.method.rpartition('/')[2]}: {exchange.problem}")
        return TYPES[kind].FromString(b"".join(exchange.body))
