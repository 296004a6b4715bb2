"""Checks of the environment: folders, disks, memory, tools, limits, network, other servers and suites.

Each reads, and hands its reading to a pure judgement; none changes the machine, none raises for a bad one.
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

from compbench.config.settings import Settings
from compbench.machine.probes import machine
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.preflight.findings import finding_of
from compbench.preflight.judgement import (
    judge_disk,
    judge_memory,
    judge_open_files,
    judge_port,
    judge_processes,
    judge_tools,
)
from compbench.store import leftovers, lock, runs
from compbench.systems import registry

_OPTIONAL_TOOLS = {
    "perf": (("perf",), "flame graphs are recorded with it"),
    "flamegraph": (("flamegraph", "flamegraph.pl", "inferno-flamegraph"), "other flame graphs than compbench's own"),
    "htop": (("htop",), "a person can watch the machine with it"),
}
_WRITTEN_BYTES = 1_048_576
# What the runner, its pipes and the server's own files take besides the driver's connections.
_OWN_OPEN_FILES = 100


def check_output_dir(settings: Settings) -> Finding:
    """Make the folder of the results, and write there."""
    with contextlib.suppress(OSError):  # the folder's own check says why
        Path(settings.output_dir).mkdir(parents=True, exist_ok=True)
    return check_folder("output_dir", settings.output_dir)


def check_folder(check: str, name: str) -> Finding:
    """Write a megabyte where the folder is or will be, and take it away; the check is named as its setting."""
    folder = Path(name)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(_WRITTEN_BYTES))
    except OSError as error:
        return finding_of(
            check, "folder-not-writable", "critical", folder=folder, problem=error.strerror, setting=check
        )
    return finding_of(check, "folder", "ok", folder=folder)


def check_disk(settings: Settings) -> Finding:
    """Judge the disk of the results as specified; the others' must be writable, which checks of their own see to."""
    results, *others = (Path(settings.output_dir), Path(settings.work_dir), Path(settings.cache_dir))
    judged = judge_disk(machine.free_disk_bytes(results), results, settings.limits)
    for folder in others if judged.level == "ok" else ():
        other = judge_disk(machine.free_disk_bytes(folder), folder, settings.limits)
        if other.level != "ok":
            return msgspec.structs.replace(other, level="warning")
    return judged


def check_leftovers(settings: Settings, root: Path) -> Finding:
    """Name the leftovers of interrupted runs."""
    output_dir = Path(settings.output_dir)
    try:
        runs.refuse_damaged(output_dir)
        found = leftovers.of_interruptions(output_dir, Path(settings.work_dir), root)
    except UserError as error:
        return finding_of("leftovers", "runs-damaged", "warning", problem=error)
    texts = [f"{leftover.what} {leftover.path.name}" for leftover in found]
    texts += [
        f"run {run.name} lacks {len(run.pending())} scenarios and is continued if nothing changed"
        for run in runs.open_runs(output_dir)
        if run.manifest.kind == settings.run_kind
    ]
    if not texts:
        return finding_of("leftovers", "leftovers-none", "ok")
    return finding_of("leftovers", "leftovers", "ok", left="; ".join(texts))


def check_memory(settings: Settings) -> Finding:
    """Judge total and available memory."""
    memory = psutil.virtual_memory()
    return judge_memory(memory.total, memory.available, settings.limits)


def check_script_tools(settings: Settings) -> Finding:
    """Look for the tools that the system's own scripts need; they are critical only if there are scripts."""
    tools = {name: ((name,), why) for name, why in registry.kind_of(settings.system).script_tools.items()}
    needed = registry.server_of(settings).diagnostics() is not None
    return judge_tools("tools_required", _missing(tools), needed=needed)


def check_optional_tools(settings: Settings) -> Finding:
    """Look for the tools that give more; one that was asked for and is missing is a warning."""
    missing = _missing(_OPTIONAL_TOOLS)
    return judge_tools("tools_optional", missing, replaced=not ("perf" in missing and settings.flamegraph))


def check_open_files(settings: Settings) -> Finding:
    """Judge how many files a process may have open."""
    return judge_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0], settings.connections + _OWN_OPEN_FILES)


def check_port(settings: Settings) -> Finding:
    """Look who listens on the port that the server is to have."""
    if registry.server_of(settings).mode == "endpoint":
        return finding_of("port", "not-used", "ok", why="compbench starts no server in mode endpoint")
    return judge_port(settings.port, machine.listener(settings.port))


def check_processes(settings: Settings) -> Finding:
    """Look for other servers that would disturb: those of rivals may be at other work, and are only told."""
    judged = judge_processes(*machine.foreign_servers(registry.recognisers(settings)))
    beside, _ = machine.foreign_servers(registry.recognisers(settings, rivals=True))
    if judged.level != "ok" or not beside:
        return judged
    return finding_of("processes", "servers-beside", "warning", running=", ".join(beside))


def check_network() -> Finding:
    """Ask loopback for an answer."""
    if machine.loopback_answers():
        return finding_of("network", "loopback", "ok")
    return finding_of("network", "loopback-dead", "critical")


def check_suite(root: Path) -> Finding:
    """Look whether another invocation is measuring in this project."""
    holder = lock.holder(root / "tmp" / "lock")
    if holder is None or holder.startswith(f"pid {os.getpid()} "):
        return finding_of("suite", "suite-none", "ok")
    return finding_of("suite", "suite-running", "warning", holder=holder)


def _missing(tools: Mapping[str, tuple[Sequence[str], str]]) -> dict[str, str]:
    return {name: why for name, (programs, why) in tools.items() if not machine.has_tool(*programs)}
