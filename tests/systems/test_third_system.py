"""A system that compbench has never heard of, of another protocol, is measured by being in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.project import ROOT, Project, eventually

SYSTEMS = ROOT / "tests" / "stand_ins" / "systems"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of one scenario, whose data set has vectors of another dimension than Engram's."""
    made = Project(tmp_path / "project", names=("alpha",))
    scenario = made.root / "scenarios" / "competitive" / "alpha.toml"
    text = scenario.read_text().replace("num_nodes = 5\n", "num_nodes = 400\n").replace("dim = 768", "dim = 24")
    # One pause of the machine is the P99 of so few operations.
    text = text.replace("rate = 20.0", "rate = 100.0").replace("p99_latency_ms = 500.0", "p99_latency_ms = 5000.0")
    scenario.write_text(text + "expected_recall = 0.99\n")
    made.set(system="flat", systems_dir=str(SYSTEMS), driver="builtin", connections=4, invalid_retries=9)
    return made


@pytest.mark.parametrize("processes", [1, 2])
def test_a_system_of_another_protocol_is_loaded_measured_and_its_answers_checked(
    project: Project, processes: int
) -> None:
    project.set(processes=processes)
    done = project.doit("run:alpha")
    assert done.returncode == 0, done.stdout + done.stderr
    own = json.loads(project.file("alpha.json").read_text())["compbench"]
    assert own["recall"]["answers"] == "ok"
    assert own["recall"]["mean"] == pytest.approx(1.0, abs=1e-6)
    assert own["recall"]["checked"] > 50
    assert own["failed"] == 0
    assert own["endpoint"] == f"flat://127.0.0.1:{project.port}"
    assert own["per_operation"]["Store"]["count"] > 0
    assert project.capture("alpha")["outcome"]["verdict"] == "passed"
    assert eventually(lambda: not project.orphans(), 10.0)


def test_the_report_knows_a_system_of_the_users_folder_and_what_it_declares(project: Project) -> None:
    project.set(system="toy", report=True)
    done = project.doit("run:alpha")
    told = "These are figures of the toy server: they are of a toy."
    assert told in project.file("report.md").read_text(), done.stdout + done.stderr


def test_a_system_that_is_not_there_is_one_line(project: Project) -> None:
    project.set(systems_dir=str(project.root / "none"))
    done = project.doit("run:alpha")
    assert done.returncode == 2
    assert f"systems_dir: {project.root / 'none'} is no folder" in done.stderr
