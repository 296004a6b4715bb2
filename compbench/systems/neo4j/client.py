"""Neo4j as the driver sees it: Cypher over its HTTP Query API.

That costs the driver less than the Bolt driver: docs/systems.md has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from compbench.model.result import IndexProof
from compbench.systems.api import UNKNOWN, AnswerError, Loading
from compbench.systems.rest_client import RestClient
from compbench.systems.rival_client import failure_of, first_missing, numbers_json
from compbench.transport.http_connection import Connection
from compbench.transport.http_pool import Pool

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Pairs, Vectors
    from compbench.systems.neo4j.settings import Neo4jSettings
    from compbench.transport.exchange import Exchange

_QUERY = b"/db/neo4j/query/v2"
# Some 4 MB a request at 768 dimensions.
_ROWS_AT_ONCE = 500
_INDEX = "cb_vectors"
_AWAIT_S = 25
# There is no default of how many candidates a search looks at beyond those that are asked for.
_NEAREST = f"CYPHER 25 MATCH (n:CbItem) SEARCH n IN (VECTOR INDEX {_INDEX} FOR $v LIMIT $e) SCORE AS s"
_ALL = f"{_NEAREST} RETURN n.id ORDER BY s DESC LIMIT $k"
_NEAR_ENOUGH = f"{_NEAREST} WITH n, s WHERE s >= $s RETURN n.id ORDER BY s DESC LIMIT $k"
_STORE = "CREATE (n:CbItem {id: $i}) WITH n CALL db.create.setNodeVectorProperty(n, 'v', $v)"
_LOAD = (
    "UNWIND $rows AS row CREATE (n:CbItem {id: row[0]}) WITH n, row"
    " CALL db.create.setNodeVectorProperty(n, 'v', row[1])"
)
_LINK = "UNWIND $pairs AS p MATCH (a:CbItem {id: p[0]}) MATCH (b:CbItem {id: p[1]}) CREATE (a)-[:CB_EDGE]->(b)"
_WALK = "MATCH (a:CbItem {id: $i})-[:CB_EDGE*1..%d]->(b:CbItem) WHERE b <> a WITH DISTINCT b LIMIT $k RETURN b.id"
_FORGET = "MATCH (n:CbItem) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 1000 ROWS"


class _Data(msgspec.Struct):
    values: list[list[Any]] = []


class _Answer(msgspec.Struct):
    data: _Data | None = None
    errors: list[Any] = []


class CypherConnection(Connection):
    """A connection whose answers may say only in their last bytes, after a status of success, that a query failed."""

    def on_message_complete(self) -> None:
        """Look for errors before the request is ended."""
        exchange = self.exchange
        if exchange is not None and b'"errors":[' in b"".join(exchange.body):
            told = exchange.on_done

            def failed(ended: Exchange) -> None:
                ended.ok, ended.problem = False, ended.problem or "the query failed"
                told(ended)

            exchange.on_done = failed
        super().on_message_complete()


class Client(RestClient):
    """The client half of Neo4j."""

    name, title = "neo4j", "Neo4j"
    has_edges = True
    unreadable = (msgspec.DecodeError,)
    _own: Neo4jSettings

    def headers(self) -> dict[str, str]:
        """Return name and password, which are all that it knows."""
        return self._credentials.basic()

    def transport(self, size: int) -> Pool:
        """Return a pool of keep-alive connections."""
        return Pool(self._endpoint, size, CypherConnection)

    def search(self, start: Any, limit: int, threshold: float) -> bytes:
        """Return the request; its score of a cosine is (1 + cosine) / 2."""
        candidates = max(self._effort, limit)
        if threshold <= 0:
            return self._request(_ALL, b'"e":%d,"k":%d,"v":%b' % (candidates, limit, start))
        numbers = candidates, limit, (1 + threshold) / 2, start
        return self._request(_NEAR_ENOUGH, b'"e":%d,"k":%d,"s":%.7f,"v":%b' % numbers)

    def stored(self, number: int, vector: Vectors) -> bytes:
        """Return the request that creates a node."""
        return self._request(_STORE, b'"i":%d,"v":%b' % (number, numbers_json(vector)))

    def walk(self, start: int, hops: int, limit: int) -> bytes:
        """Return the request."""
        return self._request(_WALK % hops, b'"i":%d,"k":%d' % (start, limit))

    def found(self, answer: bytes) -> list[int]:
        """Return the numbers of the nodes that were found."""
        decoded = msgspec.json.decode(answer, type=_Answer)
        if decoded.data is None or decoded.errors:
            raise AnswerError(f"an answer tells of errors: {decoded.errors}")
        return [row[0] if row and isinstance(row[0], int) else UNKNOWN for row in decoded.data.values]

    async def count(self, ask: Ask) -> int | None:
        """Return how many nodes there are."""
        return await self._number(ask, "MATCH (n:CbItem) RETURN count(n)")

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Index the numbers, by which nodes are found again, and look which rows are there; they were sent in turn."""
        ids = "CREATE CONSTRAINT cb_ids IF NOT EXISTS FOR (n:CbItem) REQUIRE n.id IS UNIQUE"
        self.body_of(await ask(self._request(ids)), "no index of the numbers")
        there = await first_missing(
            count, lambda row: self._number(ask, f"MATCH (n:CbItem {{id: {row}}}) RETURN count(n)")
        )
        return Loading([there], _ROWS_AT_ONCE, in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare what it keeps: 32 bit floats."""
        exchange = await ask(self._request(f"MATCH (n:CbItem {{id: {number}}}) RETURN n.v"))
        rows = _rows(exchange)
        if not rows:
            return not exchange.ok
        held = np.array(rows[0][0], np.float32)
        return held.shape != vector.shape or not np.array_equal(held, vector.astype(np.float32))

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        """Return the request that creates a node for each row."""
        pairs = b",".join(b"[%d,%b]" % (first + i * step, numbers_json(row)) for i, row in enumerate(rows))
        return self._request(_LOAD, b'"rows":[%b]' % pairs)

    def load_edges(self, pairs: Pairs) -> bytes:
        """Return the request that creates an edge for each pair."""
        return self._request(_LINK, b'"pairs":%b' % numbers_json(pairs, np.uint32))

    async def edges_held(self, ask: Ask) -> int | None:
        """Return how many edges there are."""
        return await self._number(ask, "MATCH ()-[e:CB_EDGE]->() RETURN count(e)")

    async def build_index(self, ask: Ask) -> str:
        """Create the index over the vectors, and wait for it."""
        if failure := await failure_of(ask, self._request(self._creation())):
            return failure
        while (state := await self._state(ask)) == "POPULATING":
            # It waits as long as it is told and fails then, which is no failure of the index.
            await ask(self._request(f"CALL db.awaitIndex('{_INDEX}', {_AWAIT_S})"))
        return "" if state == "ONLINE" else f"its state is {state}"

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Let EXPLAIN tell the operator that finds the nodes."""
        numbers = b'"e":10,"k":10,"v":%b' % numbers_json(query)
        exchange = await ask(self._request(f"EXPLAIN {_ALL}", numbers))
        if not exchange.ok:
            return IndexProof(said=f"EXPLAIN: {exchange.explain()}")
        plan, operators = msgspec.json.decode(b"".join(exchange.body)).get("queryPlan"), list[str]()
        while plan:
            operators.append(str(plan["operatorType"]).partition("@")[0])
            plan = next(iter(plan.get("children", [])), None)
        used = any("VectorIndex" in name for name in operators) and await self._state(ask) == "ONLINE"
        return IndexProof(is_used=used, said=f"EXPLAIN: {' < '.join(operators)}")

    def floor(self) -> bytes:
        """Return the smallest query."""
        return self._request("RETURN 1")

    async def remove(self, ask: Ask) -> str:
        """Delete nodes, edges and indexes."""
        for statement in (f"DROP INDEX {_INDEX} IF EXISTS", _FORGET, "DROP CONSTRAINT cb_ids IF EXISTS"):
            if failure := await failure_of(ask, self._request(statement)):
                return failure
        return ""

    def _request(self, statement: str, parameters: bytes = b"") -> bytes:
        return self._endpoint.post(_QUERY, b'{"statement":"%b","parameters":{%b}}' % (statement.encode(), parameters))

    def _creation(self) -> str:
        own, shape = self._own, self._shape
        enabled = str(own.quantization != "none").lower()
        options = (
            f"`vector.dimensions`: {shape.dimension}, `vector.similarity_function`: '{shape.metric}',"
            f" `vector.hnsw.m`: {own.m}, `vector.hnsw.ef_construction`: {own.ef_construction},"
            f" `vector.quantization.enabled`: {enabled}"
        )
        pattern = "FOR (n:CbItem) ON (n.v)"
        return f"CREATE VECTOR INDEX {_INDEX} IF NOT EXISTS {pattern} OPTIONS {{indexConfig: {{{options}}}}}"

    async def _state(self, ask: Ask) -> str:
        statement = f"SHOW VECTOR INDEXES YIELD name, state WHERE name = '{_INDEX}' RETURN state"
        rows = _rows(await ask(self._request(statement)))
        return str(rows[0][0]) if rows else "not there"

    async def _number(self, ask: Ask, statement: str) -> int | None:
        """Return the one number that a query answers.

        Raises:
            UserError: there is no answer at all.
        """
        rows = _rows(self.answered(await ask(self._request(statement))))
        return int(rows[0][0]) if rows else None


def _rows(exchange: Exchange) -> list[list[Any]]:
    if not exchange.ok:
        return []
    data = msgspec.json.decode(b"".join(exchange.body), type=_Answer).data
    return data.values if data else []
