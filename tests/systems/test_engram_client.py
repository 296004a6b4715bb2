"""What Engram's client makes of the numbers that the driver knows, and of Engram's answers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from compbench.model.errors import UserError
from compbench.model.scenario import SimilarityMetric
from compbench.systems.api import (
    NO_THRESHOLD,
    STORED_FROM,
    UNKNOWN,
    AnswerError,
    Ask,
    Complete,
    Script,
    Search,
    Shape,
    Store,
    Traverse,
)
from compbench.systems.clients import ServerAddress, open_client, transport_maker
from compbench.systems.engram.client import Client
from compbench.systems.registry import load_settings, server_of
from compbench.transport.exchange import Exchange

ENDPOINT = "http://127.0.0.1:1"
POOL = np.array([[0.5, -0.25, 1.0], [1.0, 0.0, 0.125]], np.float32)


def client(spaces: int = 1) -> Client:
    made = Client(None, ENDPOINT, Shape(3, spaces))
    made.take_queries(POOL, completes=True)
    return made


def test_an_answers_ids_are_rows_and_what_a_run_stored() -> None:
    answer = {"memories": {"vivid": [{"id": "node-7"}], "associated": [{"id": "load-3"}, {"id": "else"}]}}
    assert client().ids(json.dumps(answer).encode()) == [7, STORED_FROM + 3, UNKNOWN]
    with pytest.raises(AnswerError, match="another shape than Engram's"):
        client().ids(b"{}")


@pytest.mark.parametrize("name", ["node-", "node--1", "node-1.5", "xnode-1", "node-1234567890123", "load-x"])
def test_an_id_that_nobody_has_given_is_unknown(name: str) -> None:
    assert client().ids(json.dumps({"memories": {"vivid": [{"id": name}]}}).encode()) == [UNKNOWN]


def test_operations_are_engrams_requests() -> None:
    made = client(spaces=2)
    line, *headers = made.encode(Search(1, 9, 0.5, 1)).split(b"\r\n")
    asked = b"embedding=%5B1.0,0.0,0.125%5D&threshold=0.500&max_results=9&space=space_1"
    assert line == b"GET /api/v1/memories/recall?" + asked + b" HTTP/1.1"
    assert headers == [b"Host: 127.0.0.1:1", b"Accept: application/json", b"", b""]
    assert b"query=node-4&mode=spreading&hops=2&threshold=0&max_results=10 " in made.encode(Traverse(4, 2, 10))
    assert b'"partial_embedding":[0.5,null,1.0]' in made.encode(Complete(0, 0))
    stored = json.loads(made.encode(Store(STORED_FROM + 5, 1, POOL[0])).split(b"\r\n\r\n")[1])
    assert (stored["id"], stored["memory_space_id"], stored["embedding"]) == ("load-5", "space_1", [0.5, -0.25, 1.0])


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_a_search_without_threshold_leaves_it_out_of_the_request(metric: SimilarityMetric) -> None:
    made = Client(None, ENDPOINT, Shape(3, 1, metric))
    made.take_queries(POOL, completes=False)
    line = made.encode(Search(1, 9, NO_THRESHOLD, 0)).split(b"\r\n")[0]
    asked = b"embedding=%5B1.0,0.0,0.125%5D&max_results=9&space=default"
    assert line == b"GET /api/v1/memories/recall?" + asked + b" HTTP/1.1"


def test_a_row_is_stored_by_itself_where_a_server_takes_no_bulk_loads() -> None:
    body = json.loads(client(spaces=2).load(3, 2, POOL[:1]).split(b"\r\n\r\n")[1])
    assert (body["id"], body["memory_space_id"]) == ("node-3", "space_1")


def bulk_state(**told: object) -> Ask:
    """Return what asks a server that says this of its only space."""

    async def ask(_call: bytes) -> Exchange:
        exchange = Exchange(0, 0.0, None, lambda _: None)
        exchange.ok, exchange.body = True, [json.dumps({"rows": None, "edges": 0, **told}).encode()]
        return exchange

    return ask


def test_rows_in_bulk_come_with_their_dimension_and_metric() -> None:
    made = Client(None, ENDPOINT, Shape(3, 1, "euclidean"))
    there = asyncio.run(made.begin_loading(bulk_state(dimension=None, metric=None), 9))
    assert there.there == [0]
    line, _, body = made.load(4, 1, POOL).partition(b"\r\n")
    asked = b"prefix=node-&first=4&step=1&space=default&dimension=3&metric=euclidean"
    assert line == b"POST /api/v1/memories/bulk?" + asked + b" HTTP/1.1"
    assert body.endswith(POOL.tobytes())


@pytest.mark.parametrize("told", [{"dimension": 4, "metric": "cosine"}, {"dimension": 3, "metric": "dot"}])
def test_a_server_that_holds_other_vectors_is_not_loaded(told: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"holds vectors of {told['dimension']} dimensions, compared by"):
        asyncio.run(client().begin_loading(bulk_state(**told), 9))


def test_the_embedded_server_takes_what_engram_does_not(tmp_path: Path) -> None:
    dimensions = {}
    for system in ("engram", "embedded"):
        can = server_of(load_settings(tmp_path, {}, {"system": system})).capabilities
        dimensions[system] = can.dimension, can.metrics
    assert dimensions == {"engram": (768, ("cosine",)), "embedded": (None, ("cosine", "dot", "euclidean"))}


@pytest.mark.parametrize("system", ["engram", "embedded"])
def test_engram_and_the_embedded_server_have_one_client(system: str) -> None:
    address = ServerAddress(ENDPOINT, system)
    assert type(open_client(address, Shape(3, 1))) is Client
    assert callable(transport_maker(address, Shape(3, 1)))


def test_the_exit_code_of_engrams_own_diagnostics_has_a_note_for_readers(tmp_path: Path) -> None:
    server = server_of(load_settings(tmp_path, {}, {"system": "engram", "engram_root": str(tmp_path)}))
    assert server.diagnostics() is None
    path = tmp_path / "scripts" / "engram_diagnostics.sh"
    path.parent.mkdir()
    path.touch()
    note = "1 only means that it found a process, as it must while the server runs"
    assert server.diagnostics() == Script(path, note)
