"""The effort of equal recall: found once by a doit task, kept, measured with, and told if it could not be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compbench.config.scenarios import load_scenario
from compbench.config.settings import Settings
from compbench.machine import isolation
from compbench.machine.isolation import Isolation
from compbench.measuring.equal_recall import _chosen_before
from compbench.model.efforts import LADDER
from compbench.model.partition import Partition
from compbench.model.result import Frontier
from compbench.model.scenario import Operations
from compbench.store import frontiers
from compbench.systems.registry import load_settings
from tests.flat import write_scenario
from tests.helpers import STAND_INS
from tests.load import graph_scenario, toml
from tests.project import Project
from tests.synthetic import Recipe, RunRecipe, make_capture

VALIDATION = "expected_p99_latency_ms = 60000.0\nexpected_recall = 0.97\nmax_error_rate = 0.1"
SYSTEMS = {"system": "flat", "systems_dir": str(STAND_INS / "systems"), "driver": "builtin", "scale": "1"}
KNOB = {"system.flat.knob": "true"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project", names=("alpha",))
    write_scenario(made.root / "scenarios" / "competitive" / "alpha.toml", 500, VALIDATION)
    made.set(**{**SYSTEMS, "scale": 1.0}, connections=8, frontier_step_s=1, invalid_retries=0)
    made.set(**{"system.flat.knob": True})
    return made


def record_of(project: Project) -> Path:
    (path,) = (project.root / "tmp" / "cache" / "frontiers").iterdir()
    return path


def own_of(argv: list[str]) -> dict[str, Any]:
    return dict(json.loads(argv[argv.index("--system-settings") + 1]))


def test_the_effort_is_found_once_kept_and_measured_with(project: Project) -> None:
    before = project.doit("frontier")
    assert "doit frontier:alpha  to be made" in before.stdout
    found = project.doit("frontier:alpha")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "finding once the least effort that reaches recall 0.97" in found.stdout
    record = record_of(project)
    chosen = json.loads(record.read_text())["chosen"]
    assert chosen in LADDER
    made_at = record.stat().st_mtime_ns
    project.doit("run:alpha")
    capture = project.capture("alpha")
    assert record_of(project).stat().st_mtime_ns == made_at, "it is made once"
    assert capture["frontier"] == json.loads(record.read_text())
    assert capture["frontier"]["knob"] == "share of vectors"
    assert own_of(capture["driver_process"]["argv"])["effort"] == chosen
    assert capture["result"]["details"]["effort"] == chosen
    assert "system.effort" not in project.manifest()["fingerprint"] or (
        project.manifest()["fingerprint"]["system.effort"] == "None"
    )
    assert not [one for one in capture["notices"] if one["code"] in ("effort-not-found", "recall-out-of-reach")]
    assert capture["system_facts"]["title"] == "the flat server"
    assert capture["system_facts"]["mode"] == "managed"
    assert capture["data_set"]["load_s"] > 0
    assert capture["data_set"]["memory_bytes"] > 1_000_000
    assert capture["data_set"]["index_proof"]["is_used"] is False
    assert capture["data_set"]["is_kept"] is False
    assert "doit frontier:alpha  kept" in project.doit("frontier").stdout
    project.doit("clean")
    assert record.is_file(), "what decides which figures can be compared is no cache"
    assert project.orphans() == []


def test_an_effort_that_can_not_be_found_costs_a_remark_and_is_never_silent(project: Project) -> None:
    project.set(frontier_limit_s=0.1)
    done = project.doit("run:alpha")
    said = done.stdout + done.stderr
    assert "alpha: no effort: the driver was still at work" in said
    assert "give it more time (frontier_limit_s)" in said
    capture = project.capture("alpha")
    assert [one["code"] for one in capture["notices"]].count("effort-not-found") == 1
    assert capture["frontier"] is None
    assert own_of(capture["driver_process"]["argv"])["effort"] is None


def test_an_effort_that_is_set_is_used_and_none_is_looked_for(project: Project) -> None:
    project.set(**{"system.flat.effort": 20})
    assert "doit frontier:alpha  not needed" in project.doit("frontier").stdout
    project.doit("run:alpha")
    capture = project.capture("alpha")
    assert capture["frontier"] is None
    assert capture["result"]["details"]["effort"] == 20
    assert not (project.root / "tmp" / "cache" / "frontiers").exists()


def settings_of(folder: Path, **words: str) -> Settings:
    return load_settings(folder, {}, {**SYSTEMS, **KNOB, **words})


def test_a_record_is_named_by_all_that_it_depends_on_but_the_effort(tmp_path: Path) -> None:
    path = tmp_path / "alpha.toml"
    names = set()
    for rate in (100, 200):
        for recall in ("0.9", "0.95"):
            write_scenario(path, rate, VALIDATION.replace("0.97", recall))
            for words in ({}, {"connections": "3"}, {"frontier_step_s": "9"}, {"system.flat.rows_at_once": "7"}):
                name = frontiers.frontier_file(settings_of(tmp_path, **words), load_scenario(path))
                assert name is not None
                names.add(name.name)
    assert len(names) == 2 * 2 * 4


def test_a_record_made_under_another_isolation_or_limit_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alpha.toml"
    write_scenario(path, 100)
    kept_apart = Isolation("affinity", Partition((1,), (0,)), None, is_real_time=False)
    unlimited = kept_apart._replace(partition=None)
    places = set()
    for reached in (kept_apart, unlimited):
        monkeypatch.setattr(isolation, "reached_by", lambda _settings, reached=reached: reached)
        for words in ({}, {"memory_limit_gb": "2"}):
            places.add(frontiers.frontier_file(settings_of(tmp_path, **words), load_scenario(path)))
    assert len(places) == 4


def test_a_record_made_from_other_hosts_is_another_and_without_hosts_its_name_is_that_of_before(tmp_path: Path) -> None:
    path = tmp_path / "alpha.toml"
    write_scenario(path, 100)
    searches = load_scenario(path)
    asked: tuple[dict[str, str], ...] = (
        {},
        {"hosts": "local:2"},
        {"hosts": "ssh:a,b"},
        {"scheduler": "tcp://10.0.0.1:8786"},
    )
    assert len({frontiers.frontier_file(settings_of(tmp_path, **words), searches) for words in asked}) == 4
    assert "hosts" not in frontiers._how(settings_of(tmp_path))


def test_none_is_needed_where_there_is_nothing_to_choose(tmp_path: Path) -> None:
    path = tmp_path / "alpha.toml"
    write_scenario(path, 100)
    searches = load_scenario(path)
    assert frontiers.frontier_file(settings_of(tmp_path), searches) is not None
    assert frontiers.frontier_file(settings_of(tmp_path, **{"system.flat.effort": "50"}), searches) is None
    assert frontiers.frontier_file(settings_of(tmp_path, **{"system.flat.knob": "false"}), searches) is None
    assert frontiers.frontier_file(settings_of(tmp_path, driver="loadtest"), searches) is None
    write_scenario(path, 100, operations=Operations(1, 0, 0))
    assert frontiers.frontier_file(settings_of(tmp_path), load_scenario(path)) is None
    path.write_text(toml(graph_scenario()))
    walks = frontiers.frontier_file(settings_of(tmp_path), load_scenario(path))
    assert walks is not None, "a system that can't follow edges searches in their place"


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    path = tmp_path / "alpha.toml"
    write_scenario(path, 100)
    settings, searches = settings_of(tmp_path), load_scenario(path)
    place = frontiers.frontier_file(settings, searches)
    assert place is not None
    found = Frontier(knob="x", goal=0.9, chosen=16, step_s=1, seed=1, points=[])
    frontiers.write_frontier(place, found)
    assert frontiers.read_frontier(settings, searches) == found
    place.write_text(place.read_text()[:-20])
    assert frontiers.read_frontier(settings, searches) is None


def test_a_system_keeps_the_effort_of_its_first_round() -> None:
    recipes = [Recipe("alpha", system="flat", effort=64), Recipe("alpha", system="toy"), Recipe("beta", system="flat")]
    captures = [make_capture("2026-01-01_00-00-00", recipe, RunRecipe())[0] for recipe in recipes]
    chosen = [_chosen_before(captures, system, "alpha") for system in ("flat", "toy", "another")]
    assert [choice and choice.effort for choice in chosen] == [64, None, None]
    assert chosen[1] is not None, "its own default was measured, and stays"
    assert chosen[2] is None, "nothing of it was"
