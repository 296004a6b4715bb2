"""The embedded server: small, real, of Engram's HTTP interface; for a machine without an Engram build."""

from __future__ import annotations

import sys
from pathlib import Path

from compbench.config.settings import Settings
from compbench.systems.engram import foreign_environment, pid_file

__all__ = ["NAME", "foreign_environment", "own_environment", "pid_file", "start_argv", "version_argv"]

NAME = "embedded"


def start_argv(settings: Settings) -> list[str]:
    """Return the command line that starts the server with this interpreter."""
    return [
        sys.executable,
        "-m",
        "compbench.embedded",
        "--log-level",
        settings.engram_log_level,
        "start",
        "--port",
        str(settings.port),
        "--grpc-port",
        str(settings.grpc_port),
    ]


def own_environment(settings: Settings, work: Path) -> dict[str, str]:
    """Keep data and pid file inside `work`; HOME stays, since Python may find its packages by it."""
    del settings
    return {"ENGRAM_DATA_DIR": str(work / "data"), "ENGRAM_PID_PATH": str(pid_file(work)), "NO_COLOR": "1"}


def version_argv(settings: Settings) -> list[str]:
    """Return the command line that prints the version."""
    del settings
    return [sys.executable, "-m", "compbench.embedded", "--version"]
