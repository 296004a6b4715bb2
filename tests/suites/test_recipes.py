"""The recipes of CONTRIBUTING.md for a scenario and a system, followed word for word in a project up to a quick run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.load import SEARCHES, scenario, toml
from tests.project import ROOT, Project
from tests.test_recipes import code_of, commands_of


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project", names=("alpha",))


def test_the_scenario_of_the_recipe_is_a_suite_of_its_own(project: Project) -> None:
    make_folder, copy, plan, quick = commands_of("Add a scenario")
    shutil.copy(ROOT / copy.split()[1], project.root / copy.split()[1])
    for command in (make_folder, copy):
        assert project.paste(command).returncode == 0
    mine = project.root / "scenarios" / "mine" / "my_search.toml"
    edited = mine.read_text().replace("num_nodes = 1_000_000", "num_nodes = 5").replace("rate = 1000.0", "rate = 20.0")
    mine.write_text(edited.replace("throughput_ops_sec = 800.0", "throughput_ops_sec = 1.0"))
    planned = project.paste(plan)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "my_search" in planned.stdout
    assert "alpha" not in planned.stdout
    done = project.paste(quick)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.driven() == ["my_search"]
    assert project.manifest()["selection"] == ["my_search"]


def test_the_system_of_the_recipe_is_measured_by_the_recipes_own_commands(project: Project) -> None:
    folder = project.root / "systems" / "mydb"
    folder.mkdir(parents=True)
    settings, server, client = code_of("Add a system")
    files = {"__init__": '"""MyDB."""\n', "settings": settings, "server": server, "client": client}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    made = scenario(SEARCHES, nodes=500)
    (project.root / "scenarios" / "competitive" / "alpha.toml").write_text(toml(made))
    project.set(invalid_retries=9)
    plan, quick = commands_of("Add a system")
    planned = project.paste(plan)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    done = project.paste(quick)
    assert done.returncode == 0, done.stdout + done.stderr
    capture = project.capture("alpha")
    assert (capture["system"], capture["outcome"]["verdict"]) == ("mydb", "passed")
    assert capture["data_set"]["stored"] == 500
    assert capture["result"]["details"]["recall"]["mean"] > 0.95
    assert project.orphans() == []
