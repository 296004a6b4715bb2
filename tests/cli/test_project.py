"""Where files will be, as far as loading can say, and the command that goes on with a run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compbench.cli.project import Project
from compbench.model.errors import UserError
from compbench.model.measurement import RunKind
from compbench.model.records import Manifest
from compbench.model.times import timestamp
from compbench.store import provenance, runs
from compbench.systems.registry import load_settings

NOW = 1_762_612_200.0


def project(root: Path, *words: str, called: str = "doit", **settings: str) -> Project:
    loaded = load_settings(root, {}, {"system": "embedded", **settings}, [*called.split(), *words])
    return Project(root, loaded, ["a", "b"], NOW)


def open_run(asked: Project, at: float, *selection: str) -> runs.Run:
    fingerprint = {**provenance.setting_inputs(asked.settings), "scenario:a": "1", "scenario:b": "2"}
    name = timestamp(at)
    record = Manifest(run=name, state="open", opened_at=at, selection=list(selection), fingerprint=fingerprint)
    return runs.create_run(asked.output_dir, name, record)


def test_a_measurement_is_foreseen_in_the_newest_open_run_that_has_it_under_the_same_settings(tmp_path: Path) -> None:
    asked = project(tmp_path)
    suite, alone = open_run(asked, NOW - 100, "a", "b"), open_run(asked, NOW - 50, "b")
    assert (asked.folder_of("a"), asked.folder_of("b")) == (suite.folder, alone.folder)
    new = asked.output_dir / timestamp(NOW)
    assert project(tmp_path, connections="63").folder_of("a") == new
    assert project(tmp_path, new="1").folder_of("a") == new
    assert project(tmp_path, resume=suite.name).folder_of("b") == suite.folder


def test_names_of_possible_runs_differ_and_nothing_is_made(tmp_path: Path) -> None:
    asked = project(tmp_path)
    assert len({asked.new_names[0], asked.search_name("a"), asked.search_name("b")}) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (["a", "b"], ["doit", "profile=quick"]),
        (["b"], ["doit", "run:b", "profile=quick"]),
        (["a_capacity"], ["doit", "capacity:a", "profile=quick"]),
    ],
)
def test_the_command_that_goes_on_names_just_its_own_run_and_settings(
    tmp_path: Path, selection: list[str], words: list[str]
) -> None:
    asked = project(tmp_path, "run:a", "capacity:b", "-v2", "profile=quick", "new=1", "resume=x")
    assert asked.words_for(selection) == words
    inner = project(tmp_path, "profile=quick", called=".venv/bin/python -m doit")
    assert inner.words_for(["a"]) == [".venv/bin/python", "-m", "doit", "run:a", "profile=quick"]


def test_one_repeat_of_a_scenario_is_gone_on_with_by_its_own_name(tmp_path: Path) -> None:
    asked = project(tmp_path, repeat="2")
    assert asked.words_for(["a_run1", "a_run2", "b_run2"])[1:] == ["run:a", "pages:b_run2"]


def test_a_study_is_gone_on_with_by_its_own_words_and_never_in_a_suite(tmp_path: Path) -> None:
    words = ("duet:b", "base=x", "head=y", "repeat=6", "new=1")
    loaded = load_settings(tmp_path, {}, {"base": "x", "head": "y", "repeat": "6"}, ["doit", *words], run_kind="duet")
    asked = Project(tmp_path, loaded, ["a", "b"], NOW)
    names = [name for name in asked.names if name.startswith("b@")]
    assert asked.words_for(names) == ["doit", "duet:b", "base=x", "head=y", "repeat=6"]
    fingerprint = provenance.setting_inputs(loaded)
    made: list[tuple[float, RunKind]] = [(NOW - 100, "duet"), (NOW - 50, "suite")]
    for at, kind in made:
        record = Manifest(
            run=timestamp(at), kind=kind, state="open", opened_at=at, selection=names, fingerprint=fingerprint
        )
        runs.create_run(asked.output_dir, record.run, record)
    assert asked.folder_of(names[0]).name == timestamp(NOW - 100)
    assert [run.manifest.kind for run in project(tmp_path).open_runs] == ["suite"]


def test_a_study_that_a_suite_would_resume_is_told_with_its_own_command(tmp_path: Path) -> None:
    words = ["doit", "noise:b", "repeat=7"]
    name = timestamp(NOW - 100)
    record = Manifest(run=name, kind="noise", state="closed", opened_at=1.0, selection=["b@off_run1"], fingerprint={})
    record = msgspec.structs.replace(record, settings={"invocation": words})
    asked = project(tmp_path, resume=name)
    runs.create_run(asked.output_dir, name, record)
    with pytest.raises(UserError, match=f"which goes on by its own command: `doit noise:b repeat=7 resume={name}`"):
        asked.resumed_selection()
    loaded = load_settings(tmp_path, {}, {"system": "embedded", "resume": name}, words, run_kind="noise")
    assert Project(tmp_path, loaded, ["a", "b"], NOW).resumed_selection() == ["b@off_run1"]
