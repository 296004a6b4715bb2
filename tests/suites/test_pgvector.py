"""PostgreSQL with pgvector measured whole, through doit: it passes, and what goes wrong with it is told."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest

from compbench.systems.pgvector.install import INSTALLATION
from tests.installed import cache_with
from tests.project import Project, eventually, is_running

PROGRAM = Path(INSTALLATION.result).name


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of one scenario with vector searches, thresholds and stores."""
    made = Project(tmp_path / "project", names=("alpha",))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "systems").symlink_to(cache_with("pgvector") / "systems")
    scenario = made.root / "scenarios" / "competitive" / "alpha.toml"
    text = scenario.read_text().replace("num_nodes = 5\n", "num_nodes = 2000\n").replace("dim = 768", "dim = 24")
    text = text.replace("rate = 20.0", "rate = 100.0").replace("p99_latency_ms = 500.0", "p99_latency_ms = 5000.0")
    scenario.write_text(text + "expected_recall = 0.9\n")
    small = {"system.pgvector.shared_buffers_pct": 1.0, "system.pgvector.maintenance_work_mem_pct": 1.0}
    made.set(system="pgvector", driver="builtin", connections=4, invalid_retries=9, cache_dir=str(tmp_path / "cache"))
    made.set(**small, ready_timeout_s=30.0)
    return made


def postmasters(project: Project) -> list[psutil.Process]:
    """Return the servers of this project, by their data folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(project.root) in word for word in words) and Path(words[0]).name == PROGRAM:
            found.append(process)
    return found


def meddle(project: Project, number: signal.Signals) -> None:
    """Send the server and all its processes a signal as soon as it is measured."""
    progress = time.monotonic() + 60
    while time.monotonic() < progress:
        drivers = [p for p in psutil.process_iter(["cmdline"]) if {"run", "pgvector"} <= {*(p.info["cmdline"] or [])}]
        if any(str(project.root) in " ".join(driver.info["cmdline"]) for driver in drivers):
            break
        time.sleep(0.05)
    time.sleep(1)
    for server in postmasters(project):
        # The first of them first: it would start again what has lost a child.
        for process in [server, *server.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)


def test_it_is_loaded_measured_and_its_answers_are_right(project: Project) -> None:
    done = project.doit("run:alpha")
    assert done.returncode == 0, done.stdout + done.stderr
    own = json.loads(project.file("alpha.json").read_text())["compbench"]
    assert own["recall"]["answers"] == "ok"
    assert own["recall"]["mean"] > 0.9
    assert own["recall"]["checked"] > 50
    assert own["failed"] == 0
    assert own["endpoint"] == f"postgresql://127.0.0.1:{project.port}"
    assert own["per_operation"]["Store"]["count"] > 0
    capture = project.capture("alpha")
    assert capture["server"]["version"].startswith("PostgreSQL 18.4 + pgvector 0.8.5")
    assert "Server pgvector: PostgreSQL 18.4 + pgvector 0.8.5" in project.file("metadata.txt").read_text()
    told = " ".join(project.doit("systems").stdout.split())
    assert "version postgres (PostgreSQL) 18.4 + pgvector 0.8.5" in told
    assert capture["outcome"]["verdict"] == "passed"
    assert capture["server"]["stopped_by"] == "SIGINT"
    assert capture["server"]["exit_code"] == 0
    assert eventually(lambda: not postmasters(project), 10.0)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        pytest.param(signal.SIGKILL, "SIGKILL", marks=pytest.mark.slow),
        # A server that hangs is given its whole patience: a minute.
        pytest.param(signal.SIGSTOP, "", marks=pytest.mark.rivals),
    ],
)
def test_a_server_that_dies_or_hangs_while_it_is_measured_is_a_failure_and_leaves_nothing(
    project: Project, number: signal.Signals, said: str
) -> None:
    project.set(duration_s=4, invalid_retries=0, stop_grace_s=1.0, driver_grace_s=5.0)
    meddler = threading.Thread(target=meddle, args=(project, number), daemon=True)
    meddler.start()
    done = project.doit("run:alpha")
    meddler.join(10)
    assert done.returncode == 1, done.stdout + done.stderr
    outcome = project.capture("alpha")["outcome"]
    assert outcome["verdict"] in {"failed", "missed"}, outcome
    assert said in outcome["reason"], outcome
    assert eventually(lambda: not postmasters(project), 10.0)


def test_a_runner_that_is_killed_leaves_no_process_of_the_server(project: Project) -> None:
    project.set(duration_s=60)
    runner = project.start("run:alpha")
    assert eventually(lambda: postmasters(project), 60.0)
    assert eventually(lambda: len(postmasters(project)[0].children()) > 3)
    server = postmasters(project)[0]
    family = [server, *server.children(recursive=True)]
    runner.kill()
    runner.communicate()
    assert eventually(lambda: not any(is_running(process.pid) for process in family), 10.0)
    assert eventually(lambda: not project.orphans(), 10.0)


def test_a_port_that_is_taken_is_told_with_who_has_it(project: Project) -> None:
    with socket.create_server(("127.0.0.1", project.port)):
        done = project.doit("run:alpha")
    assert done.returncode != 0
    assert f"port {project.port}" in done.stdout + done.stderr
