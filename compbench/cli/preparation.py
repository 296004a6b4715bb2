"""A scenario's data set and exact neighbours: made once, before it is measured, and kept in `cache_dir`.

doit's tasks ask the files whether they are there; `compbench.measuring.data_sets` makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compbench.cli.project import Project
from compbench.config.settings import Settings
from compbench.measuring import data_sets
from compbench.measuring.data_sets import Making
from compbench.measuring.equal_recall import make_frontier
from compbench.model.efforts import goal_of
from compbench.model.errors import UserError
from compbench.model.events import Subscriber
from compbench.model.scenario import Scenario
from compbench.model.times import span
from compbench.preflight import data_scale, inputs
from compbench.store import data_set_sizes, frontiers, kept_data


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
    """Tell whether the scenario's data set need not be made: it is kept already, or is loaded anew each time."""
    return _has_size(project, scenario) and _is_kept(kept_data.data_set_folder, Path.is_dir, project, scenario)


def data_set_announcement(project: Project, scenario: str) -> str:
    """Say what making the scenario's data set begins with, or nothing if it is not to be made."""
    return kept_data.announcement(project.settings, project.loaded[scenario])


def keep_data_set(project: Project, scenario: str, tell: Subscriber) -> None:
    """Find how many memories are to be loaded, if that is not known, and keep them loaded.

    Raises:
        UserError: that failed.
        OSError: a disk refused it.
    """
    facts, settings = project.loaded[scenario], project.settings
    making = Making(settings, project.root, tell, scenario)
    memories = data_set_sizes.wanted_memories(settings, facts)
    if memories is None:
        most, bound = inputs.most_memories(settings, facts)
        if most < min(data_scale.FEWEST_MEMORIES, facts.data.num_nodes):
            raise UserError("this machine has no room for a data set now: free memory, and disk for cache_dir")
        data_sets.find_size(making, facts, most, bound)
        memories = data_set_sizes.wanted_memories(settings, facts)
    folder = kept_data.data_set_folder(settings, facts)
    if folder is not None and memories is not None and not folder.is_dir():
        data_sets.make_data_set(making, facts, memories, folder)


def has_ground_truth(project: Project, scenario: str) -> bool:
    """Tell whether the scenario's exact neighbours need not be computed: they are kept already, or not asked for."""
    return _has_size(project, scenario) and _is_kept(kept_data.ground_truth_file, Path.is_file, project, scenario)


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


def has_frontier(project: Project, scenario: str) -> bool:
    """Tell whether the effort of the scenario's searches need not be found: its record is kept, or none is needed."""
    return _has_size(project, scenario) and _is_kept(frontiers.frontier_file, Path.is_file, project, scenario)


def frontier_announcement(project: Project, scenario: str) -> str:
    """Say what finding the scenario's effort is, and how long that takes at most; nothing if it is not to be found.

    Raises:
        UserError: the scenario can't be read.
    """
    settings, facts = project.settings, project.loaded[scenario]
    if not frontiers.chooses_effort(settings, facts) or data_set_sizes.wanted_memories(settings, facts) is None:
        return ""
    limit = span(frontiers.frontier_s(settings, facts))
    return f"finding once the least effort that reaches recall {goal_of(facts):g}, which takes about {limit} at most"


def keep_frontier(project: Project, scenario: str, tell: Subscriber) -> None:
    """Find the scenario's recall against speed, by which the effort of its searches is chosen.

    Raises:
        UserError: that failed.
        OSError: a disk refused it.
    """
    facts = project.loaded[scenario]
    memories = data_set_sizes.wanted_memories(project.settings, facts)
    if memories is not None:
        make_frontier(Making(project.settings, project.root, tell, scenario), facts, memories)


def _has_size(project: Project, scenario: str) -> bool:
    try:
        return data_set_sizes.wanted_memories(project.settings, project.loaded[scenario]) is not None
    except UserError:
        return False  # as below


def _is_kept(
    place: Callable[[Settings, Scenario], Path | None],
    is_there: Callable[[Path], bool],
    project: Project,
    scenario: str,
) -> bool:
    try:
        path = place(project.settings, project.loaded[scenario])
    except UserError:
        return False  # `doit list --status` and `doit info` ask too; before anything is made, a check says why
    return path is None or is_there(path)
