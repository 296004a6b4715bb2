"""PostgreSQL with pgvector as the driver sees it: prepared statements, with every message made before it is due."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import STORED_FROM, Loading
from compbench.systems.pgvector import statements, values
from compbench.systems.pgvector.pages_needed import build_bytes
from compbench.systems.rival_client import RivalClient, failure_of
from compbench.transport import postgres_messages as messages
from compbench.transport.postgres_connection import Patient
from compbench.transport.postgres_pool import PostgresAddress, PostgresPool

if TYPE_CHECKING:
    import asyncpg

    from compbench.systems.api import Ask, Pairs, Shape, Vectors
    from compbench.systems.pgvector.settings import PgvectorSettings

# The limit of hnsw.ef_search (README of pgvector 0.8.5, "HNSW").
_MOST_EFFORT = 1000
# Some 6 MB; each copy is a transaction of its own, so that rows are there without a gap.
_ROWS_AT_ONCE = 2048
_NO_TABLE = "SQLSTATE 42P01"
_PROOF_LIMIT = 10
# So that the build of an index over few vectors has some.
_LEAST_BUILD_BYTES = 64_000_000
_RUN = messages.BIND_END + messages.EXECUTE + messages.SYNC


class Client(RivalClient):
    """The client half of PostgreSQL with pgvector, whose ids are the numbers themselves."""

    name, title = "pgvector", "PostgreSQL with pgvector"
    has_edges = True
    # Its default of hnsw.ef_search (README of pgvector 0.8.5, "HNSW").
    default_effort = 40
    unreadable = (messages.NotPostgresError, ValueError, struct.error)
    _own: PgvectorSettings

    def __init__(self, own: PgvectorSettings, endpoint: str, shape: Shape) -> None:
        """Take the settings and where the server is.

        Raises:
            UserError: more effort is asked for than there is.
        """
        super().__init__(own, endpoint, shape)
        if self._effort > _MOST_EFFORT:
            raise UserError(f"system.pgvector.effort = {self._effort}: hnsw.ef_search is at most {_MOST_EFFORT}")
        self._address = PostgresAddress(endpoint, self._credentials.user, self._credentials.password)
        vector_bytes = 4 + 4 + 4 * shape.dimension
        # Everything of a search is of a known length, so that its head is always the same.
        self._search_head = messages.bind_head(statements.SEARCH, vector_bytes + 8, 2)
        self._within_head = messages.bind_head(statements.WITHIN, vector_bytes + 8 + 12, 3)

    def transport(self, size: int) -> PostgresPool:
        """Return a pool of connections that have prepared their statements."""
        return PostgresPool(self._address, size, self._begin_session)

    def search_start(self, vector: Vectors) -> bytes:
        """Return the vector as a parameter."""
        return messages.parameter(values.vector(vector))

    def search(self, start: Any, limit: int, threshold: float) -> bytes:
        """Return the messages; for more than it looks at, they let this one transaction look at as many."""
        wider = _wider(limit) if limit > self._effort else b""
        if threshold <= 0:
            return b"%b%b%b%b" % (wider, self._search_head, start, _search_end(limit))
        return b"%b%b%b%b" % (wider, self._within_head, start, _within_end(limit, threshold))

    def stored(self, number: int, vector: Vectors) -> bytes:
        """Return the messages that insert a row."""
        row = values.number(number), values.vector(vector)
        return messages.run_prepared(statements.STORE, *row) + messages.SYNC

    def walk(self, start: int, hops: int, limit: int) -> bytes:
        """Return the messages of a recursive query."""
        asked = values.number(start), values.small_number(hops), values.small_number(limit)
        return messages.run_prepared(statements.WALK, *asked) + messages.SYNC

    def found(self, answer: bytes) -> list[int]:
        """Return the numbers in the rows of an answer."""
        return [struct.unpack(">q", column or b"")[0] for (column,) in messages.rows_in(answer)]

    async def count(self, ask: Ask) -> int | None:
        """Return how many rows there are; none before the table is there."""
        return await self._counted(ask, statements.COUNT)

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Make the tables where they are not there, and look for rows.

        Raises:
            UserError: the rows can't be of this data set, or the tables can't be made.
        """
        del count
        self.body_of(await ask(messages.simple_query(statements.make_tables(self._shape.dimension))))
        (held,) = await self._row(ask, statements.DIMENSION)
        if int(held) != self._shape.dimension:
            raise UserError(f"{self._url} holds vectors of {held.decode()} dimensions: start it afresh")
        own = f"from vectors where id < {STORED_FROM}"
        there, beyond = map(int, await self._row(ask, f"select count(*), coalesce(max(id) + 1, 0) {own}"))
        if there != beyond:
            raise UserError(f"{self._url} holds {there} rows, with gaps up to number {beyond}: start it afresh")
        return Loading([there], _ROWS_AT_ONCE, in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare with what is kept, which is all 32 bits of every number."""
        exchange = await ask(messages.run_once("select v from compbench.vectors where id = $1", values.number(number)))
        rows = messages.rows_in(b"".join(exchange.body)) if exchange.ok else []
        return bool(rows) and not np.array_equal(values.read_vector(rows[0][0] or b""), vector)

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        """Return the request that copies rows into the table."""
        return messages.copy_in("compbench.vectors", values.copied_rows(first + step * np.arange(len(rows)), rows))

    def load_edges(self, pairs: Pairs) -> bytes:
        """Return the request that adds those edges that are not there."""
        sql = "insert into compbench.edges select * from unnest($1::bigint[], $2::bigint[]) on conflict do nothing"
        return messages.run_once(sql, values.numbers(pairs[:, 0]), values.numbers(pairs[:, 1]))

    async def edges_held(self, ask: Ask) -> int | None:
        """Return how many edges there are."""
        return await self._counted(ask, statements.COUNT_EDGES)

    async def build_index(self, ask: Ask) -> str:
        """Build the index with as much memory as it needs, or as is allowed, and let the planner know the tables."""
        (other,) = await self._row(ask, statements.other_indexes(statements.index_name(*self._definition())))
        if other:
            return f"it has another index already ({other.decode()}): start it afresh"
        (held,) = await self._row(ask, statements.COUNT)
        needed_kb = (build_bytes(int(held), self._shape.dimension, self._own.m) + _LEAST_BUILD_BYTES) // 1024
        allowed = "(select setting::bigint from pg_settings where name = 'maintenance_work_mem')"
        memory = f"select set_config('maintenance_work_mem', least({allowed}, {needed_kb}) || 'kB', true)"
        build = f"{statements.PATH};{memory};{statements.make_index(*self._definition())}"
        for sql in (build, "vacuum (analyze) compbench.vectors", "vacuum (analyze) compbench.edges"):
            if failure := await failure_of(ask, Patient(messages.simple_query(sql))):
                return failure
        return ""

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Ask for the plans of a search, with and without a least similarity, when several have been run."""
        text = "[" + ",".join(map(str, query.tolist())) + "]"
        start = f"{statements.PATH};deallocate all;{statements.prepare_all(self._shape.metric)};"
        plans = []
        for threshold in (None, 0.5):
            sql = start + statements.explain(text, _PROOF_LIMIT, threshold)
            exchange = await ask(messages.simple_query(sql))
            if not exchange.ok:
                return IndexProof(said=f"it gives no plan: {exchange.explain()}")
            plans.append(_plan_in(b"".join(exchange.body)))
        wanted = f"Index Scan using {statements.index_name(*self._definition())} on vectors"
        return IndexProof(is_used=all(wanted in plan for plan in plans), said=plans[0])

    def floor(self) -> bytes:
        """Return a query for a constant, prepared as searches are."""
        return messages.run_prepared(statements.LEAST) + messages.SYNC

    async def remove(self, ask: Ask) -> str:
        """Remove the schema with all that is in it."""
        return await failure_of(ask, Patient(messages.simple_query(statements.REMOVE)))

    async def _begin_session(self, connection: asyncpg.Connection[Any]) -> None:
        """Set the effort of a new connection and prepare its statements, unless there is no table yet to search in."""
        await connection.execute(f"{statements.PATH}; set hnsw.ef_search = {self._effort}")
        if await connection.fetchval(statements.HAS_ROWS):
            await connection.execute(statements.prepare_all(self._shape.metric))

    def _definition(self) -> tuple[Any, int, int]:
        return self._shape.metric, self._own.m, self._own.ef_construction

    async def _counted(self, ask: Ask, sql: str) -> int:
        exchange = await ask(messages.simple_query(sql))
        if exchange.problem == _NO_TABLE:
            return 0
        return int(_first_row(self.body_of(exchange))[0])

    async def _row(self, ask: Ask, sql: str) -> list[bytes]:
        """Return the first row of what a query answers.

        Raises:
            UserError: it answers none.
        """
        return _first_row(self.body_of(await ask(messages.simple_query(f"{statements.PATH};{sql}"))))


@cache
def _wider(limit: int) -> bytes:
    """Return what lets one transaction look at as many candidates as are wanted, at least."""
    return messages.run_prepared(statements.WIDEN, str(min(limit, _MOST_EFFORT)).encode())


@cache
def _search_end(limit: int) -> bytes:
    return messages.parameter(values.small_number(limit)) + _RUN


@cache
def _within_end(limit: int, threshold: float) -> bytes:
    # A distance by cosine is 1 less the similarity.
    ends = messages.parameter(values.small_number(limit)), messages.parameter(values.real(1 - threshold))
    return b"".join(ends) + _RUN


def _first_row(answer: bytes) -> list[bytes]:
    return [column or b"" for column in messages.rows_in(answer)[0]]


def _plan_in(answer: bytes) -> str:
    lines = [(row[0] or b"").decode() for row in messages.rows_in(answer)]
    # A condition repeats the vector with all of its numbers.
    return " / ".join(line.split("'")[0].strip() for line in lines)
