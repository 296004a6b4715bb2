"""The built-in driver run as a user does, against a server of known behaviour."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.helpers import STAND_INS
from tests.project import eventually

SCENARIO = """\
name = "A small workload"
description = "For tests"
seed = 7

[arrival]
{arrival}

[operations]
store_weight = {store}
recall_weight = 0.5
embedding_search_weight = 0.5

[data]
num_nodes = 100
embedding_dim = 8
memory_spaces = 1

[validation]
{validation}
"""


@dataclass
class Driven:
    """What a run of the driver left."""

    code: int
    stdout: str
    stderr: str
    report: dict[str, Any]

    @property
    def own(self) -> dict[str, Any]:
        """Return what only compbench's driver reports."""
        return dict(self.report["compbench"])


@contextlib.contextmanager
def serving(*options: str) -> Iterator[str]:
    """Run the stand-in server; yield its URL."""
    argv = [sys.executable, str(STAND_INS / "http_server"), *options]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        port = process.stdout.readline().strip()
        assert port, "the stand-in server did not start"
        yield f"http://127.0.0.1:{port}"
        process.stdin.close()
        process.wait()


def scenario_file(folder: Path, arrival: str, *, store: float = 0.0, validation: str = "") -> Path:
    """Write a scenario with the lines of its arrival table."""
    path = folder / "small.toml"
    path.write_text(SCENARIO.format(arrival=arrival, store=store, validation=validation))
    return path


def constant(rate: float) -> str:
    """Return the arrival table of a constant rate."""
    return f'pattern = "constant"\nrate = {float(rate)}'


def loadtest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the driver's command line to its end."""
    argv = [sys.executable, "-m", "compbench.loadtest", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def drive(folder: Path, url: str, arrival: str, duration_s: int, *options: str | Path) -> Driven:
    """Run `run` and read its report."""
    output = folder / "report.json"
    scenario = scenario_file(folder, arrival)
    base = ("run", "--scenario", scenario, "--endpoint", url, "--duration", str(duration_s), "--output", output)
    ended = loadtest(*base, *options)
    assert output.exists(), f"no report:\n{ended.stdout}\n{ended.stderr}"
    return Driven(ended.returncode, ended.stdout, ended.stderr, json.loads(output.read_text()))


def lose_a_host(pid: int) -> None:
    """Kill the worker of one of the two hosts that a process, or one that it started, sends from."""
    assert eventually(lambda: len(_host_drivers(pid)) == 2, 60)
    worker = _host_drivers(pid)[0].parent()
    assert worker is not None
    worker.kill()


def _host_drivers(pid: int) -> list[psutil.Process]:
    found = []
    for one in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may end meanwhile
            if one.cmdline()[-2:] == ["compbench.loadtest", "host"]:
                found.append(one)
    return found
