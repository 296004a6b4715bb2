"""FalkorDB as the driver sees it: nodes with a number and a vector, edges between them, asked in Cypher over RESP."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import COLLECTION, Loading
from compbench.systems.resp_client import RespClient, reply_of
from compbench.systems.rival_client import failure_of, first_missing, numbers_json
from compbench.transport.resp_connection import command, reply_in

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Pairs, Vectors
    from compbench.systems.falkordb.settings import FalkorSettings
    from compbench.transport.exchange import Exchange

# Some 4 MB a request at 768 dimensions: vectors travel as text.
_ROWS_AT_ONCE = 500
_LOOK_EVERY_S = 0.1
_QUERIED = "CALL db.idx.vector.queryNodes('CbItem','v',$k,vecf32($v)) YIELD node, score"
_NEAREST = f" {_QUERIED} RETURN node.id".encode()
# Its score is the distance, 1 less the cosine.
_NEAR_ENOUGH = f" {_QUERIED} WHERE score<=$d RETURN node.id".encode()
_STORE = b" CREATE (:CbItem {id:$i,v:vecf32($v)})"
_LOAD = " UNWIND $rows AS row CREATE (:CbItem {id:row[0],v:vecf32(row[1])})"
_LINK = " UNWIND $pairs AS pair MATCH (a:CbItem {id:pair[0]}),(b:CbItem {id:pair[1]}) CREATE (a)-[:CB_EDGE]->(b)"
_INDEXES = (
    "CALL db.indexes() YIELD label, types, options, status WHERE label='CbItem'"
    " RETURN types.v, options.v.efRuntime, status"
)


class Client(RespClient):
    """The client half of FalkorDB."""

    name, title = "falkordb", "FalkorDB"
    has_edges = True
    # efRuntime's default (docs.falkordb.com/cypher/indexing/vector-index).
    default_effort = 10
    _own: FalkorSettings

    def search_start(self, vector: Vectors) -> bytes:
        """Return the vector as Cypher has it, which writes lists as JSON does."""
        return numbers_json(vector)

    def search(self, start: Any, limit: int, threshold: float) -> bytes:
        """Return the query."""
        if threshold <= 0:
            return _read(b"CYPHER k=%d v=%b%b" % (limit, start, _NEAREST))
        return _read(b"CYPHER k=%d d=%.6f v=%b%b" % (limit, 1 - threshold, start, _NEAR_ENOUGH))

    def stored(self, number: int, vector: Vectors) -> bytes:
        """Return the query that creates a node."""
        return _written(b"CYPHER i=%d v=%b%b" % (number, numbers_json(vector), _STORE))

    def walk(self, start: int, hops: int, limit: int) -> bytes:
        """Return the query."""
        return _read(b"CYPHER s=%d%b%d" % (start, _steps(hops), limit))

    def found(self, answer: bytes) -> list[int]:
        """Return the numbers of the nodes that were found."""
        return [int(number) for (number,) in reply_in(answer)[1]]

    async def count(self, ask: Ask) -> int | None:
        """Return how many nodes there are."""
        return await self._number(ask, "MATCH (n:CbItem) RETURN count(n)")

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Index the numbers, by which nodes are found again, and look which rows are there; they were sent in turn."""
        exchange = await ask(command("GRAPH.QUERY", COLLECTION, "CREATE INDEX FOR (n:CbItem) ON (n.id)"))
        if not exchange.ok and b"already indexed" not in b"".join(exchange.body):
            raise UserError(f"{self._url}: no index of the numbers: {exchange.explain()}")
        there = await first_missing(
            count, lambda row: self._number(ask, f"MATCH (n:CbItem {{id:{row}}}) RETURN count(n)")
        )
        return Loading([there], _ROWS_AT_ONCE, in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Let it tell the distance to the vector that it has."""
        text = f"CYPHER v={numbers_json(vector).decode()} MATCH (n:CbItem {{id:{number}}})"
        exchange = await ask(_read(f"{text} RETURN vec.euclideanDistance(n.v, vecf32($v))".encode()))
        if not exchange.ok:
            return True  # such as of another dimension
        rows = _rows(exchange)
        return bool(rows) and float(rows[0][0]) > 1e-6 * self._shape.dimension

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        """Return the command that creates a node for each row."""
        pairs = b",".join(b"[%d,%b]" % (first + i * step, numbers_json(row)) for i, row in enumerate(rows))
        return _written(b"CYPHER rows=[%b]%b" % (pairs, _LOAD.encode()))

    def load_edges(self, pairs: Pairs) -> bytes:
        """Return the command that creates an edge for each pair."""
        return _written(b"CYPHER pairs=%b%b" % (numbers_json(pairs, np.uint32), _LINK.encode()))

    async def edges_held(self, ask: Ask) -> int | None:
        """Return how many edges there are."""
        return await self._number(ask, "MATCH ()-[e:CB_EDGE]->() RETURN count(e)")

    async def build_index(self, ask: Ask) -> str:
        """Create the index over the vectors, and wait for it."""
        return "" if await self._indexed(ask) else await self._create(ask)

    async def begin_measuring(self, ask: Ask) -> None:
        """Build the index anew where it has another effort: that is fixed with it."""
        if await self._indexed(ask) == ["VECTOR", self._effort, "OPERATIONAL"]:
            return
        drop = command("GRAPH.QUERY", COLLECTION, "DROP VECTOR INDEX FOR (n:CbItem) ON (n.v)")
        if problem := await failure_of(ask, drop) or await self._create(ask):
            raise UserError(f"{self._url}: no index with efRuntime {self._effort}: {problem}")

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Let it tell the plan, and the state of the index that the plan's procedure searches; it has no other way."""
        text = f"CYPHER k=10 v={numbers_json(query).decode()}{_NEAREST.decode()}"
        exchange, indexed = await ask(command("GRAPH.EXPLAIN", COLLECTION, text)), await self._indexed(ask)
        if not exchange.ok:
            return IndexProof(said=f"GRAPH.EXPLAIN: {exchange.explain()}")
        plan = " < ".join(step.decode().strip() for step in reply_in(b"".join(exchange.body)))
        used = "ProcedureCall" in plan and indexed == ["VECTOR", self._effort, "OPERATIONAL"]
        return IndexProof(is_used=used, said=f"GRAPH.EXPLAIN: {plan}; db.indexes: {indexed}")

    def floor(self) -> bytes:
        """Return the smallest query."""
        return _read(b"RETURN 1")

    async def remove(self, ask: Ask) -> str:
        """Delete the graph."""
        return await failure_of(ask, command("GRAPH.DELETE", COLLECTION))

    async def _create(self, ask: Ask) -> str:
        own, kind = self._own, f"dimension:{self._shape.dimension}, similarityFunction:'{self._shape.metric}'"
        options = f"{{{kind}, M:{own.m}, efConstruction:{own.ef_construction}, efRuntime:{self._effort}}}"
        query = f"CREATE VECTOR INDEX FOR (n:CbItem) ON (n.v) OPTIONS {options}"
        if failure := await failure_of(ask, command("GRAPH.QUERY", COLLECTION, query)):
            return failure
        while (state := await self._indexed(ask)) and state[2] != "OPERATIONAL":
            await asyncio.sleep(_LOOK_EVERY_S)
        return "" if state else "db.indexes does not have it"

    async def _indexed(self, ask: Ask) -> list[Any]:
        """Return kind, effort and state of the index over the vectors; empty if there is none."""
        for types, effort, status in _rows(await ask(_read(_INDEXES.encode()))):
            if types is not None:
                return [types[0].decode() if isinstance(types, list) else _bare(types), effort, _bare(status)]
        return []

    async def _number(self, ask: Ask, query: str) -> int | None:
        """Return the one number that a query answers, 0 where there is no graph yet.

        Raises:
            UserError: there is no answer at all.
        """
        exchange = self.answered(await ask(_read(query.encode())))
        return int(_rows(exchange)[0][0]) if exchange.ok else 0


@cache
def _steps(hops: int) -> bytes:
    """Return the query for all that up to so many steps lead to, one pattern for each number of steps.

    A pattern of variable length (`*1..3`) left out some nodes of 7 in 100 walks in a graph of 10,000 nodes with
    four edges each (4.16.3); `algo.BFS` left out none, and took 1.7 ms in a graph of 100,000, where these take 0.3.
    """
    steps = ["()".join(["-[:CB_EDGE]->"] * number) for number in range(1, hops + 1)]
    found = " UNION ".join(f"MATCH (:CbItem {{id:$s}}){step}(b:CbItem) RETURN b.id AS id" for step in steps)
    return f" CALL {{ {found} }} WITH id WHERE id<>$s RETURN DISTINCT id LIMIT ".encode()


def _read(query: bytes) -> bytes:
    return b"*3\r\n$14\r\nGRAPH.RO_QUERY\r\n$9\r\ncompbench\r\n$%d\r\n%b\r\n" % (len(query), query)


def _written(query: bytes) -> bytes:
    return b"*3\r\n$11\r\nGRAPH.QUERY\r\n$9\r\ncompbench\r\n$%d\r\n%b\r\n" % (len(query), query)


def _rows(exchange: Exchange) -> list[Any]:
    """Return the rows of a result; none if the query failed."""
    reply = reply_of(exchange) or []
    return list(reply[1]) if len(reply) > 1 else []


def _bare(text: Any) -> str:
    """Return the bytes of a text, or of a list of one in text, `[VECTOR]`."""
    return text.decode().strip("[]") if isinstance(text, bytes) else str(text)
