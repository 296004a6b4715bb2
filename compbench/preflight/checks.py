"""The checks before anything is measured: each reads the machine or a file, and hands what it saw to `preflight`.

`CHECKS` is the list of them; no check changes the machine, and none raises for a bad one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from compbench.config.scenarios import load_scenarios
from compbench.config.settings import Settings
from compbench.machine.probes import binaries, machine
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.model.scenario import Scenario
from compbench.preflight import data_scale, memory_needs
from compbench.preflight.judgement import (
    GB,
    judge_binary,
    judge_disk,
    judge_governors,
    judge_load,
    judge_memory,
    judge_open_files,
    judge_port,
    judge_processes,
    judge_temperature,
    judge_tools,
    judge_versions,
)
from compbench.store import kept_data, leftovers, lock, runs
from compbench.systems import registry

# Specification 1: tools that Engram's own scripts want; compbench needs neither.
_SCRIPT_TOOLS = {"jq": "Engram's scripts read JSON with it", "bc": "Engram's scripts compute with it"}
_OPTIONAL_TOOLS = {
    "perf": (("perf",), "flame graphs are recorded with it"),
    "flamegraph": (("flamegraph", "flamegraph.pl", "inferno-flamegraph"), "other flame graphs than compbench's own"),
    "htop": (("htop",), "a person can watch the machine with it"),
}
_DRIVER_MODULES = ("httptools", "orjson", "numpy", "hdrh")
_WRITTEN_BYTES = 1_048_576
# What the runner, its pipes and the server's own files take besides the driver's connections.
_OWN_OPEN_FILES = 100


class Asked(NamedTuple):
    """What the checks are made for; `scenarios` are those about to be measured, all if it is empty."""

    settings: Settings
    root: Path
    scenarios: Sequence[str] = ()


class Check(NamedTuple):
    """One check: its name, what it is for, and how it finds out: a judgement of a reading taken now."""

    name: str
    doc: str
    find: Callable[[Asked], Finding]


def run_check(name: str, settings: Settings, root: Path, scenarios: Sequence[str] = ()) -> Finding:
    """Make one check now; a name that is not in `CHECKS` is a KeyError."""
    return CHECKS[name].find(Asked(settings, root, scenarios))


def _check_system(settings: Settings) -> Finding:
    """Warn where a system is measured for want of another one, without that having been asked for."""
    if not registry.is_makeshift(settings):
        return Finding(check="system", level="ok", found=f"{settings.system} ({settings.system_reason})")
    title, wanted = registry.title_of(settings.system), registry.looked_for(settings)
    others = " or ".join(registry.title_of(name) for name in wanted)
    how = " or ".join(registry.server_of(settings, name).how_to_get for name in wanted)
    return Finding(
        check="system",
        level="warning",
        found=f"{title} is measured instead of {others}: {settings.system_reason}",
        mend=f"{how}, or say that {title} is meant: system={settings.system}",
    )


def _check_server(settings: Settings) -> Finding:
    half = registry.server_of(settings)
    for path in half.binaries.values():
        return _check_program("binary_server", path, half.how_to_get)
    if missing := half.missing():
        text = f"{registry.title_of(settings.system)} lacks {', '.join(missing)}"
        return Finding(check="binary_server", level="critical", found=text, mend=half.how_to_get)
    return Finding(
        check="binary_server",
        level="ok",
        found=f"not used: {registry.title_of(settings.system)} ({settings.system_reason})",
    )


def _check_driver(settings: Settings) -> Finding:
    if settings.driver != "builtin":
        try:
            half, path = registry.driver_owner(settings)
        except UserError as error:
            return Finding(check="binary_driver", level="critical", found=str(error))
        return _check_program("binary_driver", path, half.how_to_get)
    if missing := [name for name in _DRIVER_MODULES if importlib.util.find_spec(name) is None]:
        text = f"the built-in driver lacks {', '.join(missing)}"
        mend = "make demo, or pip install -r requirements.txt"
        return Finding(check="binary_driver", level="critical", found=text, mend=mend)
    return Finding(check="binary_driver", level="ok", found="not used: compbench's own driver")


def _check_program(check: str, path: Path, build: str) -> Finding:
    facts = binaries.read_binary(path)
    if facts is None or not os.access(path, os.X_OK):
        return judge_binary(check, path, facts, None, build)
    return judge_binary(check, path, facts, binaries.is_release_build(facts), build)


def _check_versions(settings: Settings) -> Finding:
    told, expected = registry.server_of(settings).versions()
    if not told:
        return Finding(check="versions", level="ok", found=f"not used: {registry.title_of(settings.system)} tells none")
    return judge_versions(told, expected, [] if settings.driver == "builtin" else [settings.driver])


def _check_scenarios(settings: Settings) -> Finding:
    folder = Path(settings.scenarios_dir)
    try:
        found = load_scenarios(folder, settings.expected_scenarios)
    except UserError as error:
        return Finding(check="scenarios", level="critical", found=str(error), wanted="valid scenario files")
    dimension = registry.server_of(settings).capabilities.dimension
    odd = [s.name for s in found if dimension not in (None, s.data.embedding_dim)]
    if odd:
        text = f"{', '.join(odd)}: data.embedding_dim is not {dimension}"
        mend = f"set it to {dimension}: {registry.title_of(settings.system)} refuses every other dimension"
        return Finding(check="scenarios", level="critical", found=text, wanted=str(dimension), mend=mend)
    return Finding(check="scenarios", level="ok", found=f"{len(found)}: {', '.join(s.name for s in found)}")


def _check_output_dir(settings: Settings) -> Finding:
    with contextlib.suppress(OSError):  # the folder's own check says why
        Path(settings.output_dir).mkdir(parents=True, exist_ok=True)
    return _check_folder("output_dir", Path(settings.output_dir))


def _check_folder(check: str, folder: Path) -> Finding:
    """Write a megabyte where the folder is or will be, and take it away."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(_WRITTEN_BYTES))
    except OSError as error:
        text = f"{folder} can't be written: {error.strerror}"
        mend = f"mend its rights, free space, or set {check} to another folder"
        return Finding(check=check, level="critical", found=text, mend=mend)
    return Finding(check=check, level="ok", found=f"{folder} can be written")


def _check_disk(settings: Settings) -> Finding:
    """Judge the disk of the results as specified; the others' must be writable, which checks of their own see to."""
    results, *others = (Path(settings.output_dir), Path(settings.work_dir), Path(settings.cache_dir))
    judged = judge_disk(machine.free_disk_bytes(results), results, settings.limits)
    for folder in others if judged.level == "ok" else ():
        other = judge_disk(machine.free_disk_bytes(folder), folder, settings.limits)
        if other.level != "ok":
            return msgspec.structs.replace(other, level="warning")
    return judged


def _check_leftovers(settings: Settings, root: Path) -> Finding:
    output_dir = Path(settings.output_dir)
    try:
        runs.refuse_damaged(output_dir)
        found = leftovers.of_interruptions(output_dir, Path(settings.work_dir), root)
    except UserError as error:
        return Finding(check="leftovers", level="warning", found=str(error))
    texts = [f"{leftover.what} {leftover.path.name}" for leftover in found]
    texts += [
        f"run {run.name} lacks {len(run.pending())} scenarios and is continued if nothing changed"
        for run in runs.open_runs(output_dir)
        if run.manifest.kind == "suite"
    ]
    return Finding(
        check="leftovers",
        level="ok",
        found="; ".join(texts) or "none",
        mend="`doit clean` removes them" if texts else "",
    )


def _check_required_tools(settings: Settings) -> Finding:
    needed = registry.server_of(settings).diagnostics() is not None
    return judge_tools("tools_required", _missing({n: ((n,), w) for n, w in _SCRIPT_TOOLS.items()}), needed=needed)


def _check_optional_tools(settings: Settings) -> Finding:
    missing = _missing(_OPTIONAL_TOOLS)
    wanted = {name: why for name, why in missing.items() if name == "perf" and settings.flamegraph}
    if missing and not wanted:
        return judge_tools("tools_optional", missing, replaced=True)
    return judge_tools("tools_optional", missing)


def _missing(tools: Mapping[str, tuple[Sequence[str], str]]) -> dict[str, str]:
    return {name: why for name, (programs, why) in tools.items() if not machine.has_tool(*programs)}


def _check_open_files(settings: Settings) -> Finding:
    return judge_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0], settings.connections + _OWN_OPEN_FILES)


def _check_port(settings: Settings) -> Finding:
    return judge_port(settings.port, list(machine.listeners(settings.port)))


def _check_processes(settings: Settings) -> Finding:
    return judge_processes(*machine.foreign_servers(registry.recognisers(settings)))


def _check_network() -> Finding:
    if machine.loopback_answers():
        return Finding(check="network", level="ok", found="127.0.0.1 answers")
    text = "127.0.0.1 does not answer, after retries of 1, 2 and 4 s"
    return Finding(check="network", level="critical", found=text, wanted="a loopback interface that is up")


def _check_suite(root: Path) -> Finding:
    holder = lock.holder(root / "tmp" / "lock")
    if holder is None or holder.startswith(f"pid {os.getpid()} "):
        return Finding(check="suite", level="ok", found="no other suite is running")
    text = f"a suite is running: {holder}"
    return Finding(
        check="suite", level="warning", found=text, wanted="one at a time", mend="wait until it has finished"
    )


def _check_memory(settings: Settings) -> Finding:
    import psutil  # noqa: PLC0415 - beside its only use

    memory = psutil.virtual_memory()
    return judge_memory(memory.total, memory.available, settings.limits)


def _check_scale(settings: Settings, names: Sequence[str]) -> Finding:
    try:
        scenarios = load_scenarios(Path(settings.scenarios_dir), settings.expected_scenarios)
    except UserError:
        return Finding(check="scale", level="ok", found="not judged: see the check of the scenarios")
    counts = {
        scenario.name: (kept_data.wanted_memories(settings, scenario), scenario.data.num_nodes)
        for scenario in scenarios
        if not names or scenario.name in names
    }
    return data_scale.judge_scale(counts, settings.data_scale)


def _check_data_set(settings: Settings, names: Sequence[str]) -> Finding:
    if registry.server_of(settings).needs(1, 1) is None:
        title = registry.title_of(settings.system)
        return Finding(
            check="data_set", level="ok", found=f"not judged: what {title} needs for its data is not known here"
        )
    try:
        scenarios = load_scenarios(Path(settings.scenarios_dir), settings.expected_scenarios)
    except UserError:
        return Finding(check="data_set", level="ok", found="not judged: see the check of the scenarios")
    import psutil  # noqa: PLC0415 - see _check_memory

    room = memory_needs.Room(
        available_bytes=psutil.virtual_memory().available,
        reserve_bytes=round(settings.limits.min_scenario_memory_gb * GB),
        free_disk_bytes=machine.free_disk_bytes(Path(settings.cache_dir)),
        cores=os.cpu_count() or 1,
        time_limit_s=settings.data_set_timeout_s,
    )
    concerned = [scenario for scenario in scenarios if not names or scenario.name in names]
    return memory_needs.judge_data_set([_need(settings, scenario) for scenario in concerned], room)


def _need(settings: Settings, scenario: Scenario) -> memory_needs.Need:
    folder, count = kept_data.data_set_folder(settings, scenario), kept_data.wanted_memories(settings, scenario)
    needs = registry.server_of(settings).needs(count, scenario.data.embedding_dim)
    assert needs is not None  # noqa: S101 - known for one vector, so for all
    return memory_needs.Need(
        scenario=scenario.name,
        num_nodes=scenario.data.num_nodes,
        count=count,
        needs=needs,
        is_kept=folder is not None and folder.is_dir(),
        kept_from_now=folder is not None,
    )


def _entries() -> Iterator[Check]:
    yield Check("system", "what is measured is what was meant", lambda a: _check_system(a.settings))
    yield Check(
        "binary_driver",
        "the driver is there, and a release build",
        lambda a: _check_driver(a.settings),
    )
    yield Check("binary_server", "the server is there, and a release build", lambda a: _check_server(a.settings))
    yield Check("versions", "the binaries' versions are those of the checkout", lambda a: _check_versions(a.settings))
    yield Check("scenarios", "all scenario files are there, valid and distinct", lambda a: _check_scenarios(a.settings))
    yield Check("output_dir", "results can be written", lambda a: _check_output_dir(a.settings))
    yield Check(
        "work_dir", "the server's data can be written", lambda a: _check_folder("work_dir", Path(a.settings.work_dir))
    )
    yield Check(
        "cache_dir", "what is kept can be written", lambda a: _check_folder("cache_dir", Path(a.settings.cache_dir))
    )
    yield Check("disk", "disk space", lambda a: _check_disk(a.settings))
    yield Check("leftovers", "what interrupted runs have left", lambda a: _check_leftovers(a.settings, a.root))
    yield Check("memory", "memory", lambda a: _check_memory(a.settings))
    yield Check("scale", "the data scale leaves something to search", lambda a: _check_scale(a.settings, a.scenarios))
    yield Check("data_set", "the data sets fit into this machine", lambda a: _check_data_set(a.settings, a.scenarios))
    yield Check("cpu_governor", "CPU frequency scaling", lambda _: judge_governors(machine.governors()))
    yield Check(
        "temperature",
        "CPU temperature",
        lambda a: judge_temperature(machine.temperature_c(), a.settings.warn_temperature_c),
    )
    yield Check("load", "background load", lambda a: judge_load(machine.load_1min(), a.settings.warn_load))
    yield Check(
        "processes",
        "no other server of the kind is running",
        lambda a: _check_processes(a.settings),
    )
    yield Check(
        "port",
        "the server's port is free",
        lambda a: _check_port(a.settings),
    )
    yield Check("network", "loopback answers", lambda _: _check_network())
    yield Check("open_files", "the limit of open files", lambda a: _check_open_files(a.settings))
    yield Check("tools_required", "tools that Engram's scripts require", lambda a: _check_required_tools(a.settings))
    yield Check("tools_optional", "tools that give more", lambda a: _check_optional_tools(a.settings))
    yield Check("suite", "no other suite is running", lambda a: _check_suite(a.root))


# The checks by name, in the order in which they are made.
CHECKS = {check.name: check for check in _entries()}
