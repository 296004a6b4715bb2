"""The records of recall against speed by which efforts are chosen: where they are kept, and when one is needed.

The name of a record is a hash of everything that it depends on. It decides which figures can be compared, so that
cleaning the cache leaves it. Knows nothing of how it is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from functools import lru_cache
from pathlib import Path

import msgspec

from compbench.config.settings import Settings
from compbench.files.regular import read_regular
from compbench.loadtest.workload import operations
from compbench.loadtest.workload.set_identity import queries_identity, rows_identity
from compbench.machine import isolation
from compbench.machine.probes import machine
from compbench.machine.version_line import version_line
from compbench.model import efforts
from compbench.model.result import FRONTIER_SCHEMA, Frontier
from compbench.model.scenario import Scenario
from compbench.store.data_set_sizes import wanted_memories
from compbench.store.provenance import binary_hashes
from compbench.store.record_files import write_record
from compbench.systems import registry

# A search doubles from 100 ops/s to some thousands, and then halves the gap down to some percent.
_TRIALS = 10


def frontier_file(settings: Settings, scenario: Scenario) -> Path | None:
    """Return where the scenario's record is kept, or None if there is none to make.

    That is so if no vectors are searched for, the system has no knob or the user has set it, or how many memories are
    loaded is not known; or the searches are those of another driver, which checks no answers.

    Raises:
        UserError: a file of the user's own set is missing, or can't be read.
    """
    memories = wanted_memories(settings, scenario)
    if memories is None or not chooses_effort(settings, scenario):
        return None
    # What a system finds does not depend on which others it is compared with.
    settings = settings.alone
    cache = Path(settings.cache_dir)
    own = {name: value for name, value in registry.system_inputs(settings).items() if name != "system.effort"}
    facts = (
        FRONTIER_SCHEMA,
        (rows_identity(scenario, scenario.data_seed, cache), queries_identity(scenario, scenario.data_seed, cache)),
        memories,
        (scenario.seed, scenario.arrival, efforts.searches_of(scenario).operations, scenario.validation),
        (operations.RECALL_LIMITS, operations.SEARCH_LIMITS, operations.RECALL_THRESHOLDS, efforts.LADDER),
        (settings.system, own, binary_hashes(settings), _versions(settings)),
        machine.identity(),
        _how(settings),
    )
    return cache / "frontiers" / f"{hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:24]}.json"


def chooses_effort(settings: Settings, scenario: Scenario) -> bool:
    """Tell whether the effort of the scenario's searches is to be found, rather than set or not there at all."""
    can = registry.server_of(settings).capabilities
    walks = scenario.graph is not None and can.edges
    asks = settings.driver == "builtin" and efforts.has_vector_searches(scenario) and not walks
    return asks and bool(can.effort) and getattr(registry.own_settings(settings), "effort", None) is None


def read_frontier(settings: Settings, scenario: Scenario) -> Frontier | None:
    """Return the scenario's record, None if none is to be made or there is none yet; a damaged record is none.

    Raises:
        UserError: a file of the user's own set is missing, or can't be read.
    """
    path = frontier_file(settings, scenario)
    if path is not None:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(read_regular(path), type=Frontier)
    return None


def write_frontier(path: Path, found: Frontier) -> None:
    """Keep a record for later runs.

    Raises:
        OSError: it can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, found)


def frontier_s(settings: Settings, scenario: Scenario) -> float:
    """Return how long making a record takes at most, but for loading: each step once, and capacities as they come."""
    step_s = efforts.step_length_s(scenario, settings.frontier_step_s)
    ladder_s = len(efforts.LADDER) * (step_s + efforts.WARM_UP_S + efforts.SETTLE_S)
    if not searches_capacities(settings, scenario):
        return ladder_s
    one_s = _TRIALS * settings.capacity_repeats * (settings.capacity_step_s + efforts.WARM_UP_S + efforts.SETTLE_S)
    return min(settings.frontier_limit_s, ladder_s + len(efforts.RECALLS) * one_s)


def searches_capacities(settings: Settings, scenario: Scenario) -> bool:
    """Tell whether the capacity at each recall belongs to the scenario's record."""
    return settings.frontier_capacity and scenario.validation.expected_p99_latency_ms is not None


def _how(settings: Settings) -> dict[str, object]:
    names = ["frontier_step_s", "frontier_capacity", "connections", "processes"]
    if settings.frontier_capacity:
        names += ["capacity_step_s", "capacity_repeats", "capacity_precision_pct"]
    found = {name: getattr(settings, name) for name in names} | {"priority": settings.niceness}
    # Earlier records have none of these entries, and were made without.
    if asked := settings.asked_hosts:
        found["hosts"] = asked.words
    if apart := isolation.reached_by(settings).told:
        found["isolation"] = apart
    return found | ({"memory_limit_gb": settings.memory_limit_gb} if settings.memory_limit_gb else {})


def _versions(settings: Settings) -> tuple[str, str]:
    """Return the version that is pinned, in its folder's name, and the one that the server tells."""
    argv = tuple(registry.server_of(settings).version_argv())
    return registry.installed_folder(settings, settings.system).name, _version_told(argv)


@lru_cache
def _version_told(argv: tuple[str, ...]) -> str:
    """Ask once in an invocation: the record's name is wanted several times, and some programs take a second."""
    return version_line(argv, os.environ)
