"""A rival's server that misbehaves is told as what it is: one that keeps to Qdrant's interface, through a whole run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from compbench.systems.chroma.install import INSTALLATION
from tests.project import PATH, ROOT, Project, eventually
from tests.rival_programs import REAL_CHROMA, REAL_QDRANT, install_docker, install_qdrant, qdrant


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of one small scenario, measured on the stand-in for Qdrant."""
    made = Project(tmp_path / "project", names=("alpha",))
    scenario = made.root / "scenarios" / "competitive" / "alpha.toml"
    text = scenario.read_text().replace("num_nodes = 5\n", "num_nodes = 400\n").replace("dim = 768", "dim = 24")
    text = text.replace("rate = 20.0", "rate = 100.0").replace("p99_latency_ms = 500.0", "p99_latency_ms = 5000.0")
    scenario.write_text(text + "expected_recall = 0.99\n")
    made.set(
        system="qdrant",
        **{"system.qdrant.program": str(install_qdrant(tmp_path))},
        driver="builtin",
        connections=4,
        invalid_retries=9,
        ready_timeout_s=3.0,
        prepare_timeout_s=6.0,
    )
    return made


def measured(project: Project, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the driver's report; only a machine with too much else to do may have spoiled the measurement."""
    outcome = project.capture("alpha")["outcome"]
    assert outcome["verdict"] in {"passed", "invalid"}, done.stdout + done.stderr
    return dict(json.loads(project.file("alpha.json").read_text())["compbench"])


@pytest.mark.parametrize("kind", ["stand-in", pytest.param("real", marks=pytest.mark.rivals)])
def test_a_rival_is_started_loaded_measured_and_stopped(project: Project, tmp_path: Path, kind: str) -> None:
    if kind == "real":
        if REAL_QDRANT not in os.environ:
            pytest.skip(f"{REAL_QDRANT} names no program")
        install_qdrant(tmp_path, os.environ[REAL_QDRANT])
        project.set(ready_timeout_s=20.0, prepare_timeout_s=60.0)
    done = project.doit("run:alpha")
    own = measured(project, done)
    # The stand-in compares every vector; a real graph finds nearly all.
    assert own["recall"]["mean"] == pytest.approx(1.0, abs=1e-6 if kind == "stand-in" else 0.01)
    assert own["failed"] == 0
    assert own["per_operation"]["Store"]["count"] > 0
    assert eventually(lambda: not project.orphans(), 10.0)


def test_a_server_of_the_users_is_measured_and_its_key_stands_nowhere(project: Project, tmp_path: Path) -> None:
    key = "k3y-that-nobody-may-see"
    with qdrant(tmp_path, key=key) as url:
        done = project.doit("run:alpha", f"system.qdrant.endpoint={url}", COMPBENCH_QDRANT_API_KEY=key)
        own = measured(project, done)
        assert own["recall"]["mean"] == pytest.approx(1.0, abs=1e-6)
        assert own["failed"] == 0
        capture = project.capture("alpha")
        assert capture["server"]["version"] == "qdrant 1.18.3"
        assert capture["system_facts"]["durability"] == "as its owner has set it"
        assert [notice for notice in capture["notices"] if notice["code"] == "data-left"] == []
        assert requests.get(f"{url}/collections/compbench", headers={"api-key": key}, timeout=5).status_code == 404
    assert [path for path in project.root.rglob("*") if path.is_file() and key.encode() in path.read_bytes()] == []
    assert key not in done.stdout + done.stderr


@pytest.mark.slow
def test_its_image_is_run_with_its_settings_and_measured(project: Project, tmp_path: Path) -> None:
    install_docker(tmp_path / "programs")
    project.environment["PATH"] = f"{tmp_path / 'programs'}{os.pathsep}{PATH}"
    image = "docker.io/qdrant/qdrant@sha256:" + "0123456789abcdef" * 4
    program = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.stand_ins.qdrant"]
    project.set(**{"system.qdrant.mode": "container", "system.qdrant.image": image})
    done = project.doit("run:alpha", STAND_IN_IMAGE=json.dumps(program))
    own = measured(project, done)
    assert own["failed"] == 0
    server = project.capture("alpha")["server"]
    assert (server["executable"], server["version"]) == (image, "qdrant 1.18.3")
    lines = [json.loads(line) for line in (project.state / "docker.jsonl").read_text().splitlines()]
    started = next(line for line in lines if line[0] == "run")
    assert started[-1] == image
    assert "/data:/qdrant/storage" in " ".join(started)
    assert {"QDRANT__SERVICE__HOST=127.0.0.1", f"QDRANT__SERVICE__HTTP_PORT={project.port}"} < set(started)
    assert not list(project.state.glob("*.container"))


@pytest.mark.parametrize(
    ("told", "code", "said"),
    [
        pytest.param("never_ready", "server-not-ready", "GET /readyz answered 503", marks=pytest.mark.slow),
        pytest.param("die_at_start", "server-ended-at-start", "exit code 1", marks=pytest.mark.slow),
        ("die_after=200", "", "prepare"),
        pytest.param("move_port", "server-not-ready", "GET /readyz was not answered", marks=pytest.mark.slow),
        ("refuse_inserts", "", "No space left on device"),
        ("miscount", "", "the server keeps 200 of 400 acknowledged memories"),
        pytest.param("never_green", "", "time limit", marks=pytest.mark.slow),
    ],
)
def test_a_fault_of_the_server_fails_the_scenario_with_its_reason(
    project: Project, told: str, code: str, said: str
) -> None:
    done = project.doit("run:alpha", STAND_IN_QDRANT=told)
    assert done.returncode == 1, done.stdout + done.stderr
    outcome = project.capture("alpha")["outcome"]
    assert outcome["verdict"] == "failed"
    assert code in outcome["code"], outcome
    assert said in json.dumps(outcome), outcome
    assert eventually(lambda: not project.orphans(), 10.0)


@pytest.mark.parametrize("told", ["other_points", pytest.param("not_json", marks=pytest.mark.slow)])
def test_answers_that_are_wrong_are_no_recall(project: Project, told: str) -> None:
    done = project.doit("run:alpha", STAND_IN_QDRANT=told)
    assert done.returncode == 1, done.stdout + done.stderr
    outcome = project.capture("alpha")["outcome"]
    assert outcome["verdict"] in {"failed", "missed", "invalid"}, outcome
    if outcome["verdict"] != "failed":
        recall = json.loads(project.file("alpha.json").read_text())["compbench"]["recall"]
        assert recall["answers"] != "ok" or recall["mean"] == 0, recall


def test_the_table_of_the_documentation_is_measured(project: Project, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "own-systems.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    project.set(system="mydb", report=True)
    program = json.dumps(str(tmp_path / "qdrant"))
    (project.root / "compbench.toml").write_text(project.settings + table.replace('"qdrant"', program))
    done = project.doit("run:alpha")
    own = measured(project, done)
    assert own["recall"]["mean"] == pytest.approx(1.0, abs=1e-6)
    assert own["failed"] == 0
    assert own["per_operation"]["Store"]["count"] > 0
    report = project.file("report.md").read_text()
    assert "mydb" in report
    assert "its folder is not here any more" not in report


@pytest.mark.rivals
def test_a_real_chroma_is_measured_where_no_search_has_a_threshold(project: Project) -> None:
    if REAL_CHROMA not in os.environ:
        pytest.skip(f"{REAL_CHROMA} names no folder")
    installed = project.root / "tmp" / "cache" / "systems" / f"chroma-{INSTALLATION.version}"
    installed.parent.mkdir(parents=True)
    installed.symlink_to(os.environ[REAL_CHROMA])
    project.set(system="chroma", ready_timeout_s=20.0, prepare_timeout_s=60.0)
    scenario = project.root / "scenarios" / "competitive" / "alpha.toml"
    text = scenario.read_text().replace("recall_weight = 0.4", "recall_weight = 0.0")
    scenario.write_text(text.replace("search_weight = 0.4", "search_weight = 0.8"))
    done = project.doit("run:alpha")
    own = measured(project, done)
    assert own["recall"]["mean"] > 0.99
    assert own["failed"] == 0
    assert own["per_operation"]["Store"]["count"] > 0
    assert eventually(lambda: not project.orphans(), 10.0)


def test_a_server_that_is_not_installed_is_named_with_how_to_get_it(project: Project) -> None:
    project.set(**{"system.qdrant.program": "/none/qdrant"})
    done = project.doit("run:alpha")
    assert done.returncode == 2
    assert "/none/qdrant" in done.stdout + done.stderr
    assert "https://github.com/qdrant/qdrant/releases" in done.stdout + done.stderr
