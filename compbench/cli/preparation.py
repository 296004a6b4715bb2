"""A scenario's data set and exact neighbours: made once, before it is measured, and kept in `cache_dir`.

doit's tasks ask the files whether they are there; `compbench.measuring.data_sets` makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from compbench.cli.project import Project
from compbench.config.settings import Settings
from compbench.measuring import data_sets
from compbench.measuring.data_sets import Making
from compbench.model.errors import UserError
from compbench.model.events import Subscriber
from compbench.model.scenario import Scenario
from compbench.preflight import data_scale, inputs
from compbench.store import data_set_sizes, kept_data


def data_loaded(project: Project) -> dict[str, str]:
    """Return how many memories of each scenario will be loaded, in words: `200 of 200,000 memories`."""
    return {
        name: data_scale.describe_scale(
            data_set_sizes.wanted_memories(project.settings, facts),
            facts.data.num_nodes,
            data_set_sizes.reason_for(project.settings, facts),
        )
        for name, facts in project.loaded.items()
    }


def has_data_set(project: Project, scenario: str) -> bool:
    """Tell whether the scenario's data set need not be made: it is kept by each system, or is loaded anew each time."""
    if not _has_size(project, scenario):
        return False
    of_each = data_set_sizes.measured_by(project.settings, project.loaded[scenario])
    return all(_is_kept(kept_data.data_set_folder, Path.is_dir, each, project, scenario) for each in of_each)


def data_set_announcements(project: Project, scenario: str) -> list[str]:
    """Say what making the scenario's data set begins with on each system; nothing where it is not to be made."""
    facts = project.loaded[scenario]
    told = {each.system: kept_data.announcement(each, facts) for each in _lacking(project.settings, facts)}
    return [f"{system}: {text}" if project.settings.systems else text for system, text in told.items() if text]


def _lacking(settings: Settings, facts: Scenario) -> list[Settings]:
    """Return the settings of the systems that do not keep the scenario's data set yet."""
    folders = [(each, kept_data.data_set_folder(each, facts)) for each in data_set_sizes.measured_by(settings, facts)]
    return [each for each, folder in folders if folder is None or not folder.is_dir()]


def keep_data_set(project: Project, scenario: str, tell: Subscriber) -> None:
    """Find how many memories are to be loaded, if that is not known, and keep them loaded, on each system.

    Raises:
        UserError: that failed.
        OSError: a disk refused it.
    """
    facts, settings = project.loaded[scenario], project.settings
    for each in data_set_sizes.measured_by(settings, facts):
        alone = msgspec.structs.replace(each, systems=())
        if data_set_sizes.wanted_memories(alone, facts) is None:
            _find_size(Making(alone, project.root, tell, scenario), facts)
    memories = data_set_sizes.wanted_memories(settings, facts)
    for each in data_set_sizes.measured_by(settings, facts):
        folder = kept_data.data_set_folder(each, facts)
        if folder is not None and memories is not None and not folder.is_dir():
            data_sets.make_data_set(Making(each, project.root, tell, scenario), facts, memories, folder)


def _find_size(making: Making, facts: Scenario) -> None:
    most, bound = inputs.most_memories(making.settings, facts)
    if most < min(data_scale.FEWEST_MEMORIES, facts.data.num_nodes):
        raise UserError("this machine has no room for a data set now: free memory, and disk for cache_dir")
    data_sets.find_size(making, facts, most, bound)


def has_ground_truth(project: Project, scenario: str) -> bool:
    """Tell whether the scenario's exact neighbours need not be computed: they are kept already, or not asked for."""
    place = kept_data.ground_truth_file
    return _has_size(project, scenario) and _is_kept(place, Path.is_file, project.settings, project, scenario)


def keep_ground_truth(project: Project, scenario: str, tell: Subscriber) -> None:
    """Compute the scenario's exact neighbours, without which recall is not told.

    Raises:
        UserError: that failed.
        OSError: a disk refused it.
    """
    facts = project.loaded[scenario]
    memories = data_set_sizes.wanted_memories(project.settings, facts)
    if memories is not None:
        data_sets.make_ground_truth(Making(project.settings, project.root, tell, scenario), facts, memories)


def _has_size(project: Project, scenario: str) -> bool:
    try:
        return data_set_sizes.wanted_memories(project.settings, project.loaded[scenario]) is not None
    except UserError:
        return False  # as below


def _is_kept(
    place: Callable[[Settings, Scenario], Path | None],
    is_there: Callable[[Path], bool],
    settings: Settings,
    project: Project,
    scenario: str,
) -> bool:
    try:
        path = place(settings, project.loaded[scenario])
    except UserError:
        return False  # `doit list --status` and `doit info` ask too; before anything is made, a check says why
    return path is None or is_there(path)
