"""The coordinator of an invocation: what it foresees, what it makes again, and what it asks of files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from compbench.cli import exit_codes, preparation
from compbench.cli.project import Project
from compbench.cli.run_in_progress import RunInProgress
from compbench.cli.selection import Selection
from compbench.cli.suite import Suite
from compbench.machine import interrupts
from compbench.model.errors import UserError
from compbench.model.events import Event, MeasurementBegan, RunOpened
from compbench.model.measurement import measurement_named
from compbench.model.notices import Outcome, Verdict
from compbench.model.records import Capture, Manifest
from compbench.store import runs
from compbench.store.record_files import write_record
from compbench.systems.registry import load_settings
from tests.load import scenario, toml

NAMES = ["alpha", "beta", "gamma"]
# Each takes ten seconds and a cooldown of one; phases of the captures here take no time.
ONE_S = 11.0


class BeginningError(Exception):
    """Stands for the measurement that would begin now."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "scenarios" / "competitive"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / f"{name}.toml").write_text(toml(scenario()))
    words = {"system": "embedded", "duration_s": "10", "cooldown_s": "1", "invalid_retries": "1", "scale": "1"}
    return Project(tmp_path, load_settings(tmp_path, {}, words), NAMES)


def at_work(project: Project, made: dict[str, Verdict], selected: Sequence[str] = NAMES) -> tuple[Suite, list[Event]]:
    """Return a suite that went on with a run of these captures, and ends where a measurement begins; and its events."""
    record = Manifest(run="", state="open", opened_at=1.0, boot_id="b", selection=NAMES, fingerprint={}, spent_s=[0.0])
    run = runs.create_run(project.output_dir, "2026-01-01_00-00-00", record)
    for name, ended in made.items():
        capture = Capture(
            run=run.name, scenario=name, title=name, system="embedded", driver="builtin", profile="quick", seed=1,
            duration_s=10, sample_interval_s=1, started_at=1.0, ended_at=2.0, outcome=Outcome(verdict=ended),
        )  # fmt: skip
        write_record(run.path(name, "capture"), capture)
    told: list[Event] = []

    def show(event: Event) -> None:
        told.append(event)
        if not isinstance(event, RunOpened):
            raise BeginningError

    suite = Suite(project, show)
    suite.select(Selection(measurements=tuple(selected)), {})
    suite.in_progress = RunInProgress(run, project, suite.effects, 0.0, show, suite.remarks.append)
    return suite, told


def began(told: list[Event]) -> tuple[str, str, int, int, float | None]:
    event = told[-1]
    assert isinstance(event, MeasurementBegan)
    return event.measurement, event.title, event.place, event.of, event.left_s


def test_what_is_foreseen_is_what_is_still_to_be_made_with_what_has_to_be_made_again(project: Project) -> None:
    suite, told = at_work(project, {"beta": "passed", "gamma": "invalid"})
    with pytest.raises(BeginningError):
        suite.measure(measurement_named("alpha"))
    assert began(told) == ("alpha", "Made", 1, 3, 2 * ONE_S)


def test_the_end_of_a_round_makes_again_what_was_selected_and_spoiled(project: Project) -> None:
    made: dict[str, Verdict] = {"alpha": "invalid", "beta": "invalid", "gamma": "failed"}
    suite, told = at_work(project, made, ["beta", "gamma"])
    suite.end_round(2)
    assert not [event for event in told if isinstance(event, MeasurementBegan)], "all are of the first round"
    with pytest.raises(BeginningError):
        suite.end_round(1)
    assert began(told) == ("beta", "Made, again", 1, 1, ONE_S)


def test_nothing_is_kept_of_a_scenario_that_cannot_be_read(project: Project) -> None:
    assert preparation.has_data_set(project, "alpha"), "a small one is loaded anew each time"
    assert not preparation.has_ground_truth(project, "alpha")
    project.scenario_path("beta").write_text("x = [")
    broken = Project(project.root, project.settings, NAMES)
    assert not preparation.has_data_set(broken, "alpha")
    assert not preparation.has_ground_truth(broken, "alpha")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (UserError("no room"), "no room"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (shutil.Error([("a", "b", "Permission denied"), ("c", "d", "Permission denied")]), "Permission denied"),
    ],
)
def test_what_cannot_be_kept_is_a_remark_before_a_measurement_and_else_a_failure(
    project: Project, error: Exception, why: str
) -> None:
    def make(*_: object) -> None:
        raise error

    suite = Suite(project, lambda _: None)
    with pytest.raises(type(error)):
        suite.prepare(make, "alpha", "data set")
    suite.select(Selection(measurements=("alpha",)), {})
    suite.prepare(make, "alpha", "data set")
    assert suite.remarks == [f"alpha: no data set: {why}"]


def test_an_exception_ends_an_invocation_with_the_code_that_says_what_it_was() -> None:
    ends = [
        exit_codes.exit_code_of(error) for error in (KeyboardInterrupt(), SystemExit(7), UserError("x"), KeyError())
    ]
    assert ends == [interrupts.INTERRUPTED_EXIT_CODE, 7, 1, 1]


@pytest.mark.parametrize(
    ("given", "code"), [([], 2), ([0], 0), ([2], 2), ([1], 1), ([1, 2], 1), ([2, 0], 2), ([0, 1], 1)]
)
def test_a_study_ends_with_1_only_if_a_build_is_slower_and_always_then(given: list[int], code: int) -> None:
    study = Selection(measurements=("alpha@base_run1", "alpha@head_run1"), is_study=True)
    assert exit_codes.exit_code(study, [], [], given, gate_failed=False) == code


def test_a_task_that_fails_in_a_study_does_not_say_that_a_build_is_slower(project: Project) -> None:
    suite = Suite(project, lambda _: None)
    suite.select(Selection(measurements=("alpha@base_run1",), is_study=True), {})
    suite.judge(exit_codes.code_of_failure(suite.selection))
    assert suite.exit_code == 2
