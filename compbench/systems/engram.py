"""Engram's own server, from the release build of its checkout."""

from __future__ import annotations

from pathlib import Path

from compbench.config.settings import Settings

NAME = "engram"


def start_argv(settings: Settings) -> list[str]:
    """Return the command line that starts the server; the log level stands before the subcommand, as Engram wants."""
    return [
        str(settings.release_dir / "engram"),
        "--log-level",
        settings.engram_log_level,
        "start",
        "--port",
        str(settings.port),
        "--grpc-port",
        str(settings.grpc_port),
    ]


def version_argv(settings: Settings) -> list[str]:
    """Return the command line that prints the version."""
    return [str(settings.release_dir / "engram"), "--version"]


def own_environment(settings: Settings, work: Path) -> dict[str, str]:
    """Keep data, pid file and configuration inside `work`, and colour out of the log."""
    del settings
    return {
        "ENGRAM_DATA_DIR": str(work / "data"),
        "ENGRAM_PID_PATH": str(pid_file(work)),
        "XDG_CONFIG_HOME": str(work / "config"),
        "HOME": str(work / "home"),
        "NO_COLOR": "1",
    }


def foreign_environment(name: str) -> bool:
    """Every ENGRAM_ variable of the caller would change what is measured."""
    return name.startswith("ENGRAM_")


def pid_file(work: Path) -> Path:
    """Return where the server writes `pid:port`."""
    return work / "engram.pid"
