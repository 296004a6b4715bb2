"""Data sets and neighbours made once by doit tasks, kept, handed over, and removed by `doit clean`."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from compbench.config.scenarios import load_scenario
from compbench.loadtest.workload import VECTORS_FORMAT, set_identity
from compbench.measuring import data_sets
from compbench.model.errors import UserError
from compbench.model.result import Prepared
from compbench.store import kept_data
from compbench.systems.registry import load_settings
from tests.load import SEARCHES, graph_scenario, scenario, toml
from tests.project import ROOT, Project, eventually

SYSTEMS = ROOT / "tests" / "stand_ins" / "systems"
KEPT = 600


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path / "project", names=("search", "walk"))
    made.set(system="embedded", driver="builtin", scale=1.0, warm_up_s=0.5, data_set_kept_from=KEPT)
    folder = made.root / "scenarios" / "competitive"
    (folder / "search.toml").write_text(toml(scenario(SEARCHES, nodes=KEPT)))
    walk = graph_scenario(KEPT)
    (folder / "walk.toml").write_text(toml(walk).replace('"Made"', '"Walk"'))
    return made


def saved_rows(data_sets: Path, name: str) -> int:
    """Return how many rows the state in a folder of this name has; 0 if there is none, or it is being replaced."""
    with contextlib.suppress(OSError):
        for facts in data_sets.glob(f"{name}/snapshot-*/default/facts.json"):
            rows = json.loads(facts.read_text())["rows"]
            return int(rows["count"]) if rows else 0
    return 0


def test_what_is_made_once_is_kept_and_used_and_cleaned(project: Project) -> None:
    project.set(invalid_retries=9)
    first = project.doit("new=1")
    assert first.returncode == 0, first.stdout + first.stderr
    cache = project.root / "tmp" / "cache"
    folder, record = sorted((cache / "data_sets").iterdir())
    assert record.name == f"{folder.name}.json", "both have the same rows; edges are loaded besides"
    cost = json.loads(record.read_text())
    assert cost["load_s"] > 0
    assert cost["disk_bytes"] > KEPT * 768
    assert len(list((cache / "ground_truth").iterdir())) == 1, "both have the same data and queries"
    for name, key in (("search", "mean"), ("walk", "exact_traversals")):
        capture = project.capture(name)
        assert capture["data_set"]["stored"] == KEPT
        assert capture["server"]["memories_before"] == KEPT, "the server did not start on the kept data set"
        told = {key: capture["data_set"][key] for key in ("is_kept", "load_s", "index_s", "disk_bytes")}
        assert told == {"is_kept": True, **{key: cost[key] for key in ("load_s", "index_s", "disk_bytes")}}
        assert capture["data_set"]["memory_bytes"] > KEPT * 768
        assert capture["result"]["details"]["recall"][key] > 0.95
    assert "right traversals 100.00 %" in project.file("summary.txt").read_text()
    made_at = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    again = project.doit("new=1")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "to be kept" not in again.stdout
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == made_at
    assert re.search(r"removing tmp/cache/data_sets/\w+ \(cache\)", project.doit("clean").stdout)
    assert not cache.exists()
    assert project.orphans() == []


def test_as_much_is_loaded_as_fits_into_the_time_and_the_next_run_loads_the_same(project: Project) -> None:
    meant = 5000
    for name, made in (("search", scenario(SEARCHES, nodes=meant)), ("walk", graph_scenario(meant))):
        text = toml(made) if name == "search" else toml(made).replace('"Made"', '"Walk"')
        (project.root / "scenarios" / "competitive" / f"{name}.toml").write_text(text)
    project.set(scale="auto", loading_s=1.5, system="contrary", systems_dir=str(SYSTEMS), invalid_retries=9)
    slow = {"STAND_IN_EMBEDDED": "row_ms=2"}
    first = project.doit("new=1", **slow)
    assert first.returncode == 0, first.stdout + first.stderr
    (record,) = (project.root / "tmp" / "cache" / "data_set_sizes").iterdir()
    found = json.loads(record.read_text())
    assert (found["bound"], found["loading_limit_s"]) == ("time", 1.5)
    size = found["memories"]
    assert size in (100, 200, 500, 1000), "2 ms a row"
    share = f"{size:,} of {meant:,} memories: what"
    assert first.stdout.count("as many of 5,000 memories as fit into 2 s") == 1, "both scenarios have the same set"
    assert first.stdout.count(f"data: {share}") >= 2
    assert f"Data: {size:,} memories, of {meant:,} in search and walk: what" in project.file("summary.txt").read_text()
    for name in ("search", "walk"):
        data_set = project.capture(name)["data_set"]
        assert (data_set["wanted"], data_set["stored"]) == (size, size)
        assert project.capture(name)["server"]["memories_before"] == size, "kept, and not loaded again"
    again = project.doit("new=1", "run:search")
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"data: {share}" in again.stdout, "a faster build is measured on as much"
    project.doit("clean")
    assert record.is_file(), "what decides which runs can be compared is no cache"


def test_a_load_that_fails_on_the_way_is_no_size(project: Project) -> None:
    (project.root / "scenarios" / "competitive" / "search.toml").write_text(toml(scenario(SEARCHES, nodes=5000)))
    project.set(scale="auto", loading_s=60.0, system="contrary", systems_dir=str(SYSTEMS))
    failed = project.doit("data_set:search", STAND_IN_EMBEDDED="refuse_rows_from=300")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "told to refuse row" in failed.stderr
    assert not (project.root / "tmp" / "cache" / "data_set_sizes").exists()
    measured = project.doit("run:search", "new=1", STAND_IN_EMBEDDED="refuse_rows_from=300")
    assert measured.returncode == 1
    assert project.capture("search")["outcome"]["code"] == "data-set-size-unknown"
    assert "told to refuse row" in measured.stdout


def test_making_that_is_killed_goes_on_from_the_last_state(project: Project) -> None:
    count = 20_000
    scenario_file = project.root / "scenarios" / "competitive" / "search.toml"
    scenario_file.write_text(toml(scenario(SEARCHES, nodes=count)))
    project.set(data_set_save_every_s=0.3, system="contrary", systems_dir=str(SYSTEMS))
    making = project.start("data_set:search")
    data_sets = project.root / "tmp" / "cache" / "data_sets"
    assert eventually(lambda: saved_rows(data_sets, "*.begun"), 60.0), (
        "the first states that are saved may have no rows"
    )
    os.killpg(making.pid, signal.SIGKILL)
    making.communicate(timeout=60)
    assert eventually(lambda: not project.orphans(), 20.0)
    (begun,) = data_sets.iterdir()
    assert begun.name.endswith(".begun")
    begun_rows = saved_rows(data_sets, "*.begun")
    assert 0 < begun_rows < count

    # The next server must start on what was begun: rows that it would have to be sent are refused.
    refused = project.doit("data_set:search", STAND_IN_EMBEDDED=f"refuse_rows_below={count}")
    assert refused.returncode == 1
    assert "told to refuse row" in refused.stderr
    done = project.doit("data_set:search", STAND_IN_EMBEDDED=f"refuse_rows_below={begun_rows}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.doit("data_set:search").returncode == 0, "it is there"
    assert "going on from what was begun" in done.stdout
    kept, record = sorted(data_sets.iterdir())
    assert saved_rows(data_sets, kept.name) == count
    assert json.loads(record.read_text())["load_s"] is None, "no server has loaded all of it"


def test_a_server_that_ignores_what_is_asked_fails(project: Project) -> None:
    project.set(system="contrary", systems_dir=str(SYSTEMS), invalid_retries=9)
    assert project.doit("run:search", "new=1", STAND_IN_EMBEDDED="ignore_vectors").returncode == 1
    outcome = project.capture("search")["outcome"]
    assert (outcome["verdict"], outcome["code"]) == ("failed", "ignores-query")


def test_links_are_made_and_the_kept_files_are_not_written(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "snapshot-1" / "default"
    kept.mkdir(parents=True)
    (kept / "facts.json").write_text("{}")
    data = tmp_path / "data"
    data.mkdir()
    assert data_sets.hand_over(tmp_path / "kept", data)
    handed = data / "snapshot-1" / "default" / "facts.json"
    assert handed.samefile(kept / "facts.json")
    assert not data_sets.hand_over(tmp_path / "nothing", data)
    assert not data_sets.hand_over(None, data)


def test_a_server_that_rewrites_its_files_gets_copies_with_their_modes(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "base").mkdir(parents=True)
    (kept / "base" / "1").write_text("as it was kept")
    (kept / "base" / "1").chmod(0o600)
    kept.chmod(0o700)
    assert data_sets.hand_over(kept, tmp_path / "data", rewrites=True)
    handed = tmp_path / "data" / "base" / "1"
    assert not handed.samefile(kept / "base" / "1")
    assert handed.stat().st_mode == (kept / "base" / "1").stat().st_mode
    assert (tmp_path / "data").stat().st_mode == kept.stat().st_mode, "else some servers refuse it"
    handed.write_text("changed in place")
    assert (kept / "base" / "1").read_text() == "as it was kept"


def test_a_kept_data_set_that_does_not_fit_is_told_by_the_first_file_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        del source
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)

    (tmp_path / "kept").mkdir()
    for name in ("one", "two"):
        (tmp_path / "kept" / name).touch()
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: '\S+'$"):
        data_sets.hand_over(tmp_path / "kept", tmp_path / "data")


def test_a_folder_is_named_by_all_that_it_depends_on(tmp_path: Path) -> None:
    path = tmp_path / "made.toml"
    names = set()
    for seed in (1, 2):
        for nodes in (60_000, 70_000):
            path.write_text(toml(scenario(nodes=nodes)).replace("seed = 7", f"seed = {seed}"))
            settings = load_settings(tmp_path, {}, {"scale": "1", "system": "embedded"})
            folder = kept_data.data_set_folder(settings, load_scenario(path))
            assert folder is not None
            names.add(folder.name)
    assert len(names) == 4
    small = load_settings(tmp_path, {}, {"scale": "0.1", "system": "embedded"})
    assert kept_data.data_set_folder(small, load_scenario(path)) is None
    engram = load_settings(tmp_path, {}, {"scale": "1", "system": "engram"})
    assert kept_data.data_set_folder(engram, load_scenario(path)) is None


def test_a_data_set_of_other_vectors_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made.toml"
    path.write_text(toml(scenario(nodes=60_000)))
    settings = load_settings(tmp_path, {}, {"scale": "1", "system": "embedded"})
    before = kept_data.data_set_folder(settings, load_scenario(path))
    assert before == kept_data.data_set_folder(settings, load_scenario(path))
    monkeypatch.setattr(set_identity, "VECTORS_FORMAT", VECTORS_FORMAT + 1)
    assert kept_data.data_set_folder(settings, load_scenario(path)) not in (before, None)


def test_a_server_that_finds_nothing_fails_with_compbenchs_own_driver_and_is_named(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    project.set(driver="builtin", invalid_retries=9)
    assert project.doit("new=1").returncode == 1
    outcome = project.capture("alpha")["outcome"]
    assert (outcome["verdict"], outcome["code"]) == ("failed", "empty-store"), outcome
    assert "found a memory of the data set" in outcome["reason"]


def test_a_driver_that_does_not_end_long_after_its_time_is_ended_and_that_is_said(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(load_settings(tmp_path, {}, {}), data_set_timeout_s=0.2, driver_grace_s=0.1)
    making = data_sets.Making(settings, ROOT, lambda _: None, "search")
    argv = [sys.executable, "-c", "import time; time.sleep(60)"]
    began = time.monotonic()
    with pytest.raises(UserError, match=r"still at work after \d+ s and was ended: .*data_set_timeout_s"):
        data_sets.run_driver(making, argv, tmp_path / "progress", tmp_path / "log", 0.2, lambda: None)
    assert time.monotonic() - began < 30


def test_a_data_set_whose_server_was_killed_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    said = Prepared(wanted=9, sent=9, found=0, stored=9, edges=None, method="bulk", elapsed_s=1, complete=True)
    killed = cast("Any", SimpleNamespace(stopped_by="SIGKILL", grace_s=7.0))
    with pytest.raises(UserError, match=r"killed, since it had not ended after 7 s.*stop_grace_s"):
        data_sets._keep_with_facts(tmp_path / "data", tmp_path / "kept", data_sets._Loaded(said, killed))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("rewrites", [True, False])
def test_of_a_running_server_that_rewrites_its_files_nothing_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rewrites: bool
) -> None:
    (tmp_path / "data").mkdir()
    half = SimpleNamespace(rewrites_data=rewrites, save=lambda _timeout_s: "")
    monkeypatch.setattr("compbench.systems.registry.server_of", lambda _settings: half)
    settings = load_settings(tmp_path, {}, {"system": "embedded", "data_set_save_every_s": "0"})
    making = data_sets.Making(settings, tmp_path, lambda _event: None, "search")
    loader = cast("Any", SimpleNamespace(exit=None))
    data_sets._Saving(making, loader, tmp_path / "data", tmp_path / "made.begun").poll()
    assert (tmp_path / "made.begun").exists() is not rewrites
