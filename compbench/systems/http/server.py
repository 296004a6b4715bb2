"""A system from a table as the runner sees it: started by the table's command line, without a shell."""

from __future__ import annotations

import re
from pathlib import Path

from compbench.systems.api import Capabilities, Facts, Launch, Place
from compbench.systems.http.settings import HttpSettings
from compbench.systems.http.templates import placeholders
from compbench.systems.rest_server import RestServer, found_program

# What stands in the words of its command line and environment for what each start decides.
_WORD = re.compile(r"\{(port|data|home)\}")


class Server(RestServer):
    """The server half of a system from a table."""

    name = "server"

    def __init__(self, own: HttpSettings, place: Place) -> None:
        """Take the table."""
        self.program = found_program(own.start[0]) if own.start else ""
        super().__init__(own, place)
        self.how_to_get = "by hand: its table has the key `start`"
        self.ready_path = own.ready.partition(" ")[2]
        knob = "effort" if "effort" in placeholders(own.search_body + own.search) else ""
        self.capabilities = Capabilities(metrics=own.metrics, thresholds=bool(own.search_threshold), effort=knob)

    def launch(self, work: Path) -> Launch:
        """Return the command line with the port, the data folder and a home in it."""
        values = {"port": str(self.port), "data": str(work / "data"), "home": str(work / "home")}

        def put(word: str) -> str:
            return _WORD.sub(lambda match: values[match[1]], word)

        environment = {name: put(value) for name, value in self.own.environment.items()}
        return Launch([str(self.installed / self.program), *map(put, self.own.start[1:])], environment)

    def version_argv(self) -> list[str]:
        """Return the table's command line for the version."""
        return list(self.own.version)

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return what that prints; nothing if the table has none."""
        return super().versions() if self.own.version else ({}, {})

    def count(self) -> int | None:
        """Return nothing: a count may take a body, which only the driver sends."""
        return None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise its command line, word for word, but for what each start decides."""
        del executable, name
        wanted = [self.program, *self.own.start[1:]]
        patterns = [".*".join(map(re.escape, _WORD.split(word)[::2])) for word in wanted]
        is_same = len(argv) == len(patterns) and all(map(re.fullmatch, patterns, argv))
        return " ".join(argv) if self.own.start and is_same else ""

    def facts(self) -> Facts:
        """Return what the table tells."""
        own = self.own
        return Facts("HTTP/1.1, JSON", own.index_definition, own.durability_told, "not told", "not known")
