"""The doit tasks that lead to a measured and rendered run; their actions are methods of `compbench.cli.suite`.

The tasks of one scenario form a chain, never a group of siblings: doit releases waiting siblings in the order of a set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO, Any

from doit.exceptions import TaskFailed
from doit.task import Task as DoitTask

from compbench.cli import preparation
from compbench.cli.actions import Action, succeed_or_fail, succeed_or_stop
from compbench.cli.file_state import Condition, OldestFile, are_newer, never
from compbench.cli.project import Project
from compbench.cli.selection import ROUND_END, RUN, RUN_END, VERSUS, one_by_one
from compbench.cli.suite import Suite
from compbench.config.scenarios import scenario_title
from compbench.model import file_names
from compbench.model.measurement import Measurement, of_scenarios
from compbench.preflight import checks

Task = dict[str, Any]


def scenario_runs(suite: Suite) -> Iterator[Task]:
    """Yield the tasks that a user names: `run:<scenario>`, with everything that belongs to it.

    It makes no file of its own; it is up to date if the pages are no older than its scenario's captures.
    """
    project = suite.project
    for scenario in project.scenarios:
        names = of_scenarios(project.measurements, [scenario])
        yield {
            "basename": f"{RUN}:{scenario}",
            "doc": scenario_title(project.scenario_path(scenario)),
            "actions": [],
            "task_dep": [f"pages:{name}" for name in names],
            "uptodate": [Condition("its pages are no older than its captures", partial(_are_rendered, suite, names))],
        }


def versus(suite: Suite) -> Iterator[Task]:
    """Yield the tasks that set the system beside its rivals: `versus`, and `versus:<scenario>`.

    They measure what `run:<scenario>` does; naming one makes the run one of several systems.
    """
    project = suite.project
    yield {
        "basename": VERSUS,
        "doc": "measure the system and its rivals (rivals=) in turn, at equal recall: all scenarios",
        "actions": [],
        "task_dep": [f"{VERSUS}:{scenario}" for scenario in project.scenarios],
    }
    for scenario in project.scenarios:
        yield {
            "basename": f"{VERSUS}:{scenario}",
            "doc": f"beside its rivals: {scenario_title(project.scenario_path(scenario))}",
            "actions": [],
            "task_dep": [f"{RUN}:{scenario}"],
        }


def _are_rendered(suite: Suite, names: Sequence[str]) -> bool:
    return all(are_newer(suite.pages_of(name), [suite.project.file_of(name, "capture")]) for name in names)


def round_ends(suite: Suite) -> Iterator[Task]:
    """Yield the end of each round; a run has several only with repeats. They come by themselves, as `close` does."""
    yield {"basename": ROUND_END, "name": None, "doc": "measure again what driver or machine spoiled in a round"}
    for number in dict.fromkeys(measurement.round_number for measurement in suite.project.measurements):
        yield {"basename": ROUND_END, "name": str(number), "actions": [succeed_or_fail(suite.end_round, number)]}


def close(suite: Suite) -> Task:
    """Return the task that ends a run; it comes last in every invocation that measures.

    The captures are no file dependencies: of these doit would make tasks to be done, and measure everything.
    """
    doc = "close the run once it is complete; comes by itself"
    first = suite.project.names[:1]
    return {
        "basename": RUN_END,
        "doc": doc,
        "actions": [succeed_or_fail(suite.close)],
        "targets": [str(suite.project.folder_of(name) / file_names.ENDED) for name in first],
        "uptodate": [never("asked at the end of each invocation that measures")],
    }


def preflight_checks(suite: Suite) -> Iterator[Task]:
    """Yield one task a check, made afresh in every invocation; it succeeds with any finding, which is data."""
    yield {"basename": "preflight", "name": None, "doc": "check machine, binaries and scenarios (exit code 0, 1, 2)"}
    for name, check in checks.CHECKS.items():
        yield {
            "name": name,
            "basename": "preflight",
            "doc": check.doc,
            "actions": [succeed_or_fail(suite.check, name)],
            "targets": [str(suite.project.finding_path(name))],
            "uptodate": [False],
        }


def claim(suite: Suite) -> Task:
    """Return the task that takes the suite's lock before anything else is done."""
    return {
        "basename": "_claim",
        "actions": [succeed_or_stop(suite.claim)],
        "targets": [str(suite.project.lock_path)],
        "uptodate": [False],
    }


class Gate(DoitTask):  # type: ignore[misc] # doit has no types
    """The task `gate`; `doit clean` hangs on it, and says what it does itself: doit's own line is about a program."""

    def __init__(self, clean: Callable[[bool], None], **fields: Any) -> None:
        super().__init__("gate", **fields)
        self._remove = clean

    def clean(self, outstream: IO[str], dryrun: bool) -> None:
        """Remove leftovers and caches, or only name them."""
        del outstream
        self._remove(dryrun)


def gate(suite: Suite, clean: Callable[[bool], None]) -> Gate:
    """Return the task that lets the suite begin unless a check was critical; `doit clean` hangs on it."""

    def judge() -> TaskFailed | None:
        return None if suite.pass_gate() else TaskFailed("a preflight check is critical", report=False)

    return Gate(
        clean,
        doc="let the suite begin, unless a check is critical",
        actions=[succeed_or_stop(judge)],
        task_dep=["_claim", *(f"preflight:{name}" for name in checks.CHECKS)],
        file_dep=[str(suite.project.finding_path(name)) for name in checks.CHECKS],
        targets=[str(suite.project.output_dir / suite.project.new_names[0] / file_names.MANIFEST)],
        uptodate=[False],
    )


def makings(suite: Suite, show: Action) -> Iterator[Task]:
    """Yield data sets, exact neighbours, recall against speed and its page; `uptodate` looks whether they are there.

    They are no targets: their names are hashes of what is in the scenarios, which loading does not read.
    """
    project = suite.project
    yield {
        "basename": "data_set",
        "name": None,
        "doc": "find how much of a data set loads, and keep that loaded",
    }
    yield {"basename": "ground_truth", "name": None, "doc": "compute once what searches should find: exact neighbours"}
    doc = "say how the effort of searches is found at equal recall: frontier:<scenario>"
    yield {"basename": "frontier", "doc": doc, "actions": [succeed_or_stop(show)]}
    for name in project.scenarios:
        yield {
            "basename": "data_set",
            "name": name,
            "actions": [succeed_or_fail(suite.prepare, preparation.keep_data_set, name, "data set")],
            "task_dep": ["gate"],
            "file_dep": [str(project.scenario_path(name))],
            "uptodate": [Condition("sized, and kept if need be", partial(preparation.has_data_set, project, name))],
        }
        yield {
            "basename": "ground_truth",
            "name": name,
            "actions": [succeed_or_fail(suite.prepare, preparation.keep_ground_truth, name, "exact neighbours")],
            "task_dep": [f"data_set:{name}"],
            "file_dep": [str(project.scenario_path(name))],
            "uptodate": [Condition("kept, or not asked for", partial(preparation.has_ground_truth, project, name))],
        }
        yield {
            "basename": f"frontier:{name}",
            "doc": f"recall against speed of {scenario_title(project.scenario_path(name))}",
            "actions": [succeed_or_fail(suite.prepare, preparation.keep_frontier, name, "effort")],
            "task_dep": [f"ground_truth:{name}"],
            "file_dep": [str(project.scenario_path(name))],
            "uptodate": [Condition("kept, or not needed", partial(preparation.has_frontier, project, name))],
        }


def measures(suite: Suite) -> Iterator[Task]:
    """Yield the costly tasks: up to date if their capture is in a run that these inputs may be measured in.

    The inputs (scenario, binaries, settings) are judged by hash, in the run's fingerprint: a capture must not become
    stale because a file was touched. So the condition decides here, no file dependency, and a lost database repeats
    nothing.
    """
    yield {"basename": "measure", "name": None, "doc": "only the measuring, without pages: measure:<scenario>"}
    for measurement in suite.project.measurements:
        name = measurement.name
        yield {
            "basename": "measure",
            "name": name,
            "actions": [succeed_or_fail(suite.measure, measurement)],
            "task_dep": [f"frontier:{measurement.scenario}"],
            "file_dep": [str(path) for path in suite.project.inputs_of(measurement.scenario)],
            "targets": [str(suite.project.file_of(name, "capture"))],
            "uptodate": [Condition("its run has its capture", partial(suite.is_measured, name))],
        }


def default_tasks(project: Project) -> list[str]:
    """Return what `doit` does: the gate, data sets and neighbours, every measurement with its pages, the run's end.

    With `resume=` the measurements are those of the run that is named.

    Raises:
        UserError: there is no such run, or it can't be resumed here.
    """
    wanted = project.resumed_selection() or project.names
    of_each = {name: set(of_scenarios(project.measurements, [name])) for name in project.scenarios}
    concerned = [name for name, own in of_each.items() if own & set(wanted)]
    # `run:<scenario>` asks for all repeats, of which a run that is resumed may have some.
    whole = [f"{RUN}:{name}" for name in concerned if of_each[name] <= set(wanted)]
    return [*one_by_one(concerned, wanted), *whole, RUN_END]


def renderings(suite: Suite) -> Iterator[Task]:
    """Yield the renderings of each measurement, in order: diagnostics, flame graph, the pages of the run so far."""
    project = suite.project
    captures = {name: str(project.file_of(name, "capture")) for name in project.names}
    yield {
        "basename": "diagnostics",
        "name": None,
        "doc": "what was seen of server and machine: diagnostics:<scenario>",
    }
    yield {"basename": "flamegraph", "name": None, "doc": "where the server's time went, if perf can record it"}
    yield {
        "basename": "pages",
        "name": None,
        "doc": "metadata, summary and results of the run so far",
        "file_dep": list(captures.values()),
        "targets": [str(path) for path in suite.pages_of(project.names[0])] if project.names else [],
    }
    for name, capture in captures.items():
        yield {
            "basename": "diagnostics",
            "name": name,
            "actions": [succeed_or_fail(suite.write_diagnostics, name)],
            "file_dep": [capture],
            "targets": [str(project.file_of(name, kind)) for kind in ("diagnostics", "system")],
            "uptodate": [OldestFile()],
        }
        yield {
            "basename": "flamegraph",
            "name": name,
            "actions": [succeed_or_fail(suite.write_flamegraph, name)],
            "file_dep": [capture],
            "targets": [str(project.file_of(name, "flamegraph"))] if project.settings.flamegraph else [],
            "task_dep": [f"diagnostics:{name}"],
            "uptodate": [OldestFile()],
        }
        yield {
            "basename": "pages",
            "name": name,
            "actions": [succeed_or_fail(suite.write_pages)],
            "file_dep": [capture],
            "targets": [str(project.folder_of(name) / file_names.flat_result(name))],
            "task_dep": [f"flamegraph:{name}"],
            "uptodate": [OldestFile(partial(suite.pages_of, name))],
        }


def capacities(suite: Suite, show: Action) -> Iterator[Task]:
    """Yield the page of searches, and the searches, which take too long to be started without a name."""
    doc = "say how to search for the highest rate within a P99 target: capacity:<scenario>"
    yield {"basename": "capacity", "doc": doc, "actions": [succeed_or_stop(show)]}
    for scenario in suite.project.scenarios:
        run = suite.project.search_name(scenario)
        name = Measurement(scenario, kind="capacity").name
        yield {
            "basename": f"capacity:{scenario}",
            "doc": f"capacity of {scenario_title(suite.project.scenario_path(scenario))}",
            "actions": [succeed_or_fail(suite.measure_capacity, scenario)],
            "task_dep": [f"frontier:{scenario}"],
            "file_dep": [str(path) for path in suite.project.inputs_of(scenario)],
            "targets": [str(suite.project.output_dir / run / file_names.of_measurement(run, name, "capture"))],
            "uptodate": [never("a search is begun anew")],
        }
