"""Several systems in one run: the same scenarios, data and driver, in interleaved rounds, interrupted or not."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.project import ROOT, Project, eventually

SYSTEMS = ROOT / "tests" / "stand_ins" / "systems"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose scenarios two stand-ins of a system can do."""
    made = Project(tmp_path / "project", names=("alpha", "beta"))
    for name in ("alpha", "beta"):
        scenario = made.root / "scenarios" / "competitive" / f"{name}.toml"
        text = scenario.read_text().replace("num_nodes = 5\n", "num_nodes = 400\n").replace("dim = 768", "dim = 24")
        scenario.write_text(text.replace("p99_latency_ms = 500.0", "p99_latency_ms = 5000.0"))
    made.set(system="flat,toy", systems_dir=str(SYSTEMS), connections=4, invalid_retries=9, expected_scenarios=2)
    return made


def names_of(captures: list[dict[str, object]]) -> list[str]:
    """Return which system was measured by which scenario and in which round, in the order of their beginning."""
    ordered = sorted(captures, key=lambda capture: float(str(capture["started_at"])))
    return [f"{capture['scenario']}@{capture['system']}{capture['repeat'] or ''}" for capture in ordered]


def system_of(name: str) -> str:
    """Return the system's name without the number of the round."""
    return name.partition("@")[2].rstrip("0123456789")


def test_two_systems_are_measured_in_interleaved_rounds_on_the_same_work(project: Project) -> None:
    done = project.doit("repeat=2")
    assert done.returncode == 0, done.stdout + done.stderr
    captures = [json.loads(path.read_text()) for path in project.run().glob("*_capture.json")]
    order = names_of(captures)
    assert len(order) == 8
    assert {name.removesuffix("1") for name in order[:4]} == {"alpha@flat", "alpha@toy", "beta@flat", "beta@toy"}
    assert system_of(order[0]) != system_of(order[4])
    digests = {(c["scenario"], c["result"]["details"]["workload_digest"]) for c in captures}
    assert len(digests) == 2, "every system gets the same requests at the same moments"
    assert {c["driver"] for c in captures} == {"builtin"}
    manifest = json.loads((project.run() / "manifest.json").read_text())
    assert manifest["systems"] == ["flat", "toy"]
    assert manifest["state"] == "closed"


def test_an_interrupted_comparison_goes_on_where_it_was(project: Project) -> None:
    begun = project.start("run:alpha", "repeat=2")
    assert eventually(lambda: bool(list(project.output.glob("*/*alpha@*_capture.json"))), 60.0)
    begun.send_signal(signal.SIGINT)
    begun.communicate(timeout=60)
    kept = {path: path.stat().st_mtime_ns for path in project.run().glob("*_capture.json")}
    assert 1 <= len(kept) < 4
    done = project.doit("run:alpha", "repeat=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(project.run().glob("*_capture.json"))) == 4
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert eventually(lambda: not project.orphans(), 10.0)


def test_what_a_rival_can_not_do_costs_a_line_and_not_the_run(project: Project) -> None:
    scenario = project.root / "scenarios" / "competitive" / "beta.toml"
    scenario.write_text(scenario.read_text() + "\n[graph]\naverage_degree = 2.0\nrecall_hops = 1\nsearch_hops = 2\n")
    done = project.doit("repeat=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.capture("alpha@toy")["outcome"]["verdict"] == "passed"
    outcome = project.capture("beta@toy")["outcome"]
    assert outcome["verdict"] == "not offered"
    assert "does not offer traversals along edges" in outcome["reason"]


def test_a_rival_that_is_not_here_costs_a_line(project: Project) -> None:
    absent = f"system.engram.root={project.root / 'none'}"
    done = project.doit("run:alpha", "repeat=1", "system=flat,toy,engram", absent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "engram is not here, so it is not measured: cargo build --release" in done.stdout
    assert len(list(project.run().glob("*_capture.json"))) == 2


@pytest.mark.slow
def test_versus_sets_the_system_beside_its_rivals_three_times(project: Project) -> None:
    project.set(system="flat", rivals="toy")
    done = project.doit("versus:alpha")
    assert done.returncode == 0, done.stdout + done.stderr
    measured = {f"alpha@{system}_run{number}" for system in ("flat", "toy") for number in (1, 2, 3)}
    assert set(project.manifest()["selection"]) == measured
    assert all(project.capture(name)["outcome"]["verdict"] == "passed" for name in measured)


def test_a_comparison_without_a_rival_is_one_line(project: Project) -> None:
    absent = f"system.engram.root={project.root / 'none'}"
    done = project.doit("versus", "system=flat", "rivals=engram", absent)
    assert done.returncode == 2
    assert "no rival of the flat server is here to compare it with: engram: cargo build --release" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_embedded_server_is_no_rival(project: Project) -> None:
    done = project.doit("run:alpha", "system=flat,embedded")
    assert done.returncode == 2
    assert "is no rival: put it first" in done.stderr


def test_several_systems_are_not_compared_by_a_driver_of_one_of_them(project: Project) -> None:
    done = project.doit("run:alpha", "driver=loadtest")
    assert done.returncode == 2
    assert "several systems or builds are compared by driver=builtin alone" in done.stderr
