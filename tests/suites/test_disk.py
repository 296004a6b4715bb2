"""Disks that fill up or can't be written, and files that have been damaged: one clear line, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load import SEARCHES, scenario, toml
from tests.project import BRIEF, NAMES, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two scenarios, `alpha` and `beta`."""
    return Project(tmp_path / "project", names=NAMES[:2])


def on_a_small_disk(project: Project, small: Path, script: str, **told: str) -> Path:
    """Run a script in a mount namespace of its own, in which `$SMALL` can become a small disk; return where it wrote.

    It skips the test if the script ends with 99, since no disk can be mounted here.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare here: no small disk can be made")
    out = project.root / "out"
    out.mkdir()
    small.mkdir(parents=True)
    names = {"SMALL": str(small), "OUT": str(out), "PYTHON": sys.executable, "BRIEF": BRIEF}
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        [unshare, "--mount", *as_root, "sh", "-c", script],
        cwd=project.root,
        env={**os.environ, "STAND_IN_STATE": str(project.state), **names, **told},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 99 or not (out / "first.code").exists():
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    return out


# The runs' folder is a small disk, which is enlarged after the first suite.
RUNS_ON_A_SMALL_DISK = """\
mount -t tmpfs -o size=3m tmpfs "$SMALL" || exit 99
"$PYTHON" -m doit > "$OUT/first.out" 2> "$OUT/first.err"; echo $? > "$OUT/first.code"
cp -a "$SMALL" "$OUT/first"
mount -o remount,size=60m "$SMALL" || exit 99
STAND_IN_LOADTEST=$BRIEF "$PYTHON" -m doit > "$OUT/second.out" 2> "$OUT/second.err"; echo $? > "$OUT/second.code"
cp -a "$SMALL" "$OUT/second"
"""


def test_a_disk_that_fills_up_while_measuring_costs_no_finished_capture(project: Project) -> None:
    project.set(min_free_disk_gb=0, warn_free_disk_gb=0)
    out = on_a_small_disk(project, project.output, RUNS_ON_A_SMALL_DISK, STAND_IN_LOADTEST=f"{BRIEF},beta:flood")
    said = (out / "first.err").read_text()
    assert (out / "first.code").read_text() == "1\n", said
    assert "No space left on device" in said
    assert "mend that and run the same command again" in said
    assert "Traceback" not in said + (out / "first.out").read_text()
    (first,) = (path for path in (out / "first").iterdir() if path.is_dir())
    assert sorted(path.name for path in first.glob("*_capture.json")) == [f"{first.name}_alpha_capture.json"]
    assert not list(first.glob(".*.tmp"))

    assert (out / "second.code").read_text() == "0\n", (out / "second.err").read_text()
    second = out / "second" / first.name
    capture = f"{first.name}_alpha_capture.json"
    assert (second / capture).read_bytes() == (first / capture).read_bytes()
    assert json.loads((second / f"{first.name}_beta_capture.json").read_text())["outcome"]["verdict"] == "passed"
    assert json.loads((second / "manifest.json").read_text())["state"] == "closed"
    assert project.driven() == ["alpha", "beta", "beta"]


# The folder of the servers' data is a disk that is full at first, then takes a file but no folder, then one server.
WORK_ON_A_SMALL_DISK = """\
mount -t tmpfs -o size=3m,nr_inodes=3 tmpfs "$SMALL" || exit 99
head -c 3145728 /dev/zero > "$SMALL/full"
"$PYTHON" -m doit > "$OUT/full.out" 2> "$OUT/full.err"; echo $? > "$OUT/full.code"
rm "$SMALL/full"
"$PYTHON" -m doit run:alpha > "$OUT/first.out" 2> "$OUT/first.err"; echo $? > "$OUT/first.code"
mount -o remount,nr_inodes=100 "$SMALL" || exit 99
STAND_IN_ENGRAM=fill_disk "$PYTHON" -m doit run:beta > "$OUT/filled.out" 2>&1; echo $? > "$OUT/filled.code"
"""


def test_a_full_disk_of_the_servers_data_is_named_with_what_mends_it(project: Project) -> None:
    project.set(work_dir="tmp/work", min_free_disk_gb=0, warn_free_disk_gb=0)
    work = project.root / "tmp" / "work"
    out = on_a_small_disk(project, work, WORK_ON_A_SMALL_DISK)

    assert (out / "full.code").read_text() == "2\n", "a suite that can't write there does not begin"
    full = f"ERROR work_dir [preflight]: {work} can't be written: No space left on device"
    assert full in (out / "full.err").read_text()
    assert (out / "first.code").read_text() == "1\n"
    captures = {name: next(project.output.rglob(f"*_{name}_capture.json")) for name in project.names}
    outcome, filled = (json.loads(captures[name].read_text())["outcome"] for name in ("alpha", "beta"))
    assert (outcome["verdict"], outcome["code"], outcome["phase"]) == ("failed", "work-dir-unusable", "start")
    assert outcome["reason"] == f"work_dir {work}: No space left on device"
    assert "free space there, or set work_dir to another folder" in outcome["advice"]
    assert (out / "filled.code").read_text() == "1\n"
    assert filled["code"] == "server-ended-at-start"
    assert filled["reason"].endswith(f"; only 0.0 MB are free in work_dir {work}")
    assert "Traceback" not in (out / "first.err").read_text() + (out / "filled.out").read_text()


# The cache's folder is a disk that takes neither a data set nor exact neighbours.
CACHE_ON_A_SMALL_DISK = """\
mount -t tmpfs -o size=600m,nr_inodes=3 tmpfs "$SMALL" || exit 99
"$PYTHON" -m doit > "$OUT/first.out" 2> "$OUT/first.err"; echo $? > "$OUT/first.code"
ls -A "$SMALL"/* > "$OUT/kept"
"""


def test_a_cache_that_fills_up_costs_no_measurement(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("search",))
    project.set(system="embedded", driver="builtin", scale=1.0, data_set_kept_from=600, invalid_retries=9)
    made = scenario(SEARCHES, nodes=600)
    (project.root / "scenarios" / "competitive" / "search.toml").write_text(toml(made))
    out = on_a_small_disk(project, project.root / "tmp" / "cache", CACHE_ON_A_SMALL_DISK)

    said = (out / "first.out").read_text()
    assert (out / "first.code").read_text() == "0\n", said
    assert "note: search: no data set: " in said
    assert "note: search: no exact neighbours: " in said
    assert said.count("No space left on device") >= 3
    capture = project.capture("search")
    assert capture["outcome"]["verdict"] == "passed", capture["outcome"]
    assert capture["result"]["details"]["recall"]["mean"] > 0.95
    (notice,) = (notice for notice in capture["notices"] if notice["code"] == "neighbours-not-kept")
    assert "No space left on device" in notice["text"]
    assert "Traceback" not in said + (out / "first.err").read_text()
    assert ".npz" not in (out / "kept").read_text()
    assert ".partial" not in (out / "kept").read_text()


def test_a_damaged_record_is_one_clear_line_and_moving_it_away_is_enough(project: Project) -> None:
    project.interrupt_in("beta")
    capture, manifest = project.file("alpha_capture.json"), project.run() / "manifest.json"
    whole = manifest.read_bytes()

    manifest.write_bytes(whole[: len(whole) // 2])
    for words, code in (([], 2), (["plan"], 2), (["due"], 1), (["clean", "-n"], 0)):
        done = project.doit(*words)
        assert done.returncode == code, done.stdout + done.stderr
        assert project.run().name not in done.stdout, "it may be the open run, and is left alone"
        if code == 2:
            (line,) = done.stderr.splitlines()
            assert str(manifest) in line
            assert "move it away to go on" in line
    manifest.write_bytes(whole)

    started = project.started()
    capture.write_bytes(capture.read_bytes()[:-200])
    done = project.doit()
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert f"{capture}: not a readable capture" in line
    assert "move it away to go on" in line
    assert project.started() == started

    capture.rename(project.root / "moved")
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.manifest()["state"] == "closed"
    assert project.driven()[-2:] == ["alpha", "beta"]


@pytest.mark.parametrize("folder", ["dodo.py/runs", "/proc/compbench"])
def test_a_folder_that_cannot_be_written_stops_the_suite_before_it_begins(project: Project, folder: str) -> None:
    if folder.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("no /proc here")
    project.set(output_dir=folder)
    done = project.doit()
    assert done.returncode == 2, done.stdout + done.stderr
    assert "can't be written" in done.stderr
    assert "or set output_dir to another folder" in done.stderr
    assert project.started() == []


@pytest.mark.parametrize("key", ["work_dir", "cache_dir"])
def test_a_folder_that_is_a_file_starts_nothing_and_is_named(project: Project, key: str) -> None:
    (project.root / "file").touch()
    done = project.doit(f"{key}=file")
    assert done.returncode == 2
    assert f"ERROR {key} [preflight]: {project.root / 'file'} can't be written: Not a directory" in done.stderr
    assert project.started() == []


def test_a_limit_of_open_files_below_the_connections_starts_nothing_and_is_named(project: Project) -> None:
    limited = subprocess.run(
        ["sh", "-c", f"ulimit -n 64; exec {sys.executable} -m doit"],
        cwd=project.root,
        env=project.variables(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert limited.returncode == 2
    assert "64 open files are allowed to a process; wanted: at least 164; ulimit -n 164" in limited.stderr
    assert project.started() == []
