"""What the server halves of rivals have in common; a rival's `Server` derives from it and says what is its own.

A rival says its `name`, `title`, `program`, `capabilities`, and how it is launched, looked at, asked and counted. The
modes are told apart here, so that nothing of a program on this machine is said of a server that runs elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compbench.config.credentials import credentials_in
from compbench.config.system_tables import Mode, RivalSettings
from compbench.machine.version_line import version_line
from compbench.model.errors import UserError
from compbench.systems.api import Capabilities, ContainerLaunch, Needs, Place, Script


class Rival:
    """The defaults of a rival's server half.

    A derived class sets these, and defines `launch`, `version_argv`, `look`, `answers`, `count`, `facts` and
    `recognise`.

    Attributes:
        name: of its folder, as in `system=<name>`.
        program: its server's program in the installed folder, empty if it is none of its own there.
        scheme: of its address.
        default_image: the container image by its digest, empty if none is known.
        kept_format: its `data_format` while compbench starts it by itself.
        credentials: of the server in mode `endpoint`; empty in every other one.
        image: the image that is run in mode `container`.
    """

    name = ""
    program = ""
    scheme = "http"
    default_image = ""
    kept_format = ""
    modes: tuple[Mode, ...] = ("managed", "endpoint")
    capabilities = Capabilities()
    most_vectors: int | None = None
    rewrites_data = True
    driver_program: Path | None = None
    repository: Path | None = None

    def __init__(self, own: RivalSettings, place: Place) -> None:
        """Take the rival's settings, and its place."""
        self.own: Any = own
        self.port, self.installed = place.port, place.installed
        self.mode: Mode = own.chosen_mode
        is_managed = self.mode == "managed"
        self.endpoint = own.endpoint if self.mode == "endpoint" else f"{self.scheme}://127.0.0.1:{place.port}"
        self.credentials = credentials_in(self.mode, self.name)
        self.image = own.image or self.default_image
        self.data_format = self.kept_format if is_managed else ""
        self.binaries: Mapping[str, Path] = self.programs() if is_managed else {}
        self.how_to_get = f"doit install:{self.name}"

    def programs(self) -> dict[str, Path]:
        """Return its programs of this machine by name, there or not."""
        return {self.name: self.installed / self.program} if self.program else {}

    def missing(self) -> list[str]:
        """Return its programs that are not there; in the other modes none is needed."""
        return [str(path) for path in self.binaries.values() if not path.is_file()]

    def version_argv(self) -> list[str]:
        """Return the program with `--version`."""
        return [str(self.installed / self.program), "--version"]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the version that the program prints; there are no sources to compare it with."""
        if self.mode != "managed" or self.missing():
            return {}, {}
        return {self.name: version_line(self.version_argv(), os.environ)}, {}

    def as_owned(self, said: str) -> str:
        """Return what compbench's settings mean for its own server; a user's server has those of its owner."""
        return "as its owner has set it" if self.mode == "endpoint" else said

    def version_told(self) -> str:
        """Return nothing: a rival that can be asked for its version says so itself."""
        return ""

    def container(self, work: Path) -> ContainerLaunch:
        """Return how its image is run.

        Raises:
            UserError: it is run in none.
        """
        raise UserError(f"{self.name} is run in no container, with {work} or otherwise")

    def save(self, timeout_s: float) -> str:
        """Return that its data is not kept; a rival with a `kept_format` does it."""
        return f"the data of {self.name} is not kept, however long ({timeout_s:g} s) one waits"

    def pages(self) -> dict[str, str]:
        """Return no addresses for a snapshot."""
        return {}

    def diagnostics(self) -> Script | None:
        """Return no script."""
        return None

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return nothing: the needs of so many vectors are not known until they are measured."""
        del count, dimension
        return None

    def entry(self, pid: int) -> list[str]:
        """Return nothing: it listens on loopback."""
        del pid
        return []
