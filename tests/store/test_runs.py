"""Run folders: whole writes, the lock, and which run is gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from compbench.files.whole import write_whole
from compbench.machine.effects import Effects
from compbench.model import file_names
from compbench.model.errors import SuiteBusyError, UserError
from compbench.model.measurement import RunKind
from compbench.model.notices import Outcome
from compbench.model.records import Capture, Manifest
from compbench.model.times import timestamp
from compbench.store import attempts, leftovers, lock, resume_rules, runs
from compbench.store.record_files import write_record
from compbench.store.resume import RunChoice
from compbench.systems.registry import load_settings

NOW = 1_762_612_200.0
PRINT = {"system": "embedded", "scenario:a": "1" * 64}


def manifest(**changes: object) -> Manifest:
    made = Manifest(run="", state="open", opened_at=NOW, boot_id="b", selection=["a", "b"], fingerprint=dict(PRINT))
    return msgspec.structs.replace(made, **changes)


def create(output_dir: Path, record: Manifest, now_s: float) -> runs.Run:
    """Make a run as an invocation does that begins at that time."""
    run = runs.create_run(output_dir, runs.new_names(now_s, output_dir)[0], record)
    return runs.change_manifest(run, state=record.state)


def capture(run: runs.Run, scenario: str, verdict: str = "passed") -> None:
    record = Capture(
        run=run.name,
        scenario=scenario,
        title=scenario,
        system="embedded",
        driver="builtin",
        profile="quick",
        seed=1,
        duration_s=1,
        sample_interval_s=1,
        started_at=NOW,
        ended_at=NOW + 1,
        outcome=Outcome(verdict=verdict),  # type: ignore[arg-type]
    )
    write_record(run.path(scenario, "capture"), record)


def test_a_run_is_named_by_its_timestamp_and_never_shares_it(tmp_path: Path) -> None:
    first, second = (create(tmp_path, manifest(), NOW) for _ in range(2))
    assert file_names.TIMESTAMP.fullmatch(first.name)
    assert first.name == timestamp(NOW)
    assert second.name == timestamp(NOW + 1)
    assert [run.name for run in runs.list_runs(tmp_path)] == [first.name, second.name]


def test_files_are_named_as_specified(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(), NOW)
    stem = f"{run.name}_qdrant"
    kinds = ("stdout", "stderr", "diagnostics", "system", "flamegraph")
    endings = (".txt", "_stderr.txt", "_diag.txt", "_sys.txt", "_flamegraph.svg")
    assert [run.path("qdrant", kind).name for kind in kinds] == [stem + ending for ending in endings]


def test_a_scenario_is_pending_until_its_capture_is_there(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(), NOW)
    assert run.pending() == ["a", "b"]
    capture(run, "a")
    assert run.pending() == ["b"]
    assert [c.scenario for c in run.captures()] == ["a"]


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    write_whole(path, "old")
    with pytest.raises(OSError, match="File name too long"):
        write_whole(tmp_path / ("x" * 300), "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["page.txt"]


def test_a_capture_that_is_not_one_is_named_in_one_line(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(), NOW)
    run.path("a", "capture").write_text('{"schema": 1, "run": ')
    with pytest.raises(UserError, match=r"a_capture\.json: not a readable capture .*: move it away to go on"):
        run.captures()


@pytest.mark.parametrize(
    ("now_s", "boot_id", "fingerprint", "reason"),
    [
        (NOW + 60, "b", PRINT, ""),
        (NOW - 7200, "b", PRINT, ""),
        (NOW + 25 * 3600, "b", PRINT, "25.0 h ago"),
        (NOW + 60, "c", PRINT, "rebooted"),
        (NOW + 60, "b", {**PRINT, "system": "engram"}, "system: embedded -> engram"),
        (NOW + 60, "b", {**PRINT, "scenario:a": "2" * 64}, "scenario:a: 111111111111... -> 222222222222..."),
        (NOW + 60, "b", {"system": "embedded"}, "scenario:a: 111111111111... -> (absent)"),
    ],
)
def test_a_run_is_continued_only_on_the_same_ground(
    now_s: float, boot_id: str, fingerprint: dict[str, str], reason: str
) -> None:
    said = resume_rules.refusal_to_resume(manifest(), fingerprint, now_s=now_s, boot_id=boot_id, max_age_h=24)
    assert (reason in said) if reason else said == ""


WHOLE = {"scenario:a": "1", "scenario:b": "2"}


@pytest.mark.parametrize(
    ("selection", "asked", "serves"),
    [(["a", "b"], ["a"], True), (["a", "b"], ["b", "a"], True), (["a"], ["a", "b"], False)],
)
def test_an_open_run_serves_what_is_among_its_own_measured_or_not(
    selection: list[str], asked: list[str], serves: bool
) -> None:
    assert resume_rules.serves(selection, asked) is serves


@pytest.mark.parametrize(
    ("selection", "asked", "whole", "replaced"),
    [
        (["a", "b"], ["a", "b"], True, True),
        (["a", "b"], ["a"], False, False),
        (["a"], ["a", "b"], True, False),
        (["a"], ["a"], False, True),
        (["a"], ["b"], False, False),
    ],
)
def test_only_a_run_of_the_same_takes_an_open_ones_place(
    selection: list[str], asked: list[str], whole: bool, replaced: bool
) -> None:
    record = manifest(selection=selection, fingerprint=WHOLE)
    assert resume_rules.is_replaced(record, selection=asked, whole=whole) is replaced


def test_a_search_for_a_capacity_takes_nobodys_place() -> None:
    record = manifest(selection=["a_capacity"], fingerprint=WHOLE, kind="capacity")
    assert not resume_rules.is_replaced(record, selection=["a_capacity"], whole=False)


def test_earlier_attempts_are_kept_under_names_of_their_own(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(), NOW)
    for number in (1, 2):
        partial = run.path("a", "stdout").with_name(run.path("a", "stdout").name + file_names.PARTIAL)
        partial.write_text(f"attempt {number}")
        attempts.set_aside(run, "a")
        kept = run.folder / f"{run.name}_a.txt.attempt{number}.partial"
        assert kept.read_text() == f"attempt {number}"
    assert attempts.attempts_kept(run, "a") == 2
    assert attempts.set_aside(run, "a") == []


def test_setting_one_scenario_aside_leaves_another_that_begins_alike(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(selection=["a", "a_b"]), NOW)
    capture(run, "a")
    capture(run, "a_b")
    attempts.set_aside(run, "a")
    assert not run.has_capture("a")
    assert run.has_capture("a_b")
    attempts.set_aside(run, "a_b")
    assert (attempts.attempts_kept(run, "a"), attempts.attempts_kept(run, "a_b")) == (1, 1)
    capture(run, "a_b")
    attempts.set_aside(run, "a_b")
    assert (attempts.attempts_kept(run, "a"), attempts.attempts_kept(run, "a_b")) == (1, 2)


def test_clean_takes_open_and_abandoned_runs_but_never_a_closed_one(tmp_path: Path) -> None:
    output, work = tmp_path / "runs", tmp_path / "work"
    made = {s: create(output, manifest(state=s), NOW + 10 * i) for i, s in enumerate(("open", "abandoned", "closed"))}
    (work / f"{leftovers.work_prefix(tmp_path)}abc").mkdir(parents=True)
    (work / f"{leftovers.work_prefix(tmp_path / 'other')}abc").mkdir()
    (work / "thesis.txt").touch()
    cache = tmp_path / "cache"
    own, foreign = cache / "data_sets" / ("0" * 24), cache / "data_sets" / "measured by hand"
    for folder in (own, foreign, cache / "photos"):
        folder.mkdir(parents=True)
    (made["closed"].folder / "kept.txt.partial").write_text("what an attempt left")
    found = leftovers.find_leftovers(output, work, tmp_path, leftovers.in_cache(cache))
    for leftover in found:
        leftovers.remove(leftover)
    assert {path.name for path in output.iterdir()} == {made["closed"].name}
    assert (made["closed"].folder / "kept.txt.partial").exists()
    assert {path.name for path in work.iterdir()} == {"thesis.txt", f"{leftovers.work_prefix(tmp_path / 'other')}abc"}
    leftovers.remove_empty(cache)
    assert {path.name for path in cache.rglob("*")} == {"data_sets", foreign.name, "photos"}


def test_a_run_that_cannot_be_read_is_in_nobodys_way_unless_it_may_be_open(tmp_path: Path) -> None:
    closed = create(tmp_path, manifest(), NOW)
    (closed.folder / file_names.MANIFEST).write_text('{"run"')
    runs.refuse_damaged(tmp_path)  # nothing was measured in it
    capture(closed, "a")
    good = create(tmp_path, manifest(), NOW + 10)
    assert [run.name for run in runs.list_runs(tmp_path)] == [good.name]
    with pytest.raises(UserError, match=closed.name):
        runs.refuse_damaged(tmp_path)
    os.mkfifo(closed.folder / "results.json")
    with pytest.raises(UserError, match=closed.name):
        runs.refuse_damaged(tmp_path)  # which waits for nobody to write into the pipe
    (closed.folder / "results.json").unlink()
    (closed.folder / "results.json").write_text('{"state": "closed"}')
    runs.refuse_damaged(tmp_path)
    found = next(iter(runs.open_runs(tmp_path)), None)
    assert found is not None
    assert found.name == good.name
    with pytest.raises(UserError, match="not a readable manifest"):
        runs.find_run(tmp_path, closed.name)
    assert closed.folder not in [
        leftover.path for leftover in leftovers.find_leftovers(tmp_path, tmp_path / "no", tmp_path, [])
    ]


def test_a_write_that_fails_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "page.txt"
    with pytest.raises(OSError) as caught:  # noqa: PT011 - what it names is looked at
        write_whole(path, "text")
    assert caught.value.filename == str(path)


def test_a_lock_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(UserError, match="can't be the suite's lock"):
        lock.take(tmp_path / "lock")


HOLDER = """
import sys, time
from pathlib import Path
from compbench.store import lock
lock.take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(300)
"""


def test_a_second_suite_is_refused_while_one_holds_the_lock_and_not_after_it_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], env=environment, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(SuiteBusyError, match=f"pid {holder.pid} since"):
            lock.take(path)
        assert f"pid {holder.pid}" in (lock.holder(path) or "")
    finally:
        holder.kill()
        holder.communicate()
    assert lock.holder(path) is None
    os.close(lock.take(path))


def test_names_sort_in_the_order_of_making_after_a_step_of_the_clock_but_not_after_a_mistake(tmp_path: Path) -> None:
    later = create(tmp_path, manifest(), NOW + 3000)
    assert create(tmp_path, manifest(), NOW).name == timestamp(NOW + 3001)
    (tmp_path / timestamp(NOW + 9e8)).mkdir()
    assert runs.new_names(NOW + 4000, tmp_path) == [timestamp(NOW + 4000)]
    assert runs.new_names(NOW + 3000, tmp_path, 3) == [timestamp(NOW + n) for n in (3002, 3003, 3004)]
    assert runs.newest_folder(tmp_path) != later.folder


def test_a_name_that_was_taken_meanwhile_is_one_line(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(), NOW)
    with pytest.raises(UserError, match="made by somebody else meanwhile"):
        runs.create_run(tmp_path, run.name, manifest())


def test_a_manifest_of_another_folder_is_refused_so_that_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(), NOW)
    record = msgspec.structs.replace(run.manifest, run="../../x")
    write_record(run.folder / file_names.MANIFEST, record)
    with pytest.raises(UserError, match="not this folder's"):
        runs.read_run(run.folder)
    assert runs.open_runs(tmp_path) == []


def test_a_lost_marker_costs_no_run_and_one_that_stands_saves_reading(tmp_path: Path) -> None:
    opened, closed = create(tmp_path, manifest(), NOW), create(tmp_path, manifest(state="closed"), NOW + 1)
    (closed.folder / file_names.ENDED).unlink()
    assert [run.name for run in runs.open_runs(tmp_path)] == [opened.name]
    (closed.folder / file_names.ENDED).touch()
    (closed.folder / file_names.MANIFEST).write_text("{")
    assert [run.name for run in runs.open_runs(tmp_path)] == [opened.name]
    assert not (runs.change_manifest(closed, state="open").folder / file_names.ENDED).exists()


def test_what_an_abandoned_run_left_half_goes_into_its_leftovers(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(), NOW)
    capture(run, "a")
    for name in ("a.txt", "a.json.attempt1.partial", "b.txt.partial", "b_server.log", "b.json"):
        (run.folder / f"{run.name}_{name}").touch()
    kept = [path.name.removeprefix(f"{run.name}_") for path in attempts.move_leftovers(run)]
    assert kept == ["a.json.attempt1.partial", "b.json", "b.txt.partial", "b_server.log"]
    assert sorted(path.name.removeprefix(f"{run.name}_") for path in run.folder.iterdir() if path.is_file()) == [
        "a.txt", "a_capture.json", file_names.MANIFEST
    ]  # fmt: skip
    assert attempts.move_leftovers(run) == []


def test_a_run_never_closes_before_it_was_opened(tmp_path: Path) -> None:
    run = create(tmp_path, manifest(), NOW)
    assert runs.closed(run, NOW - 7200).manifest.closed_at == NOW
    assert runs.closed(run, NOW + 60).manifest.closed_at == NOW + 60


def test_a_name_that_is_not_the_clocks_is_told(tmp_path: Path) -> None:
    create(tmp_path, manifest(), NOW + 3000)
    name = runs.new_names(NOW, tmp_path)[0]
    assert "the clock has been set back" in runs.clock_remark(NOW, name, tmp_path)
    assert runs.clock_remark(NOW + 3000, runs.new_names(NOW + 3000, tmp_path)[0], tmp_path) == ""
    create(tmp_path, manifest(), NOW + 9e8)
    assert "is of the future" in runs.clock_remark(NOW, timestamp(NOW), tmp_path)


@pytest.mark.parametrize("kind", ["suite", "capacity", "noise", "duet"])
def test_a_run_of_every_kind_knows_what_the_machine_is_at_rest(tmp_path: Path, kind: RunKind) -> None:
    for timeout_s, is_read in (("120", True), ("0", False)):
        settings = load_settings(tmp_path, {}, {"system": "embedded", "quiet_timeout_s": timeout_s})
        choice = RunChoice(tmp_path, settings, lambda: [], Effects(sleep=lambda _: None))
        made = choice.create(runs.new_names(NOW, Path(settings.output_dir))[0], ["a"], [], ["doit"], kind)
        assert (made.manifest.at_rest is not None) == is_read
