"""What the runner's halves of servers with a REST interface have in common: asked over HTTP on loopback, none kept.

A derived half says how the server is started, what it can do, and which answer tells that it is ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compbench.config.system_tables import Mode
from compbench.machine.ask import AskError, ask
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, Look, Needs, Script

REQUEST_TIMEOUT_S = 2.0


class RestServer:
    """The part of a server half that is the same for them; `program` is a path, or a name on the PATH."""

    modes: tuple[Mode, ...] = ("managed", "endpoint")
    capabilities = Capabilities()
    ready_path = ""
    most_vectors: int | None = None
    data_format = ""
    rewrites_data = True
    driver_program: Path | None = None
    repository: Path | None = None

    def __init__(self, name: str, program: str, mode: Mode, endpoint: str) -> None:
        """Take its name, its program, and where it is asked."""
        self.name, self.mode, self.endpoint = name, mode, endpoint.rstrip("/")
        self.program = found_program(program)
        is_there = mode == "managed" and Path(self.program).is_file()
        self.binaries: Mapping[str, Path] = {name: Path(self.program)} if is_there else {}

    def missing(self) -> list[str]:
        """Return its program if that is not there."""
        return [self.program] if self.mode == "managed" and not self.binaries else []

    def version_argv(self) -> list[str]:
        """Return the command line that prints the version."""
        return [self.program, "--version"]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return what its program prints; it has no sources here."""
        return ({self.name: version_line(self.version_argv(), os.environ)} if self.binaries else {}), {}

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Ask whether it is ready; that the process listens on the port is proved for all systems alike."""
        del work, pid
        try:
            answer = ask(self.endpoint + self.ready_path, min(REQUEST_TIMEOUT_S, timeout_s))
        except AskError as error:
            return Look(False, f"GET {self.ready_path} was not answered: {error}")
        return Look(answer.is_ok, f"GET {self.ready_path} answered {answer.status}")

    def answers(self) -> bool:
        """Tell whether it answers at all."""
        with contextlib.suppress(AskError):
            ask(self.endpoint + self.ready_path, REQUEST_TIMEOUT_S)
            return True
        return False

    def asked(self, path: str) -> Any:
        """Return the JSON that it answers, None if it gives none."""
        with contextlib.suppress(AskError, ValueError, RecursionError):
            answer = ask(self.endpoint + path, REQUEST_TIMEOUT_S)
            return json.loads(answer.body) if answer.is_ok else None
        return None

    def save(self, timeout_s: float) -> str:
        """Refuse."""
        del timeout_s
        return f"the data of {self.name} is not kept: it is loaded anew by each server"

    def pages(self) -> dict[str, str]:
        """Return nothing."""
        return {}

    def diagnostics(self) -> Script | None:
        """Return nothing."""
        return None

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return nothing: they were not measured."""
        del count, dimension
        return None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise it by its executable: a substring of a command line proves nothing."""
        del argv
        own = Path(self.program).name
        if executable is None:
            return "?" if name == own else ""
        return executable if Path(executable).name == own else ""

    def entry(self, pid: int) -> list[str]:
        """Return nothing: it listens on loopback."""
        del pid
        return []


def found_program(program: str) -> str:
    """Return the path of a program that is named by its path or is on the PATH; the name itself if it is on none."""
    return shutil.which(program) or program
