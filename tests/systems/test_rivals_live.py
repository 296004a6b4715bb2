"""Real servers of Redis, FalkorDB and Neo4j, where `doit install:<system>` has installed them (`pytest -m rivals`)."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest

from compbench.embedded.graph import DirectedGraph
from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.systems import discovery
from compbench.systems.api import NO_THRESHOLD, STORED_FROM, Ask, Client, Place, Search, Shape, Store, Traverse
from tests.project import eventually

CACHE = Path(__file__).resolve().parent.parent.parent / "tmp" / "cache"
ROWS, DIMENSION, LIMIT, READY_S = 3000, 32, 10, 240.0
SHAPE = Shape(DIMENSION, 1)
RNG = np.random.default_rng(11)
VECTORS = RNG.standard_normal((ROWS, DIMENSION)).astype(np.float32)
QUERIES = RNG.standard_normal((60, DIMENSION)).astype(np.float32)
PAIRS = np.unique(RNG.integers(0, ROWS, (4 * ROWS, 2)).astype(np.uint32), axis=0)
SIMILARITIES = (QUERIES @ VECTORS.T) / np.outer(np.linalg.norm(QUERIES, axis=1), np.linalg.norm(VECTORS, axis=1))
pytestmark = [pytest.mark.rivals, pytest.mark.timeout(600)]


class Running:
    """A real server with its folder."""

    def __init__(self, name: str, work: Path, data: Path | None = None) -> None:
        installation = discovery.installation(name)
        assert installation
        installed = CACHE / "systems" / f"{name}-{installation.version}"
        if not (installed / installation.result).is_file():
            pytest.skip(f"{name} is not installed: doit install:{name}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.name, self.work = name, work
        self.server = discovery.module(name, "server").Server(self.settings(), Place(port, installed))
        if missing := self.server.missing():
            pytest.skip(f"{name}: not there: {', '.join(missing)}")
        for part in ("config", "home", "cwd", *(() if data else ("data",))):
            (work / part).mkdir(parents=True)
        if data:
            shutil.copytree(data, work / "data")
        launch = self.server.launch(work)
        self.stop_signal = launch.stop_signal
        with (work / "log").open("wb") as log:
            environment = {**os.environ, **launch.environment}
            self.process = subprocess.Popen(
                launch.argv, cwd=work / "cwd", env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def settings(self, **values: Any) -> Any:
        return msgspec.convert(values, discovery.kind(self.name).settings)

    def wait_until_ready(self) -> None:
        ends = time.monotonic() + READY_S
        while not (look := self.server.look(self.work, self.process.pid, 2.0)).is_ready:
            assert self.process.poll() is None, (self.work / "log").read_text()
            assert time.monotonic() < ends, look.seen
            time.sleep(0.05)

    def client(self, effort: int | None = 100) -> Client:
        made: Client = discovery.module(self.name, "client").Client(
            self.settings(effort=effort), self.server.endpoint, SHAPE
        )
        made.take_queries(QUERIES, completes=False)
        return made

    def asked(self, use: Callable[[Client, Ask], Awaitable[None]], effort: int | None = 100) -> None:
        async def main() -> None:
            client = self.client(effort)
            transport = client.transport(4)
            await transport.open()
            try:
                await use(client, transport.ask)
            finally:
                transport.close()

        run_in_precise_loop(main())


@pytest.fixture(params=["redis", "falkordb", "neo4j"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """A fresh server of each system, ready; none is left."""
    started = Running(request.param, tmp_path / "work")
    try:
        started.wait_until_ready()
        yield started
    finally:
        started.process.kill()
        started.process.wait()


async def load(client: Client, ask: Ask, count: int = ROWS) -> None:
    loading = await client.begin_loading(ask, count)
    for first in range(loading.there[0], count, loading.rows_at_once):
        exchange = await ask(client.load(first, 1, VECTORS[first : min(first + loading.rows_at_once, count)]))
        assert exchange.ok, exchange.explain()


async def found(client: Client, ask: Ask, operation: Any) -> list[int]:
    exchange = await ask(client.encode(operation))
    assert exchange.ok, exchange.explain()
    return client.ids(b"".join(exchange.body))


async def recall(client: Client, ask: Ask) -> float:
    hits = 0
    for query, nearness in enumerate(SIMILARITIES):
        answer = await found(client, ask, Search(query, LIMIT, NO_THRESHOLD, 0))
        assert len(answer) == len(set(answer)) == LIMIT
        hits += len(set(answer) & set(np.argsort(-nearness)[:LIMIT].tolist()))
    return hits / len(QUERIES) / LIMIT


def test_a_data_set_is_loaded_resumed_indexed_found_and_removed(running: Running) -> None:
    async def use(client: Client, ask: Ask) -> None:
        await load(client, ask, ROWS - 500)
        assert 0 < (await client.begin_loading(ask, ROWS)).there[0] <= ROWS - 500
        await load(client, ask)
        assert (await client.begin_loading(ask, ROWS)).there == [ROWS] or running.name == "redis"
        assert not await client.holds_other(ask, 0, VECTORS[0])
        assert await client.holds_other(ask, 0, VECTORS[1])
        assert [await client.build_index(ask), await client.build_index(ask)] == ["", ""]
        await client.begin_measuring(ask)
        assert await client.count(ask) == running.server.count() == ROWS
        proof = await client.prove_index(ask, QUERIES[0])
        assert proof.is_used, proof
        assert await recall(client, ask) > 0.95
        for query, nearness in enumerate(SIMILARITIES):
            least = float(np.sort(nearness)[-5]) - 1e-4
            near = await found(client, ask, Search(query, LIMIT, least, 0))
            assert set(near) <= {*np.flatnonzero(nearness > least - 1e-4).tolist()}
            assert len(near) >= 3
        assert (await ask(client.floor())).ok
        assert await client.remove(ask) == ""
        assert await client.count(ask) == 0

    running.asked(use)


def test_the_running_server_tells_its_version_and_those_of_its_modules(running: Running) -> None:
    told = running.server.version_told()
    numbers = {"redis": r"Redis 8\.2\.3 \+ (.* \+ )?search 2\.10\.5", "falkordb": r"Redis .* \+ graph 4\.16\.3"}
    assert re.search(numbers.get(running.name, "Neo4j"), told), told


def test_an_insert_is_found_by_the_next_search_and_counted(running: Running) -> None:
    async def use(client: Client, ask: Ask) -> None:
        await load(client, ask)
        assert await client.build_index(ask) == ""
        for query, vector in enumerate(QUERIES):
            stored = await ask(client.encode(Store(STORED_FROM + query, 0, vector)))
            assert stored.ok, stored.explain()
            assert (await found(client, ask, Search(query, LIMIT, 0.99, 0))) == [STORED_FROM + query]
        assert await client.count(ask) == ROWS + len(QUERIES)

    running.asked(use)


def test_walks_along_edges_are_exact(running: Running) -> None:
    graph = DirectedGraph()
    graph.add(PAIRS)

    async def use(client: Client, ask: Ask) -> None:
        if not await client.follows_edges(ask):
            pytest.skip(f"{running.name} has no edges")
        await load(client, ask)
        linked = await ask(client.load_edges(PAIRS))
        assert linked.ok, linked.explain()
        assert await client.edges_held(ask) == len(PAIRS)
        for start in range(100):
            for hops in (1, 2, 3):
                expected = [node for level in graph.levels(start, hops) for node in level]
                answer = await found(client, ask, Traverse(start, hops, 1000))
                assert sorted(answer) == sorted(expected), (start, hops)
        assert len(await found(client, ask, Traverse(0, 3, 5))) == 5

    running.asked(use)


def test_more_effort_finds_more(running: Running) -> None:
    """Redis and FalkorDB find less with the least effort; Neo4j orders three times the candidates anew."""
    reached = {}

    async def prepare(client: Client, ask: Ask) -> None:
        await load(client, ask)
        assert await client.build_index(ask) == ""

    running.asked(prepare, effort=1)
    for effort in (1, 400):

        async def use(client: Client, ask: Ask, effort: int = effort) -> None:
            await client.begin_measuring(ask)
            reached[effort] = await recall(client, ask)

        running.asked(use, effort=effort)
    assert reached[400] > 0.99
    assert reached[1] < reached[400] or running.name == "neo4j"


def test_it_ends_in_order_and_a_kill_leaves_no_process(running: Running, tmp_path: Path) -> None:
    running.process.send_signal(running.stop_signal)
    assert running.process.wait(60) in {0, 143}, "a JVM says 128 + 15"
    killed = Running(running.name, tmp_path / "second")
    try:
        killed.wait_until_ready()
        family = [psutil.Process(killed.process.pid), *psutil.Process(killed.process.pid).children(recursive=True)]
    finally:
        killed.process.kill()
        killed.process.wait()
    assert eventually(lambda: not any(one.is_running() for one in family), 5.0)
    assert not killed.server.answers()


def test_data_that_is_kept_is_found_by_a_server_that_starts_on_a_copy(running: Running, tmp_path: Path) -> None:
    if not running.server.data_format:
        assert running.server.save(5.0)
        pytest.skip(f"{running.name} keeps no data")

    async def fill(client: Client, ask: Ask) -> None:
        await load(client, ask)
        assert await client.build_index(ask) == ""

    async def use(client: Client, ask: Ask) -> None:
        assert (await client.begin_loading(ask, ROWS)).there == [ROWS]
        assert await client.build_index(ask) == ""
        assert await recall(client, ask) > 0.95

    running.asked(fill)
    assert running.server.save(60.0) == ""
    running.process.send_signal(running.stop_signal)
    running.process.wait(60)
    again = Running(running.name, tmp_path / "again", running.work / "data")
    try:
        again.wait_until_ready()
        again.asked(use)
    finally:
        again.process.kill()
        again.process.wait()
