"""Redis with RediSearch as the driver sees it: a hash for each vector; FT.SEARCH, or FT.AGGREGATE with a threshold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import TYPE_CHECKING, Any

from compbench.model.result import IndexProof
from compbench.systems.api import COLLECTION, UNKNOWN, AnswerError, Loading
from compbench.systems.resp_client import RespClient, reply_of
from compbench.systems.rival_client import failure_of, first_missing
from compbench.transport.resp_connection import Pipeline, command, reply_in

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Vectors
    from compbench.systems.redis.settings import RedisSettings

_PREFIX = b"compbench:"
_METRICS = {"cosine": "COSINE", "euclidean": "L2", "dot": "IP"}
# Some 1.5 MB a request at 768 dimensions.
_ROWS_AT_ONCE = 500
_LOADS_IN_FLIGHT = 4
_LOOK_EVERY_S = 0.1
# Of all that the server has, looked through at once.
_KEYS_AT_ONCE = 10_000
# What it does with half a second's default is to answer with what it has found by then, and no word of that: 0 is no
# limit; a search that takes too long is then the driver's to judge, as everywhere.
_NO_TIME_LIMIT = (b"TIMEOUT", b"0", b"DIALECT", b"2")


class Client(RespClient):
    """The client half of Redis."""

    name, title = "redis", "Redis"
    # EF_RUNTIME's default (redis.io/docs/latest/develop/ai/search-and-query/vectors).
    default_effort = 10
    _own: RedisSettings

    def search_start(self, vector: Vectors) -> bytes:
        """Return the vector as an argument."""
        return _argument(vector.astype("<f4").tobytes())

    def search(self, start: Any, limit: int, threshold: float) -> bytes:
        """Return the command; its distance is 1 less the cosine."""
        if threshold <= 0:
            return b"%b%b" % (_head(limit, self._effort, False), start)
        least = _argument(b"@d<=%.6f" % (1 - threshold))
        return b"%b%b$6\r\nFILTER\r\n%b" % (_head(limit, self._effort, True), start, least)

    def stored(self, number: int, vector: Vectors) -> bytes:
        """Return HSET."""
        written = _argument(vector.astype("<f4", copy=False).tobytes())
        return b"*4\r\n$4\r\nHSET\r\n%b$1\r\nv\r\n%b" % (_argument(_key(number)), written)

    def found(self, answer: bytes) -> list[int]:
        """Return the numbers in the keys that a search found."""
        reply = reply_in(answer)
        if not isinstance(reply, list) or not reply or not isinstance(reply[0], int):
            raise AnswerError(f"an answer is no list of found keys: {str(reply)[:100]}")
        return [_number(row) for row in reply[1:]]

    async def count(self, ask: Ask) -> int | None:
        """Return how many documents the index has; before there is one, how many keys of ours Redis has."""
        told = await self._index(ask)
        return int(told[b"num_docs"]) if told is not None else len({key async for key in self._keys(ask)})

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Look which rows are there: they were sent in order, with a few requests in flight."""

        async def is_there(row: int) -> bool:
            return bool(reply_of(await ask(command("EXISTS", _key(row)))))

        first = await first_missing(count, is_there)
        there = first if first == count else max(0, first - _ROWS_AT_ONCE * _LOADS_IN_FLIGHT)
        return Loading([there], _ROWS_AT_ONCE, _LOADS_IN_FLIGHT)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Compare the bytes: it keeps them as they came."""
        held = reply_of(await ask(command("HGET", _key(number), "v")))
        return held is not None and held != vector.astype("<f4").tobytes()

    def load(self, first: int, step: int, rows: Vectors) -> Pipeline:
        """Return one HSET for each row, sent at once."""
        return Pipeline(b"".join(self.stored(first + i * step, row) for i, row in enumerate(rows)), len(rows))

    async def build_index(self, ask: Ask) -> str:
        """Create the index over the keys, which are then indexed in the background, and wait for the last."""
        if await self._index(ask) is None and (failure := await failure_of(ask, self._creation())):
            return failure
        while (told := await self._index(ask)) is not None and int(told[b"indexing"]):
            await asyncio.sleep(_LOOK_EVERY_S)
        if told is None:
            return "FT.INFO tells nothing of the index"
        failed = int(told[b"hash_indexing_failures"])
        return f"{failed} vectors could not be indexed" if failed else ""

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Let FT.PROFILE tell what a search was answered from, and FT.INFO of which kind that is."""
        name, *rest = _words(10, self._effort, bounded=False)[1:]
        words = [b"FT.PROFILE", name, b"SEARCH", b"QUERY", *rest, query.astype("<f4").tobytes()]
        exchange = await ask(command(*words))
        told = await self._index(ask)
        if not exchange.ok or told is None:
            return IndexProof(said=f"FT.PROFILE: {exchange.explain()}")
        kind = _field(told[b"attributes"][0], b"algorithm")
        steps = dict(pair for pair in reply_of(exchange)[1] if len(pair) == 2)  # noqa: PLR2004 - a name and its value
        iterator = _field(steps.get(b"Iterators profile", []), b"Type")
        used = (iterator, kind) == (b"VECTOR", b"HNSW")
        return IndexProof(is_used=used, said=f"FT.PROFILE: {_text(iterator)}; FT.INFO: {_text(kind)}")

    def floor(self) -> bytes:
        """Return PING."""
        return command("PING")

    async def remove(self, ask: Ask) -> str:
        """Drop the index with the hashes that it has, and those that it could not take or has not seen."""
        dropped = command("FT.DROPINDEX", COLLECTION, "DD")
        if await self._index(ask) is not None and (failure := await failure_of(ask, dropped)):
            return failure
        left = [key async for key in self._keys(ask)]
        for first in range(0, len(left), _ROWS_AT_ONCE):
            if failure := await failure_of(ask, command("UNLINK", *left[first : first + _ROWS_AT_ONCE])):
                return failure
        return ""

    def _creation(self) -> bytes:
        own, metric = self._own, _METRICS[self._shape.metric]
        kind = ("TYPE", "FLOAT32", "DIM", self._shape.dimension, "DISTANCE_METRIC", metric)
        graph = ("M", own.m, "EF_CONSTRUCTION", own.ef_construction)
        vector = ("VECTOR", "HNSW", len(kind) + len(graph), *kind, *graph)
        return command("FT.CREATE", COLLECTION, "ON", "HASH", "PREFIX", 1, _PREFIX, "SCHEMA", "v", *vector)

    async def _keys(self, ask: Ask) -> AsyncIterator[bytes]:
        """Yield the keys of ours, some perhaps twice; other keys of the server are none of our business.

        Raises:
            UserError: there is no answer, or an error.
        """
        cursor = b"0"
        while True:
            scan = command("SCAN", cursor, "MATCH", _PREFIX + b"*", "COUNT", _KEYS_AT_ONCE)
            cursor, keys = reply_in(self.body_of(await ask(scan)))
            for key in keys:
                yield key
            if cursor == b"0":
                return

    async def _index(self, ask: Ask) -> dict[bytes, Any] | None:
        """Return what it tells of the index, None if there is none."""
        told = reply_of(await ask(command("FT.INFO", COLLECTION)))
        return None if told is None else dict(zip(told[::2], told[1::2], strict=True))


@cache
def _head(limit: int, effort: int, bounded: bool) -> bytes:
    """Return a search's bytes up to its vector."""
    words = _words(limit, effort, bounded=bounded)
    return b"*%d\r\n" % (len(words) + (3 if bounded else 1)) + b"".join(map(_argument, words))


def _words(limit: int, effort: int, *, bounded: bool) -> list[bytes]:
    """Return the words of a search up to its vector; FT.SEARCH has no least similarity, FT.AGGREGATE a filter."""
    index, nearest = COLLECTION.encode(), b"*=>[KNN %d @v $b EF_RUNTIME $e AS d]" % limit
    if bounded:
        kind = [b"FT.AGGREGATE", index, nearest, b"LOAD", b"1", b"@__key"]
    else:
        kind = [b"FT.SEARCH", index, nearest, b"SORTBY", b"d", b"NOCONTENT", b"LIMIT", b"0", b"%d" % limit]
    return [*kind, *_NO_TIME_LIMIT, b"PARAMS", b"4", b"e", b"%d" % max(effort, limit), b"b"]


def _argument(word: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(word), word)


def _key(number: int) -> bytes:
    return b"%b%d" % (_PREFIX, number)


def _number(row: Any) -> int:
    """Return the number in a key that FT.SEARCH names, or that stands in a row of FT.AGGREGATE."""
    key = _field(row, b"__key") if isinstance(row, list) else row
    digits = key.removeprefix(_PREFIX) if isinstance(key, bytes) and key.startswith(_PREFIX) else b""
    return int(digits) if digits.isdigit() else UNKNOWN


def _field(pairs: list[Any], name: bytes) -> Any:
    """Return what follows a name in a list of names and values, None if it is not there."""
    return pairs[pairs.index(name) + 1] if name in pairs else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
