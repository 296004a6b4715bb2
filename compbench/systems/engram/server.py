"""Engram's server as the runner sees it: started from the release build, asked over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from compbench.config.system_tables import Mode
from compbench.machine.ask import AskError, ask
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, Facts, Launch, Look, Needs, Place, Script
from compbench.systems.engram.settings import EngramSettings

_REQUEST_TIMEOUT_S = 2.0
_CARGO_TIME_LIMIT_S = 20.0
# Measured with engram-cli 0.1.0 (its commit 5d54816, release profile), 35,000 unit vectors of 768 dimensions in one
# space, 16 stores in flight. It starts with reading a sparse file of 3.1 GB (`warm_tier.dat`) whole, and a copy of it
# for a checksum: its peak. The file's pages stay mapped, and what is stored adds to them; copies that searches make of
# what they find, 3 kB a vector above their threshold, are left out.
_BYTES_AT_START = 6_290_000_000
_BYTES_MAPPED = 3_150_000_000
_MEMORY_BYTES_A_NUMBER = 30
# A record of its log, which is all that it writes: the numbers, and id, text and header.
_LOG_BYTES_A_VECTOR = 231
_LOG_BYTES_A_NUMBER = 4
# The time of a core for one store, and by how much that grows with each vector held: it goes into a comparison with all
# of them, and into the index. Both are one thread's work, so more than two cores add nothing.
_STORE_S = 0.0002
_STORE_S_A_HELD = 1.75e-6


class Server:
    """The server half of Engram."""

    modes: tuple[Mode, ...] = ("managed",)
    mode: Mode = "managed"
    # Its recall refuses vectors of any other dimension; edges are followed by builds that have a spreading engine.
    capabilities = Capabilities(dimension=768, completion=True, filters=True, tells_edges=True)
    # The more it holds, the less of its confidence (0.9, as the client sends it) a vector keeps: half at 100,000.
    # Below 0.7 it is kept where a search looks at no vector, so those that come after these are not found.
    most_vectors: int | None = 44_444
    # It counts and lists what it reads back when it starts, and finds none of it by vector.
    data_format = ""
    rewrites_data = False

    def __init__(self, own: EngramSettings, place: Place) -> None:
        """Take the settings of Engram."""
        self.own, self.port = own, place.port
        # The IPv4 literal: Engram binds nothing else.
        self.endpoint = f"http://127.0.0.1:{place.port}"
        self.binaries: Mapping[str, Path] = {"engram": own.release_dir / "engram"}
        self.driver_program: Path | None = own.release_dir / "loadtest"
        self.repository: Path | None = Path(own.root)
        self.how_to_get = f"cargo build --release in {own.root}"

    def missing(self) -> list[str]:
        """Return the server's program if it is not there."""
        program = self.binaries["engram"]
        return [] if program.is_file() else [str(program)]

    def launch(self, work: Path) -> Launch:
        """Return the command line; the log level stands before the subcommand, as Engram wants."""
        environment = {
            "ENGRAM_DATA_DIR": str(work / "data"),
            "ENGRAM_PID_PATH": str(pid_file(work)),
            "XDG_CONFIG_HOME": str(work / "config"),
            "HOME": str(work / "home"),
            "NO_COLOR": "1",
        }
        return Launch(start_argv([str(self.binaries["engram"])], self.own, self.port), environment, is_foreign)

    def version_argv(self) -> list[str]:
        """Return the command line that prints the version."""
        return [str(self.binaries["engram"]), "--version"]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the version that the server prints, and those of the checkout's manifests."""
        return {"engram-cli": version_line(self.version_argv(), os.environ)}, cargo_versions(Path(self.own.root))

    def version_told(self) -> str:
        """Return nothing: no answer of its has its version."""
        return ""

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Look into the pid file, and ask for its health; the file names process and port, where Engram may move."""
        said = read_pid_file(pid_file(work))
        if said is not None and said[1] != self.port:
            return Look(False, "", moved_to=said[1])
        try:
            status = ask(f"{self.endpoint}/health", min(_REQUEST_TIMEOUT_S, timeout_s)).status
        except AskError as error:
            return Look(False, f"GET /health was not answered: {error}")
        if status != HTTPStatus.OK:
            return Look(False, f"GET /health answered {status}")
        if said != (pid, self.port):
            return Look(False, f"GET /health answered 200, but the pid file says {said or 'nothing'}")
        return Look(True, "GET /health answered 200")

    def answers(self) -> bool:
        """Tell whether it answers, healthy or not."""
        try:
            ask(f"{self.endpoint}/health", _REQUEST_TIMEOUT_S)
        except AskError:
            return False
        return True

    def count(self) -> int | None:
        """Return its own count of its memories, in all spaces."""
        with contextlib.suppress(AskError, ValueError, RecursionError):
            return _count_in(json.loads(ask(f"{self.endpoint}/api/v1/system/health", _REQUEST_TIMEOUT_S).body))
        return None

    def save(self, timeout_s: float) -> str:
        """Refuse: what it reads back from its log it counts and lists, but does not index."""
        del timeout_s
        return "Engram finds nothing by vector that it did not store since its start, so its data is not kept"

    def pages(self) -> dict[str, str]:
        """Return health and metrics."""
        paths = {"health": "/health", "system health": "/api/v1/system/health", "metrics": "/metrics/prometheus"}
        return {name: f"{self.endpoint}{path}" for name, path in paths.items()}

    def diagnostics(self) -> Script | None:
        """Return the checkout's own script, if it is there."""
        script = Path(self.own.root) / "scripts" / "engram_diagnostics.sh"
        note = "1 only means that it found a process, as it must while the server runs"
        return Script(script, note) if script.is_file() else None

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return the needs as they were measured; they grow with the square of the count."""
        held = count * dimension * _MEMORY_BYTES_A_NUMBER
        return Needs(
            memory_bytes=max(_BYTES_AT_START, _BYTES_MAPPED + held),
            disk_bytes=count * (dimension * _LOG_BYTES_A_NUMBER + _LOG_BYTES_A_VECTOR),
            added_a_core_s=1 / (_STORE_S + _STORE_S_A_HELD * count / 2),
            explanation=(
                f"{count:,} x {dimension} x {_MEMORY_BYTES_A_NUMBER} bytes = {held / 1e9:.1f} GB + a mapped file of"
                f" {_BYTES_MAPPED / 1e9:.1f} GB, and at least {_BYTES_AT_START / 1e9:.1f} GB when it starts"
            ),
        )

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise it by its executable: a substring of a command line proves nothing."""
        del argv
        if executable is None:
            return "?" if name == "engram" else ""
        return executable if Path(executable).name == "engram" else ""

    def entry(self, pid: int) -> list[str]:
        """Return nothing: it listens on loopback."""
        del pid
        return []

    def facts(self) -> Facts:
        """Return what was seen of Engram (docs/systems.md)."""
        return Facts(
            protocol="HTTP/1.1, JSON",
            index_definition="none that searches use: each compares all vectors, 32 bit floats",
            durability="written to a log, not synced for each store",
            inserts="seen by the next search",
        )


def start_argv(program: list[str], own: Any, port: int) -> list[str]:
    """Return the command line that starts a server that keeps to Engram's."""
    ports = ["--port", str(port), "--grpc-port", str(own.grpc_port)]
    return [*program, "--log-level", own.log_level, "start", *ports]


def is_foreign(name: str) -> bool:
    """Tell whether a variable of the caller must not reach the server: every ENGRAM_ one would change it."""
    return name.startswith("ENGRAM_")


def read_pid_file(path: Path) -> tuple[int, int] | None:
    """Return (pid, port) of an Engram pid file, or None if it is absent or not (yet) whole."""
    try:
        pid, port = path.read_text(encoding="utf-8").split(":")
        return int(pid), int(port)
    except (OSError, ValueError):
        return None


def cargo_versions(root: Path) -> dict[str, str]:
    """Return the workspace's package versions as `cargo metadata` tells them; empty without cargo or workspace."""
    if not (root / "Cargo.toml").is_file():
        return {}
    argv = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=_CARGO_TIME_LIMIT_S, check=False)
        return {package["name"]: package["version"] for package in json.loads(done.stdout or "")["packages"]}
    return {}


def pid_file(work: Path) -> Path:
    """Return where the server writes `pid:port`."""
    return work / "engram.pid"


def _count_in(answer: Any) -> int | None:
    spaces = answer.get("spaces") if isinstance(answer, dict) else None
    counts = [space.get("memories") for space in spaces if isinstance(space, dict)] if isinstance(spaces, list) else []
    known = [count for count in counts if isinstance(count, int)]
    return sum(known) if known else None
