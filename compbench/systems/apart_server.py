"""What the runner's halves of rivals have in common that listen on all addresses, and are asked by gRPC.

compbench starts them in a network namespace of their own, where nobody else answers.
"""

from __future__ import annotations

from pathlib import Path

from compbench.machine import namespaces
from compbench.systems.rest_server import RestServer

# Their settings have names of no common kind (`LOG_LEVEL`, `ENABLE_MODULES`), so no other variable gets in.
_LET_IN = frozenset({"PATH", "LANG", "LC_ALL", "TZ"})


class ApartServer(RestServer):
    """A rival whose program does not tell its version, and can't be kept to loopback."""

    def missing(self) -> list[str]:
        """Return its program if it is not there, and why it can't be kept apart."""
        refusal = namespaces.why_none() if self.mode == "managed" else ""
        why = f"a network namespace for a server that binds all addresses ({refusal})"
        return [*super().missing(), *([why] if refusal else [])]

    def version_argv(self) -> list[str]:
        """Return what prints the note of the installation."""
        return ["cat", str(self.installed / "version")]

    def is_foreign(self, name: str) -> bool:
        """Tell whether a variable of the caller must not reach such a server: nearly each one may configure it."""
        return name not in _LET_IN

    def wrapper(self, work: Path) -> tuple[str, ...]:
        """Return the words that put it apart."""
        del work
        return namespaces.words_for_new()

    def entry(self, pid: int) -> list[str]:
        """Return the words that enter its network namespace."""
        return namespaces.words_to_enter(pid) if self.mode == "managed" else []
