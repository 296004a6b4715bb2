"""Whole suites in isolation: what server and driver really got is on record, told, and gone whoever is killed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from compbench.config.settings import Settings
from compbench.machine import isolation
from compbench.model.partition import cpu_list
from compbench.store.leftovers import work_prefix
from tests.project import BRIEF, NAMES, Project
from tests.suites.test_kill import run_kills

CPUS = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
needs_affinity = pytest.mark.skipif(len(CPUS) < 2, reason="there is one CPU, or this system keeps no program to some")
LIMIT_GB = 0.1


def limit_or_skip() -> None:
    """Skip a test where this user can't limit a server's memory."""
    if isolation.reached_by(Settings(driver="builtin", isolation="off", memory_limit_gb=LIMIT_GB)).memory_bytes is None:
        pytest.skip("this user can't make control groups with a memory limit here")


def left_groups(project: Project) -> list[Path]:
    """Return the control groups that a project's servers have left, wherever this machine has groups."""
    return [path for path in Path("/sys/fs/cgroup").rglob(f"{work_prefix(project.root)}*") if path.is_dir()]


@needs_affinity
def test_what_server_and_driver_really_got_is_on_record_and_told(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=NAMES[:1])
    project.set(isolation=f"cpus={CPUS[1]}/{CPUS[0]}")
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    capture = project.capture(NAMES[0])
    reached = isolation.reached_by(Settings(driver="loadtest", isolation=f"cpus={CPUS[1]}/{CPUS[0]}"))
    assert (capture["server"]["cpus"], capture["server"]["tier"]) == (str(CPUS[1]), reached.tier)
    assert capture["driver_process"]["cpus"] == str(CPUS[0])
    assert capture["driver_process"]["is_real_time"] == reached.is_real_time
    (run,) = project.runs()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["fingerprint"]["isolation"] == reached.told
    told = next(run.glob("*_diag.txt")).read_text()
    assert f"Kept to: CPUs {CPUS[1]}, memory " in told
    assert not left_groups(project)


@needs_affinity
def test_cpus_that_are_not_there_let_nothing_begin(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=NAMES[:1])
    done = project.doit("isolation=cpus=4095/0")
    assert done.returncode != 0
    assert f"cpus=4095/0 can't be had here: CPUs 4095 are not of those that may be used here ({cpu_list(CPUS)})" in (
        done.stdout
    )
    assert not project.runs()
    done = project.doit("isolation=alone")
    assert done.returncode == 2
    assert "isolation = 'alone': must be auto, off, or cpus=<server>/<driver>" in done.stderr


def test_a_server_that_meets_its_memory_limit_fails_for_that(tmp_path: Path) -> None:
    limit_or_skip()
    project = Project(tmp_path / "project", names=NAMES[:1])
    project.set(memory_limit_gb=LIMIT_GB)
    done = project.doit(STAND_IN_ENGRAM="eat=300", STAND_IN_LOADTEST="lasts=10")
    capture = project.capture(NAMES[0])
    assert capture["outcome"]["verdict"] == "failed", done.stdout + done.stderr
    assert f"killed by the kernel for its own limit, memory_limit_gb = {LIMIT_GB:g}" in capture["outcome"]["reason"]
    assert capture["server"]["memory_limit_bytes"] <= LIMIT_GB * 1e9
    assert capture["server"]["oom_kills"] == 1
    assert not left_groups(project)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_fifty_kills_in_isolation_leave_nothing(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=NAMES[:2])
    settings = {"isolation": "auto"}
    if isolation.reached_by(Settings(driver="builtin", memory_limit_gb=1.0)).memory_bytes is not None:
        settings["memory_limit_gb"] = 1.0  # type: ignore[assignment]
    project.set(**settings)
    run_kills(project, 50, seed=3)
    assert not left_groups(project)
    assert project.doit(STAND_IN_LOADTEST=BRIEF).returncode == 0
