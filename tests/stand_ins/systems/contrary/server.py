"""The contrary server as the runner sees it: the embedded one, but for its program."""

from __future__ import annotations

import sys
from pathlib import Path

from compbench.systems.api import Launch
from compbench.systems.embedded import server as embedded

PROGRAM = [sys.executable, str(Path(__file__).resolve().parent.parent.parent / "contrary_server.py")]


class Server(embedded.Server):
    """The server half of the contrary server."""

    def launch(self, work: Path) -> Launch:
        given = super().launch(work)
        return given._replace(argv=[*PROGRAM, *given.argv[given.argv.index("compbench.embedded") + 1 :]])

    def version_argv(self) -> list[str]:
        return [*PROGRAM, "--version"]

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        del executable, name
        return "contrary server" if PROGRAM[1] in argv else ""
