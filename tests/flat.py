"""The flat server as a real process, loaded and asked by the driver's command line."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compbench.model.scenario import Constant, Operations
from tests.drive import loadtest
from tests.helpers import STAND_INS
from tests.load import SEARCHES, scenario, toml
from tests.project import eventually, free_port

ROWS = 400


@dataclass
class Flat:
    """A flat server that holds the data set of a scenario."""

    folder: Path
    port: int

    def ask(self, command: str, *more: str, system: str = "flat", **own: Any) -> subprocess.CompletedProcess[str]:
        """Run the driver against it."""
        argv: list[str | Path] = [
            "--scenario",
            self.folder / "made.toml",
            "--endpoint",
            f"flat://127.0.0.1:{self.port}",
        ]
        argv += ["--system", system, "--systems-dir", STAND_INS / "systems", "--system-settings", json.dumps(own)]
        argv += ["--cache", self.folder / "cache", "--output", self.folder / f"{command}.json"]
        return loadtest(command, *argv, *more)

    def report(self, command: str) -> dict[str, Any]:
        """Return what a command has written."""
        return dict(json.loads((self.folder / f"{command}.json").read_text()))


def write_scenario(path: Path, rate: float, validation: str = "", operations: Operations = SEARCHES) -> None:
    """Write a scenario of vectors that are quickly compared."""
    made = scenario(operations, nodes=ROWS, arrival=Constant(rate=rate))
    text = toml(made).replace("rate = 100", f"rate = {rate}").replace("dim = 768", "dim = 24")
    path.write_text(f"{text}\n[validation]\n{validation}\n")


@contextlib.contextmanager
def flat_server(folder: Path, rate: float, validation: str = "", operations: Operations = SEARCHES) -> Iterator[Flat]:
    """Run a server and load it."""
    write_scenario(folder / "made.toml", rate, validation, operations)
    flat = Flat(folder, free_port())
    argv = [sys.executable, str(STAND_INS / "flat_server.py"), str(flat.port)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: _listens(flat.port))
            loaded = flat.ask("prepare")
            assert loaded.returncode == 0, loaded.stderr
            yield flat
        finally:
            process.kill()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False
