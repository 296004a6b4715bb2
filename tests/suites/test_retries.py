"""Measurements that driver or machine spoiled: made again by themselves, kept apart, counted, and resumed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compbench.model.events import MeasurementBegan, OutcomeReached, PhaseBegan, RunClosed
from compbench.model.file_names import EVENTS
from tests.drive import lose_a_host
from tests.helpers import read_events
from tests.project import BRIEF, NAMES, Project, eventually


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two scenarios, `alpha` and `beta`."""
    return Project(tmp_path / "project", names=NAMES[:2])


def results(project: Project) -> dict[str, Any]:
    found = json.loads((project.run() / "results.json").read_text())
    return {scenario["scenario"]: scenario for scenario in found["scenarios"]}


def test_a_spoiled_measurement_is_made_again_after_the_others_and_counted(project: Project) -> None:
    done = project.doit(STAND_IN_LOADTEST="alpha:invalid=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.driven() == ["alpha", "beta", "alpha", "alpha"]
    capture = project.capture("alpha")
    assert (capture["outcome"]["verdict"], capture["attempt"], capture["spoiled_attempts"]) == ("passed", 3, 2)
    kept = sorted(path.name.partition("alpha")[2] for path in project.run().glob("*.attempt*"))
    for number in (1, 2):
        for ending in (".txt", ".json", "_capture.json"):
            assert f"{ending}.attempt{number}.invalid" in kept
    assert not [name for name in kept if not name.endswith(".invalid")]
    assert [path.name for path in project.run().glob("*.txt") if "alpha.txt" in path.name] == [
        f"{project.run().name}_alpha.txt"
    ], "consumers see one output of the scenario"
    assert "ERROR" not in done.stderr, "it came right in the end"
    assert done.stdout.count("the driver was told to lag") == 2
    assert done.stdout.count("; it is made again once the others are made") == 2
    assert "2/2 scenarios passed" in done.stdout
    assert project.manifest()["state"] == "closed"
    assert results(project)["alpha"]["spoiled_attempts"] == 2
    assert "alpha: 2 earlier attempts were invalid and made again" in project.file("summary.txt").read_text()

    events = read_events(project.run() / EVENTS)
    began = [event.measurement for event in events if isinstance(event, MeasurementBegan)]
    assert began == ["alpha", "beta", "alpha", "alpha"]
    told = [(e.outcome.verdict, e.again) for e in events if isinstance(e, OutcomeReached) and e.measurement == "alpha"]
    assert told == [("invalid", True), ("invalid", True), ("passed", False)]
    assert isinstance(events[-1], RunClosed)
    assert "quiet" not in {event.phase for event in events if isinstance(event, PhaseBegan)}


def test_what_stays_spoiled_ends_invalid_and_with_1(project: Project) -> None:
    project.set(invalid_retries=1)
    done = project.doit(STAND_IN_LOADTEST="beta:invalid=9")
    assert done.returncode == 1
    assert project.driven() == ["alpha", "beta", "beta"]
    assert project.capture("beta")["outcome"]["verdict"] == "invalid"
    assert project.file("beta.txt.invalid").exists()
    assert not project.file("beta.txt").exists()
    assert done.stderr.count("ERROR beta [measure]: measurement invalid: the driver was told to lag") == 1
    assert done.stdout.count("it is made again") == 1
    assert project.manifest()["state"] == "closed"


def test_a_fault_of_the_server_is_measured_once(project: Project) -> None:
    done = project.doit("run:alpha", STAND_IN_LOADTEST="alpha:slow_operations")
    assert (done.returncode, project.driven()) == (1, ["alpha"])
    assert project.capture("alpha")["outcome"]["verdict"] == "missed"


@pytest.mark.slow
def test_an_interruption_while_it_is_made_again_repeats_nothing_that_is_valid(project: Project) -> None:
    first = project.start(STAND_IN_LOADTEST=f"{BRIEF},alpha:invalid=1,alpha:lasts=1.5")
    assert eventually(lambda: project.driven() == ["alpha", "beta", "alpha"])
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 130, out + err
    ended_at = project.capture("beta")["ended_at"]
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.driven() == ["alpha", "beta", "alpha", "alpha"]
    assert project.capture("beta")["ended_at"] == ended_at
    assert project.capture("alpha")["spoiled_attempts"] == 1
    assert len(project.runs()) == 1
    assert project.manifest()["state"] == "closed"


def test_a_kill_before_it_is_made_again_loses_no_retry(project: Project) -> None:
    first = project.start(STAND_IN_LOADTEST=f"{BRIEF},alpha:invalid=1,beta:lasts=20")
    assert eventually(lambda: project.driven() == ["alpha", "beta"])
    first.kill()
    first.communicate(timeout=60)
    assert eventually(lambda: not project.orphans(), 15.0)
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.driven() == ["alpha", "beta", "beta", "alpha"]
    assert "measured already" in done.stdout
    assert project.capture("alpha")["outcome"]["verdict"] == "passed"


@pytest.fixture
def loops() -> Iterator[None]:
    """Keep every core of the machine busy."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    yield
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("loops")
def test_a_server_too_slow_beside_others_is_measured_again_and_never_called_slow(project: Project) -> None:
    project.set(invalid_retries=1, max_others_pct=10.0)
    done = project.doit("run:alpha", STAND_IN_LOADTEST="alpha:slow_operations,alpha:lasts=1")
    assert (done.returncode, project.driven()) == (1, ["alpha", "alpha"])
    outcome = project.capture("alpha")["outcome"]
    assert (outcome["verdict"], outcome["code"]) == ("invalid", "machine-crowded")
    assert "while others held the cores" in outcome["reason"]
    assert "python" in outcome["reason"].partition("; meanwhile busy: ")[2]


def measured(project: Project) -> list[str]:
    """Return what was begun, in order; with repeats a name says in which round."""
    events = read_events(project.run() / EVENTS)
    return [event.measurement for event in events if isinstance(event, MeasurementBegan)]


def test_with_repeats_a_round_is_whole_before_the_next_one_begins(project: Project) -> None:
    done = project.doit("run:beta", "run:alpha", "repeat=2", "order_seed=2", STAND_IN_LOADTEST="beta:invalid=2")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (sorted(measured(project)[place : place + 2]) for place in (0, 4))
    assert first == ["alpha_run1", "beta_run1"]
    assert measured(project)[2:4] == ["beta_run1", "beta_run1"]
    assert second == ["alpha_run2", "beta_run2"]
    assert len(measured(project)) == 6
    assert done.stdout.count("; it is made again once the others of its round are made") == 2
    assert re.findall(r"^(\[./.\]) beta_run1: Scenario beta, again", done.stdout, re.MULTILINE) == ["[1/1]", "[1/1]"]
    assert project.capture("beta_run1")["spoiled_attempts"] == 2
    assert project.manifest()["state"] == "closed"


@pytest.mark.slow
def test_a_retry_that_is_interrupted_in_the_first_round_is_made_before_the_second(project: Project) -> None:
    project.set(repeat=2)
    first = project.start(STAND_IN_LOADTEST=f"{BRIEF},alpha:invalid=1,alpha:lasts=1.5")
    assert eventually(lambda: len(project.driven()) == 3)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 130, out + err
    begun = measured(project)
    assert begun[2] == "alpha_run1"
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert measured(project)[3] == "alpha_run1"
    assert sorted(measured(project)[4:]) == ["alpha_run2", "beta_run2"]
    assert project.capture("alpha_run1")["spoiled_attempts"] == 1
    assert project.manifest()["state"] == "closed"


@pytest.mark.slow
def test_another_scenario_alone_does_not_close_a_run_in_which_a_retry_is_due(project: Project) -> None:
    first = project.start(STAND_IN_LOADTEST="alpha:invalid=1,beta:lasts=20")
    assert eventually(lambda: project.driven() == ["alpha", "beta"])
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    beta = project.doit("run:beta")
    assert beta.returncode == 0, beta.stdout + beta.stderr
    assert project.manifest()["state"] == "open"
    assert "a spoiled measurement is due to be made again" in beta.stdout
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.driven() == ["alpha", "beta", "beta", "alpha"]
    assert "alpha: measured already" in done.stdout
    assert "it was invalid, and is made again at the end of its round" in done.stdout
    assert (project.manifest()["state"], len(project.runs())) == ("closed", 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_for_a_capacity_that_lost_a_host_has_no_answer_and_is_made_again(project: Project) -> None:
    project.set(capacity_step_s=2, capacity_repeats=1, capacity_precision_pct=50.0, connections=32)
    search = project.start("capacity:beta", "hosts=local:2", STAND_IN_ENGRAM="slow_answers=0.2")
    lose_a_host(search.pid)
    said, _ = search.communicate(timeout=200)
    capture = project.capture("beta_capacity")
    assert capture["attempt"] >= 2, said
    (first,) = project.run().glob("*_beta_capacity_capture.json.attempt1.invalid")
    spoiled = json.loads(first.read_text())
    assert spoiled["outcome"]["code"] == "measurement-invalid"
    assert spoiled["outcome"]["reason"].startswith("host local-")
    assert spoiled["capacity"] is None
    (report,) = project.run().glob("*_beta_capacity.json.attempt1.invalid")
    assert json.loads(report.read_text())["fault"] in spoiled["outcome"]["reason"]
    assert capture["capacity"]["curve"]
    assert project.orphans() == []
