"""What the servers of Redis' modules have in common for the runner: Redis' program, started with a module."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compbench.config.system_tables import Durability, Mode, RivalSettings
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, Facts, Launch, Look, Needs, Place, Script

_REQUEST_TIMEOUT_S = 2.0
_PIECE_BYTES = 65_536
# Redis writes its state when it is told to end and its own save points are on.
_STOP_GRACE_S = 60.0
# What is added to the command line; `vendor` is Redis without a configuration file: save points, no append-only file.
_WRITES: Mapping[Durability, tuple[str, ...]] = {
    "vendor": (),
    "acknowledged on disk": ("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
    "memory": ("--save", "", "--appendonly", "no"),
}
_SURVIVES: Mapping[Durability, str] = {
    "vendor": "nothing at once: a snapshot 60 s after 10,000 changes, 300 s after 100, 3600 s after one",
    "acknowledged on disk": "a loss of power: append-only file, synced for each",
    "memory": "nothing: kept in memory",
}


class RedisProcess:
    """The runner's half but for what a module adds; a system's `Server` names its programs and says its facts."""

    modes: tuple[Mode, ...] = ("managed", "endpoint")
    capabilities = Capabilities()
    # Redis' snapshot has the vectors, not the index: that is built anew at each start, as by a load.
    data_format = ""
    rewrites_data = False
    most_vectors: int | None = None
    name = "redis"

    def __init__(self, own: RivalSettings, place: Place) -> None:
        """Take the system's settings."""
        self.own, self.port, self.mode = own, place.port, own.chosen_mode
        self.endpoint = own.endpoint or f"redis://127.0.0.1:{place.port}"
        self.binaries: Mapping[str, Path] = self.programs(place.installed)
        self.driver_program: Path | None = None
        self.repository: Path | None = None
        self.how_to_get = f"doit install:{self.name}"

    def programs(self, installed: Path) -> dict[str, Path]:
        """Return Redis' program (`redis-server`) and the module, where they are installed."""
        raise NotImplementedError

    def module_arguments(self, work: Path) -> list[str]:
        """Return what the module is told on the command line."""
        del work
        return []

    def facts(self) -> Facts:
        """Return what may differ from other systems."""
        raise NotImplementedError

    def missing(self) -> list[str]:
        """Return those of its programs that are not there."""
        return [str(path) for path in self.binaries.values() if not path.is_file()]

    def launch(self, work: Path) -> Launch:
        """Return the command line; Redis reads no configuration unless one is named."""
        program, module = self.binaries.values()
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(work / "data")]
        loaded = ["--loadmodule", str(module), *self.module_arguments(work)]
        argv = [str(program), *where, *_WRITES[self.own.durability], *loaded]
        return Launch(argv, {"HOME": str(work / "home")}, stop_grace_s=_STOP_GRACE_S)

    def version_argv(self) -> list[str]:
        """Return the command line that prints the version."""
        return [str(next(iter(self.binaries.values()))), "--version"]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the version that Redis prints; its modules tell theirs only while they run."""
        return {"redis-server": version_line(self.version_argv(), os.environ)}, {}

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Ask it who it is: its process, and whether it has read its data."""
        del work
        said = info_in(ask_redis(self.port, min(_REQUEST_TIMEOUT_S, timeout_s), "INFO"))
        if not said:
            return Look(False, "INFO was not answered")
        if said.get("process_id") != str(pid):
            return Look(False, f"the process that answers is {said.get('process_id')}, the one started is {pid}")
        if said.get("loading") != "0":
            return Look(False, "it still reads its data")
        return Look(True, f"INFO says process {pid}")

    def answers(self) -> bool:
        """Tell whether it answers."""
        return ask_redis(self.port, _REQUEST_TIMEOUT_S, "PING") is not None

    def count(self) -> int | None:
        """Return how many vectors it holds."""
        raise NotImplementedError

    def save(self, timeout_s: float) -> str:
        """Refuse: a start on kept data builds the index anew."""
        del timeout_s
        return "Redis' snapshot has no index: a start on it builds the index anew, as a load does"

    def pages(self) -> dict[str, str]:
        """Return nothing: it has no page over HTTP."""
        return {}

    def diagnostics(self) -> Script | None:
        """Return nothing."""
        return None

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return that they are not known."""
        del count, dimension
        return None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise the program by its executable, and the module by its file's name on the command line."""
        del name
        module = [*self.binaries.values()][1].name
        is_it = executable is not None and Path(executable).name == "redis-server"
        return executable or "" if is_it and any(Path(word).name == module for word in argv) else ""

    def entry(self, pid: int) -> list[str]:
        """Return nothing: it listens on loopback."""
        del pid
        return []

    def durability(self) -> str:
        """Return what an acknowledged insert survives."""
        return _SURVIVES[self.own.durability]


def ask_redis(port: int, timeout_s: float, *words: str) -> Any:
    """Return the reply to one command, None if there is none in time."""
    # A doit command that measures nothing need not load the parser.
    from compbench.transport.resp_connection import NotRespError, command, reply_in  # noqa: PLC0415

    answer = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
        connection.sendall(command(*words))
        while piece := connection.recv(_PIECE_BYTES):
            answer += piece
            with contextlib.suppress(NotRespError):
                return reply_in(answer)
    return None


def info_in(reply: Any) -> dict[str, str]:
    """Return the lines `key:value` of Redis' INFO; empty for another reply."""
    if not isinstance(reply, bytes):
        return {}
    lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
    return {key: value for key, mark, value in lines if mark}
