"""Data sets and exact neighbours that are made once and kept in the cache folder: their places.

The name of a kept folder is a hash of everything that its content depends on. Knows nothing of how it is made.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
from pathlib import Path

import msgspec

from compbench.config.settings import Settings
from compbench.files.regular import read_regular
from compbench.loadtest.workload.set_identity import rows_identity
from compbench.machine import isolation
from compbench.model.result import IndexProof
from compbench.model.scenario import Scenario
from compbench.model.times import span
from compbench.store.data_set_sizes import wanted_memories
from compbench.systems import registry

# In these the system counts what files take, whatever the file system's own blocks are.
_BLOCK_BYTES = 512


def data_set_folder(settings: Settings, scenario: Scenario) -> Path | None:
    """Return where the data set is kept, or None if it is not: its system keeps none, or it is quickly loaded anew.

    It holds the rows alone: a scenario's edges are loaded besides, so that all scenarios of one set share it.
    """
    memories = wanted_memories(settings, scenario)
    half = registry.server_of(settings)
    data_format = half.data_format
    # A server that compbench does not start has its data folder elsewhere, a container's belongs to its own programs.
    if not data_format or half.mode != "managed" or memories is None:
        return None
    if settings.scale != "auto" and memories < settings.data_set_kept_from:
        return None
    own = registry.data_inputs(settings)
    facts = (
        rows_identity(scenario, scenario.data_seed, Path(settings.cache_dir)),
        memories,
        settings.system,
        data_format,
        own,
    )
    return Path(settings.cache_dir) / "data_sets" / hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:24]


class KeptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a kept data set was loaded: a record beside its folder.

    `load_s` and `index_s` are None where making it was interrupted, so that no server has done all of it at one go.
    `isolation` says how server and driver were kept apart meanwhile; None where that was not recorded yet.
    """

    load_s: float | None
    index_s: float | None
    disk_bytes: int
    isolation: str | None = None
    index_proof: IndexProof | None = None


def facts_file(folder: Path) -> Path:
    """Return where the record of a kept data set is."""
    return folder.with_name(f"{folder.name}.json")


def read_kept_facts(settings: Settings, scenario: Scenario) -> KeptFacts | None:
    """Return how the kept data set was loaded, None if it is not kept, or an older compbench has made it.

    Its times are None if it was loaded in another isolation than is reached now: they say nothing of a server that is
    kept apart differently.

    Raises:
        UserError: a file of the user's own set is missing, or can't be read.
    """
    folder = data_set_folder(settings, scenario)
    if folder is not None:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            facts = msgspec.json.decode(read_regular(facts_file(folder)), type=KeptFacts)
            if facts.isolation in (None, isolation.reached_by(settings).told):
                return facts
            return msgspec.structs.replace(facts, load_s=None, index_s=None)
    return None


def disk_bytes(folder: Path) -> int:
    """Return how much of the disk the files in a folder take; one that goes away meanwhile takes nothing."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            found = path.lstat()
            total += found.st_blocks * _BLOCK_BYTES if stat.S_ISREG(found.st_mode) else 0
    return total


def announcement(settings: Settings, scenario: Scenario) -> str:
    """Say what is about to be loaded, or nothing if no data set is to be made."""
    memories, meant = wanted_memories(settings, scenario), scenario.data.num_nodes
    if memories is None:
        limit = span(settings.loading_limit_s)
        return f"loading as many of {meant:,} memories as fit into {limit}, once on this machine (scale=auto)"
    folder = data_set_folder(settings, scenario)
    if folder is None:
        return ""
    begun = ", going on from what was begun" if begun_folder(folder).is_dir() else ""
    return f"loading {memories:,} memories once, to be kept in {folder}{begun}"


def ground_truth_file(settings: Settings, scenario: Scenario) -> Path | None:
    """Return where the exact neighbours are kept, or None if nothing is to be known.

    That is so if the driver checks no answers, sends no searches, or how many memories are loaded is not known.
    """
    weights, memories = scenario.operations, wanted_memories(settings, scenario)
    if settings.driver != "builtin" or weights.recall_weight + weights.embedding_search_weight == 0:
        return None
    if memories is None:
        return None
    from compbench.loadtest.truth import ground_truth  # noqa: PLC0415 - NumPy costs 0.1 s, which plan need not pay

    return ground_truth.path_of(Path(settings.cache_dir), scenario, memories, scenario.data_seed)


def begun_folder(folder: Path) -> Path:
    """Return where the state of a data set is kept while it is being made."""
    return folder.with_name(f"{folder.name}.begun")
