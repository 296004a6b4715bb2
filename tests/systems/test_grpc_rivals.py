"""Milvus and Weaviate, the real ones where they are installed: loaded, searched, and proven to be apart and gone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from compbench.machine import namespaces
from compbench.machine.output import Output
from compbench.machine.probes.sockets import own_sockets
from compbench.measuring import server
from compbench.measuring.server import ServerProcess
from compbench.systems import registry
from compbench.systems.api import Server

pytestmark = [pytest.mark.rivals, pytest.mark.timeout(180)]
ROOT = Path(__file__).resolve().parent.parent.parent
ASKING = ROOT / "tests" / "asking_rivals.py"
PORT = "7741"
LEFT_BY_MILVUS = [Path("/tmp/milvus"), Path("/run/milvus")]


@pytest.fixture(params=["milvus", "weaviate"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Server, ServerProcess]]:
    name = request.param
    settings = registry.load_settings(ROOT, {}, {"system": name, "port": PORT, "work_dir": str(tmp_path)})
    half = registry.server_of(settings)
    if missing := half.missing():
        pytest.skip(f"{name} can't run here: {', '.join(missing)}: {half.how_to_get}")
    before = [path.exists() for path in LEFT_BY_MILVUS]
    with server.work_folder(settings, ROOT) as work:
        log = Output(work / "log", 5_000_000)
        with server.started(settings, work, log, ROOT) as under_test:
            server.wait_until_ready(under_test, 60)
            yield name, half, under_test
            under_test.stop()
            # Milvus may hang after its collection was dropped (docs/systems.md).
            ends = {under_test.launch.stop_signal.name, "itself"} | ({"SIGKILL"} if name == "milvus" else set())
            assert under_test.stopped_by in ends
            assert under_test.zombie_left is False
    assert [path.exists() for path in LEFT_BY_MILVUS] == before


def asked(what: str, name: str, half: Server, under_test: ServerProcess) -> Any:
    argv = [*half.entry(under_test.child.pid), sys.executable, str(ASKING), what, name, half.endpoint]
    environment = server.child_environment(ROOT)
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_loaded_searched_and_counted_behind_its_entry_alone(running: tuple[str, Server, ServerProcess]) -> None:
    name, half, under_test = running
    assert server.is_free(int(PORT)), "it is reached from outside of its namespace"
    assert half.count() == 0
    assert "LISTEN" in {socket.state for socket in own_sockets(under_test.child.pid)}
    said = asked("look", name, half, under_test)
    assert said["built"] == ["", ""]
    assert said["there"] == [0, 2000, 2000]
    assert said["counts"] == [2000, 2001]
    assert said["other"] == [False, True]
    assert said["proof"][0], said["proof"]
    assert said["floor"]
    assert said["recall"]["400"] > 0.99
    assert said["recall"]["10"] <= said["recall"]["400"]
    assert said["below_threshold"] == 0
    assert said["above_threshold"] > 0.95
    assert said["stored_is_found"]
    assert half.count() == 2001
    assert half.answers()
    assert half.recognise(psutil.Process(under_test.child.pid).exe(), under_test.launch.argv, name)
    assert asked("remove", name, half, under_test) == ["", 0]


def test_nothing_is_left_when_the_server_is_killed(running: tuple[str, Server, ServerProcess]) -> None:
    _, half, under_test = running
    psutil.Process(under_test.child.pid).kill()
    assert under_test.child.wait(10) is not None
    assert not half.answers()


def test_where_no_namespaces_can_be_had_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "why_none", lambda: "unshare: Operation not permitted")
    for name in ("milvus", "weaviate"):
        half = registry.server_of(registry.load_settings(ROOT, {}, {"system": name}))
        assert [line for line in half.missing() if "Operation not permitted" in line and "\n" not in line]
        own = {"system": name, f"system.{name}.endpoint": "http://elsewhere:1"}
        assert registry.server_of(registry.load_settings(ROOT, {}, own)).missing() == []
