"""What the servers of Redis' modules have in common for the runner: Redis' program, started with a module."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compbench.config.system_tables import Durability
from compbench.machine.version_line import version_line
from compbench.systems.api import Launch, Look
from compbench.systems.rival import Rival

_REQUEST_TIMEOUT_S = 2.0
_MAJOR = 10_000
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


class RedisProcess(Rival):
    """The runner's half but for what a module adds; a system's `Server` says its `programs` (Redis', its module)."""

    scheme = "redis"
    # Redis writes its state when it is told to end and its own save points are on.
    stop_grace_s = 60.0

    def module_arguments(self, data: str) -> list[str]:
        """Return what the module is told on the command line."""
        del data
        return []

    def arguments(self, data: str) -> list[str]:
        """Return what Redis is told on the command line."""
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", data]
        return [*where, *_WRITES[self.own.durability]]

    def launch(self, work: Path) -> Launch:
        """Return the command line; Redis reads no configuration unless one is named."""
        (program, module), data = self.binaries.values(), str(work / "data")
        argv = [str(program), *self.arguments(data), "--loadmodule", str(module), *self.module_arguments(data)]
        return super().launch(work)._replace(argv=argv)

    def version_argv(self) -> list[str]:
        """Return the command line that prints the version."""
        return [str(next(iter(self.programs().values()))), "--version"]

    def versions_here(self) -> dict[str, str]:
        """Return the version that Redis prints; its modules tell theirs only while they run."""
        return {"redis-server": version_line(self.version_argv(), os.environ)}

    def version_told(self) -> str:
        """Return the versions of Redis and of its modules."""
        redis = info_in(self.asked("INFO")).get("redis_version", "")
        return " + ".join([f"Redis {redis}", *modules_in(self.asked("MODULE", "LIST"))]) if redis else ""

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Ask it who it is: its process, and whether it has read its data."""
        del work
        said = info_in(self.asked("INFO", timeout_s=min(_REQUEST_TIMEOUT_S, timeout_s)))
        if not said:
            return Look(False, "INFO was not answered")
        # A container numbers its processes by itself; that the port is its own is proved for all systems alike.
        if self.mode == "managed" and said.get("process_id") != str(pid):
            return Look(False, f"the process that answers is {said.get('process_id')}, the one started is {pid}")
        if said.get("loading") != "0":
            return Look(False, "it still reads its data")
        return Look(True, f"INFO says process {said.get('process_id')}")

    def answers(self) -> bool:
        """Tell whether it answers, and lets us in."""
        return self.asked("PING") is not None

    def save(self, timeout_s: float) -> str:
        """Refuse: a start on kept data builds the index anew."""
        del timeout_s
        return "Redis' snapshot has no index: a start on it builds the index anew, as a load does"

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise the program by its executable, and the module by its file's name on the command line."""
        del name
        module = [*self.programs().values()][1].name
        is_it = executable is not None and Path(executable).name == "redis-server"
        return executable or "" if is_it and any(Path(word).name == module for word in argv) else ""

    def durability(self) -> str:
        """Return what an acknowledged insert survives."""
        return self.as_owned(_SURVIVES[self.own.durability])

    def asked(self, *words: str, timeout_s: float = _REQUEST_TIMEOUT_S) -> Any:
        """Return the reply to one command, None if there is none in time, or an error."""
        from compbench.transport.resp_pool import RespAddress  # noqa: PLC0415 - most doit commands ask nothing

        with contextlib.suppress(OSError):
            return RespAddress(self.endpoint, self.credentials).ask_once(timeout_s, *words)
        return None


def modules_in(reply: Any) -> list[str]:
    """Return name and version of each module in a reply to MODULE LIST, which has no order; none for another reply."""
    pairs = [dict(zip(one[::2], one[1::2], strict=False)) for one in reply] if isinstance(reply, list) else []
    listed = (one for one in pairs if b"ver" in one and b"name" in one)
    return sorted(f"{one[b'name'].decode()} {_dotted(one[b'ver'])}" for one in listed)


def _dotted(number: Any) -> str:
    """Return a module's version, a whole number, as its maker writes it.

    RediSearch and RedisGraph, which FalkorDB comes from, make it major * 10000 + minor * 100 + patch (`src/version.h`
    of each). A smaller number has no major version, and is left as it is.
    """
    if not isinstance(number, int) or number < _MAJOR:
        return str(number)
    return f"{number // _MAJOR}.{number // 100 % 100}.{number % 100}"


def info_in(reply: Any) -> dict[str, str]:
    """Return the lines `key:value` of Redis' INFO; empty for another reply."""
    if not isinstance(reply, bytes):
        return {}
    lines = (line.partition(":") for line in reply.decode("utf-8", "replace").splitlines())
    return {key: value for key, mark, value in lines if mark}
