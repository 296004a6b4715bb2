"""The contender as the runner sees it, in each mode."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from pathlib import Path

from compbench.config.system_tables import Mode
from compbench.systems.api import ContainerLaunch, Facts, Launch, Look
from compbench.systems.rival import Rival


class Server(Rival):
    """The server half of the contender."""

    name = "contender"
    scheme = "flat"
    default_image = "registry.example/flat@sha256:" + "0123456789abcdef" * 4
    modes: tuple[Mode, ...] = ("managed", "container", "endpoint")

    def missing(self) -> list[str]:
        program = self.installed / "flat_server.py"
        return [] if self.mode != "managed" or program.is_file() else [str(program)]

    def launch(self, work: Path) -> Launch:
        del work
        return Launch([sys.executable, str(self.installed / "flat_server.py"), str(self.port)], {})

    def container(self, work: Path) -> ContainerLaunch:
        del work
        return ContainerLaunch(self.image, "/data", {"FLAT_MODE": "container"}, (str(self.port),))

    def version_argv(self) -> list[str]:
        return [sys.executable, str(self.installed / "flat_server.py"), "--version"]

    def version_told(self) -> str:
        return (self._ask(b"V", 2.0) or b"").decode()

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        del work
        said = self._ask(b"P", timeout_s)
        return Look(said == struct.pack("<Q", pid), f"the process that answers is {said!r}, the one started is {pid}")

    def answers(self) -> bool:
        return self._ask(b"P", 2.0) is not None

    def count(self) -> int | None:
        said = self._ask(b"C", 2.0)
        return None if said is None else int(struct.unpack("<Q", said)[0])

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        del executable, name
        return "the contender" if any(word.endswith("flat_server.py") for word in argv) else ""

    def facts(self) -> Facts:
        return Facts("frames over TCP", "none: every vector is compared", "none: kept in memory", "seen at once")

    def _ask(self, request: bytes, timeout_s: float) -> bytes | None:
        host, port = self.endpoint.partition("://")[2].split(":")
        if key := self.credentials.api_key.encode():
            request = b"K" + bytes([len(key)]) + key + request
        with (
            contextlib.suppress(OSError, struct.error),
            socket.create_connection((host, int(port)), timeout_s) as connection,
        ):
            connection.sendall(struct.pack("<I", len(request)) + request)
            stream = connection.makefile("rb")
            length, status = struct.unpack("<IB", stream.read(5))
            answer = stream.read(length - 1)
            return None if status else answer
        return None
