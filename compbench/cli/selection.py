"""The measurements that the command line asks for, read from the tasks that doit has selected: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from compbench.model.errors import UserError
from compbench.model.measurement import STUDIES, Measurement, RunKind, measurement_named, of_scenarios

# The tasks that lead to making the measurement that they name.
MEASUREMENT_TASKS = ("measure", "diagnostics", "flamegraph", "pages")
_CHECKING = ("preflight", "gate")
# The tasks that a user names, with all measurements of a scenario: alone, or beside the rivals.
RUN, VERSUS = "run", "versus"
# The tasks that end a round, and the run; added wherever something is measured.
ROUND_END, RUN_END = "_round", "close"


@dataclass(frozen=True)
class Selection:
    """The measurements that are asked for.

    Attributes:
        measurements: the names of those under a scenario's own load, each once, in order.
        capacities: the scenarios whose capacity is searched for, in order.
        concerned: the scenarios that are named in any way; empty if one task concerns all of them.
        is_preflight: whether the checks are asked for themselves, and nothing is measured.
        is_study: whether the figures are asked for only to compare them, so that the comparison is the verdict.
    """

    measurements: tuple[str, ...] = ()
    capacities: tuple[str, ...] = ()
    concerned: tuple[str, ...] = ()
    is_preflight: bool = False
    is_study: bool = False

    @property
    def is_measuring(self) -> bool:
        """Tell whether anything is to be measured."""
        return bool(self.measurements or self.capacities)

    @property
    def wanted(self) -> list[str]:
        """Return the names of everything that has to pass for a good end."""
        return [*self.measurements, *(Measurement(name, kind="capacity").name for name in self.capacities)]


def asks_for_rivals(tasks: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Tell whether the command line compares the system with its rivals: by a task, or by naming them.

    Raises:
        UserError: it asks for the plan beside a task that measures, which would do both.
    """
    kinds = {task.partition(":")[0] for task in tasks}
    if "plan" in kinds and kinds & {RUN, VERSUS, *MEASUREMENT_TASKS}:
        raise UserError(
            "plan: it shows what is asked for alone; beside a task that measures, that measures: name it by"
            " itself (`doit plan rivals=auto` for a comparison)"
        )
    return VERSUS in kinds or "rivals" in variables


def run_kind_asked_for(tasks: Sequence[str], variables: Mapping[str, str]) -> RunKind:
    """Return the kind of run that the command line asks for: a study, if it names one, or else a suite.

    Raises:
        UserError: it names a study beside other tasks, or rivals.
    """
    kinds = [task.partition(":")[0] for task in tasks]
    study = next((kind for kind in STUDIES if kind in kinds), None)
    if study is None:
        return "suite"
    if others := [task for task, kind in zip(tasks, kinds, strict=True) if kind != study]:
        raise UserError(f"{study}: it is a run of its own, with settings of its own: name it without {others[0]}")
    if "rivals" in variables:
        raise UserError(f"{study}: it is about one system: leave rivals= out")
    return study


def selection_of(tasks: Sequence[str], measurements: Sequence[Measurement]) -> Selection:
    """Return the selection that these tasks mean; `measurements` are all there are, in order."""
    found, capacities = measurements_of(tasks, measurements), capacities_of(tasks)
    checks = any(task.partition(":")[0] == "preflight" for task in tasks)
    return Selection(
        measurements=tuple(found),
        capacities=tuple(capacities),
        concerned=tuple(scenarios_of(tasks)),
        is_preflight=checks and not (found or capacities),
        is_study=any(task.partition(":")[0] in STUDIES for task in tasks),
    )


def measurements_of(tasks: Sequence[str], measurements: Sequence[Measurement]) -> list[str]:
    """Return the measurements that the selected tasks lead to, each once: in the tasks' order, or in that of rounds."""
    found: dict[str, None] = {}
    for task in tasks:
        kind, _, name = task.partition(":")
        if kind in (RUN, VERSUS, *STUDIES):
            found |= dict.fromkeys(of_scenarios(measurements, [name]) if name else [m.name for m in measurements])
        elif kind in MEASUREMENT_TASKS:
            found |= dict.fromkeys([name] if name else [measurement.name for measurement in measurements])
    rounds = [measurement.name for measurement in measurements if measurement.repeat or measurement.system]
    return sorted(found, key=rounds.index) if rounds else list(found)


def capacities_of(tasks: Sequence[str]) -> list[str]:
    """Return the scenarios whose capacity the selected tasks ask for, each once."""
    named = [name for kind, _, name in (task.partition(":") for task in tasks) if kind == "capacity" and name]
    return list(dict.fromkeys(named))


def scenarios_of(tasks: Sequence[str]) -> list[str]:
    """Return the scenarios that the selected tasks name, in any way; empty if one task concerns all of them."""
    parts = [task.partition(":") for task in tasks]
    names = [name for kind, _, name in parts if kind not in (*_CHECKING, ROUND_END, RUN_END)]
    return [] if "" in names else list(dict.fromkeys(measurement_named(name).scenario for name in names))


def in_order(tasks: Sequence[str], measurements: Sequence[Measurement]) -> list[str]:
    """Return the selected tasks as doit has to go through them, with the end of each round, and the run's end last.

    doit begins waiting tasks in no fixed order, so each measurement is named by itself: those of a group, and with
    repeats those of all scenarios, round by round.
    """
    names = [measurement.name for measurement in measurements]
    ordered = [word for task in tasks for word in (_each(task, names) if task in MEASUREMENT_TASKS else [task])]
    ordered = [
        word for task in ordered for word in (_each(VERSUS, _scenarios(measurements)) if task == VERSUS else [task])
    ]
    ordered = [f"{task}:{studied_scenario(measurements)}" if task in STUDIES else task for task in ordered]
    scenarios = [name for kind, _, name in (task.partition(":") for task in ordered) if kind in (RUN, VERSUS, *STUDIES)]
    if scenarios and any(measurement.repeat or measurement.system for measurement in measurements):
        ordered = [*one_by_one(scenarios, of_scenarios(measurements, scenarios)), *ordered]
    if not measurements_of(ordered, measurements):
        return ordered
    makers = [task for task in ordered if task.partition(":")[0] not in (ROUND_END, RUN_END)]
    return [*_with_round_ends(makers, measurements), RUN_END]


def _with_round_ends(tasks: Sequence[str], measurements: Sequence[Measurement]) -> list[str]:
    """Put the end of each round behind the task by which the last of its measurements is made."""
    makers: dict[str, str] = {}
    for task in tasks:
        for name in measurements_of([task], measurements):
            makers.setdefault(name, task)
    last = {measurement_named(name).round_number: task for name, task in makers.items()}
    ordered = [word for task in tasks for word in (task, *(f"{ROUND_END}:{n}" for n, at in last.items() if at == task))]
    return list(dict.fromkeys(ordered))


def _each(kind: str, names: Sequence[str]) -> list[str]:
    return [f"{kind}:{name}" for name in names]


def _scenarios(measurements: Sequence[Measurement]) -> list[str]:
    return sorted({measurement.scenario for measurement in measurements})


def studied_scenario(measurements: Iterable[Measurement]) -> str:
    """Return the scenario that a study is of unless it names one: the first by name."""
    return min((measurement.scenario for measurement in measurements), default="")


def one_by_one(scenarios: Sequence[str], measurements: Sequence[str]) -> list[str]:
    """Return the tasks that have to be selected so that doit has nothing left to order."""
    made = [f"{kind}:{name}" for name in scenarios for kind in ("ground_truth", "frontier")]
    return ["gate", *made, *(f"pages:{name}" for name in measurements)]
