"""Redis with RediSearch as the driver sees it: a hash for each vector; FT.SEARCH, or FT.AGGREGATE with a threshold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from compbench.config.credentials import credentials_in
from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import UNKNOWN, AnswerError, Loading, Search, Store
from compbench.transport.resp_connection import NotRespError, Pipeline, command, reply_in
from compbench.transport.resp_pool import RespAddress, RespPool

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Operation, Pairs, Shape, Vectors
    from compbench.systems.redis.settings import RedisSettings
    from compbench.transport.exchange import Exchange

INDEX = "compbench"
_PREFIX = b"compbench:"
_METRICS = {"cosine": "COSINE", "euclidean": "L2", "dot": "IP"}
# Some 1.5 MB a request at 768 dimensions.
_ROWS_AT_ONCE = 500
_LOADS_IN_FLIGHT = 4
# EF_RUNTIME's default (redis.io/docs/latest/develop/ai/search-and-query/vectors).
_DEFAULT_EFFORT = 10
_LOOK_EVERY_S = 0.1
# Of all that the server has, looked through at once.
_KEYS_AT_ONCE = 10_000
# What it does with half a second's default is to answer with what it has found by then, and no word of that: 0 is no
# limit; a search that takes too long is then the driver's to judge, as everywhere.
_NO_TIME_LIMIT = (b"TIMEOUT", b"0", b"DIALECT", b"2")


class Client:
    """The client half of Redis."""

    def __init__(self, own: RedisSettings, endpoint: str, shape: Shape) -> None:
        """Take the index's definition, and where it is asked."""
        if shape.spaces > 1:
            raise UserError("system redis has one memory space only: set memory_spaces = 1 in the scenario")
        self._address = RespAddress(endpoint, credentials_in(own.chosen_mode, "redis"))
        self._own, self._shape = own, shape
        self._queries: list[bytes] = []
        self._heads: dict[tuple[int, bool], bytes] = {}

    def transport(self, size: int) -> RespPool:
        """Return a pool of connections."""
        return RespPool(self._address, size)

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each vector as an argument, once."""
        del completes
        self._queries = [_argument(vector.astype("<f4").tobytes()) for vector in pool]

    def encode(self, operation: Operation) -> bytes:
        """Return the command."""
        if isinstance(operation, Search):
            query, limit, threshold, _space = operation
            bounded = threshold > 0
            head = self._heads.get((limit, bounded)) or self._head(limit, bounded=bounded)
            if bounded:  # its distance is 1 less the cosine
                least = _argument(b"@d<=%.6f" % (1 - threshold))
                return b"%b%b$6\r\nFILTER\r\n%b" % (head, self._queries[query], least)
            return b"%b%b" % (head, self._queries[query])
        if isinstance(operation, Store):
            return _stored(operation.number, operation.vector)
        raise UserError(f"system redis can't do this: {type(operation).__name__}")

    def ids(self, answer: bytes) -> list[int]:
        """Return the numbers in the keys that a search found."""
        try:
            reply = reply_in(answer)
        except NotRespError as error:
            raise AnswerError(f"an answer is not RESP: {error}") from None
        if not isinstance(reply, list) or not reply or not isinstance(reply[0], int):
            raise AnswerError(f"an answer is no list of found keys: {str(reply)[:100]}")
        return [_number(row) for row in reply[1:]]

    async def count(self, ask: Ask) -> int | None:
        """Return how many documents the index has; before there is one, how many keys of ours Redis has."""
        told = await self._index(ask)
        return int(told[b"num_docs"]) if told is not None else len({key async for key in self._keys(ask)})

    async def follows_edges(self, ask: Ask) -> bool:
        """Return that it does not."""
        del ask
        return False

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Look which rows are there: they were sent in order, with a few requests in flight."""
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            is_there = _reply(await ask(command("EXISTS", _key(middle)))) == 1
            low, high = (middle + 1, high) if is_there else (low, middle)
        there = low if low == count else max(0, low - _ROWS_AT_ONCE * _LOADS_IN_FLIGHT)
        return Loading([there], _ROWS_AT_ONCE, _LOADS_IN_FLIGHT)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare the bytes: it keeps them as they came."""
        held = _reply(await ask(command("HGET", _key(number), "v")))
        return held is not None and held != vector.astype("<f4").tobytes()

    def load(self, first: int, step: int, rows: Vectors) -> Pipeline:
        """Return one HSET for each row, sent at once."""
        return Pipeline(b"".join(_stored(first + i * step, row) for i, row in enumerate(rows)), len(rows))

    def load_edges(self, pairs: Pairs) -> bytes:
        """Refuse: it takes none."""
        raise UserError(f"system redis takes no edges, such as {len(pairs)}")

    async def edges_held(self, ask: Ask) -> int | None:
        """Return that it takes none."""
        del ask
        return None

    async def build_index(self, ask: Ask) -> str:
        """Create the index over the keys, which are then indexed in the background, and wait for the last."""
        if await self._index(ask) is None and not (made := await ask(self._creation())).ok:
            return made.explain()
        while (told := await self._index(ask)) is not None and int(told[b"indexing"]):
            await asyncio.sleep(_LOOK_EVERY_S)
        if told is None:
            return "FT.INFO tells nothing of the index"
        failed = int(told[b"hash_indexing_failures"])
        return f"{failed} vectors could not be indexed" if failed else ""

    async def begin_measuring(self, ask: Ask) -> None:
        """Do nothing: each search has its effort."""
        del ask

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Let FT.PROFILE tell what a search was answered from, and FT.INFO of which kind that is."""
        name, *rest = self._words(10, bounded=False)[1:]
        words = [b"FT.PROFILE", name, b"SEARCH", b"QUERY", *rest, query.astype("<f4").tobytes()]
        exchange = await ask(command(*words))
        told = await self._index(ask)
        if not exchange.ok or told is None:
            return IndexProof(said=f"FT.PROFILE: {exchange.explain()}")
        kind = _field(told[b"attributes"][0], b"algorithm")
        steps = dict(pair for pair in _reply(exchange)[1] if len(pair) == 2)  # noqa: PLR2004 - a name and its value
        iterator = _field(steps.get(b"Iterators profile", []), b"Type")
        used = (iterator, kind) == (b"VECTOR", b"HNSW")
        return IndexProof(is_used=used, said=f"FT.PROFILE: {_text(iterator)}; FT.INFO: {_text(kind)}")

    def floor(self) -> bytes:
        """Return PING."""
        return command("PING")

    async def remove(self, ask: Ask) -> str:
        """Drop the index with the hashes that it has, and those that it could not take or has not seen."""
        if await self._index(ask) is not None and not (dropped := await ask(command("FT.DROPINDEX", INDEX, "DD"))).ok:
            return dropped.explain()
        left = [key async for key in self._keys(ask)]
        for first in range(0, len(left), _ROWS_AT_ONCE):
            if not (removed := await ask(command("UNLINK", *left[first : first + _ROWS_AT_ONCE]))).ok:
                return removed.explain()
        return ""

    def _head(self, limit: int, *, bounded: bool) -> bytes:
        """Return a search's bytes up to its vector, made once."""
        words = self._words(limit, bounded=bounded)
        found = b"*%d\r\n" % (len(words) + (3 if bounded else 1)) + b"".join(map(_argument, words))
        self._heads[limit, bounded] = found
        return found

    def _words(self, limit: int, *, bounded: bool) -> list[bytes]:
        """Return the words of a search up to its vector; FT.SEARCH has no least similarity, FT.AGGREGATE a filter."""
        effort = b"%d" % max(self._own.effort or _DEFAULT_EFFORT, limit)
        nearest = b"*=>[KNN %d @v $b EF_RUNTIME $e AS d]" % limit
        if bounded:
            kind = [b"FT.AGGREGATE", INDEX.encode(), nearest, b"LOAD", b"1", b"@__key"]
        else:
            kind = [b"FT.SEARCH", INDEX.encode(), nearest, b"SORTBY", b"d", b"NOCONTENT", b"LIMIT", b"0", b"%d" % limit]
        return [*kind, *_NO_TIME_LIMIT, b"PARAMS", b"4", b"e", effort, b"b"]

    def _creation(self) -> bytes:
        own, metric = self._own, _METRICS[self._shape.metric]
        kind = ("TYPE", "FLOAT32", "DIM", self._shape.dimension, "DISTANCE_METRIC", metric)
        graph = ("M", own.m, "EF_CONSTRUCTION", own.ef_construction)
        vector = ("VECTOR", "HNSW", len(kind) + len(graph), *kind, *graph)
        return command("FT.CREATE", INDEX, "ON", "HASH", "PREFIX", 1, _PREFIX, "SCHEMA", "v", *vector)

    async def _keys(self, ask: Ask) -> AsyncIterator[bytes]:
        """Yield the keys of ours, some perhaps twice; other keys of the server are none of our business.

        Raises:
            UserError: there is no answer, or an error.
        """
        cursor = b"0"
        while True:
            exchange = await ask(command("SCAN", cursor, "MATCH", _PREFIX + b"*", "COUNT", _KEYS_AT_ONCE))
            if not exchange.ok:
                raise UserError(f"{self._address.url}: {exchange.explain()}: is the server running there?")
            cursor, keys = _reply(exchange)
            for key in keys:
                yield key
            if cursor == b"0":
                return

    async def _index(self, ask: Ask) -> dict[bytes, Any] | None:
        """Return what it tells of the index, None if there is none."""
        exchange = await ask(command("FT.INFO", INDEX))
        if not exchange.ok:
            return None
        told = _reply(exchange)
        return dict(zip(told[::2], told[1::2], strict=True))


def _argument(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


def _key(number: int) -> bytes:
    return b"%b%d" % (_PREFIX, number)


def _stored(number: int, vector: Vectors) -> bytes:
    return b"*4\r\n$4\r\nHSET\r\n%b$1\r\nv\r\n%b" % (
        _argument(_key(number)),
        _argument(vector.astype("<f4", copy=False).tobytes()),
    )


def _number(row: Any) -> int:
    """Return the number in a key that FT.SEARCH names, or that stands in a row of FT.AGGREGATE."""
    key = _field(row, b"__key") if isinstance(row, list) else row
    digits = key.removeprefix(_PREFIX) if isinstance(key, bytes) and key.startswith(_PREFIX) else b""
    return int(digits) if digits.isdigit() else UNKNOWN


def _field(pairs: list[Any], name: bytes) -> Any:
    """Return what follows a name in a list of names and values, None if it is not there."""
    return pairs[pairs.index(name) + 1] if name in pairs else None


def _reply(exchange: Exchange) -> Any:
    return reply_in(b"".join(exchange.body)) if exchange.ok else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
