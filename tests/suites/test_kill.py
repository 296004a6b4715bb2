"""SIGKILL at random moments: nothing finished is lost or repeated, nothing is left running, no file is corrupt."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.project import BRIEF, NAMES, Project, eventually


def check_whole(project: Project) -> None:
    """Every finished file can be read, whatever the moment of the kill."""
    for path in project.output.rglob("*.json"):
        json.loads(path.read_bytes())
    for capture in project.output.rglob("*_capture.json"):
        stem = capture.name.removesuffix("_capture.json")
        assert (capture.parent / f"{stem}.txt").stat().st_size > 0, capture


def finished(project: Project) -> Counter[tuple[str, str]]:
    """Return how many captures each scenario of each run has: one at most."""
    found = project.output.glob("*/*_capture.json*")
    return Counter((path.parent.name, path.name.split("_capture")[0]) for path in found)


def moment_of_kill(project: Project) -> str:
    """Return where in a run the kill fell, by what it left."""
    run = max(project.runs(), default=None)
    manifest = run / "manifest.json" if run else None
    if run is None or manifest is None or not manifest.exists():
        return "before the run"
    if json.loads(manifest.read_text())["state"] == "closed":
        return "after the run"
    return "with measurements finished" if list(run.glob("*_capture.json")) else "in the first measurement"


def kill_at_random(project: Project, chance: random.Random, within_s: float) -> None:
    """Start doit, kill it or its whole group after a while, and see that everything it started ends."""
    process = project.start(STAND_IN_LOADTEST=BRIEF)
    time.sleep(chance.uniform(0.0, within_s))
    if chance.random() < 0.5:
        process.kill()
    else:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            assert process.poll() is not None
    process.communicate(timeout=30)
    assert eventually(lambda: not project.orphans(), 10.0), f"left running: {project.orphans()}"
    check_whole(project)


def run_kills(project: Project, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    # Measured, so that on a slow machine, too, the kills fall all over a suite.
    began = time.monotonic()
    assert project.doit(STAND_IN_LOADTEST=BRIEF).returncode == 0
    lasts_s = time.monotonic() - began
    stamps: dict[Path, int] = {}
    moments: Counter[str] = Counter()
    for _ in range(kills):
        kill_at_random(project, chance, lasts_s)
        moments[moment_of_kill(project)] += 1
        for capture in project.output.glob("*/*_capture.json"):
            stamp = capture.stat().st_mtime_ns
            assert stamps.setdefault(capture, stamp) == stamp, f"{capture.name} was measured again"
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(stamps[path] == path.stat().st_mtime_ns for path in stamps)
    states = {json.loads((run / "manifest.json").read_text())["state"] for run in project.runs()}
    assert states == {"closed"}
    assert max(finished(project).values()) == 1
    assert not list(project.output.rglob(".*.tmp"))
    assert eventually(lambda: not project.orphans(), 10.0)
    print(f"{kills} kills fell:", ", ".join(f"{count} {moment}" for moment, count in moments.most_common()))
    assert moments["with measurements finished"] >= kills / 10, moments


def test_the_next_doit_waits_for_what_a_killed_one_has_left_to_its_guards(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=NAMES[:1])
    process = project.start(STAND_IN_ENGRAM="1:ignore_sigterm")
    assert eventually(lambda: project.started("loadtest"))
    process.kill()
    process.wait()
    assert project.orphans()
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((project.root / "tmp" / "work").iterdir())


@pytest.mark.timeout(300)
def test_twenty_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    run_kills(Project(tmp_path / "project", names=NAMES[:2]), 20, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_and_repeat_nothing(tmp_path: Path) -> None:
    run_kills(Project(tmp_path / "project", names=NAMES), 200, seed=2)
