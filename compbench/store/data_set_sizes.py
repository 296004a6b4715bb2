"""How many memories of a data set are loaded: the share that is set, or with `scale=auto` what was found to load.

A size that was found is kept in the cache folder for this machine, system, set, time and memory limit, so that the next
run has the same one, with a newer build of the system too: only figures of one size can be compared.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from compbench.config.set_files import describe_set
from compbench.config.settings import Settings
from compbench.files.regular import read_regular
from compbench.loadtest.workload.set_identity import rows_identity
from compbench.machine.probes import machine
from compbench.model.errors import UserError
from compbench.model.records import Capture, DataSet
from compbench.model.scenario import Scenario, scaled_count
from compbench.model.times import span
from compbench.store.record_files import write_record
from compbench.systems import registry

# Why a data set is no larger: it has no more rows, or the time, the system or this machine's room allows no more.
SizeBound = Literal["set", "time", "system", "memory"]


class FoundSize(msgspec.Struct, frozen=True, kw_only=True):
    """How many memories of a set a system loaded, what kept it from more, and how long that took."""

    memories: Annotated[int, msgspec.Meta(ge=1)]
    bound: SizeBound
    loading_limit_s: float
    took_s: float

    def of(self, meant: int) -> int | None:
        """Return how many of a scenario's memories are to be loaded, None if that is still to be found."""
        if meant <= self.memories:
            return meant
        return None if self.bound == "set" else self.memories


def wanted_memories(settings: Settings, scenario: Scenario) -> int | None:
    """Return how many memories of the scenario are loaded; None if that is still to be found.

    Systems that are compared get the same: what the slowest of them loads, of those that load at all. Once a run has
    figures, that stays as it was: what is found of a slower system later would make them two kinds of figures.

    Raises:
        UserError: a file of the user's own set is missing, or can't be read.
    """
    if scenario.name in settings.sizes:
        return settings.sizes[scenario.name][0]
    if settings.scale != "auto":
        return scaled_count(scenario, settings.scale)
    counts = [_found(each, scenario) for each in measured_by(settings, scenario)]
    known = [count for count in counts if count is not None]
    return min(known) if counts and counts[0] is not None else None


def sized_as_before(settings: Settings, captures: Iterable[Capture]) -> Settings:
    """Return the settings that load as many memories of each scenario as a run's figures so far were measured with."""
    held = {each.scenario: each.data_set for each in captures if each.result is not None and each.data_set is not None}
    return msgspec.structs.replace(settings, sizes={name: (data.wanted, data.reason) for name, data in held.items()})


def measured_by(settings: Settings, scenario: Scenario) -> list[Settings]:
    """Return the settings of each system that the scenario is measured on: of several, those that can do it."""
    if not settings.systems:
        return settings.of_each
    return [each for each in settings.of_each if not registry.not_offered(each, scenario)]


def slowest(settings: Settings, scenario: Scenario) -> Settings:
    """Return the settings of the system that loads the fewest of the scenario's memories, as far as that is known."""
    meant = scenario.data.num_nodes
    return min(measured_by(settings, scenario) or [settings], key=lambda each: _found(each, scenario) or meant)


def _found(settings: Settings, scenario: Scenario) -> int | None:
    found = read_size(settings, scenario)
    return found.of(scenario.data.num_nodes) if found else None


def read_size(settings: Settings, scenario: Scenario) -> FoundSize | None:
    """Return the size that was found for the scenario's data set, None if there is none; a damaged record is none.

    Raises:
        UserError: a file of the user's own set is missing, or can't be read.
    """
    path = _path_of(settings, scenario)
    with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.decode(read_regular(path), type=FoundSize)
    return None


def keep_size(settings: Settings, scenario: Scenario, found: FoundSize) -> None:
    """Keep a size for later runs.

    Raises:
        OSError: it can't be written.
    """
    path = _path_of(settings, scenario)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, found)


def wanted_data(settings: Settings, scenario: Scenario) -> DataSet | None:
    """Return the scenario's data set as it is to be loaded; None if how much that is, is still to be found.

    Raises:
        UserError: a file of the user's own set is missing, or can't be read.
    """
    wanted, meant = wanted_memories(settings, scenario), scenario.data.num_nodes
    if wanted is None:
        return None
    return DataSet(
        nodes_in_scenario=meant,
        scale=wanted / meant,
        wanted=wanted,
        reason=reason_for(settings, scenario),
        # Engram's load generator draws its own searches, and other vectors.
        what=describe_set(scenario, with_queries=settings.driver == "builtin"),
    )


def describe_wanted(settings: Settings, scenario: Scenario) -> str:
    """Return in words how much of which set is to be loaded; empty if that is not known."""
    try:
        data_set = wanted_data(settings, scenario)
    except UserError:
        return ""  # loading says why
    return f"{data_set.share} ({data_set.what})" if data_set else ""


def reason_for(settings: Settings, scenario: Scenario) -> str:
    """Say why no more of the scenario's memories are loaded; empty if all are.

    Raises:
        UserError: a file of the user's own set is missing, or can't be read.
    """
    wanted = wanted_memories(settings, scenario)
    if wanted is None or wanted >= scenario.data.num_nodes:
        return ""
    if scenario.name in settings.sizes:
        return settings.sizes[scenario.name][1]
    limiting = slowest(settings, scenario)
    found = read_size(limiting, scenario) if settings.scale == "auto" else None
    if found is None:
        return f"scale={settings.scale} is set"
    title = registry.title_of(limiting.system)
    match found.bound:
        case "system":
            return f"the most that {title} holds"
        case "memory":
            return "the most that fits into this machine"
        case _:
            return f"what {title} loads in {span(found.loading_limit_s)}"


def _path_of(settings: Settings, scenario: Scenario) -> Path:
    set_facts = rows_identity(scenario, scenario.data_seed, Path(settings.cache_dir))
    own = registry.data_inputs(settings)
    # Not the isolation: with and without it the same amount is measured, or these could not be compared. Records of
    # earlier versions have no limit either.
    limit = (settings.memory_limit_gb,) if settings.memory_limit_gb else ()
    facts = (set_facts, settings.system, own, machine.identity(), settings.loading_limit_s, *limit)
    name = hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:24]
    return Path(settings.cache_dir) / "data_set_sizes" / f"{name}.json"
