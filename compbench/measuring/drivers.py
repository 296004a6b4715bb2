"""The command lines of the load generators: Engram's `loadtest`, and compbench's own, which keeps to the same one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from compbench.config.hosts import hosts_options
from compbench.config.settings import Settings
from compbench.machine import isolation
from compbench.model.efforts import RECALLS
from compbench.model.errors import UserError
from compbench.model.scenario import Scenario
from compbench.systems import registry


@dataclass(frozen=True)
class DriverFiles:
    """Where a driver writes its raw JSON and, if it can, its progress and the log of its histograms.

    Until the file `hold` is there, it holds its connections open after the load.
    """

    report: Path
    progress: Path
    hlog: Path | None = None
    hold: Path | None = None


@dataclass(frozen=True)
class Job:
    """What a driver is started for: command line, files, how long it takes if that is known, when it is ended."""

    argv: list[str]
    files: DriverFiles
    duration_s: float | None
    limit_s: float


def load_job(
    settings: Settings, scenario: Scenario, files: DriverFiles, memories: int, effort: int | None = None
) -> Job:
    """Return the job that measures a scenario under its own load; long options only, `--duration` in whole seconds.

    The searches' `effort` is that of the settings where it is None.
    """
    own = settings.driver == "builtin"
    seconds = duration_s(settings, scenario)
    argv = [
        *(_builtin() if own else [str(registry.driver_program(settings))]),
        "run",
        *_common(settings, scenario, files),
        *("--duration", str(seconds)),
    ]
    if own:
        argv += _own_options(settings, files, memories, effort)
        if files.hlog:
            argv += ["--hlog", str(files.hlog)]
        if files.hold:
            argv += ["--hold", str(files.hold)]
        if settings.warm_up_s:
            argv += ["--warm-up", str(round(settings.warm_up_s))]
    return Job(argv, files, seconds, seconds + settings.driver_grace_s)


def capacity_job(
    settings: Settings, scenario: Scenario, files: DriverFiles, memories: int, effort: int | None = None
) -> Job:
    """Return the job that searches for the highest rate within a scenario's targets; always of compbench's own driver.

    Raises:
        UserError: the scenario has no `expected_p99_latency_ms` to search by.
    """
    limit_ms = scenario.validation.expected_p99_latency_ms
    if limit_ms is None:
        where = f"{scenario.path}: validation.expected_p99_latency_ms"
        raise UserError(f"{where}: missing: a capacity is the highest rate within that limit")
    argv = [
        *_builtin(),
        "capacity",
        *_common(settings, scenario, files),
        *_own_options(settings, files, memories, effort),
        *("--p99", repr(limit_ms)),
        *("--max-error-rate", repr(scenario.validation.max_error_rate or 0.0)),
        *("--step-duration", str(settings.capacity_step_s)),
        *("--repeats", str(settings.capacity_repeats)),
        *("--precision", repr(settings.capacity_precision_pct)),
    ]
    return Job(argv, files, None, settings.capacity_limit_s)


def frontier_argv(
    settings: Settings, scenario: Scenario, files: DriverFiles, memories: int, *, with_capacity: bool
) -> list[str]:
    """Return the command line that finds recall against speed over the ladder of efforts."""
    capacity = [
        *("--capacity-step-duration", str(settings.capacity_step_s)),
        *("--capacity-repeats", str(settings.capacity_repeats)),
        *("--precision", repr(settings.capacity_precision_pct)),
    ]
    return [
        *_builtin(),
        "frontier",
        *_common(settings, scenario, files),
        *_own_options(settings, files, memories, None),
        *("--knob", registry.server_of(settings).capabilities.effort),
        *("--step-duration", str(settings.frontier_step_s)),
        *("--recalls", ",".join(map(repr, RECALLS))),
        *(capacity if with_capacity else ["--no-capacity"]),
    ]


def prepare_argv(
    settings: Settings,
    scenario: Scenario,
    files: DriverFiles,
    memories: int,
    time_limit_s: float,
    effort: int | None = None,
) -> list[str]:
    """Return the command line that loads a scenario's data set; always compbench's own: `loadtest` has none."""
    return [
        *_builtin(),
        "prepare",
        *_common(settings, scenario, files),
        *_system_options(settings, effort),
        *("--rows", str(memories)),
        *("--progress", str(files.progress)),
        *("--time-limit", repr(time_limit_s)),
    ]


def remove_argv(settings: Settings, scenario: Scenario) -> list[str]:
    """Return the command line that removes what was loaded from the server, and nothing else."""
    endpoint = registry.server_of(settings).endpoint
    return [
        *(*_builtin(), "remove", "--scenario", str(scenario.path), "--endpoint", endpoint),
        *_system_options(settings),
    ]


def ground_truth_argv(settings: Settings, scenario: Scenario, files: DriverFiles, memories: int) -> list[str]:
    """Return the command line that computes the exact neighbours of a scenario's searches into the cache."""
    return [
        *_builtin(),
        "ground-truth",
        "--scenario",
        str(scenario.path),
        "--rows",
        str(memories),
        "--seed",
        str(scenario.seed),
        "--cache",
        settings.cache_dir,
        "--progress",
        str(files.progress),
    ]


def duration_s(settings: Settings, scenario: Scenario) -> int:
    """Return how long a scenario is measured: the setting or the profile, else the scenario's own total_seconds."""
    return settings.duration_s or scenario.duration_s


def cores(settings: Settings, driver: str) -> int:
    """Return how many cores a driver can keep busy: one for each process of Python; Engram's has a thread a core."""
    own = len(isolation.reached_by(settings).driver_cpus) or psutil.cpu_count() or 1
    return min(settings.processes, own) if driver == "builtin" else own


def _common(settings: Settings, scenario: Scenario, files: DriverFiles) -> list[str]:
    return [
        *("--scenario", str(scenario.path)),
        *("--seed", str(scenario.seed)),
        *("--endpoint", registry.server_of(settings).endpoint),
        *("--output", str(files.report)),
    ]


def _own_options(settings: Settings, files: DriverFiles, memories: int, effort: int | None) -> list[str]:
    return [
        *_system_options(settings, effort),
        *("--rows", str(memories)),
        *("--cache", settings.cache_dir),
        *("--progress", str(files.progress)),
        *("--connections", str(settings.connections)),
        *("--processes", str(settings.processes)),
        *hosts_options(settings.asked_hosts, settings.hosts_timeout_s),
    ]


def _system_options(settings: Settings, effort: int | None = None) -> list[str]:
    folder = ["--systems-dir", settings.systems_dir] if settings.systems_dir else []
    asked = msgspec.to_builtins(registry.own_settings(settings))
    own = msgspec.json.encode(asked if effort is None else {**asked, "effort": effort}).decode()
    return ["--system", settings.system, *folder, "--system-settings", own]


def _builtin() -> list[str]:
    return [sys.executable, "-m", "compbench.loadtest"]
