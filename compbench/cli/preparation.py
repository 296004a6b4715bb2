"""A scenario's data set and exact neighbours: made once, before it is measured, and kept in `cache_dir`.

doit's tasks ask the files whether they are there; `compbench.measuring.data_sets` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from compbench.cli.project import Project
from compbench.config.settings import Settings
from compbench.measuring import data_sets
from compbench.measuring.data_sets import Making
from compbench.measuring.equal_recall import make_frontier
from compbench.model.efforts import goal_of
from compbench.model.errors import UserError
from compbench.model.events import Event, ProgressMade, Subscriber
from compbench.model.scenario import Scenario
from compbench.model.times import span
from compbench.preflight import data_scale, inputs
from compbench.store import data_set_sizes, frontiers, kept_data


def data_loaded(project: Project) -> dict[str, str]:
    """Return how many memories of each scenario will be loaded, in words: `200 of 200,000 memories`."""
    return {
        name: data_scale.describe_scale(
            data_set_sizes.wanted_memories(project.settings, facts) if _has_every_size(project, name) else None,
            facts.data.num_nodes,
            data_set_sizes.reason_for(project.settings, facts),
        )
        for name, facts in project.loaded.items()
    }


def has_data_set(project: Project, scenario: str) -> bool:
    """Tell whether the scenario's data set need not be made: it is kept by each system, or is loaded anew each time."""
    if not (_has_size(project, scenario) and _has_every_size(project, scenario)):
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
    facts = project.loaded[scenario]

    def find(each: Settings) -> None:
        alone = each.alone
        if data_set_sizes.wanted_memories(alone, facts) is None:
            _find_size(Making(alone, project.root, _naming(each, tell), scenario), facts)

    def keep(each: Settings) -> None:
        folder, memories = kept_data.data_set_folder(each, facts), data_set_sizes.wanted_memories(each, facts)
        if folder is not None and memories is not None and not folder.is_dir():
            data_sets.make_data_set(Making(each, project.root, _naming(each, tell), scenario), facts, memories, folder)

    _raise_joined(_for_each(project, facts, find) | _for_each(project, facts, keep))


def _for_each(project: Project, facts: Scenario, do: Callable[[Settings], None]) -> dict[str, str]:
    """Do something for each system that the scenario is measured on; return why it failed, by system.

    What fails for one of several costs nothing of the others.

    Raises:
        UserError: it failed, and there is but one.
        OSError: likewise.
    """
    problems = {}
    for each in data_set_sizes.measured_by(project.settings, facts):
        try:
            do(each)
        except (UserError, OSError) as error:
            if not each.systems:
                raise
            problems[each.system] = data_sets.reason_of(error) if isinstance(error, OSError) else str(error)
    return problems


def _naming(each: Settings, tell: Subscriber) -> Subscriber:
    """Let progress name the system that it is made on, where there are several: each takes its own time."""

    def told(event: Event) -> None:
        tell(msgspec.structs.replace(event, system=each.system) if isinstance(event, ProgressMade) else event)

    return told if each.systems else tell


def _raise_joined(problems: Mapping[str, str]) -> None:
    """Tell what failed for some of several systems.

    Raises:
        UserError: something did.
    """
    if problems:
        raise UserError("; ".join(f"{system}: {why}" for system, why in problems.items()))


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


def has_frontier(project: Project, scenario: str) -> bool:
    """Tell whether the effort of the scenario's searches need not be found: its record is kept, or none is needed."""
    if not _has_size(project, scenario):
        return False
    of_each = data_set_sizes.measured_by(project.settings, project.loaded[scenario])
    return all(_is_kept(frontiers.frontier_file, Path.is_file, each, project, scenario) for each in of_each)


def frontier_announcements(project: Project, scenario: str) -> list[str]:
    """Say what finding the scenario's effort is, and how long that takes at most; nothing if it is not to be found.

    Raises:
        UserError: the scenario can't be read.
    """
    facts = project.loaded[scenario]
    told = {
        each.system: _frontier_announcement(each, facts)
        for each in data_set_sizes.measured_by(project.settings, facts)
        if (path := frontiers.frontier_file(each, facts)) is not None and not path.is_file()
    }
    return [f"{system}: {text}" if project.settings.systems else text for system, text in told.items() if text]


def _frontier_announcement(settings: Settings, facts: Scenario) -> str:
    if not frontiers.chooses_effort(settings, facts) or data_set_sizes.wanted_memories(settings, facts) is None:
        return ""
    limit = span(frontiers.frontier_s(settings, facts))
    goal = f"recall {goal_of(facts):g}"
    return f"finding once the least effort that reaches {goal}: about {limit} of searches at most, besides loading"


def keep_frontier(project: Project, scenario: str, tell: Subscriber) -> None:
    """Find the scenario's recall against speed, by which the effort of its searches is chosen.

    Raises:
        UserError: that failed.
        OSError: a disk refused it.
    """
    facts = project.loaded[scenario]
    memories = data_set_sizes.wanted_memories(project.settings, facts)
    if memories is None:
        return

    def find(each: Settings) -> None:
        path = frontiers.frontier_file(each, facts)
        if path is not None and not path.is_file():
            make_frontier(Making(each, project.root, _naming(each, tell), scenario), facts, memories)

    _raise_joined(_for_each(project, facts, find))


def _has_every_size(project: Project, scenario: str) -> bool:
    """Tell whether it is known how much each of several systems loads."""
    facts = project.loaded[scenario]
    alone = [each.alone for each in data_set_sizes.measured_by(project.settings, facts)]
    return all(data_set_sizes.wanted_memories(each, facts) is not None for each in alone)


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
