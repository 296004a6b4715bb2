"""The doit task dictionaries of the suite, and nothing else; what an action does is in `compbench.cli.suite`.

The tasks of one scenario form a chain, never a group of siblings: doit releases waiting siblings in the order of a set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from doit.exceptions import TaskFailed

from compbench.cli.suite import Suite
from compbench.config.scenarios import title_of
from compbench.model.errors import UserError
from compbench.model.measurement import Measurement, measurement_named, of_scenarios
from compbench.preflight import checks

Task = dict[str, Any]
Action = Callable[[], Any]
# The tasks that lead to making the measurement that they name.
MEASUREMENT_TASKS = ("measure", "diagnostics", "flamegraph", "pages")


def scenario_runs(suite: Suite) -> Iterator[Task]:
    """Yield what a user names: `run:<scenario>`, with everything that belongs to it."""
    for scenario in suite.scenarios:
        yield {
            "basename": f"run:{scenario}",
            "doc": title_of(suite.scenario_path(scenario)),
            "actions": [_succeed_or_fail(suite.close_if_complete)],
            "task_dep": [f"pages:{name}" for name in of_scenarios(suite.measurements, [scenario])],
        }


def plan(show: Action) -> Task:
    """Return the dry run."""
    doc = "say what `doit` would do and what the checks say; changes nothing"
    return {"basename": "plan", "doc": doc, "actions": [_succeed_or_stop(show)]}


def preflight_checks(suite: Suite) -> Iterator[Task]:
    """Yield one task a check, made afresh in every invocation; it succeeds whatever it finds, its finding is data."""
    yield {"basename": "preflight", "name": None, "doc": "check machine, binaries and scenarios (exit code 0, 1, 2)"}
    for name, doc in checks.CHECKS.items():
        yield {
            "name": name,
            "basename": "preflight",
            "doc": doc,
            "actions": [_succeed_or_fail(suite.check, name)],
            "targets": [str(suite.finding_path(name))],
            "uptodate": [False],
        }


def claim(suite: Suite) -> Task:
    """Return the task that takes the suite's lock before anything else is done."""
    return {"basename": "_claim", "actions": [_succeed_or_stop(suite.claim)]}


class CleanAction:
    """What `doit clean` does; doit calls it because it takes a `dryrun`, and announces it by this text."""

    def __init__(self, clean: Callable[[bool], None]) -> None:
        self._clean = clean

    def __call__(self, dryrun: bool) -> None:
        """Remove what may be removed, or only say it."""
        self._clean(dryrun)

    def __str__(self) -> str:
        """Return what doit prints of it, in the form that it cuts its text out of."""
        return "<leftovers, the open run and caches at 0>"


def gate(suite: Suite, clean: Callable[[bool], None]) -> Task:
    """Return the task that lets the suite begin unless a check was critical; `doit clean` hangs on it."""

    def judge() -> TaskFailed | None:
        return None if suite.judge_gate() else TaskFailed("a preflight check is critical", report=False)

    return {
        "basename": "gate",
        "doc": "let the suite begin, unless a check is critical",
        "actions": [_succeed_or_stop(judge)],
        "task_dep": ["_claim", *(f"preflight:{name}" for name in checks.CHECKS)],
        "clean": [CleanAction(clean)],
    }


def makings(suite: Suite) -> Iterator[Task]:
    """Yield what is made once and kept; an `uptodate` callable looks whether it is there, since names are hashes."""
    yield {"basename": "data_set", "name": None, "doc": "load a large data set once, to keep: data_set:<scenario>"}
    yield {"basename": "ground_truth", "name": None, "doc": "compute once what searches should find: exact neighbours"}
    for name in suite.scenarios:
        yield {
            "basename": "data_set",
            "name": name,
            "actions": [_succeed_or_fail(suite.make_data_set, name)],
            "task_dep": ["gate"],
            "uptodate": [lambda name=name: suite.has_data_set(name)],
        }
        yield {
            "basename": "ground_truth",
            "name": name,
            "actions": [_succeed_or_fail(suite.make_ground_truth, name)],
            "task_dep": [f"data_set:{name}"],
            "uptodate": [lambda name=name: suite.has_ground_truth(name)],
        }


def measures(suite: Suite) -> Iterator[Task]:
    """Yield the costly tasks. No file_dep: the capture on disk alone says that a scenario is done."""
    yield {"basename": "measure", "name": None, "doc": "only the measuring, without pages: measure:<scenario>"}
    for measurement in suite.measurements:
        name = measurement.name
        yield {
            "basename": "measure",
            "name": name,
            "actions": [_succeed_or_fail(suite.measure, measurement)],
            "task_dep": [f"ground_truth:{measurement.scenario}"],
            "targets": suite.known_capture(name),
            "uptodate": [lambda name=name: suite.is_measured(name)],
        }


def default_tasks(suite: Suite) -> list[str]:
    """Return what `doit` does: the gate, what is made once, every measurement with its pages, the run's end.

    With `resume=` the measurements are those of the run that is named.

    Raises:
        UserError: there is no such run, or it can't be resumed here.
    """
    wanted = suite.resumed_selection() or suite.names
    scenarios = [name for name in suite.scenarios if set(of_scenarios(suite.measurements, [name])) & set(wanted)]
    return [*_one_by_one(scenarios, wanted), *(f"run:{name}" for name in scenarios)]


def in_rounds(tasks: Sequence[str], suite: Suite) -> list[str]:
    """Return the selected tasks, preceded by the measurements that they lead to if each scenario is repeated."""
    scenarios = [name for kind, _, name in (task.partition(":") for task in tasks) if kind == "run"]
    if suite.settings.repeat == 1 or not scenarios:
        return list(tasks)
    return [*_one_by_one(scenarios, of_scenarios(suite.measurements, scenarios)), *tasks]


def _one_by_one(scenarios: Sequence[str], measurements: Sequence[str]) -> list[str]:
    """Return what has to be selected so that doit has nothing left to order: it releases what waits as a set."""
    return ["gate", *(f"ground_truth:{name}" for name in scenarios), *(f"pages:{name}" for name in measurements)]


def renderings(suite: Suite) -> Iterator[Task]:
    """Yield what is rendered of each scenario, in order: diagnostics, flame graph, the pages of the run so far."""
    yield {
        "basename": "diagnostics",
        "name": None,
        "doc": "what was seen of server and machine: diagnostics:<scenario>",
    }
    yield {"basename": "flamegraph", "name": None, "doc": "where the server's time went, if perf can record it"}
    yield {"basename": "pages", "name": None, "doc": "metadata, summary, results and report of the run so far"}
    for name in suite.names:
        yield {
            "basename": "diagnostics",
            "name": name,
            "actions": [_succeed_or_fail(suite.write_diagnostics, name)],
            "task_dep": [f"measure:{name}"],
            "uptodate": [lambda name=name: suite.has_diagnostics(name)],
        }
        yield {
            "basename": "flamegraph",
            "name": name,
            "actions": [_succeed_or_fail(suite.write_flamegraph, name)],
            "task_dep": [f"diagnostics:{name}"],
            "uptodate": [lambda name=name: suite.has_flamegraph(name)],
        }
        yield {
            "basename": "pages",
            "name": name,
            "actions": [_succeed_or_fail(suite.write_pages)],
            "task_dep": [f"flamegraph:{name}"],
        }


def capacities(suite: Suite, show: Action) -> Iterator[Task]:
    """Yield what says which searches there are, and the searches, which take too long to be started without a name."""
    doc = "say how to search for the highest rate within a P99 target: capacity:<scenario>"
    yield {"basename": "capacity", "doc": doc, "actions": [_succeed_or_stop(show)]}
    for scenario in suite.scenarios:
        yield {
            "basename": f"capacity:{scenario}",
            "doc": f"capacity of {title_of(suite.scenario_path(scenario))}",
            "actions": [_succeed_or_fail(suite.measure_capacity, scenario)],
            "task_dep": [f"ground_truth:{scenario}"],
        }


def report(render: Action) -> Task:
    """Return the task that renders a run again."""
    doc = "render the newest run again, or run=<timestamp>; never measures"
    return {"basename": "report", "doc": doc, "actions": [_succeed_or_stop(render)]}


def notify(send: Action) -> Task:
    """Return the task that tries whether people can be told."""
    return {
        "basename": "notify",
        "doc": "send a test message to whom notify names",
        "actions": [_succeed_or_stop(send)],
    }


# The tasks that look back over closed runs.
LOOKING_BACK = {
    "trend": "draw every scenario's figures over all runs on one page",
    "compare": "compare two runs (base=, head=; default: the last two comparable ones); exit code 1 on a regression",
    "due": "say how old the last full run is; exit code 1 past 90 days",
    "export": "write all runs as CSV, and the newest as OpenMetrics",
}


def looking_back(suite: Suite, look: Callable[[str], int]) -> Iterator[Task]:
    """Yield the tasks that look back; each ends with the exit code that `look` returns for its name."""
    for name, doc in LOOKING_BACK.items():

        def action(name: str = name) -> None:
            suite.verdict = look(name)

        yield {"basename": name, "doc": doc, "actions": [_succeed_or_stop(action)]}


def measurements_of(tasks: Sequence[str], measurements: Sequence[Measurement]) -> list[str]:
    """Return the measurements that the selected tasks lead to, each once: in the tasks' order, or in that of rounds."""
    found: dict[str, None] = {}
    for task in tasks:
        kind, _, name = task.partition(":")
        if kind == "run":
            found |= dict.fromkeys(of_scenarios(measurements, [name]))
        elif kind in MEASUREMENT_TASKS:
            found |= dict.fromkeys([name] if name else [measurement.name for measurement in measurements])
    rounds = [measurement.name for measurement in measurements if measurement.repeat]
    return sorted(found, key=rounds.index) if rounds else list(found)


def capacities_of(tasks: Sequence[str]) -> list[str]:
    """Return the scenarios whose capacity the selected tasks ask for."""
    return [name for kind, _, name in (task.partition(":") for task in tasks) if kind == "capacity" and name]


def scenarios_of(tasks: Sequence[str]) -> list[str]:
    """Return the scenarios that the selected tasks name, in any way; empty if one task concerns all of them."""
    names = [task.partition(":")[2] for task in tasks if task.partition(":")[0] != "preflight" and task != "gate"]
    return [] if "" in names else list(dict.fromkeys(measurement_named(name).scenario for name in names))


def _succeed_or_fail(do: Callable[..., Any], *arguments: Any) -> Callable[[], TaskFailed | None]:
    """Turn what a person can mend into a failed task with one line; what is done already is kept."""

    def action() -> TaskFailed | None:
        try:
            do(*arguments)
        except UserError as error:
            return TaskFailed(str(error))
        except OSError as error:
            return TaskFailed(_refused_by_disk(error))
        return None

    return action


def _succeed_or_stop(do: Action) -> Callable[[], Any]:
    """End the whole invocation with 2 and one line on what a person can mend, before anything is measured."""

    def action() -> Any:
        try:
            return do()
        except UserError as error:
            raise StopInvocation(str(error)) from None
        except OSError as error:
            raise StopInvocation(_refused_by_disk(error)) from None

    return action


def _refused_by_disk(error: OSError) -> str:
    what = f"{error.filename or 'a file'}: {error.strerror or error}"
    return f"{what}: mend that and run the same command again; what is measured is kept"


class StopInvocation(SystemExit):
    """Ends doit with exit code 2; `line` is for the person."""

    def __init__(self, line: str) -> None:
        super().__init__(2)
        self.line = line
