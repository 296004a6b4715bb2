"""The checks before anything is measured: each reads the machine or a file, and hands what it saw to `preflight`.

`CHECKS` is the list of them; no check changes the machine, and none raises for a bad one.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from compbench.config.scenarios import Scenario, load_scenarios
from compbench.config.settings import Settings
from compbench.machine.probes import binaries, machine, provenance
from compbench.machine.version_line import version_line
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.preflight import data_scale, memory_needs
from compbench.preflight.judgement import (
    GB,
    judge_binary,
    judge_disk,
    judge_governors,
    judge_load,
    judge_memory,
    judge_port,
    judge_processes,
    judge_temperature,
    judge_versions,
)
from compbench.store import kept_data, leftovers, lock, runs

_EMBEDDING_DIM = 768  # Engram and the embedded server refuse a recall of any other dimension
# Specification 1: tools that Engram's own scripts want; compbench needs neither.
_SCRIPT_TOOLS = {"jq": "Engram's scripts read JSON with it", "bc": "Engram's scripts compute with it"}
_OPTIONAL_TOOLS = {
    "perf": (("perf",), "flame graphs are recorded with it"),
    "flamegraph": (("flamegraph", "flamegraph.pl", "inferno-flamegraph"), "other flame graphs than compbench's own"),
    "htop": (("htop",), "a person can watch the machine with it"),
}
_MODULES = ("usearch", "uvicorn", "httptools", "orjson", "numpy", "hdrh")
CHECKS: dict[str, str] = {
    "binary_loadtest": "loadtest is there, and a release build",
    "binary_engram": "the server is there, and a release build",
    "versions": "the binaries' versions are those of the checkout",
    "scenarios": "all scenario files are there, valid and distinct",
    "output_dir": "results can be written",
    "disk": "disk space",
    "leftovers": "what interrupted runs have left",
    "memory": "memory",
    "scale": "the data scale leaves something to search",
    "data_set": "the data sets fit into this machine",
    "cpu_governor": "CPU frequency scaling",
    "temperature": "CPU temperature",
    "load": "background load",
    "processes": "no other server of the kind is running",
    "port": "the server's port is free",
    "network": "loopback answers",
    "tools_required": "tools that Engram's scripts require",
    "tools_optional": "tools that give more",
    "suite": "no other suite is running",
}


def run_check(name: str, settings: Settings, root: Path, scenarios: Sequence[str] = ()) -> Finding:
    """Make one check now; a name that is not in `CHECKS` is a KeyError.

    `scenarios` are those that are about to be measured, all if empty: only their data sets have to fit.
    """
    if name == "scale":
        return _check_scale(settings, scenarios)
    if name == "data_set":
        return _check_data_set(settings, scenarios)
    return _READERS[name](settings, root)


def _check_binary(name: str, settings: Settings) -> Finding:
    check = f"binary_{name}"
    used = settings.driver == "loadtest" if name == "loadtest" else settings.target == "engram"
    if not used:
        return _check_embedded(check, settings)
    path = settings.release_dir / name
    facts = binaries.read_binary(path)
    if facts is None or not os.access(path, os.X_OK):
        return judge_binary(check, path, facts, None)
    return judge_binary(check, path, facts, binaries.is_release_build(facts))


def _check_embedded(check: str, settings: Settings) -> Finding:
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    what = "driver" if check == "binary_loadtest" else "server"
    if missing:
        text = f"the built-in {what} lacks {', '.join(missing)}"
        return Finding(check=check, level="critical", found=text, mend="make demo, or pip install -r requirements.txt")
    return Finding(check=check, level="ok", found=f"not used: compbench's own {what} ({settings.target_reason})")


def _check_versions(settings: Settings) -> Finding:
    if settings.target != "engram":
        return Finding(check="versions", level="ok", found="not used: embedded target")
    expected = provenance.cargo_versions(Path(settings.engram_root))
    said = version_line([str(settings.release_dir / "engram"), "--version"], os.environ)
    return judge_versions({"engram-cli": said}, expected)


def _check_scenarios(settings: Settings) -> Finding:
    folder = Path(settings.scenarios_dir)
    try:
        found = load_scenarios(folder, settings.expected_scenarios)
    except UserError as error:
        return Finding(check="scenarios", level="critical", found=str(error), wanted="valid scenario files")
    odd = [s.name for s in found if s.data.embedding_dim != _EMBEDDING_DIM]
    if odd:
        text = f"{', '.join(odd)}: data.embedding_dim is not {_EMBEDDING_DIM}"
        server = "Engram" if settings.target == "engram" else "the embedded server"
        mend = f"set it to {_EMBEDDING_DIM}: {server} refuses every other dimension"
        return Finding(check="scenarios", level="critical", found=text, wanted=str(_EMBEDDING_DIM), mend=mend)
    return Finding(check="scenarios", level="ok", found=f"{len(found)}: {', '.join(s.name for s in found)}")


def _check_output_dir(settings: Settings) -> Finding:
    folder = Path(settings.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        text = f"{folder} can't be written: {error.strerror}"
        return Finding(check="output_dir", level="critical", found=text, mend="mend its rights, or set output_dir")
    return Finding(check="output_dir", level="ok", found=f"{folder} can be written")


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


def _check_tools(check: str, tools: Mapping[str, tuple[Sequence[str], str]]) -> Finding:
    missing = [f"{name} ({why})" for name, (programs, why) in tools.items() if not machine.has_tool(*programs)]
    if missing:
        text = f"missing: {'; '.join(missing)}"
        return Finding(
            check=check, level="warning", found=text, wanted="on the PATH", mend="install them if you want that"
        )
    return Finding(check=check, level="ok", found=", ".join(tools), wanted="on the PATH")


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
    if settings.target != "embedded":
        return Finding(
            check="data_set", level="ok", found="not judged: what Engram needs for its data is not known here"
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
    folder = kept_data.data_set_folder(settings, scenario)
    return memory_needs.Need(
        scenario=scenario.name,
        num_nodes=scenario.data.num_nodes,
        count=kept_data.wanted_memories(settings, scenario),
        dimension=scenario.data.embedding_dim,
        is_kept=folder is not None and folder.is_dir(),
        kept_from_now=folder is not None,
    )


_READERS: dict[str, Callable[[Settings, Path], Finding]] = {
    "binary_loadtest": lambda settings, _: _check_binary("loadtest", settings),
    "binary_engram": lambda settings, _: _check_binary("engram", settings),
    "versions": lambda settings, _: _check_versions(settings),
    "scenarios": lambda settings, _: _check_scenarios(settings),
    "output_dir": lambda settings, _: _check_output_dir(settings),
    "disk": lambda s, _: judge_disk(machine.free_disk_bytes(Path(s.output_dir)), Path(s.output_dir), s.limits),
    "leftovers": _check_leftovers,
    "memory": lambda settings, _: _check_memory(settings),
    "cpu_governor": lambda _settings, _: judge_governors(machine.governors()),
    "temperature": lambda settings, _: judge_temperature(machine.temperature_c(), settings.warn_temperature_c),
    "load": lambda settings, _: judge_load(machine.load_1min(), settings.warn_load),
    "processes": lambda _settings, _: judge_processes(*machine.foreign_servers()),
    "port": lambda settings, _: judge_port(settings.port, list(machine.listeners(settings.port))),
    "network": lambda _settings, _: _check_network(),
    "tools_required": lambda _settings, _: _check_tools(
        "tools_required", {n: ((n,), w) for n, w in _SCRIPT_TOOLS.items()}
    ),
    "tools_optional": lambda _settings, _: _check_tools("tools_optional", _OPTIONAL_TOOLS),
    "suite": lambda _settings, root: _check_suite(root),
}
