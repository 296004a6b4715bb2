"""The flat server as the runner sees it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

from compbench.config.system_tables import Mode
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, Facts, Launch, Look, Needs, Place, Script

from .settings import FlatSettings

PROGRAM = Path(__file__).resolve().parent.parent.parent / "flat_server.py"


class Server:
    """The server half of the flat server."""

    modes: tuple[Mode, ...] = ("managed",)
    mode: Mode = "managed"
    how_to_get = "it comes with the tests"
    data_format = ""
    rewrites_data = False
    most_vectors = None

    def __init__(self, own: FlatSettings, place: Place) -> None:
        self.capabilities = Capabilities(effort="share of vectors" if own.knob else "")
        self.port = place.port
        self.endpoint = f"flat://127.0.0.1:{place.port}"
        self.binaries: Mapping[str, Path] = {}
        self.driver_program: Path | None = None
        self.repository: Path | None = None

    def missing(self) -> list[str]:
        return [] if PROGRAM.is_file() else [str(PROGRAM)]

    def launch(self, work: Path) -> Launch:
        del work
        return Launch([sys.executable, str(PROGRAM), str(self.port)], {}, lambda name: name.startswith("FLAT_"))

    def version_argv(self) -> list[str]:
        return [sys.executable, str(PROGRAM), "--version"]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        return {"flat-server": version_line(self.version_argv(), os.environ)}, {}

    def version_told(self) -> str:
        return ""

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        del work
        said = self._number(b"P", timeout_s)
        return Look(said == pid, f"the process that answers is {said}, the one started is {pid}")

    def answers(self) -> bool:
        return self._number(b"P", 2.0) is not None

    def count(self) -> int | None:
        return self._number(b"C", 2.0)

    def save(self, timeout_s: float) -> str:
        del timeout_s
        return "the flat server keeps nothing"

    def pages(self) -> dict[str, str]:
        return {}

    def diagnostics(self) -> Script | None:
        return None

    def needs(self, count: int, dimension: int) -> Needs | None:
        del count, dimension
        return None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        del executable, name
        return "flat server" if str(PROGRAM) in argv else ""

    def entry(self, pid: int) -> list[str]:
        del pid
        return []

    def facts(self) -> Facts:
        return Facts("frames over TCP", "none: every vector is compared", "none: kept in memory", "seen at once")

    def _number(self, request: bytes, timeout_s: float) -> int | None:
        with (
            contextlib.suppress(OSError, struct.error),
            socket.create_connection(("127.0.0.1", self.port), timeout_s) as connection,
        ):
            connection.sendall(struct.pack("<I", len(request)) + request)
            _, status, number = struct.unpack("<IBQ", connection.makefile("rb").read(13))
            return None if status else int(number)
        return None
