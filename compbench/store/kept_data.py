"""Data sets and exact neighbours that are made once and kept in the cache folder: their places.

The name of a kept folder is a hash of everything that its content depends on. Knows nothing of how it is made.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from compbench.config.settings import Settings
from compbench.loadtest.workload.set_identity import rows_identity
from compbench.model.scenario import Scenario, scaled_count
from compbench.systems import registry


def wanted_memories(settings: Settings, scenario: Scenario) -> int:
    """Return how many memories of the scenario are loaded."""
    return scaled_count(scenario, settings.data_scale)


def data_set_folder(settings: Settings, scenario: Scenario) -> Path | None:
    """Return where the data set is kept, or None if it is loaded anew: it is small, or its system keeps none."""
    count = wanted_memories(settings, scenario)
    data_format = registry.server_of(settings).data_format
    if not data_format or count < settings.data_set_kept_from:
        return None
    own = registry.system_inputs(settings)
    facts = (
        rows_identity(scenario, scenario.data_seed, Path(settings.cache_dir)),
        count,
        settings.system,
        data_format,
        own,
    )
    return Path(settings.cache_dir) / "data_sets" / hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:24]


def announcement(settings: Settings, scenario: Scenario) -> str:
    """Say what is about to be loaded and kept, or nothing if no data set is to be made."""
    folder = data_set_folder(settings, scenario)
    if folder is None:
        return ""
    begun = ", going on from what was begun" if begun_folder(folder).is_dir() else ""
    return f"loading {wanted_memories(settings, scenario)} memories once, to be kept in {folder}{begun}"


def ground_truth_file(settings: Settings, scenario: Scenario) -> Path | None:
    """Return where the exact neighbours are kept, or None if the driver checks no answers or sends no searches."""
    weights = scenario.operations
    if settings.driver != "builtin" or weights.recall_weight + weights.embedding_search_weight == 0:
        return None
    from compbench.loadtest.truth import ground_truth  # noqa: PLC0415 - NumPy costs 0.1 s, which plan need not pay

    count = wanted_memories(settings, scenario)
    return ground_truth.path_of(Path(settings.cache_dir), scenario, count, scenario.data_seed)


def begun_folder(folder: Path) -> Path:
    """Return where the state of a data set is kept while it is being made."""
    return folder.with_name(f"{folder.name}.begun")
