"""What the clients of Redis, FalkorDB and Neo4j write and read, with random operations; no server."""

from __future__ import annotations

import json
import re
from typing import Any

import hiredis
import numpy as np
import pytest

from compbench.model.errors import UserError
from compbench.systems.api import (
    NO_THRESHOLD,
    STORED_FROM,
    UNKNOWN,
    AnswerError,
    Complete,
    Search,
    Shape,
    Store,
    Traverse,
)
from compbench.systems.falkordb.client import Client as Falkor
from compbench.systems.falkordb.settings import FalkorSettings
from compbench.systems.neo4j.client import Client as Neo4j
from compbench.systems.neo4j.settings import Neo4jSettings
from compbench.systems.redis.client import Client as Redis
from compbench.systems.redis.settings import RedisSettings
from compbench.systems.redis_process import modules_in

DIMENSION = 24
SHAPE = Shape(DIMENSION, 1)
POOL = (np.random.default_rng(5).standard_normal((50, DIMENSION)) * 10.0 ** np.arange(-24, 0)).astype(np.float32)
CASES = [
    (int(query), int(limit), float(threshold))
    for query, limit, threshold in zip(
        *(np.random.default_rng(6).integers(low, high, 40) for low, high in ((0, 50), (1, 51))),
        np.random.default_rng(7).uniform(0.001, 1, 40).round(3),
        strict=True,
    )
]


def redis(effort: int | None = None) -> Redis:
    client = Redis(RedisSettings(effort=effort), "redis://127.0.0.1:1", SHAPE)
    client.take_queries(POOL, completes=False)
    return client


def falkor() -> Falkor:
    client = Falkor(FalkorSettings(), "redis://127.0.0.1:1", SHAPE)
    client.take_queries(POOL, completes=False)
    return client


def neo4j(effort: int | None = None) -> Neo4j:
    client = Neo4j(Neo4jSettings(effort=effort), "http://127.0.0.1:1", SHAPE)
    client.take_queries(POOL, completes=False)
    return client


def words(call: bytes) -> list[bytes]:
    """Return a command's words; there is nothing behind them."""
    reader = hiredis.Reader()
    reader.feed(call)
    found = reader.gets()
    assert isinstance(found, list)
    assert reader.gets() is False
    return found


def after(found: list[bytes], name: bytes) -> bytes:
    return found[found.index(name) + 1]


def query_of(call: bytes) -> tuple[dict[str, Any], str]:
    """Return the parameters and the text of a command of FalkorDB."""
    text = words(call)[2].decode()
    pairs = re.match(r"CYPHER (?:\w+=\S+ )*", text)
    assert pairs
    named = dict(pair.split("=", 1) for pair in pairs[0].split()[1:])
    return {name: json.loads(value) for name, value in named.items()}, text[pairs.end() :]


def request_of(call: bytes) -> dict[str, Any]:
    head, _, body = call.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    return dict(json.loads(body))


def vector(numbers: list[float]) -> np.ndarray[Any, Any]:
    return np.array(numbers, np.float32)


@pytest.mark.parametrize("effort", [None, 1, 77])
def test_a_search_of_redis_has_its_vector_limit_threshold_and_an_effort_that_is_no_less_than_the_limit(
    effort: int | None,
) -> None:
    client = redis(effort)
    for query, limit, threshold in CASES:
        bounded, free = (words(client.encode(Search(query, limit, least, 0))) for least in (threshold, NO_THRESHOLD))
        for found in (bounded, free):
            assert after(found, b"b") == POOL[query].tobytes()
            assert int(after(found, b"e")) == max(effort or 10, limit)
            assert b"KNN %d " % limit in found[2]
            assert after(found, b"TIMEOUT") == b"0", "its default of 500 ms answers with what it has found by then"
        assert free[0] == b"FT.SEARCH"
        assert b"FILTER" not in free
        assert float(after(bounded, b"FILTER").removeprefix(b"@d<=")) == pytest.approx(1 - threshold, abs=1e-6)


def test_rows_of_redis_are_commands_of_a_pipeline_and_numbers_are_64_bits_wide() -> None:
    client = redis()
    loaded = client.load(100, 3, POOL)
    reader = hiredis.Reader()
    reader.feed(loaded.commands)
    for i in range(loaded.replies):
        assert reader.gets() == [b"HSET", b"compbench:%d" % (100 + 3 * i), b"v", POOL[i].tobytes()]
    assert (loaded.replies, reader.gets()) == (len(POOL), False)
    assert words(client.encode(Store(STORED_FROM + 3, 0, POOL[0])))[1] == b"compbench:%d" % (STORED_FROM + 3)


def test_keys_that_redis_finds_are_numbers_and_foreign_ones_unknown() -> None:
    numbers = [0, 7, STORED_FROM + 1]
    keys = [b"compbench:%d" % number for number in numbers] + [b"other:1", b"compbench:x"]
    plain = b"*6\r\n:5\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(key), key) for key in keys)
    rows = b"".join(b"*4\r\n$1\r\nd\r\n$1\r\n0\r\n$5\r\n__key\r\n$%d\r\n%b\r\n" % (len(key), key) for key in keys)
    for answer in (plain, b"*6\r\n:1\r\n" + rows):
        assert redis().ids(answer) == [*numbers, UNKNOWN, UNKNOWN]
    for answer in (b"+OK\r\n", b"*1\r\n", b""):
        with pytest.raises(AnswerError):
            redis().ids(answer)


def test_a_search_of_falkordb_has_its_vector_limit_and_threshold_as_a_distance() -> None:
    for query, limit, threshold in CASES:
        bounded, text = query_of(falkor().encode(Search(query, limit, threshold, 0)))
        assert np.array_equal(vector(bounded["v"]), POOL[query])
        assert bounded["k"] == limit
        assert bounded["d"] == pytest.approx(1 - threshold, abs=1e-6)
        assert "score<=$d" in text
        free, text = query_of(falkor().encode(Search(query, limit, NO_THRESHOLD, 0)))
        assert ({*free}, "WHERE" in text) == ({"k", "v"}, False)


def test_rows_edges_and_walks_of_falkordb_say_what_was_asked() -> None:
    client = falkor()
    rows = query_of(client.load(5, 2, POOL))[0]["rows"]
    assert [number for number, _ in rows] == list(range(5, 105, 2))
    assert np.array_equal(vector([numbers for _, numbers in rows]), POOL)
    pairs = np.random.default_rng(8).integers(0, 2**32 - 1, (100, 2)).astype(np.uint32)
    assert query_of(client.load_edges(pairs))[0]["pairs"] == pairs.tolist()
    for hops in (1, 2, 3):
        given, text = query_of(client.encode(Traverse(17, hops, 1000)))
        assert (given, text.count("UNION"), text.count("CB_EDGE")) == ({"s": 17}, hops - 1, hops * (hops + 1) / 2)
        assert text.endswith("LIMIT 1000")
    assert client.ids(b"*3\r\n*1\r\n$1\r\nx\r\n*2\r\n*1\r\n:4\r\n*1\r\n:%d\r\n*0\r\n" % STORED_FROM) == [4, STORED_FROM]
    with pytest.raises(AnswerError):
        client.ids(b"*1\r\n*0\r\n")


@pytest.mark.parametrize("effort", [None, 1, 77])
def test_a_search_of_neo4j_has_its_vector_candidates_limit_and_threshold_as_a_score(effort: int | None) -> None:
    client = neo4j(effort)
    for query, limit, threshold in CASES:
        asked = request_of(client.encode(Search(query, limit, threshold, 0)))
        given = asked["parameters"]
        assert np.array_equal(vector(given["v"]), POOL[query])
        assert (given["k"], given["e"]) == (limit, max(effort or limit, limit))
        assert 2 * given["s"] - 1 == pytest.approx(threshold, abs=1e-6)
        free = request_of(client.encode(Search(query, limit, NO_THRESHOLD, 0)))
        assert {*free["parameters"]} == {"v", "k", "e"}
        assert "$s" not in free["statement"]


def test_rows_edges_and_answers_of_neo4j_say_what_was_asked() -> None:
    client = neo4j()
    rows = request_of(client.load(5, 2, POOL))["parameters"]["rows"]
    assert [number for number, _ in rows] == list(range(5, 105, 2))
    assert np.array_equal(vector([numbers for _, numbers in rows]), POOL)
    pairs = np.random.default_rng(8).integers(0, 2**32 - 1, (100, 2)).astype(np.uint32)
    assert request_of(client.load_edges(pairs))["parameters"]["pairs"] == pairs.tolist()
    answer = {"data": {"fields": ["n.id"], "values": [[4], [STORED_FROM], ["x"]]}, "bookmarks": ["FB:x"]}
    assert client.ids(json.dumps(answer).encode()) == [4, STORED_FROM, UNKNOWN]
    failed = {"data": {"fields": ["1/0"], "values": []}, "errors": [{"message": "/ by zero"}]}
    wrongs: list[Any] = [failed, {"errors": []}, [1]]
    for wrong in wrongs:
        with pytest.raises(AnswerError):
            client.ids(json.dumps(wrong).encode())


@pytest.mark.parametrize("client", [redis(), falkor(), neo4j()], ids=["redis", "falkordb", "neo4j"])
def test_what_a_client_can_not_do_is_one_line(client: Redis | Falkor | Neo4j) -> None:
    with pytest.raises(UserError, match="can't do this: Complete"):
        client.encode(Complete(0, 0))


@pytest.mark.parametrize(("kind", "own"), [(Redis, RedisSettings()), (Falkor, FalkorSettings())])
def test_more_than_one_space_is_refused(kind: Any, own: Any) -> None:
    with pytest.raises(UserError, match=r"the scenario wants 2: set data\.memory_spaces = 1 in it"):
        kind(own, "redis://127.0.0.1:1", Shape(DIMENSION, 2))


def test_a_modules_version_is_written_as_its_maker_writes_it() -> None:
    listed = [
        [b"name", b"search", b"ver", 21005, b"path", b"/lib/redisearch.so", b"args", []],
        [b"name", b"graph", b"ver", 41603],
        [b"name", b"vectorset", b"ver", 1],
    ]
    assert modules_in(listed) == ["graph 4.16.3", "search 2.10.5", "vectorset 1"]
    assert modules_in(None) == modules_in(b"ERR") == []
