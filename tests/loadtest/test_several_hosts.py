"""The driver over several hosts: a local cluster of Dask, real processes, the real wire."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.drive import constant, drive, loadtest, scenario_file, serving
from tests.project import eventually

pytestmark = pytest.mark.process


def test_several_hosts_do_the_work_of_one_and_are_told_apart(tmp_path: Path) -> None:
    options = ("--warm-up", "0.5", "--cache", tmp_path)
    with serving("--delay-ms", "5") as url:
        alone = drive(tmp_path, url, constant(200), 1, *options).own
        spread = drive(tmp_path, url, constant(200), 1, *options, "--hosts", "local:3")
    own = spread.own
    assert spread.stderr == ""
    assert own["workload_digest"] == alone["workload_digest"]
    assert own["completed"] == alone["completed"] == 200
    assert [host["name"] for host in own["hosts"]] == ["local-1", "local-2", "local-3"]
    assert sum(host["count"] for host in own["hosts"]) == 200
    assert sum(sum(host["time_series"]["completed"]) for host in own["hosts"]) == 200
    assert all(host["uncertainty_ms"] > 0 and host["drift_ms"] is not None for host in own["hosts"])


def test_connections_are_opened_only_when_all_hosts_are_ready_and_each_once(tmp_path: Path) -> None:
    """A host that is ready long before the others would else measure over connections that the server has closed."""
    with serving() as url:
        port = int(url.rpartition(":")[2])
        made = scenario_file(tmp_path, constant(50))
        argv = [sys.executable, "-m", "compbench.loadtest", "run", "--scenario", str(made), "--endpoint", url]
        argv += ["--duration", "2", "--hosts", "local:2", "--connections", "6", "--cache", str(tmp_path)]
        run = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        frozen: list[psutil.Process] = []

        def one_is_frozen() -> bool:
            found = [one for one in psutil.Process(run.pid).children(recursive=True) if is_host_driver(one)]
            if len(found) == 2:
                found[0].suspend()
                frozen.append(found[0])
            return bool(frozen)

        assert eventually(one_is_frozen, 30)
        time.sleep(2)  # the other one is ready long before
        connected = [
            one
            for child in psutil.Process(run.pid).children(recursive=True)
            for one in child.net_connections()
            if one.raddr and one.raddr.port == port
        ]
        frozen[0].resume()
        said, stderr = run.communicate(timeout=60)
    assert connected == []
    assert "Load test completed" in said, stderr


@pytest.mark.slow
def test_words_that_name_no_hosts_and_a_scheduler_that_is_not_there_are_one_line(tmp_path: Path) -> None:
    base = ("run", "--scenario", scenario_file(tmp_path, constant(50)), "--duration", "1")
    wrong = loadtest(*base, "--hosts", "nonsense")
    assert wrong.returncode == 2
    assert "expected local:3" in wrong.stderr
    missing = loadtest(*base, "--hosts", "tcp://127.0.0.1:9")
    assert missing.returncode == 1
    assert missing.stderr.startswith("Error: hosts tcp://127.0.0.1:9: ")
    assert missing.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_server_that_hosts_can_not_reach_is_told_with_the_host(tmp_path: Path) -> None:
    made = scenario_file(tmp_path, constant(50))
    ended = loadtest(
        "run", "--scenario", made, "--duration", "1", "--hosts", "local:2", "--endpoint", "http://127.0.0.1:9"
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("Error: ")


def is_host_driver(process: psutil.Process) -> bool:
    """Tell whether a process is the driver of a host."""
    try:
        return process.cmdline()[-2:] == ["compbench.loadtest", "host"]
    except psutil.Error:
        return False


class Running:
    """A long run over two hosts: its process and the drivers on the hosts."""

    def __init__(self, folder: Path, url: str) -> None:
        self.report, progress = folder / "report.json", folder / "progress.jsonl"
        made = str(scenario_file(folder, constant(50)))
        argv = [sys.executable, "-m", "compbench.loadtest", "run", "--scenario", made, "--endpoint", url]
        argv += ["--duration", "60", "--hosts", "local:2", "--progress", str(progress), "--output", str(self.report)]
        self.run = subprocess.Popen(
            [*argv, "--cache", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert eventually(lambda: progress.exists() and progress.read_text().count('"second"') > 1, 30)
        self.all = psutil.Process(self.run.pid).children(recursive=True)
        self.drivers = [one for one in self.all if is_host_driver(one)]
        assert len(self.drivers) == 2

    def worker_of(self, driver: psutil.Process) -> psutil.Process:
        parent = driver.parent()
        assert parent is not None
        return parent

    def ended(self) -> dict[str, Any]:
        """Return the report of the run, which ends by itself, with nothing left."""
        self.run.communicate(timeout=40)
        assert eventually(lambda: not any(map(alive, self.all)), 20)
        return dict(json.loads(self.report.read_text())["compbench"])


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("hit", "word"),
    [
        pytest.param(lambda running: running.drivers[0].kill(), "was lost", id="driver killed", marks=pytest.mark.slow),
        pytest.param(lambda running: running.worker_of(running.drivers[0]).kill(), "was lost", id="worker killed"),
        pytest.param(
            lambda running: running.drivers[0].suspend(), "nothing for", id="driver frozen", marks=pytest.mark.slow
        ),
    ],
)
def test_a_host_that_is_lost_makes_the_measurement_invalid_and_leaves_nothing(
    hit: Callable[[Running], None], word: str, tmp_path: Path
) -> None:
    with serving() as url:
        running = Running(tmp_path, url)
        hit(running)
        own = running.ended()
    assert own["valid"] is False
    assert own["invalid_reason"].startswith("host local-")
    assert word in own["invalid_reason"]
    assert own["due"] < 50 * 60  # nothing of the lost host's share was sent by the other one


def test_nothing_is_left_on_any_host_when_the_driver_that_gathers_is_killed(tmp_path: Path) -> None:
    with serving() as url:
        running = Running(tmp_path, url)
        running.run.send_signal(signal.SIGKILL)
        running.run.communicate()
        assert eventually(lambda: not any(map(alive, running.all)), 20)
