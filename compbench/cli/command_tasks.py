"""The doit tasks beside the suite: they say, install, render again, tell people, look back; none measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from compbench.cli import installing
from compbench.cli.actions import Action, succeed_or_fail, succeed_or_stop
from compbench.cli.file_state import Condition, never
from compbench.cli.project import Project
from compbench.cli.suite import Suite
from compbench.cli.tasks import Task
from compbench.model import file_names


def plan(show: Action) -> Task:
    """Return the dry run."""
    doc = "say what `doit` would do and what the checks say; changes nothing"
    return {"basename": "plan", "doc": doc, "actions": [succeed_or_stop(show)]}


def commands(show: Action) -> Task:
    """Return the page of compbench's own commands."""
    doc = "explain tasks and settings, and what of doit is of use here"
    return {"basename": "commands", "doc": doc, "actions": [succeed_or_stop(show)]}


def systems(show: Action) -> Task:
    """Return the page of known systems."""
    doc = "say which systems there are, what each can do and how to get it, and which one auto means"
    return {"basename": "systems", "doc": doc, "actions": [succeed_or_stop(show)]}


def installations(suite: Suite, show: Action, say: Callable[[str], None]) -> Iterator[Task]:
    """Yield the page of what can be installed, and a task for each such system: the only ones that use the network."""
    settings = suite.project.settings
    doc = "say which systems can be installed from package registries: install:<system>"
    yield {"basename": "install", "doc": doc, "actions": [succeed_or_stop(show)]}
    for name, installation in installing.installable(settings).items():

        def install(name: str = name) -> None:
            suite.claim()  # it would disturb a measurement
            installing.install_system(settings, name, say)

        yield {
            "basename": f"install:{name}",
            "doc": f"install {installing.describe(name, installation)}",
            "actions": [succeed_or_fail(install)],
            "targets": [str(installing.installed_result(settings, name, installation))],
            "uptodate": [
                Condition("it is installed", partial(installing.is_in_place, settings, name, installation)),
            ],
        }


def report(project: Project, render: Action) -> Task:
    """Return the task that renders a run again, from its captures."""
    doc = "render the newest run again, or run=<timestamp>; never measures"
    task: Task = {"basename": "report", "doc": doc, "actions": [succeed_or_stop(render)], "uptodate": [False]}
    if folder := project.reported_folder():
        # Where measurements may still be made, their tasks make the captures, and doit would do these first.
        if folder not in map(project.folder_of, project.names):
            captures = sorted(folder.glob(f"*{file_names.MEASURED['capture']}"))
            task["file_dep"] = [str(path) for path in captures]
        task["targets"] = [str(folder / file_names.of_run(folder.name, kind)) for kind in file_names.REPORT_PAGES]
    return task


def live(serve: Action) -> Task:
    """Return the task that serves a page of a run until it is interrupted; it works beside a suite."""
    doc = "serve a page of the newest run, or run=<timestamp>, while it is measured; Ctrl-C ends it"
    return {"basename": "live", "doc": doc, "actions": [succeed_or_stop(serve)]}


def notify(send: Action) -> Task:
    """Return the task that tries whether people can be told."""
    return {
        "basename": "notify",
        "doc": "send a test message to whom notify names",
        "actions": [succeed_or_stop(send)],
    }


# The tasks that look back over closed runs.
LOOKING_BACK = {
    "trend": "draw every scenario's figures over all runs on one page",
    "compare": "compare two runs (base=, head=; default: the last two comparable ones); exit code 1 on a regression",
    "due": "say how old the last full run is; exit code 1 past 90 days",
    "export": "write all runs as CSV, and the newest as OpenMetrics",
}


# The pages that are written beside the runs. They are made of all closed runs, of which loading looks at none.
_WRITTEN = {"trend": [file_names.TREND], "export": [file_names.RUNS_CSV, file_names.OPENMETRICS]}


def looking_back(suite: Suite, look: Callable[[str], int]) -> Iterator[Task]:
    """Yield the tasks that look back; each ends with the exit code that `look` returns for its name."""
    for name, doc in LOOKING_BACK.items():

        def action(name: str = name) -> None:
            suite.judge(look(name))

        targets = [str(suite.project.output_dir / page) for page in _WRITTEN.get(name, [])]
        yield {
            "basename": name,
            "doc": doc,
            "actions": [succeed_or_stop(action)],
            "targets": targets,
            "uptodate": [never("all closed runs are looked at anew")],
        }
