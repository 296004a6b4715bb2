"""Where a measurement comes from: commits, machine, versions, binaries; and the fingerprint that resuming rests on."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from compbench import __version__
from compbench.config.set_files import set_hashes
from compbench.config.settings import Settings
from compbench.files.content_hashes import joined_hash
from compbench.files.regular import read_regular
from compbench.machine import isolation, priority
from compbench.machine.probes import binaries, machine
from compbench.machine.probes.counters import ROOT
from compbench.model.errors import UserError
from compbench.model.scenario import OwnSet, Scenario
from compbench.systems import registry

_TIME_LIMIT_S = 5.0
# Settings that change a figure or the data set; ports, folders and time limits don't.
MEASURING_SETTINGS = (
    "system", "driver", "profile", "duration_s", "warm_up_s", "cooldown_s", "sample_interval_s", "flamegraph",
    "counters", "repeat", "order_seed", "connections", "processes",
)  # fmt: skip


def read_provenance(settings: Settings, root: Path) -> dict[str, Any]:
    """Return git context, system, versions and binaries as plain nested values; None marks an unreadable one."""
    half = registry.server_of(settings)
    packages = half.versions()[1]
    return {
        "git": repository_state(half.repository or root),
        "repository": str(half.repository) if half.repository else None,
        "builds": {each.variant: _repository_of(each) for each in settings.of_each if settings.variants},
        "compbench_git": repository_state(root),
        "system": _system(Path(settings.output_dir)),
        "versions": {
            "engram_core": packages.get("engram-core"),
            "engram_cli": packages.get("engram-cli"),
            "loadtest": packages.get("loadtest") if settings.driver == "loadtest" else f"compbench {__version__}",
            "rust": _first_line(["rustc", "--version"], root) if half.repository else None,
            "python": platform.python_version(),
            "compbench": __version__,
            "doit": importlib.metadata.version("doit"),
        },
        "binaries": {name: msgspec.to_builtins(facts) for name, facts in _binaries(settings).items()},
    }


def _repository_of(settings: Settings) -> dict[str, Any] | None:
    repository = registry.server_of(settings).repository
    return repository_state(repository) if repository else None


def fingerprint(settings: Settings, scenarios: Sequence[Scenario]) -> dict[str, str]:
    """Return the inputs of a run as names and values or hashes; only runs of equal ones are continued."""
    inputs = setting_inputs(settings)
    inputs |= {"scale": settings.asked_scale, "machine": machine.identity(), "compbench": __version__}
    for each in settings.of_each:
        inputs |= registry.system_inputs(each)
    if niceness := priority.attainable(settings.niceness):  # earlier runs have no such entry, and 0 is what they had
        inputs["niceness"] = str(niceness)
    reached = isolation.reached_by(settings)
    is_elsewhere = all(registry.server_of(each).mode == "endpoint" for each in settings.of_each)
    if apart := reached.told_of_driver if is_elsewhere else reached.told:  # likewise
        inputs["isolation"] = apart
    if settings.memory_limit_gb:  # likewise; containers may have it where control groups can't
        inputs["memory_limit_gb"] = f"{settings.memory_limit_gb:g}"
    if asked := settings.asked_hosts:  # likewise
        inputs["hosts"] = asked.words
    inputs |= binary_hashes(settings)
    for scenario in scenarios:
        inputs |= _own_set(settings, scenario)
    return inputs | {f"scenario:{scenario.name}": scenario.sha256 for scenario in scenarios}


def setting_inputs(settings: Settings) -> dict[str, str]:
    """Return the part of a fingerprint that the settings alone give; reads nothing."""
    inputs = {name: str(getattr(settings, name)) for name in MEASURING_SETTINGS}
    if settings.systems:
        inputs["system"] = ",".join(settings.systems)
    return inputs | {f"variant:{name}": _told(values) for name, values in settings.variants.items()}


def _told(values: Mapping[str, object]) -> str:
    """Return the settings of a variant in words; those of its system's own table are told as every system's are."""
    return ", ".join(f"{key}={value}" for key, value in values.items() if not key.startswith("system."))


def inputs_now(settings: Settings, scenario: Scenario) -> dict[str, str]:
    """Return the entries of a fingerprint for one measurement's files: its scenario, vectors and the binaries."""
    try:
        found = {f"scenario:{scenario.name}": hashlib.sha256(read_regular(scenario.path)).hexdigest()}
    except OSError:
        found = {}
    return found | _own_set(settings, scenario) | binary_hashes(settings, [settings])


def repository_state(folder: Path) -> dict[str, Any] | None:
    """Return commit, branch, uncommitted changes and last message of the repository at `folder`, None if it is none."""
    if _first_line(["git", "rev-parse", "--is-inside-work-tree"], folder) != "true":
        return None
    return {
        "commit": _first_line(["git", "rev-parse", "HEAD"], folder),
        "branch": _first_line(["git", "rev-parse", "--abbrev-ref", "HEAD"], folder),
        "dirty": (_output(["git", "--no-optional-locks", "status", "--porcelain"], folder) or "").splitlines(),
        "message": (_output(["git", "log", "-1", "--pretty=%B"], folder) or "").strip() or None,
    }


def disk_type(folder: Path, root: Path = ROOT) -> str | None:
    """Return `SSD` or `HDD` for the disk that holds a folder, None where the machine doesn't tell.

    The kernel calls a virtual disk rotating unless its host says otherwise, which tells nothing of the real disk.
    """
    while not folder.exists():
        folder = folder.parent
    if sys.platform == "darwin":
        told = (_output(["diskutil", "info", "/"], folder) or "").partition("Solid State:")[2].split()
        return {"Yes": "SSD", "No": "HDD"}.get(told[0]) if told else None
    device = folder.stat().st_dev
    base = root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    for path in (base / "queue/rotational", base / "../queue/rotational"):
        with contextlib.suppress(OSError):
            if path.read_text(encoding="ascii").strip() != "1":
                return "SSD"
            return None if _is_virtual(base, root) else "HDD"
    return None


def _is_virtual(device: Path, root: Path) -> bool:
    """Tell whether a disk is one of virtio's (which some virtual machines alone tell), or the machine is virtual."""
    by_virtio = any(part.startswith("virtio") for part in device.resolve().parts)
    return by_virtio or (machine.virtualization(root) or "").startswith(machine.VIRTUAL)


def _own_set(settings: Settings, scenario: Scenario) -> dict[str, str]:
    """Return the hash of the files of the user's own vectors, `unreadable` in its place; nothing without such a set."""
    if not isinstance(scenario.data_set, OwnSet):
        return {}
    try:
        found = joined_hash([*set_hashes(scenario, Path(settings.cache_dir))])
    except UserError:
        found = "unreadable"
    return {f"set:{scenario.name}": found}


def _binaries(settings: Settings) -> dict[str, binaries.Binary]:
    found = {name: binaries.read_binary(path) for name, path in used_binaries(settings).items()}
    return {name: facts for name, facts in found.items() if facts is not None}


def binary_hashes(settings: Settings, of: Sequence[Settings] = ()) -> dict[str, str]:
    """Return the hashes alone: other facts of a binary take longer to read.

    Args:
        settings: of the run.
        of: those of the systems whose programs are meant; all that are measured if none is given.
    """
    systems = of or settings.of_each
    programs = _programs_of(systems) | _programs_of_driver(settings)
    found = {f"binary:{name}": binaries.hash_of(path) for name, path in programs.items() if path.is_file()}
    for each in systems:
        found |= _not_a_program(each)
    return found


def _not_a_program(settings: Settings) -> dict[str, str]:
    """Return what stands for the server's program in a fingerprint where compbench starts none."""
    half = registry.server_of(settings)
    match half.mode:
        case "container":
            return {f"binary:{_among(settings)}image": half.image}
        case "endpoint":
            return {f"binary:{_among(settings)}server": half.version_told() or "its version is not told"}
    return {}


def used_binaries(settings: Settings) -> dict[str, Path]:
    """Return the native programs of server and driver by name, which has that of the system where there are several.

    Raises:
        UserError: the system can't be loaded, or none brings the driver.
    """
    return _programs_of(settings.of_each) | _programs_of_driver(settings)


def _programs_of(systems: Sequence[Settings]) -> dict[str, Path]:
    halves = [(_among(each), registry.server_of(each)) for each in systems]
    managed = [(among, half) for among, half in halves if half.mode == "managed"]
    return {f"{among}{name}": path for among, half in managed for name, path in half.binaries.items()}


def _programs_of_driver(settings: Settings) -> dict[str, Path]:
    return {} if settings.driver == "builtin" else {settings.driver: registry.driver_program(settings)}


def _among(settings: Settings) -> str:
    """Return what tells the programs of one system, or variant, from those that it is compared with."""
    return f"{settings.contender}:" if settings.contender else ""


def _system(folder: Path) -> dict[str, Any]:
    return {
        "os": " ".join(platform.uname()),
        "cpu_model": machine.cpu_model(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(),
        "ram_bytes": psutil.virtual_memory().total,
        "disk_type": disk_type(folder),
        "governor": machine.governors(),
        "virtualization": machine.virtualization(),
        "boot_at": machine.boot_at(),
    }


def _first_line(argv: list[str], folder: Path) -> str | None:
    return (_output(argv, folder) or "").strip().partition("\n")[0] or None


def _output(argv: list[str], folder: Path, time_limit_s: float = _TIME_LIMIT_S) -> str | None:
    try:
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, errors="replace", timeout=time_limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
