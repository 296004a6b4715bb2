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
from compbench.model.errors import UserError
from compbench.model.events import Subscriber
from compbench.model.scenario import Scenario
from compbench.preflight import data_scale
from compbench.store import kept_data


def data_loaded(project: Project) -> dict[str, str]:
    """Return how many memories of each scenario will be loaded, in words: `200 of 200,000 memories`."""
    counts = {name: kept_data.wanted_memories(project.settings, facts) for name, facts in project.loaded.items()}
    return {
        name: data_scale.describe_scale(count, project.loaded[name].data.num_nodes) for name, count in counts.items()
    }


def has_data_set(project: Project, scenario: str) -> bool:
    """Tell whether the scenario's data set need not be made: it is kept already, or is loaded anew each time."""
    return _is_kept(kept_data.data_set_folder, Path.is_dir, project, scenario)


def data_set_announcement(project: Project, scenario: str) -> str:
    """Say what making the scenario's data set begins with, or nothing if it is not to be made."""
    return kept_data.announcement(project.settings, project.loaded[scenario])


def keep_data_set(project: Project, scenario: str, tell: Subscriber) -> None:
    """Make and keep the scenario's data set.

    Raises:
        UserError: that failed.
        OSError: a disk refused it.
    """
    facts = project.loaded[scenario]
    folder = kept_data.data_set_folder(project.settings, facts)
    if folder is not None:
        data_sets.make_data_set(Making(project.settings, project.root, tell, scenario), facts, folder)


def has_ground_truth(project: Project, scenario: str) -> bool:
    """Tell whether the scenario's exact neighbours need not be computed: they are kept already, or not asked for."""
    return _is_kept(kept_data.ground_truth_file, Path.is_file, project, scenario)


def keep_ground_truth(project: Project, scenario: str, tell: Subscriber) -> None:
    """Compute the scenario's exact neighbours, without which recall is not told.

    Raises:
        UserError: that failed.
        OSError: a disk refused it.
    """
    making = Making(project.settings, project.root, tell, scenario)
    data_sets.make_ground_truth(making, project.loaded[scenario])


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
