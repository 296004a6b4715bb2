"""FalkorDB as the driver sees it: nodes with a number and a vector, edges between them, asked in Cypher over RESP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from compbench.config.credentials import credentials_in
from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import AnswerError, Loading, Search, Store, Traverse
from compbench.transport.resp_connection import NotRespError, command, reply_in
from compbench.transport.resp_pool import RespAddress, RespPool

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Operation, Pairs, Shape, Vectors
    from compbench.systems.falkordb.settings import FalkorSettings
    from compbench.transport.exchange import Exchange

_GRAPH = "compbench"
# Some 4 MB a request at 768 dimensions: vectors travel as text.
_ROWS_AT_ONCE = 500
# efRuntime's default (docs.falkordb.com/cypher/indexing/vector-index).
_DEFAULT_EFFORT = 10
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


class Client:
    """The client half of FalkorDB."""

    def __init__(self, own: FalkorSettings, endpoint: str, shape: Shape) -> None:
        """Take the index's definition, and where it is asked."""
        if shape.spaces > 1:
            raise UserError("system falkordb has one memory space only: set memory_spaces = 1 in the scenario")
        self._address = RespAddress(endpoint, credentials_in(own.chosen_mode, "falkordb"))
        self._own, self._shape = own, shape
        self._queries: list[bytes] = []
        self._walks: dict[int, bytes] = {}

    def transport(self, size: int) -> RespPool:
        """Return a pool of connections."""
        return RespPool(self._address, size)

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each vector as Cypher has it, once."""
        del completes
        self._queries = [_text(vector) for vector in pool]

    def encode(self, operation: Operation) -> bytes:
        """Return the command."""
        if isinstance(operation, Search):
            query, limit, threshold, _space = operation
            if threshold <= 0:
                return _read(b"CYPHER k=%d v=%b%b" % (limit, self._queries[query], _NEAREST))
            distance = 1 - threshold
            return _read(b"CYPHER k=%d d=%.6f v=%b%b" % (limit, distance, self._queries[query], _NEAR_ENOUGH))
        if isinstance(operation, Traverse):
            return _read(b"CYPHER s=%d%b%d" % (operation.start, self._walk(operation.hops), operation.limit))
        if isinstance(operation, Store):
            return _written(b"CYPHER i=%d v=%b%b" % (operation.number, _text(operation.vector), _STORE))
        raise UserError(f"system falkordb can't do this: {type(operation).__name__}")

    def ids(self, answer: bytes) -> list[int]:
        """Return the numbers of the nodes that were found."""
        try:
            reply = reply_in(answer)
            return [int(number) for (number,) in reply[1]]
        except (NotRespError, TypeError, ValueError, IndexError) as error:
            raise AnswerError(f"an answer is no list of rows with a number each: {error}") from None

    async def count(self, ask: Ask) -> int | None:
        """Return how many nodes there are."""
        return await self._number(ask, "MATCH (n:CbItem) RETURN count(n)")

    async def follows_edges(self, ask: Ask) -> bool:
        """Return that it does: that is what it is for."""
        del ask
        return True

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Index the numbers, by which nodes are found again, and look which rows are there; they were sent in turn."""
        exchange = await ask(command("GRAPH.QUERY", _GRAPH, "CREATE INDEX FOR (n:CbItem) ON (n.id)"))
        if not exchange.ok and b"already indexed" not in b"".join(exchange.body):
            raise UserError(f"{self._address.url}: no index of the numbers: {exchange.explain()}")
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            is_there = await self._number(ask, f"MATCH (n:CbItem {{id:{middle}}}) RETURN count(n)")
            low, high = (middle + 1, high) if is_there else (low, middle)
        return Loading([low], _ROWS_AT_ONCE, in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Let it tell the distance to the vector that it has."""
        text = f"CYPHER v={_text(vector).decode()} MATCH (n:CbItem {{id:{number}}})"
        exchange = await ask(_read(f"{text} RETURN vec.euclideanDistance(n.v, vecf32($v))".encode()))
        if not exchange.ok:
            return True  # such as of another dimension
        rows = _rows(exchange)
        return bool(rows) and float(rows[0][0]) > 1e-6 * self._shape.dimension

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        """Return the command that creates a node for each row."""
        pairs = b",".join(b"[%d,%b]" % (first + i * step, _text(row)) for i, row in enumerate(rows))
        return _written(b"CYPHER rows=[%b]%b" % (pairs, _LOAD.encode()))

    def load_edges(self, pairs: Pairs) -> bytes:
        """Return the command that creates an edge for each pair."""
        return _written(b"CYPHER pairs=%b%b" % (_text(pairs), _LINK.encode()))

    async def edges_held(self, ask: Ask) -> int | None:
        """Return how many edges there are."""
        return await self._number(ask, "MATCH ()-[e:CB_EDGE]->() RETURN count(e)")

    async def build_index(self, ask: Ask) -> str:
        """Create the index over the vectors, and wait for it."""
        return "" if await self._indexed(ask) else await self._create(ask)

    async def begin_measuring(self, ask: Ask) -> None:
        """Build the index anew where it has another effort: that is fixed with it."""
        if await self._indexed(ask) == ["VECTOR", self._effort(), "OPERATIONAL"]:
            return
        dropped = await ask(command("GRAPH.QUERY", _GRAPH, "DROP VECTOR INDEX FOR (n:CbItem) ON (n.v)"))
        problem = await self._create(ask) if dropped.ok else dropped.explain()
        if problem:
            raise UserError(f"{self._address.url}: no index with efRuntime {self._effort()}: {problem}")

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Let it tell the plan, and the state of the index that the plan's procedure searches; it has no other way."""
        text = f"CYPHER k=10 v={_text(query).decode()}{_NEAREST.decode()}"
        exchange, indexed = await ask(command("GRAPH.EXPLAIN", _GRAPH, text)), await self._indexed(ask)
        if not exchange.ok:
            return IndexProof(said=f"GRAPH.EXPLAIN: {exchange.explain()}")
        plan = " < ".join(step.decode().strip() for step in reply_in(b"".join(exchange.body)))
        used = "ProcedureCall" in plan and indexed == ["VECTOR", self._effort(), "OPERATIONAL"]
        return IndexProof(is_used=used, said=f"GRAPH.EXPLAIN: {plan}; db.indexes: {indexed}")

    def floor(self) -> bytes:
        """Return the smallest query."""
        return _read(b"RETURN 1")

    async def remove(self, ask: Ask) -> str:
        """Delete the graph."""
        exchange = await ask(command("GRAPH.DELETE", _GRAPH))
        return "" if exchange.ok else exchange.explain()

    def _walk(self, hops: int) -> bytes:
        """Return the query for all that up to so many steps lead to, one pattern for each number of steps.

        A pattern of variable length (`*1..3`) left out some nodes of 7 in 100 walks in a graph of 10,000 nodes with
        four edges each (4.16.3); `algo.BFS` left out none, and took 1.7 ms in a graph of 100,000, where these take 0.3.
        """
        if hops not in self._walks:
            steps = ["()".join(["-[:CB_EDGE]->"] * number) for number in range(1, hops + 1)]
            found = " UNION ".join(f"MATCH (:CbItem {{id:$s}}){step}(b:CbItem) RETURN b.id AS id" for step in steps)
            self._walks[hops] = f" CALL {{ {found} }} WITH id WHERE id<>$s RETURN DISTINCT id LIMIT ".encode()
        return self._walks[hops]

    def _effort(self) -> int:
        return self._own.effort or _DEFAULT_EFFORT

    async def _create(self, ask: Ask) -> str:
        own, kind = self._own, f"dimension:{self._shape.dimension}, similarityFunction:'{self._shape.metric}'"
        options = f"{{{kind}, M:{own.m}, efConstruction:{own.ef_construction}, efRuntime:{self._effort()}}}"
        query = f"CREATE VECTOR INDEX FOR (n:CbItem) ON (n.v) OPTIONS {options}"
        made = await ask(command("GRAPH.QUERY", _GRAPH, query))
        if not made.ok:
            return made.explain()
        while (state := await self._indexed(ask)) and state[2] != "OPERATIONAL":
            await asyncio.sleep(_LOOK_EVERY_S)
        return "" if state else "db.indexes does not have it"

    async def _indexed(self, ask: Ask) -> list[Any]:
        """Return kind, effort and state of the index over the vectors; empty if there is none."""
        exchange = await ask(_read(_INDEXES.encode()))
        for types, effort, status in _rows(exchange) if exchange.ok else []:
            if types is not None:
                return [types[0].decode() if isinstance(types, list) else _bare(types), effort, _bare(status)]
        return []

    async def _number(self, ask: Ask, query: str) -> int | None:
        """Return the one number that a query answers, 0 where there is no graph yet.

        Raises:
            UserError: there is no answer at all.
        """
        exchange = await ask(_read(query.encode()))
        if not exchange.is_answered:
            raise UserError(f"{self._address.url}: no answer ({exchange.problem}): is the server running there?")
        return int(_rows(exchange)[0][0]) if exchange.ok else 0


def _text(numbers: Any) -> bytes:
    """Return an array as Cypher and JSON write lists."""
    return orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)


def _read(query: bytes) -> bytes:
    return b"*3\r\n$14\r\nGRAPH.RO_QUERY\r\n$9\r\ncompbench\r\n$%d\r\n%b\r\n" % (len(query), query)


def _written(query: bytes) -> bytes:
    return b"*3\r\n$11\r\nGRAPH.QUERY\r\n$9\r\ncompbench\r\n$%d\r\n%b\r\n" % (len(query), query)


def _rows(exchange: Exchange) -> list[Any]:
    reply = reply_in(b"".join(exchange.body))
    return list(reply[1]) if len(reply) > 1 else []


def _bare(text: Any) -> str:
    """Return the bytes of a text, or of a list of one in text, `[VECTOR]`."""
    return text.decode().strip("[]") if isinstance(text, bytes) else str(text)
