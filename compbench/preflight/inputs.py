"""Checks of the inputs of a run: system, programs, versions, scenario files, and the data sets that they ask for.

Each reads, and hands its reading to a pure judgement; none raises for a bad one.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from compbench.config.scenarios import load_scenarios
from compbench.config.settings import Settings
from compbench.machine.probes import binaries, machine
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.model.scenario import Scenario
from compbench.model.sizes import round_below
from compbench.preflight import data_scale, memory_needs, modes_here
from compbench.preflight.findings import finding_of
from compbench.preflight.judgement import GB, judge_program, judge_versions
from compbench.store import kept_data
from compbench.store.data_set_sizes import SizeBound, wanted_memories
from compbench.systems import registry
from compbench.systems.api import Needs

_DRIVER_MODULES = ("httptools", "orjson", "numpy", "hdrh")


def check_system(settings: Settings) -> Finding:
    """Warn where a system is measured for want of another one, without that having been asked for."""
    system, reason = settings.system, settings.system_reason
    if not registry.is_makeshift(settings):
        return finding_of("system", "system", "ok", system=system, reason=reason)
    title, wanted = registry.title_of(system), registry.looked_for(settings)
    others = " or ".join(registry.title_of(name) for name in wanted)
    how = " or ".join(registry.server_of(settings, name).how_to_get for name in wanted)
    return finding_of(
        "system", "system-makeshift", "warning", title=title, others=others, reason=reason, how=how, system=system
    )


def check_server(settings: Settings) -> Finding:
    """Check the server's program, or what else its system needs."""
    check, half = "binary_server", registry.server_of(settings)
    title = registry.title_of(settings.system)
    if half.mode != "managed":
        return modes_here.check_mode(check, settings)
    for path in half.binaries.values():
        return _check_program(check, path, half.how_to_get)
    if missing := half.missing():
        return finding_of(
            check, "parts-missing", "critical", owner=title, missing=", ".join(missing), how=half.how_to_get
        )
    return finding_of(check, "not-used", "ok", why=f"{title} ({settings.system_reason})")


def check_driver(settings: Settings) -> Finding:
    """Check the driver's program, or the modules that compbench's own needs."""
    check = "binary_driver"
    if settings.driver != "builtin":
        try:
            half, path = registry.driver_owner(settings)
        except UserError as error:
            return finding_of(check, "driver-unknown", "critical", problem=error)
        return _check_program(check, path, half.how_to_get)
    if missing := [name for name in _DRIVER_MODULES if importlib.util.find_spec(name) is None]:
        how = "make demo, or pip install -r requirements.txt"
        owner = "the built-in driver"
        return finding_of(check, "parts-missing", "critical", owner=owner, missing=", ".join(missing), how=how)
    return finding_of(check, "not-used", "ok", why="compbench's own driver")


def check_versions(settings: Settings) -> Finding:
    """Compare what the system's programs say with what their repository says."""
    half = registry.server_of(settings)
    if half.mode != "managed":
        return finding_of("versions", "not-used", "ok", why="no program of this machine is measured")
    told, expected = half.versions()
    if told and not expected and half.repository is None:
        said = "; ".join(f"{name}: {line}" for name, line in told.items())
        return finding_of("versions", "versions-told", "ok", told=said)
    if not told:
        return finding_of("versions", "not-used", "ok", why=f"{registry.title_of(settings.system)} tells none")
    return judge_versions(told, expected, [] if settings.driver == "builtin" else [settings.driver])


def check_scenarios(settings: Settings) -> Finding:
    """Check the scenario files, and that the server takes vectors of their dimensions."""
    try:
        found = asked_scenarios(settings)
    except UserError as error:
        return finding_of("scenarios", "scenarios-invalid", "critical", problem=error)
    can, title = registry.server_of(settings).capabilities, registry.title_of(settings.system)
    if settings.systems:  # a scenario that one of several can't do is not offered by it
        return finding_of("scenarios", "scenarios", "ok", count=len(found), names=", ".join(s.name for s in found))
    if odd := [s.name for s in found if can.dimension not in (None, s.data.embedding_dim)]:
        return finding_of(
            "scenarios", "dimension-refused", "critical", names=", ".join(odd), dimension=can.dimension, title=title
        )
    if can.most_dimensions and (odd := [s.name for s in found if s.data.embedding_dim > can.most_dimensions]):
        names, most = ", ".join(odd), can.most_dimensions
        return finding_of("scenarios", "dimension-too-large", "critical", names=names, most=most, title=title)
    return finding_of("scenarios", "scenarios", "ok", count=len(found), names=", ".join(s.name for s in found))


def check_scale(settings: Settings, names: Sequence[str]) -> Finding:
    """Check that the scale leaves the named scenarios, or all, something to search."""
    try:
        concerned = asked_scenarios(settings, names)
    except UserError:
        return _unread("scale")
    counts = {s.name: (_wanted(settings, s), s.data.num_nodes) for s in concerned}
    return data_scale.judge_scale(counts, settings.scale)


def check_data_set(settings: Settings, names: Sequence[str]) -> Finding:
    """Check that the data sets of the named scenarios, or of all, fit into this machine."""
    if registry.server_of(settings).mode == "endpoint":
        return finding_of("data_set", "not-judged", "ok", why="the server is not compbench's, nor need it be here")
    if registry.server_of(settings).needs(1, 1) is None:
        why = f"what {registry.title_of(settings.system)} needs for its data is not known here"
        return finding_of("data_set", "not-judged", "ok", why=why)
    try:
        needs = _needs(settings, asked_scenarios(settings, names))
    except UserError:  # a scenario's file, or a file of vectors that it names
        return finding_of("data_set", "not-judged", "ok", why="see the checks of the scenarios and of their own sets")
    return memory_needs.judge_data_set(needs, _room(settings))


def most_memories(settings: Settings, scenario: Scenario) -> tuple[int, SizeBound]:
    """Return how many of a scenario's memories may be loaded at most with `scale=auto`, and what keeps it from more."""
    half, meant, dimension = registry.server_of(settings), scenario.data.num_nodes, scenario.data.embedding_dim
    found: list[tuple[int, SizeBound]] = [(meant, "set")]
    if half.most_vectors is not None:
        found.append((half.most_vectors, "system"))
    most, bound = min(found, key=lambda each: each[0])
    if half.mode == "endpoint" or half.needs(1, 1) is None:
        return most, bound

    def needs_of(count: int) -> Needs:
        needs = half.needs(count, dimension)
        assert needs is not None  # noqa: S101 - known for one vector, so for all
        return needs

    room = memory_needs.most_that_fit(needs_of, most, _room(settings))
    if room == most:
        return most, bound
    return round_below(room), "memory"


def _wanted(settings: Settings, scenario: Scenario) -> int | None:
    """Return how many memories are loaded, None if that is to be found, or what was found can't be read."""
    try:
        return wanted_memories(settings, scenario)
    except UserError:
        return None  # loading says why


def _room(settings: Settings) -> memory_needs.Room:
    return memory_needs.Room(
        available_bytes=psutil.virtual_memory().available,
        reserve_bytes=round(settings.limits.min_scenario_memory_gb * GB),
        free_disk_bytes=machine.free_disk_bytes(Path(settings.cache_dir)),
        cores=os.cpu_count() or 1,
        kept_limit_s=settings.data_set_timeout_s,
        loading_limit_s=settings.prepare_timeout_s,
    )


def asked_scenarios(settings: Settings, names: Sequence[str] = ()) -> list[Scenario]:
    """Return the named scenarios, or all.

    Raises:
        UserError: a scenario's file is wrong.
    """
    found = load_scenarios(Path(settings.scenarios_dir), settings.expected_scenarios)
    return [scenario for scenario in found if not names or scenario.name in names]


def _unread(check: str) -> Finding:
    return finding_of(check, "not-judged", "ok", why="see the check of the scenarios")


def _check_program(check: str, path: Path, build: str) -> Finding:
    facts = binaries.read_binary(path)
    is_executable = None if facts is None else os.access(path, os.X_OK)
    release = binaries.is_release_build(facts) if facts and is_executable else None
    return judge_program(check, path, build, is_executable=is_executable, release=release)


def _needs(settings: Settings, scenarios: Sequence[Scenario]) -> list[memory_needs.Need]:
    """Return the needs of each scenario; a data set that several share is made for the first of them."""
    found, made = [], set[Path]()
    for scenario in scenarios:
        folder = kept_data.data_set_folder(settings, scenario)
        need = _need(settings, scenario)
        found.append(dataclasses.replace(need, is_kept=need.is_kept or folder in made))
        made |= {folder} if folder else set()
    return found


def _need(settings: Settings, scenario: Scenario) -> memory_needs.Need:
    folder, count = kept_data.data_set_folder(settings, scenario), _wanted(settings, scenario)
    if count is None:
        count = max(1, most_memories(settings, scenario)[0])
    needs = registry.server_of(settings).needs(count, scenario.data.embedding_dim)
    assert needs is not None  # noqa: S101 - known for one vector, so for all
    return memory_needs.Need(
        scenario=scenario.name,
        num_nodes=scenario.data.num_nodes,
        count=count,
        needs=needs,
        is_kept=folder is not None and folder.is_dir(),
        kept_from_now=folder is not None,
        fits_the_time=settings.scale == "auto",
    )
