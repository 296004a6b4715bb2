"""What the server halves of rivals have in common; a rival's `Server` derives from it and says what is its own.

A rival says its `name`, `title`, `program`, `capabilities`, and how it is launched, looked at, asked and counted. The
modes are told apart here, so that nothing of a program on this machine is said of a server that runs elsewhere.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from compbench.config.credentials import credentials_in
from compbench.config.system_tables import Mode, RivalSettings
from compbench.machine.server_metrics import MetricsPage
from compbench.machine.version_line import version_line
from compbench.model.errors import UserError
from compbench.systems.api import Capabilities, ContainerLaunch, Launch, Needs, Place, Script

# Where an address names no port.
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "postgresql+tls": 5432, "redis": 6379, "rediss": 6379}


class Rival:
    """The defaults of a rival's server half.

    A derived class sets these, and defines `look`, `answers`, `count` and `facts`. It says by `arguments`,
    `environment`, `is_foreign` and `wrapper` how its program is launched, on this machine as in a container; or it
    defines `launch` and `container` where they have more to say.

    Attributes:
        name: of its folder, as in `system=<name>`.
        program: its server's program in the installed folder, empty if it is none of its own there.
        scheme: of its address.
        default_image: the container image by its digest, empty if none is known.
        container_data: the folder of the image that holds the server's data; empty if it runs in no container.
        stop_signal: what makes it end in order, in mode `managed`.
        stop_grace_s: how long that takes at most, where it needs more than the setting `stop_grace_s`.
        metrics_names: its own names of what its metrics tell of its process, by field of `ToldCounters`.
        metrics_remark: what these mean, where that is not quite what the usual ones do.
        kept_format: its `data_format` while compbench starts it by itself.
        credentials: of the server in mode `endpoint`; empty in every other one.
        image: the image that is run in mode `container`.
    """

    name = ""
    program = ""
    scheme = "http"
    default_image = ""
    container_data = ""
    stop_signal = signal.SIGTERM
    stop_grace_s = 0.0
    metrics_names: Mapping[str, str] = {}
    metrics_remark = ""
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
        if self.container_data:
            self.modes = ("managed", "container", "endpoint")
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
        """Return the versions of what is installed; there are no sources to compare them with."""
        return ({}, {}) if self.mode != "managed" or self.missing() else (self.versions_here(), {})

    def versions_here(self) -> dict[str, str]:
        """Return the version that the program prints, which is there."""
        return {self.name: version_line(self.version_argv(), os.environ)}

    def as_owned(self, said: str) -> str:
        """Return what compbench's settings mean for its own server; a user's server has those of its owner."""
        return "as its owner has set it" if self.mode == "endpoint" else said

    def version_told(self) -> str:
        """Return nothing: a rival that can be asked for its version says so itself."""
        return ""

    def arguments(self, data: str) -> list[str]:
        """Return the words after the program, which has its data in that folder."""
        del data
        return []

    def environment(self, data: str) -> dict[str, str]:
        """Return the program's variables, given the folder of its data."""
        del data
        return {}

    def is_foreign(self, name: str) -> bool:
        """Tell whether a variable of the caller must not reach the program, as one that would configure it."""
        del name
        return False

    def wrapper(self, work: Path) -> tuple[str, ...]:
        """Return the words before the command line; none, since it listens on loopback."""
        del work
        return ()

    def launch(self, work: Path) -> Launch:
        """Return the command line of the program, which has a home of its own."""
        data = str(work / "data")
        return Launch(
            [str(self.installed / self.program), *self.arguments(data)],
            {**self.environment(data), "HOME": str(work / "home")},
            self.is_foreign,
            self.wrapper(work),
            stop_signal=self.stop_signal,
            stop_grace_s=self.stop_grace_s,
        )

    def container(self, work: Path) -> ContainerLaunch:
        """Return how its image is run, whose first process is the program.

        Raises:
            UserError: it is run in none.
        """
        data = self.container_data
        if not data:
            raise UserError(f"{self.name} is run in no container, with {work} or otherwise")
        words = tuple(self.arguments(data))
        return ContainerLaunch(self.image, data, self.environment(data), words, stop_grace_s=self.stop_grace_s)

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise it by its executable: a substring of a command line proves nothing."""
        del argv
        own = Path(self.program).name
        if executable is None:
            return "?" if name == own else ""
        return executable if Path(executable).name == own else ""

    def save(self, timeout_s: float) -> str:
        """Do nothing where an orderly stop writes all of it, which it takes to have a `kept_format`; else refuse."""
        if self.data_format:
            return ""
        return f"the data of {self.name} is not kept, however long ({timeout_s:g} s) one waits"

    def pages(self) -> dict[str, str]:
        """Return no addresses for a snapshot."""
        return {}

    def metrics_at(self) -> str:
        """Return where it tells its metrics unless the settings name another place; empty if it has none."""
        return ""

    def metrics_headers(self, url: str) -> dict[str, str]:
        """Return the headers of a question for its metrics: none, so that no key goes where it is not meant for."""
        del url
        return {}

    def metrics(self) -> MetricsPage | None:
        """Return where it tells of its own process, as set, or as its maker has it."""
        url = self.metrics_at() if self.own.metrics_url is None else self.own.metrics_url
        headers = self.metrics_headers(url)
        return MetricsPage(url, headers, self.metrics_names, self.metrics_remark) if url else None

    def ports(self) -> list[int]:
        """Return the port of its address."""
        parts = urlsplit(self.endpoint)
        port = parts.port or _PORTS.get(parts.scheme)
        return [port] if port else []

    def refusal(self) -> str:
        """Return nothing: it does not answer at all where it lets nobody in."""
        return ""

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
