"""The flat server as the driver sees it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import AnswerError, Loading, Search, Store

from .frames import Frames

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Operation, Pairs, Shape, Vectors

    from .settings import FlatSettings


class Client:
    """The client half of the flat server, whose ids are the numbers themselves."""

    def __init__(self, own: FlatSettings, endpoint: str, shape: Shape) -> None:
        scheme, _, address = endpoint.partition("://")
        host, _, port = address.partition(":")
        if scheme != "flat" or not port.isdecimal():
            raise UserError(f"--endpoint {endpoint!r}: expected flat://host:port")
        if own.effort and own.effort > own.most_effort:
            raise UserError(f"the flat server takes an effort of {own.most_effort} at most")
        if shape.spaces > 1:
            raise UserError("the flat server has one space only")
        self._own, self._endpoint, self._address = own, endpoint, (host, int(port))
        self._queries: list[bytes] = []

    def transport(self, size: int) -> Frames:
        return Frames(self._address, size)

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        del completes
        self._queries = [vector.astype("<f4").tobytes() for vector in pool]

    def encode(self, operation: Operation) -> bytes:
        match operation:
            case Search(query, limit, threshold):
                effort = max(limit, self._own.effort) if self._own.effort else 0
                return b"S" + struct.pack("<IfI", limit, threshold, effort) + self._queries[query]
            case Store(number, _, vector):
                return self.load(number, 1, vector[None])
        raise UserError(f"the flat server can't do this: {type(operation).__name__}")

    def ids(self, answer: bytes) -> list[int]:
        if len(answer) % 8:
            raise AnswerError("an answer is no list of 64 bit numbers")
        return [int(number) for number in np.frombuffer(answer, "<u8")]

    async def count(self, ask: Ask) -> int | None:
        exchange = await ask(b"C")
        if not exchange.ok:
            raise UserError(f"{self._endpoint}: {exchange.explain()}")
        return int(struct.unpack("<Q", b"".join(exchange.body))[0])

    async def follows_edges(self, ask: Ask) -> bool:
        del ask
        return False

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        del count
        return Loading([await self.count(ask) or 0], self._own.rows_at_once, in_flight=2)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        exchange = await ask(b"G" + struct.pack("<Q", number))
        held = np.frombuffer(b"".join(exchange.body), "<f4") if exchange.ok else vector
        return held.shape != vector.shape or not np.allclose(held, vector / np.linalg.norm(vector), atol=1e-5)

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        return b"I" + struct.pack("<QQII", first, step, *rows.shape) + rows.astype("<f4").tobytes()

    def load_edges(self, pairs: Pairs) -> bytes:
        raise UserError(f"the flat server takes no edges, such as {len(pairs)}")

    async def edges_held(self, ask: Ask) -> int | None:
        del ask
        return None

    async def build_index(self, ask: Ask) -> str:
        exchange = await ask(b"B")
        return "" if exchange.ok else exchange.explain()

    async def begin_measuring(self, ask: Ask) -> None:
        del ask

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        del ask, query
        return IndexProof(is_used=False, said="it compares every vector")

    def floor(self) -> bytes:
        return b"C"

    async def remove(self, ask: Ask) -> str:
        del ask
        return ""
