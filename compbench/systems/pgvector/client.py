"""PostgreSQL with pgvector as the driver sees it: prepared statements, with every message made before it is due."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from compbench.config.credentials import credentials_in
from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import (
    STORED_FROM,
    AnswerError,
    Loading,
    Search,
    Store,
    Traverse,
)
from compbench.systems.pgvector import statements, values
from compbench.systems.pgvector.pages_needed import build_bytes
from compbench.transport import postgres_messages as messages
from compbench.transport.postgres_connection import Patient
from compbench.transport.postgres_pool import PostgresAddress, PostgresPool

if TYPE_CHECKING:
    import asyncpg

    from compbench.systems.api import Ask, Operation, Pairs, Shape, Vectors
    from compbench.systems.pgvector.settings import PgvectorSettings
    from compbench.transport.exchange import Exchange

# pgvector's default of hnsw.ef_search, and its limits (README of pgvector 0.8.5, "HNSW").
_DEFAULT_EFFORT = 40
_MOST_EFFORT = 1000
# Some 6 MB; each copy is a transaction of its own, so that rows are there without a gap.
_ROWS_AT_ONCE = 2048
_NO_TABLE = "SQLSTATE 42P01"
_PROOF_LIMIT = 10
# So that the build of an index over few vectors has some.
_LEAST_BUILD_BYTES = 64_000_000
_RUN = messages.BIND_END + messages.EXECUTE + messages.SYNC


class Client:
    """The client half of PostgreSQL with pgvector, whose ids are the numbers themselves."""

    def __init__(self, own: PgvectorSettings, endpoint: str, shape: Shape) -> None:
        """Take the settings and where the server is.

        Raises:
            UserError: several spaces are asked for, or more effort than there is.
        """
        if shape.spaces > 1:
            raise UserError("pgvector: a scenario with several memory spaces can't be measured: there is one table")
        self._effort = _DEFAULT_EFFORT if own.effort is None else own.effort
        if self._effort > _MOST_EFFORT:
            raise UserError(f"system.pgvector.effort = {self._effort}: hnsw.ef_search is at most {_MOST_EFFORT}")
        self._own, self._shape = own, shape
        credentials = credentials_in(own.chosen_mode, "pgvector")
        self._address = PostgresAddress(endpoint, credentials.user, credentials.password)
        self._queries: list[bytes] = []
        vector_bytes = 4 + 4 + 4 * shape.dimension
        # Everything of a search is of a known length, so that its head is always the same.
        self._search_head = messages.bind_head(statements.SEARCH, vector_bytes + 8, 2)
        self._within_head = messages.bind_head(statements.WITHIN, vector_bytes + 8 + 12, 3)
        self._search_end, self._within_end = cache(_search_end), cache(_within_end)

    def transport(self, size: int) -> PostgresPool:
        """Return a pool of connections that have prepared their statements."""
        return PostgresPool(self._address, size, self._begin_session)

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each vector as a parameter, once."""
        del completes
        self._queries = [messages.parameter(values.vector(vector)) for vector in pool]

    def encode(self, operation: Operation) -> bytes:
        """Return the messages of the request."""
        if isinstance(operation, Search):
            query, limit, threshold, _ = operation
            wider = self._wider(limit) if limit > self._effort else b""
            if threshold <= 0:
                return b"%b%b%b%b" % (wider, self._search_head, self._queries[query], self._search_end(limit))
            return b"%b%b%b%b" % (wider, self._within_head, self._queries[query], self._within_end(limit, threshold))
        match operation:
            case Traverse(start, hops, limit):
                walk = values.number(start), values.small_number(hops), values.small_number(limit)
                return messages.run_prepared(statements.WALK, *walk) + messages.SYNC
            case Store(number, _, vector):
                stored = values.number(number), values.vector(vector)
                return messages.run_prepared(statements.STORE, *stored) + messages.SYNC
        raise UserError(f"pgvector can't do this: {type(operation).__name__}")

    def ids(self, answer: bytes) -> list[int]:
        """Return the numbers in the rows of an answer."""
        try:
            rows = messages.rows_in(answer)
            return [struct.unpack(">q", column or b"")[0] for (column,) in rows]
        except (messages.NotPostgresError, ValueError, struct.error) as error:
            raise AnswerError(f"an answer has another shape than a list of numbers: {error}") from None

    async def count(self, ask: Ask) -> int | None:
        """Return how many rows there are; none before the table is there."""
        return await self._counted(ask, statements.COUNT)

    async def follows_edges(self, ask: Ask) -> bool:
        """Return that it does, by a recursive query."""
        del ask
        return True

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Make the tables where they are not there, and look for rows.

        Raises:
            UserError: the rows can't be of this data set, or the tables can't be made.
        """
        del count
        await self._do(ask, statements.make_tables(self._shape.dimension))
        (held,) = await self._row(ask, statements.DIMENSION)
        if int(held) != self._shape.dimension:
            raise UserError(f"{self._address.url} holds vectors of {held.decode()} dimensions: start it afresh")
        own = f"from vectors where id < {STORED_FROM}"
        there, beyond = map(int, await self._row(ask, f"select count(*), coalesce(max(id) + 1, 0) {own}"))
        if there != beyond:
            raise UserError(f"{self._address.url} holds {there} rows, with gaps up to number {beyond}: start it afresh")
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
            exchange = await ask(Patient(messages.simple_query(sql)))
            if not exchange.ok:
                return exchange.explain()
        return ""

    async def begin_measuring(self, ask: Ask) -> None:
        """Do nothing: each connection has set its `hnsw.ef_search` when it was opened."""
        del ask

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
        exchange = await ask(Patient(messages.simple_query(statements.REMOVE)))
        return "" if exchange.ok else exchange.explain()

    async def _begin_session(self, connection: asyncpg.Connection[Any]) -> None:
        """Prepare the statements of a new connection, unless there is no table yet, as before a load."""
        await connection.execute(f"{statements.PATH}; set hnsw.ef_search = {self._effort}")
        if await connection.fetchval(statements.HAS_ROWS):
            await connection.execute(statements.prepare_all(self._shape.metric))

    def _definition(self) -> tuple[Any, int, int]:
        return self._shape.metric, self._own.m, self._own.ef_construction

    def _wider(self, limit: int) -> bytes:
        """Return what lets this one transaction look at as many candidates as are wanted, at least."""
        return messages.run_prepared(statements.WIDEN, str(min(limit, _MOST_EFFORT)).encode())

    async def _counted(self, ask: Ask, sql: str) -> int:
        exchange = await ask(messages.simple_query(sql))
        if exchange.problem == _NO_TABLE:
            return 0
        return int(self._first_row(exchange)[0])

    async def _do(self, ask: Ask, sql: str) -> None:
        exchange = await ask(messages.simple_query(sql))
        if not exchange.ok:
            raise UserError(f"{self._address.url}: {exchange.explain()}")

    async def _row(self, ask: Ask, sql: str) -> list[bytes]:
        return self._first_row(await ask(messages.simple_query(f"{statements.PATH};{sql}")))

    def _first_row(self, exchange: Exchange) -> list[bytes]:
        if not exchange.ok:
            raise UserError(f"{self._address.url}: {exchange.explain()}")
        rows = messages.rows_in(b"".join(exchange.body))
        return [column or b"" for column in rows[0]]


def _search_end(limit: int) -> bytes:
    return messages.parameter(values.small_number(limit)) + _RUN


def _within_end(limit: int, threshold: float) -> bytes:
    # A distance by cosine is 1 less the similarity.
    ends = messages.parameter(values.small_number(limit)), messages.parameter(values.real(1 - threshold))
    return b"".join(ends) + _RUN


def _plan_in(answer: bytes) -> str:
    lines = [(row[0] or b"").decode() for row in messages.rows_in(answer)]
    # A condition repeats the vector with all of its numbers.
    return " / ".join(line.split("'")[0].strip() for line in lines)
