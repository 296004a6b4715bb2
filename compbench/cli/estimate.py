"""How long measuring will take, told before and while it does."""

from __future__ import annotations

from collections.abc import Iterable

from compbench.cli.project import Project
from compbench.measuring import drivers
from compbench.model.errors import UserError
from compbench.model.measurement import measurement_named
from compbench.model.records import Capture
from compbench.store.data_set_sizes import measured_by, read_size, wanted_memories
from compbench.store.frontiers import chooses_effort, frontier_s, read_frontier
from compbench.systems import registry

# Starting, loading and stopping, for an estimate before anything was measured.
_ASSUMED_OVERHEAD_S = 8.0
# Phases that are estimated by themselves, or can't be foreseen.
_NO_OVERHEAD = ("quiet", "cooldown", "measure")


def estimate_s(project: Project, measurements: Iterable[str], done: Iterable[Capture] = ()) -> float:
    """Return how long making these measurements will take, from the phases of those that are done."""
    names, known = _made(project, measurements), list(done)
    spent = [sum(phase.duration_s for phase in one.phases if phase.name not in _NO_OVERHEAD) for one in known]
    overhead_s = sum(spent) / len(spent) if spent else _ASSUMED_OVERHEAD_S + _loading_s(project, names)
    gaps = len(names) if known else max(0, len(names) - 1)
    durations = sum(_duration_s(project, name) for name in names)
    making_s = _finding_s(project, names) + _frontiers_s(project, names)
    return durations + len(names) * overhead_s + gaps * project.settings.cooldown_s + making_s


def _made(project: Project, measurements: Iterable[str]) -> list[str]:
    """Return the measurements that take time: what a system does not offer takes none."""
    try:
        return [name for name in measurements if not project.not_offered(name)]
    except UserError:
        return list(measurements)  # a check says so


def _loading_s(project: Project, names: Iterable[str]) -> float:
    """Return how long each measured server is loaded, as far as that is known: only one that keeps no data is."""
    if registry.server_of(project.settings).data_format:
        return 0.0
    try:
        known = [read_size(project.settings, project.loaded[measurement_named(name).scenario]) for name in names]
    except UserError:
        return 0.0  # a check says so
    return max((size.took_s for size in known if size), default=0.0)


def _finding_s(project: Project, names: Iterable[str]) -> float:
    """Return how long it takes to find how much of a data set loads, if that is still to be done."""
    try:
        of_each = [project.loaded[measurement_named(name).scenario] for name in names]
        lacking = {
            each.system
            for scenario in of_each
            for each in measured_by(project.settings, scenario)
            if wanted_memories(each.alone, scenario) is None
        }
    except UserError:
        return 0.0  # a check says so
    return len(lacking) * project.settings.loading_limit_s


def _frontiers_s(project: Project, names: Iterable[str]) -> float:
    """Return how long finding efforts takes that are still to be found, at most."""
    try:
        scenarios = [project.loaded[name] for name in {measurement_named(name).scenario for name in names}]
        return sum(
            frontier_s(each, scenario)
            for scenario in scenarios
            for each in measured_by(project.settings, scenario)
            if chooses_effort(each, scenario) and read_frontier(each, scenario) is None
        )
    except UserError:
        return 0.0  # a check says so


def _duration_s(project: Project, name: str) -> float:
    try:
        scenario = project.loaded[measurement_named(name).scenario]
    except UserError:
        return 0.0  # a check says so
    warm_up_s = project.settings.warm_up_s if project.settings.driver == "builtin" else 0.0
    return drivers.duration_s(project.settings, scenario) + warm_up_s
