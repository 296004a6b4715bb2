"""The command lines of the load generators: Engram's `loadtest`, and compbench's own, which keeps to the same one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from compbench.scenarios import Scenario
from compbench.settings import Settings


@dataclass(frozen=True)
class DriverFiles:
    """Where a driver writes its raw JSON and, if it can, its progress."""

    report: Path
    progress: Path


def measure_argv(settings: Settings, scenario: Scenario, duration_s: int, files: DriverFiles) -> list[str]:
    """Return the command line that measures a scenario; long options only, `--duration` in whole seconds."""
    own = settings.driver == "builtin"
    program = _builtin() if own else [str(settings.release_dir / "loadtest")]
    argv = [
        *program,
        "run",
        "--scenario",
        str(scenario.path),
        "--duration",
        str(duration_s),
        "--seed",
        str(scenario.seed),
        "--endpoint",
        endpoint(settings),
        "--output",
        str(files.report),
    ]
    if own:
        argv += ["--scale", repr(settings.data_scale), "--cache", settings.cache_dir, "--progress", str(files.progress)]
        if settings.warm_up_s:
            argv += ["--warm-up", str(round(settings.warm_up_s))]
    return argv


def prepare_argv(settings: Settings, scenario: Scenario, files: DriverFiles, time_limit_s: float) -> list[str]:
    """Return the command line that loads a scenario's data set; always compbench's own: `loadtest` has none."""
    return [
        *_builtin(),
        "prepare",
        "--scenario",
        str(scenario.path),
        "--scale",
        repr(settings.data_scale),
        "--seed",
        str(scenario.seed),
        "--endpoint",
        endpoint(settings),
        "--time-limit",
        str(round(time_limit_s)),
        "--output",
        str(files.report),
        "--progress",
        str(files.progress),
    ]


def ground_truth_argv(settings: Settings, scenario: Scenario, files: DriverFiles) -> list[str]:
    """Return the command line that computes what a scenario's searches should find, and keeps it in the cache."""
    return [
        *_builtin(),
        "ground-truth",
        "--scenario",
        str(scenario.path),
        "--scale",
        repr(settings.data_scale),
        "--seed",
        str(scenario.seed),
        "--cache",
        settings.cache_dir,
        "--progress",
        str(files.progress),
    ]


def endpoint(settings: Settings) -> str:
    """Return the server's address; the IPv4 literal, since Engram binds nothing else."""
    return f"http://127.0.0.1:{settings.port}"


def duration_s(settings: Settings, scenario: Scenario) -> int:
    """Return how long a scenario is measured: the setting or the profile, else the scenario's own total_seconds."""
    return settings.duration_s or scenario.duration_s


def _builtin() -> list[str]:
    return [sys.executable, "-m", "compbench.loadtest"]
