"""The systems under test, one module each; a module in this folder is a target by being there.

Each module offers the five functions of `TargetModule`. What is common to all targets (ports, isolation, readiness,
proof of identity, stopping) is in `compbench.measuring`; here is only what differs.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from compbench.config.settings import Settings


class TargetModule(Protocol):
    """What a module in this folder offers."""

    NAME: str

    def start_argv(self, settings: Settings) -> list[str]:
        """Return the command line that starts the server in the foreground."""

    def version_argv(self, settings: Settings) -> list[str]:
        """Return the command line that prints the server's version."""

    def own_environment(self, settings: Settings, work: Path) -> dict[str, str]:
        """Return the environment variables that keep the server inside the folder `work`."""

    def foreign_environment(self, name: str) -> bool:
        """Tell whether a variable of the caller's environment must not reach the server."""

    def pid_file(self, work: Path) -> Path:
        """Return where the server writes `pid:port`."""


def names() -> list[str]:
    """Return the names of all targets."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> TargetModule:
    """Return the target's module; `name` has been validated by the settings."""
    return cast(TargetModule, importlib.import_module(f"{__name__}.{name}"))
