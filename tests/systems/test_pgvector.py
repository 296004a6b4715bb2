"""PostgreSQL with pgvector, the real one: loaded, searched, traversed, and proven to use its index."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

from compbench.config.system_tables import Durability
from compbench.loadtest.workload.edges import ExpectedGraph, edge_chunks
from compbench.machine import unprivileged
from compbench.machine.tree_memory import tree_memory_bytes
from compbench.measuring.under_test import StartError
from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import (
    NO_THRESHOLD,
    STORED_FROM,
    AnswerError,
    Ask,
    Look,
    Place,
    Search,
    Shape,
    Store,
    Traverse,
)
from compbench.systems.pgvector import statements, values
from compbench.systems.pgvector.client import Client
from compbench.systems.pgvector.server import Server
from compbench.systems.pgvector.settings import PgvectorSettings
from tests.drive import constant, loadtest, scenario_file
from tests.postgres import Postgres, asking, load, postgres_running

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

DIMENSION, COUNT = 24, 3000
RNG = np.random.default_rng(5)
ROWS: Vectors = RNG.normal(size=(COUNT, DIMENSION)).astype(np.float32)
QUERIES: Vectors = RNG.normal(size=(40, DIMENSION)).astype(np.float32)
EDGES = np.concatenate(list(edge_chunks(COUNT, 4.0, 7)))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres_running(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
def loaded(postgres: Postgres) -> Iterator[Postgres]:
    client = postgres.client(DIMENSION)
    assert load(client, ROWS, EDGES) == ""
    yield postgres
    assert asking(client, client.remove) == ""


def found(postgres: Postgres, *operations: Search | Store | Traverse, **own: Any) -> list[list[int]]:
    """Return the answers to operations that are asked in turn."""
    client = postgres.client(DIMENSION, **own)
    client.take_queries(QUERIES, completes=False)

    async def do(ask: Ask) -> list[list[int]]:
        exchanges = [await ask(client.encode(operation)) for operation in operations]
        assert [exchange.explain() for exchange in exchanges if not exchange.ok] == []
        return [client.ids(b"".join(exchange.body)) for exchange in exchanges]

    return asking(client, do)


def nearest(query: Vectors, limit: int, metric: str = "cosine") -> list[int]:
    if metric == "euclidean":
        scores = -np.linalg.norm(ROWS - query, axis=1)
    else:
        scores = ROWS @ query / (np.linalg.norm(ROWS, axis=1) if metric == "cosine" else 1)
    return [int(row) for row in np.argsort(-scores)[:limit]]


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_with_much_effort_the_true_neighbours_are_found_by_every_metric(postgres: Postgres, metric: str) -> None:
    client = postgres.client(DIMENSION, metric, effort=1000)
    assert load(client, ROWS) == ""
    client.take_queries(QUERIES, completes=False)

    async def do(ask: Ask) -> list[list[int]]:
        answers = [await ask(client.encode(Search(i, 10, NO_THRESHOLD, 0))) for i in range(len(QUERIES))]
        return [client.ids(b"".join(answer.body)) for answer in answers]

    shares = [
        len({*answer} & {*nearest(query, 10, metric)}) / 10
        for query, answer in zip(QUERIES, asking(client, do), strict=True)
    ]
    assert np.mean(shares) == 1.0
    assert asking(client, client.remove) == ""


def test_less_effort_finds_less_and_a_search_for_more_than_it_finds_all_the_same(loaded: Postgres) -> None:
    def recall(effort: int) -> float:
        answers = found(loaded, *(Search(i, 10, NO_THRESHOLD, 0) for i in range(len(QUERIES))), effort=effort)
        pairs = zip(QUERIES, answers, strict=True)
        return float(np.mean([len({*answer} & {*nearest(query, 10)}) / 10 for query, answer in pairs]))

    assert recall(1) < recall(400)
    wide, narrow, wide_again = found(
        loaded, Search(0, 60, NO_THRESHOLD, 0), Search(0, 5, NO_THRESHOLD, 0), Search(0, 60, NO_THRESHOLD, 0), effort=5
    )
    assert (len(wide), len(narrow), len(wide_again)) == (60, 5, 60)


def test_below_the_threshold_nothing_is_returned_and_above_it_everything(loaded: Postgres) -> None:
    similarity = ROWS @ QUERIES[0] / np.linalg.norm(ROWS, axis=1) / np.linalg.norm(QUERIES[0])
    ranked = np.sort(similarity)[::-1]
    threshold = float(ranked[6] + ranked[7]) / 2
    few, none, capped = found(
        loaded, Search(0, 20, threshold, 0), Search(0, 20, 0.9999, 0), Search(0, 3, threshold, 0), effort=400
    )
    assert few == nearest(QUERIES[0], 7)
    assert none == []
    assert capped == few[:3]


def test_what_is_stored_is_seen_by_the_next_search_and_counted(loaded: Postgres) -> None:
    client = loaded.client(DIMENSION)
    number = STORED_FROM + 7
    _, answer = found(loaded, Store(number, 0, QUERIES[0]), Search(0, 1, NO_THRESHOLD, 0))
    assert answer == [number]
    assert asking(client, client.count) == COUNT + 1 == loaded.half.count()
    assert asking(client, lambda ask: client.begin_loading(ask, COUNT)).there == [COUNT], "it is no row of the data set"


def test_traversals_are_exactly_those_of_the_graph(loaded: Postgres) -> None:
    client, graph = loaded.client(DIMENSION), ExpectedGraph(COUNT, 4.0, 7)
    walks = [Traverse(start, hops, 1000) for start in range(0, 300, 7) for hops in (1, 2, 3)]
    for walk, answer in zip(walks, found(loaded, *walks), strict=True):
        assert len(answer) == len(set(answer))
        assert set(answer) == graph.within(walk.start, walk.hops)
    assert asking(client, client.edges_held) == len(EDGES)
    assert asking(client, client.follows_edges)
    assert len(found(loaded, Traverse(0, 3, 5))[0]) == 5


def test_a_load_goes_on_where_it_was_broken_off_and_repeats_nothing(postgres: Postgres) -> None:
    client = postgres.client(DIMENSION)
    assert asking(client, client.count) == 0 == postgres.half.count()
    assert load(client, ROWS[:1500], EDGES[:100]) == ""
    assert asking(client, lambda ask: client.begin_loading(ask, COUNT)).there == [1500]
    assert load(client, ROWS, EDGES) == load(client, ROWS, EDGES) == ""
    assert asking(client, client.count) == COUNT
    assert asking(client, client.edges_held) == len(EDGES)
    assert not asking(client, lambda ask: client.holds_other(ask, 3, ROWS[3]))
    assert asking(client, lambda ask: client.holds_other(ask, 3, ROWS[4]))
    with pytest.raises(UserError, match="holds vectors of 24 dimensions: start it afresh"):
        load(postgres.client(8), ROWS[:, :8])
    assert "another index already (vectors_cosine_m16_ef64)" in load(postgres.client(DIMENSION, m=8), ROWS)
    postgres.sql("delete from compbench.vectors where id = 9")
    with pytest.raises(UserError, match="2999 rows, with gaps up to number 3000"):
        asking(client, lambda ask: client.begin_loading(ask, COUNT))
    assert asking(client, client.remove) == ""
    assert postgres.sql("select count(*) from pg_namespace where nspname = 'compbench'") == 0


def proof(postgres: Postgres, **own: Any) -> IndexProof:
    client = postgres.client(DIMENSION, **own)
    return asking(client, lambda ask: client.prove_index(ask, QUERIES[0]))


def test_the_plan_says_whether_the_index_answers_searches(loaded: Postgres) -> None:
    used = proof(loaded)
    assert used.is_used
    assert "Index Scan using vectors_cosine_m16_ef64 on vectors" in used.said
    loaded.sql("drop index compbench.vectors_cosine_m16_ef64")
    unused = proof(loaded)
    assert unused.is_used is False
    assert "Seq Scan on vectors" in unused.said


def test_a_plan_that_is_kept_for_all_searches_is_the_one_that_is_told(loaded: Postgres) -> None:
    loaded.sql("alter database postgres set plan_cache_mode = force_generic_plan", "select 1")
    try:
        assert proof(loaded).is_used
    finally:
        loaded.sql("alter database postgres reset plan_cache_mode", "select 1")


def test_vectors_and_numbers_read_back_as_they_were(postgres: Postgres) -> None:
    rng = np.random.default_rng(11)
    for dimension in (1, 2, 7, 768, 2000):
        vector = (rng.normal(size=dimension) * 10.0 ** rng.integers(-30, 30)).astype(np.float32)
        assert np.array_equal(values.read_vector(values.vector(vector)), vector)
    client = postgres.client(DIMENSION)
    extremes = np.array([[1e-38] * DIMENSION, [3e38] * DIMENSION, [-0.0, 1.0] * (DIMENSION // 2)], np.float32)
    assert load(client, np.concatenate([extremes, ROWS[:50]])) == ""

    async def others(ask: Ask) -> list[bool]:
        return [await client.holds_other(ask, row, vector) for row, vector in enumerate(extremes)]

    assert asking(client, others) == [False, False, False]
    assert asking(client, client.remove) == ""


def test_bytes_that_are_no_answer_are_refused_whatever_they_are() -> None:
    client = Client(PgvectorSettings(), "postgresql://127.0.0.1:1", Shape(DIMENSION, 1))
    rng = np.random.default_rng(12)
    assert client.ids(b"") == []
    for length in [*range(1, 40), *([200] * 60)]:
        try:
            client.ids(rng.bytes(length))
        except AnswerError:
            continue
        raise AssertionError("noise was taken for an answer")


def test_kept_data_is_started_again_with_its_rows_and_its_index(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    for part in ("data", "config", "home", "cwd"):
        (tmp_path / "first" / part).mkdir(parents=True)
        (tmp_path / "second" / part).mkdir(parents=True)
    with postgres_running(tmp_path, tmp_path / "first") as first:
        assert load(first.client(DIMENSION), ROWS, EDGES) == ""
        assert first.half.save(30) == ""
    shutil.copytree(tmp_path / "first" / "data", kept)
    kept.chmod(0o755)
    shutil.copytree(kept, tmp_path / "second" / "data", dirs_exist_ok=True)
    with postgres_running(tmp_path, tmp_path / "second") as second:
        assert second.half.count() == COUNT
        assert load(second.client(DIMENSION), ROWS, EDGES) == ""
        assert found(second, Search(3, 10, NO_THRESHOLD, 0), effort=1000) == [nearest(QUERIES[3], 10)]
        assert proof(second).is_used


def test_nothing_of_a_server_outlives_it_and_it_is_one_program_with_one_memory(tmp_path: Path) -> None:
    with postgres_running(tmp_path) as running:
        postmaster = psutil.Process(running.process.child.pid)
        family = [postmaster, *postmaster.children(recursive=True)]
        assert len(family) > 3
        said = [running.half.recognise(one.exe(), one.cmdline(), one.name()) for one in family]
        assert said == [str(running.half.binaries["postgres"]), *[""] * (len(family) - 1)]
        occupied = tree_memory_bytes(postmaster.pid)
        assert occupied is not None
        assert occupied < sum(one.memory_info().rss for one in family)
        postmaster.send_signal(signal.SIGKILL)
        assert running.process.child.wait(10) is not None
    gone, alive = psutil.wait_procs(family, 5)
    assert (len(gone), alive) == (len(family), [])


@pytest.mark.parametrize("durability", ["vendor", "memory"])
def test_durability_is_what_the_server_says_it_is(tmp_path: Path, durability: Durability) -> None:
    with postgres_running(tmp_path, durability=durability) as running:
        is_on = "off" if durability == "memory" else "on"
        assert [running.sql(f"show {name}") for name in ("fsync", "synchronous_commit")] == [is_on, is_on]
        assert ("none" in running.half.facts().durability) is (durability == "memory")


def test_a_server_that_is_stopped_as_it_starts_is_never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Server.look

    def stopped(half: Server, work: Path, pid: int, timeout_s: float) -> Look:
        os.kill(pid, signal.SIGSTOP)
        return look(half, work, pid, timeout_s)

    monkeypatch.setattr(Server, "look", stopped)
    monkeypatch.setattr(Server, "stop_grace_s", 0.5)
    with pytest.raises(StartError, match="not ready after 1"), postgres_running(tmp_path, ready_s=1.0):
        pass


def test_a_server_is_ours_only_with_our_process_port_and_folder(postgres: Postgres, tmp_path: Path) -> None:
    work, pid = postgres.process.work, postgres.process.child.pid
    assert postgres.half.look(work, pid, 2).is_ready
    assert "started was process" in postgres.half.look(work, pid + 1, 2).seen
    assert "no postmaster.pid" in postgres.half.look(tmp_path, pid, 2).seen
    (tmp_path / "data").mkdir()
    shutil.copy(work / "data" / "postmaster.pid", tmp_path / "data")
    assert "has the data folder" in postgres.half.look(tmp_path, pid, 2).seen


def test_a_way_for_root_is_told_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = Server(PgvectorSettings(), Place(1, tmp_path))
    assert half.missing() == [str(half.binaries["postgres"])]
    half.binaries["postgres"].parent.mkdir(parents=True)
    half.binaries["postgres"].touch()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    unprivileged._works.cache_clear()
    assert "refuses" in half.missing()[0]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert half.missing() == []


@pytest.mark.parametrize("dimension", [24, 768])
def test_what_vectors_need_is_what_they_take(postgres: Postgres, dimension: int) -> None:
    client = postgres.client(dimension)
    rows = RNG.normal(size=(COUNT, dimension)).astype(np.float32)
    assert load(client, rows) == ""
    taken = postgres.sql("select pg_total_relation_size('compbench.vectors')")
    needs = postgres.half.needs(COUNT, dimension)
    assert needs is not None
    without_log = needs.disk_bytes - 40_000_000
    assert taken == pytest.approx(without_log / 3, rel=0.1)
    assert needs.memory_bytes > taken
    assert asking(client, client.remove) == ""


def driver(postgres: Postgres, folder: Path, command: str, *options: str) -> dict[str, Any]:
    """Run the driver's command line on a small scenario; return its report, or its error."""
    scenario = scenario_file(folder, constant(100), store=0.2)
    place = ("--scenario", scenario, "--endpoint", postgres.half.endpoint, "--system", "pgvector")
    output = folder / f"{command}.json"
    output.unlink(missing_ok=True)
    done = loadtest(command, *place, "--output", output, *options)
    return dict(json.loads(output.read_text())) if output.exists() else {"error": done.stderr}


def test_the_driver_finds_right_answers_right_and_those_of_another_collection_wrong(
    postgres: Postgres, tmp_path: Path
) -> None:
    prepared = driver(postgres, tmp_path, "prepare")
    assert (prepared["stored"], prepared["complete"]) == (100, True)
    right = driver(postgres, tmp_path, "run", "--duration", "2")["compbench"]
    assert (right["recall"]["answers"], right["failed"]) == ("ok", 0)
    assert right["recall"]["mean"] > 0.99
    postgres.sql("delete from compbench.vectors where id >= 100")
    mirrored = "select v from compbench.vectors o where o.id = 99 - vectors.id"
    postgres.sql(f"update compbench.vectors set v = ({mirrored})")
    wrong = driver(postgres, tmp_path, "run", "--duration", "2")["compbench"]
    assert wrong["recall"]["answers"] != "ok" or wrong["recall"]["mean"] < 0.3
    assert "holds the data set of another seed" in str(driver(postgres, tmp_path, "prepare", "--seed", "8"))
    postgres.sql(statements.REMOVE)


def test_a_server_that_acknowledges_what_it_does_not_keep_is_found_out(postgres: Postgres, tmp_path: Path) -> None:
    client = postgres.client(8)
    assert asking(client, lambda ask: client.begin_loading(ask, 1)).there == [0]
    postgres.sql("create function compbench.forget() returns trigger language plpgsql as 'begin return null; end'")
    forget = "before insert on compbench.vectors for each row execute function compbench.forget()"
    postgres.sql(f"create trigger forgets {forget}")
    prepared = driver(postgres, tmp_path, "prepare")
    assert (prepared["stored"], prepared["complete"]) == (0, False)
    assert "the server keeps 0 of 100" in prepared["note"]
    postgres.sql(statements.REMOVE)
