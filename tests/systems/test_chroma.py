"""Chroma's two halves; what needs its server runs against the one that a variable's folder holds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from compbench.config.scenarios import load_scenarios
from compbench.model.errors import UserError
from compbench.systems.api import NO_THRESHOLD, STORED_FROM, UNKNOWN, AnswerError, Ask, Place, Search, Shape, Store
from compbench.systems.chroma.client import Client
from compbench.systems.chroma.install import INSTALLATION
from compbench.systems.chroma.server import Server
from compbench.systems.chroma.settings import ChromaSettings
from compbench.systems.registry import load_settings, not_offered
from tests.asking import asked, found, loaded
from tests.project import ROOT, eventually, free_port
from tests.rival_programs import REAL_CHROMA

DIMENSION = 32
ROWS = np.random.default_rng(7).standard_normal((2500, DIMENSION)).astype(np.float32)


def client(url: str = "http://127.0.0.1:1", **own: Any) -> Client:
    return Client(ChromaSettings(**own), url, Shape(DIMENSION, 1))


@pytest.fixture
def half(tmp_path: Path) -> Iterator[Server]:
    """The server half of a running server."""
    folder = os.environ.get(REAL_CHROMA)
    if not folder:
        pytest.skip(f"{REAL_CHROMA} names no folder")
    made = Server(ChromaSettings(), Place(free_port(), Path(folder)))
    launch = made.launch(tmp_path)
    environment = {**os.environ, **launch.environment}
    process = subprocess.Popen(launch.argv, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    try:
        assert eventually(lambda: made.look(tmp_path, process.pid, 1.0).is_ready)
        yield made
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.rivals
def test_a_real_server_is_loaded_searched_and_counted(half: Server) -> None:
    made = client(half.endpoint)
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    true = np.argsort(-(unit[:50] @ unit.T), axis=1)[:, :10]

    async def use(ask: Ask) -> None:
        assert await made.count(ask) == 0
        await loaded(made, ask, ROWS[:2000])
        await loaded(made, ask, ROWS)
        assert await made.count(ask) == half.count() == len(ROWS)
        assert await made.build_index(ask) == ""
        fresh = client(half.endpoint)
        fresh.take_queries(ROWS, completes=False)
        hits = [len({*await found(fresh, ask, Search(n, 10, NO_THRESHOLD, 0))} & {*true[n]}) for n in range(50)]
        assert sum(hits) > 450
        assert (await ask(fresh.encode(Store(STORED_FROM + 5, 0, ROWS[3] * 2)))).ok
        assert STORED_FROM + 5 in await found(fresh, ask, Search(3, 2, NO_THRESHOLD, 0))
        assert not await made.holds_other(ask, 5, ROWS[5])
        assert await made.holds_other(ask, 5, ROWS[6])
        assert (await made.prove_index(ask, ROWS[0])).is_used is None
        assert (await ask(made.floor())).ok
        wider = client(half.endpoint, ef_search=50)
        with pytest.raises(UserError, match="whose ef_search is 100, not 50"):
            await wider.begin_loading(ask, 10)
        assert await made.remove(ask) == ""
        assert await made.count(ask) == 0

    asked(made, use)
    assert half.versions()[0] == {"chroma": f"chromadb {INSTALLATION.version}"}


def test_an_answers_ids_are_the_numbers_that_were_given() -> None:
    assert client().ids(b'{"ids":[["7","1099511627776","x"]],"distances":null}') == [7, STORED_FROM, UNKNOWN]
    for answer in (b'{"ids":[]}', b"{}", b"<html>"):
        with pytest.raises(AnswerError, match="another shape than Chroma's"):
            client().ids(answer)


def test_what_it_can_not_do_is_one_line() -> None:
    with pytest.raises(UserError, match="has no collection `compbench`: load the data first"):
        client().take_queries(ROWS, completes=False)
    with pytest.raises(UserError, match="Chroma's searches take no threshold"):
        client().search(b"", 10, 0.5)
    with pytest.raises(UserError, match="Chroma has one memory space"):
        Client(ChromaSettings(), "http://127.0.0.1:1", Shape(DIMENSION, 2))


def test_its_server_is_started_on_loopback_and_recognised_by_its_command(tmp_path: Path) -> None:
    half = Server(ChromaSettings(), Place(7001, tmp_path))
    program = str(tmp_path / "venv" / "bin" / "chroma")
    argv = half.launch(tmp_path / "work").argv
    assert argv[:4] == [program, "run", "--host", "127.0.0.1"]
    assert half.missing() == [program]
    assert half.recognise("/usr/bin/python3", ["/usr/bin/python3", program, "run"], "chroma") == program
    assert half.recognise("/usr/bin/python3", ["/usr/bin/python3", "x.py", "chroma", "run"], "x") == ""


def test_a_scenario_whose_searches_have_a_least_similarity_is_not_offered() -> None:
    settings = load_settings(ROOT, {}, {"system": "chroma"})
    scenarios = load_scenarios(ROOT / "scenarios" / "competitive", None)
    whole = next(each for each in scenarios if not_offered(settings, each) == "")
    weights = msgspec.structs.replace(whole.operations, recall_weight=0.5)
    least = msgspec.structs.replace(whole, operations=weights)
    assert not_offered(settings, least) == "searches with a least similarity"
    assert not_offered(load_settings(ROOT, {}, {"system": "qdrant"}), least) == ""


def test_every_version_of_its_installation_is_pinned() -> None:
    packages = INSTALLATION.files["constraints.txt"].split()
    assert len(packages) > 80
    assert all(package.count("==") == 1 for package in packages)
