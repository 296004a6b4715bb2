"""How long measuring will take, told before and while it does."""

from __future__ import annotations

from collections.abc import Iterable

from compbench.cli.project import Project
from compbench.measuring import drivers
from compbench.model.errors import UserError
from compbench.model.measurement import measurement_named
from compbench.model.records import Capture

# Starting, loading and stopping, for an estimate before anything was measured.
_ASSUMED_OVERHEAD_S = 8.0
# Phases that are estimated by themselves, or can't be foreseen.
_NO_OVERHEAD = ("quiet", "cooldown", "measure")


def estimate_s(project: Project, measurements: Iterable[str], done: Iterable[Capture] = ()) -> float:
    """Return how long making these measurements will take, from the phases of those that are done."""
    names, known = list(measurements), list(done)
    spent = [sum(phase.duration_s for phase in one.phases if phase.name not in _NO_OVERHEAD) for one in known]
    overhead_s = sum(spent) / len(spent) if spent else _ASSUMED_OVERHEAD_S
    gaps = len(names) if known else max(0, len(names) - 1)
    durations = sum(_duration_s(project, name) for name in names)
    return durations + len(names) * overhead_s + gaps * project.settings.cooldown_s


def _duration_s(project: Project, name: str) -> float:
    try:
        scenario = project.loaded[measurement_named(name).scenario]
    except UserError:
        return 0.0  # a check says so
    return float(drivers.duration_s(project.settings, scenario))
