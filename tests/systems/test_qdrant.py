"""Qdrant's two halves against a server that keeps to its REST interface."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compbench.model.errors import UserError
from compbench.systems.api import NO_THRESHOLD, STORED_FROM, AnswerError, Ask, Complete, Place, Search, Shape, Store
from compbench.systems.qdrant.client import Client
from compbench.systems.qdrant.server import Server
from compbench.systems.qdrant.settings import QdrantSettings
from tests.asking import asked, found, loaded
from tests.rival_programs import REAL_QDRANT, install_qdrant, qdrant

pytestmark = pytest.mark.process

DIMENSION = 32
ROWS = np.random.default_rng(7).standard_normal((2000, DIMENSION)).astype(np.float32)
OWN = QdrantSettings(effort=200)


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.rivals)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty server: the stand-in, or a real one."""
    program = os.environ.get(REAL_QDRANT, "") if request.param == "real" else ""
    if request.param == "real" and not program:
        pytest.skip(f"{REAL_QDRANT} names no program")
    with qdrant(tmp_path, program) as address:
        yield address


def client(url: str, own: QdrantSettings = OWN, dimension: int = DIMENSION) -> Client:
    return Client(own, url, Shape(dimension, 1))


def test_what_is_loaded_is_indexed_found_counted_and_removed(url: str) -> None:
    made = client(url)
    made.take_queries(ROWS, completes=False)
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    true = np.argsort(-(unit[:50] @ unit.T), axis=1)[:, :10]

    async def use(ask: Ask) -> None:
        assert await made.count(ask) == 0
        await loaded(made, ask, ROWS)
        assert await made.count(ask) == len(ROWS)
        assert await made.build_index(ask) == ""
        hits = [len({*await found(made, ask, Search(n, 10, NO_THRESHOLD, 0))} & {*true[n]}) for n in range(50)]
        assert sum(hits) > 490
        proof = await made.prove_index(ask, ROWS[3])
        assert proof.is_used, proof.said
        assert f"{len(ROWS)} of {len(ROWS)} vectors are indexed, status green" in proof.said
        assert (await ask(made.floor())).ok
        assert await made.remove(ask) == ""
        assert await made.count(ask) == 0

    asked(made, use)


def test_a_threshold_leaves_out_what_is_less_similar_and_an_insert_is_seen_at_once(url: str) -> None:
    made = client(url)
    made.take_queries(ROWS[:2] * 3, completes=False)
    number = STORED_FROM + 2**41

    async def use(ask: Ask) -> None:
        await loaded(made, ask, ROWS[:100])
        assert await found(made, ask, Search(0, 10, 0.99, 0)) == [0]
        assert (await ask(made.encode(Store(number, 0, ROWS[0] * 2)))).ok
        assert sorted(await found(made, ask, Search(0, 10, 0.99, 0))) == [0, number]
        assert await found(made, ask, Search(0, 1000, NO_THRESHOLD, 0)) != []

    asked(made, use)


def test_a_load_that_was_interrupted_goes_on_behind_the_rows_without_a_gap(url: str) -> None:
    made = client(url)

    async def use(ask: Ask) -> None:
        await loaded(made, ask, ROWS[:700])
        assert (await ask(made.load(900, 1, ROWS[900:1000]))).ok
        assert (await made.begin_loading(ask, 2000)).there == [700]
        assert not await made.holds_other(ask, 5, ROWS[5])
        assert not await made.holds_other(ask, 1500, ROWS[5])
        assert await made.holds_other(ask, 5, ROWS[6])

    asked(made, use)


def test_a_collection_of_another_kind_is_refused_with_what_differs(url: str) -> None:
    made = client(url)
    asked(made, lambda ask: loaded(made, ask, ROWS[:10]))
    other = client(url, dimension=DIMENSION + 1)
    with pytest.raises(UserError, match="whose size is 32, not 33: remove it"):
        asked(other, lambda ask: other.begin_loading(ask, 10))
    wider = client(url, QdrantSettings(m=32))
    with pytest.raises(UserError, match="whose m is 16, not 32"):
        asked(wider, lambda ask: wider.begin_loading(ask, 10))


@pytest.mark.parametrize(("metric", "name"), [("dot", "Dot"), ("euclidean", "Euclid")])
def test_the_other_metrics_find_what_they_find_nearest(url: str, metric: Any, name: str) -> None:
    made = Client(OWN, url, Shape(DIMENSION, 1, metric))
    scaled = ROWS[:200] * np.linspace(0.5, 2, 200, dtype=np.float32)[:, None]
    made.take_queries(ROWS[:1], completes=False)
    if metric == "dot":
        best = int(np.argmax(scaled @ ROWS[0]))
    else:
        best = int(np.argmin(np.linalg.norm(scaled - ROWS[0], axis=1)))

    async def use(ask: Ask) -> None:
        await made.begin_loading(ask, 200)
        assert (await ask(made.load(0, 1, scaled))).ok
        assert (await found(made, ask, Search(0, 5, NO_THRESHOLD, 0)))[0] == best, name

    asked(made, use)


@pytest.mark.parametrize("kind", ["stand-in", pytest.param("real", marks=pytest.mark.rivals)])
def test_a_server_of_the_users_is_asked_with_the_key_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    program = os.environ.get(REAL_QDRANT, "") if kind == "real" else ""
    if kind == "real" and not program:
        pytest.skip(f"{REAL_QDRANT} names no program")
    with qdrant(tmp_path, program, key="k3y") as url:
        own = QdrantSettings(endpoint=url, effort=200)
        without = client(url, own)
        with pytest.raises(UserError, match="HTTP 401"):
            asked(without, without.count)
        assert Server(own, Place(1, tmp_path)).count() is None
        monkeypatch.setenv("COMPBENCH_QDRANT_API_KEY", "k3y")
        made, half = client(url, own), Server(own, Place(1, tmp_path))
        asked(made, lambda ask: loaded(made, ask, ROWS[:30]))
        assert half.count() == 30
        assert half.answers()
        assert half.version_told().startswith("qdrant 1.")
        assert (half.missing(), dict(half.binaries), half.versions(), half.data_format) == ([], {}, ({}, {}), "")
        assert half.facts().durability == "as its owner has set it"
        assert asked(made, made.remove) == ""
        assert half.count() is None
        started = client(url, QdrantSettings())
        with pytest.raises(UserError, match="HTTP 401"):
            asked(started, started.count)


def test_its_server_half_counts_and_looks(tmp_path: Path) -> None:
    with qdrant(tmp_path) as url:
        made = client(url)
        asked(made, lambda ask: loaded(made, ask, ROWS[:30]))
        half = Server(QdrantSettings(program=str(tmp_path / "qdrant")), Place(int(url.rsplit(":")[-1]), tmp_path))
        assert half.count() == 30
        assert half.answers()
        assert half.missing() == []
        assert half.versions()[0] == {"qdrant": "qdrant 1.18.3"}
    assert not half.answers()
    assert half.count() is None


def test_an_index_that_does_not_come_is_told_not_awaited_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compbench.systems.qdrant.client._STALLED_S", 0.5)
    with qdrant(tmp_path, told="index_stalls") as url:
        made = client(url)

        async def use(ask: Ask) -> str:
            await loaded(made, ask, ROWS[:100])
            return await made.build_index(ask)

        assert "50 of 100 vectors are indexed, and no more for 0.5 s" in asked(made, use)


def test_a_search_that_scanned_is_no_proof_of_an_index(tmp_path: Path) -> None:
    with qdrant(tmp_path, told="scans") as url:
        made = client(url)

        async def use(ask: Ask) -> Any:
            await loaded(made, ask, ROWS[:100])
            assert await made.build_index(ask) == ""
            return await made.prove_index(ask, ROWS[0])

        proof = asked(made, use)
        assert proof.is_used is False
        assert "went through the graph of 0 segments and scanned 1" in proof.said


def test_what_it_can_not_do_is_one_line() -> None:
    with pytest.raises(UserError, match="Qdrant has one memory space, the scenario wants 3"):
        Client(OWN, "http://127.0.0.1:1", Shape(DIMENSION, 3))
    made = client("http://127.0.0.1:1")
    with pytest.raises(UserError, match="Qdrant can't do this: Complete"):
        made.encode(Complete(0, 0))
    with pytest.raises(AnswerError, match="another shape than Qdrant's"):
        made.ids(b'{"result": {"points": [{"id": "f00"}]}}')


def test_a_search_looks_at_no_fewer_than_it_asks_for() -> None:
    made = client("http://127.0.0.1:1", QdrantSettings(effort=8))
    made.take_queries(ROWS[:1], completes=False)
    assert b'"limit":5,"params":{"hnsw_ef":8}}' in made.encode(Search(0, 5, NO_THRESHOLD, 0))
    assert b'"limit":50,"score_threshold":0.25,"params":{"hnsw_ef":50}}' in made.encode(Search(0, 50, 0.25, 0))


def test_it_is_kept_to_loopback_and_what_would_configure_it_is_kept_from_it(tmp_path: Path) -> None:
    half = Server(QdrantSettings(program=str(install_qdrant(tmp_path))), Place(7001, tmp_path))
    launch = half.launch(tmp_path / "work")
    assert launch.environment["QDRANT__SERVICE__HOST"] == "127.0.0.1"
    assert launch.environment["QDRANT__STORAGE__STORAGE_PATH"] == str(tmp_path / "work" / "data")
    assert launch.is_foreign("QDRANT__SERVICE__API_KEY")
    assert half.recognise("/usr/bin/qdrant", [], "qdrant") == "/usr/bin/qdrant"
    assert half.recognise("/usr/bin/vim", ["vim", "qdrant"], "vim") == ""
    assert Server(QdrantSettings(program="/none/qdrant"), Place(1, tmp_path)).missing() == ["/none/qdrant"]
