"""The task graph as doit loads it: the files that each task declares, and the tasks that have none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from doit.task import Task

from compbench.cli.project import Project
from compbench.cli.run_opener import follow
from compbench.model.records import Manifest
from compbench.model.times import timestamp
from compbench.store.runs import Run
from compbench.systems.registry import load_settings

ROOT = Path(__file__).resolve().parent.parent.parent
LOADED = """
import json, sys
sys.argv = ["doit"]
import dodo
from doit.loader import load_tasks
tasks = [task for task in load_tasks(vars(dodo)) if task.actions or task.name.startswith("run:")]
print(json.dumps({task.name: [sorted(task.targets), sorted(task.file_dep)] for task in tasks}))
"""
# ARCHITECTURE.md gives the same reasons.
WITHOUT_FILES = {
    "run": "only names a scenario's tasks, which have the files",
    "_round": "what was spoiled, and so what it makes again, is known only then",
    "install": "prints; `install:<system>` has the file",
    "plan": "prints",
    "commands": "prints",
    "systems": "prints",
    "capacity": "prints; each search has its files",
    "frontier": "prints; each of a scenario has its file",
    "compare": "prints a judgement of closed runs",
    "due": "prints a judgement of closed runs",
    "notify": "sends a message",
    "live": "serves a page until it is told to end",
}


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], list[str]]]:
    """The targets and file dependencies of every task, of the project's own scenarios and with no run yet."""
    runs = tmp_path_factory.mktemp("runs")
    environment = {**os.environ, "COMPBENCH_OUTPUT_DIR": str(runs), "COMPBENCH_SYSTEM": "engram"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return {name: (targets, parts) for name, (targets, parts) in json.loads(done.stdout).items()}


def test_every_task_declares_its_files_but_those_that_have_none(
    declared: dict[str, tuple[list[str], list[str]]],
) -> None:
    without = {name for name, (targets, parts) in declared.items() if not targets and not parts}
    assert {name.partition(":")[0] for name in without} == {*WITHOUT_FILES, "report"}, "nothing to report on yet"


def test_a_measurement_is_made_of_its_scenario_and_the_programs_and_becomes_pages(
    declared: dict[str, tuple[list[str], list[str]]],
) -> None:
    (scenario,) = (name.partition(":")[2] for name in declared if name.startswith("measure:qdrant"))
    (capture,), parts = declared[f"measure:{scenario}"]
    assert parts[0] == str(ROOT / "scenarios" / "competitive" / f"{scenario}.toml")
    assert [Path(part).name for part in parts[1:]] == ["engram", "loadtest"]
    assert declared[f"diagnostics:{scenario}"][1] == [capture]
    assert declared[f"data_set:{scenario}"][1] == declared[f"ground_truth:{scenario}"][1] == [parts[0]]
    assert [Path(page).name for page in declared["trend"][0]] == ["trend.html"]
    assert [Path(page).name for page in declared["export"][0]] == ["compbench.prom", "runs.csv"]
    assert [Path(page).parent for page in declared["close"][0]] == [Path(capture).parent]


def test_the_tasks_of_a_run_and_its_end_mean_the_run_that_was_opened_instead_of_the_foreseen_one(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path, load_settings(tmp_path, {}, {"system": "embedded"}), ["a", "b"], 1_762_612_200.0)
    foreseen = timestamp(1_762_612_200.0)
    manifest = Manifest(run="opened", state="open", opened_at=0.0, selection=["a"], fingerprint={})
    names = ("measure:a", "measure:b", "close", "trend")
    tasks = {name: Task(name, None, targets=[f"{foreseen}/{foreseen}_x"]) for name in names}
    follow(tasks.values(), project, Run(tmp_path / "opened", manifest))
    moved = {name for name, task in tasks.items() if task.targets == ["opened/opened_x"]}
    assert moved == {"measure:a", "close"}
