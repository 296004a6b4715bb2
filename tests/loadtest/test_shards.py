"""Several processes that keep one schedule: none outlives another."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.drive import constant, scenario_file, serving
from tests.project import eventually


def start(folder: Path, url: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a long run of two processes; return it and its senders when they send."""
    progress = folder / "progress.jsonl"
    argv = [sys.executable, "-m", "compbench.loadtest", "run", "--scenario", str(scenario_file(folder, constant(50)))]
    argv += ["--endpoint", url, "--duration", "60", "--processes", "2", "--progress", str(progress)]
    run = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert eventually(lambda: progress.exists() and progress.read_text().count('"measure"') > 1)
    senders = [child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(senders) == 2
    return run, senders


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_senders_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with serving() as url:
        run, senders = start(tmp_path, url)
        run.send_signal(signal.SIGKILL)
        assert eventually(lambda: all(map(gone, senders)), timeout_s=10)
        run.communicate()


def test_a_run_ends_with_one_line_when_a_sender_dies(tmp_path: Path) -> None:
    with serving() as url:
        run, senders = start(tmp_path, url)
        senders[0].kill()
        _, stderr = run.communicate(timeout=20)
        assert stderr == "Error: a process of the driver died (exit code -9)\n"
        assert run.returncode == 1
        assert eventually(lambda: all(map(gone, senders)), timeout_s=10)


@pytest.mark.parametrize("processes", [1, 2])
def test_all_connections_stay_open_after_the_load_until_the_runner_has_looked(tmp_path: Path, processes: int) -> None:
    progress, until = tmp_path / "progress.jsonl", tmp_path / "looked"
    with serving() as url:
        argv = [sys.executable, "-m", "compbench.loadtest", "run"]
        argv += ["--scenario", str(scenario_file(tmp_path, constant(50))), "--endpoint", url, "--duration", "1"]
        argv += ["--processes", str(processes), "--connections", "6", "--progress", str(progress)]
        argv += ["--cache", str(tmp_path), "--hold", str(until)]
        run = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert eventually(lambda: progress.exists() and '"hold"' in progress.read_text(), 30.0)
        drivers = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
        port = int(url.rpartition(":")[2])
        found = [one for driver in drivers for one in driver.net_connections() if one.raddr and one.raddr.port == port]
        assert len([one for one in found if one.status == psutil.CONN_ESTABLISHED]) == 6
        until.touch()
        said, stderr = run.communicate(timeout=30)
        assert "Load test completed" in said, stderr
