"""Servers and drivers that misbehave in ways that need a whole suite: several in each, since a suite takes seconds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from compbench.machine import perf, priority
from tests.project import NAMES, ROOT, Project, eventually, is_running

ERROR = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ERROR ")


def codes(capture: dict[str, Any]) -> set[str]:
    return {notice["code"] for notice in capture["notices"]}


def phase(capture: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [record for record in capture["phases"] if record["name"] == name]
    return dict(found)


def test_servers_are_awaited_isolated_watched_and_ended_with_all_they_left(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=NAMES[:3])
    project.set(cooldown_s=0.8, priority="off")
    done = project.doit(
        STAND_IN_ENGRAM="1:slow_start=0.8,2:leak,3:fork_child",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    alpha, beta, gamma = (project.capture(name) for name in project.names)

    assert alpha["server"]["ready_after_s"] >= 0.8
    assert alpha["server"]["start_attempts"] == 1

    assert alpha["server"]["niceness"] == alpha["driver_process"]["niceness"] == priority.attainable(0)

    assert "descriptors-leaked" in codes(beta)
    assert beta["server"]["open_files_after"] > beta["server"]["open_files_before"] + 100
    assert re.search(r"warning: leaked descriptors: the server had \d+ files and sockets open", done.stdout)
    assert [c["server"]["leaked_runner_files"] for c in (alpha, beta, gamma)] == [0, 0, 0]
    assert "descriptors-leaked" not in codes(alpha) | codes(gamma)

    (child,) = project.started("child")
    assert not is_running(child["pid"])
    assert [c["server"]["port_freed"] for c in (alpha, beta, gamma)] == [True, True, True]
    assert [c["server"]["zombie_left"] for c in (alpha, beta, gamma)] == [False, False, False]

    for start, seed in zip(project.started("loadtest"), ("42", "43", "44"), strict=True):
        options = dict(zip(start["argv"][2::2], start["argv"][3::2], strict=True))
        assert (options["--duration"], options["--seed"]) == ("1", seed)
        assert {"--scenario", "--output", "--endpoint"} <= set(options)
    folders = [start["data"] for start in project.started("engram")]
    assert len(set(folders)) == 3, "each server has a data folder of its own"
    assert not any(Path(folder).exists() for folder in folders)
    for name in project.names:
        assert "Engram server started successfully" in project.file(f"{name}_server.log").read_text()

    # A rest between scenarios only, and counted from the end of the last one.
    assert [record["name"] for record in alpha["phases"]] == ["start", "prepare", "measure", "snapshot", "stop"]
    for before, after in ((alpha, beta), (beta, gamma)):
        rest = phase(after, "cooldown")
        assert rest["duration_s"] <= 0.8 + 0.5
        assert phase(after, "start")["started_at"] - before["ended_at"] >= 0.8 - 0.05
    assert "cooldown" not in done.stdout.splitlines()[-8:]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="perf records on Linux only")
@pytest.mark.parametrize("recorder", ["real", "stand-in"])
def test_what_perf_recorded_of_a_server_becomes_its_flame_graph(tmp_path: Path, recorder: str) -> None:
    if recorder == "real" and (why := perf.can_record()) is not None:
        pytest.skip(why)
    project = Project(tmp_path / "project", names=("alpha",))
    project.set(flamegraph=True, counters=True)
    (tmp_path / "bin").mkdir()
    if recorder == "stand-in":
        shutil.copy(ROOT / "tests" / "stand_ins" / "perf", tmp_path / "bin")
    done = project.doit(
        PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        STAND_IN_ENGRAM="1:busy",
        # Long enough for the real one to attach on a machine that has much else to do.
        STAND_IN_LOADTEST=f"alpha:lasts={4 if recorder == 'real' else 1}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no-flamegraph" not in codes(project.capture("alpha"))
    assert sum(perf.parse_folded(project.file("alpha_stacks.log").read_text()).values()) > 0
    picture = ET.fromstring(project.file("alpha_flamegraph.svg").read_text())
    assert any("alpha" in (node.text or "") for node in picture.iter())
    costs = project.capture("alpha")["server"]["costs"]
    assert costs["context_switches"] > 0
    if recorder == "stand-in":
        assert "perf can't count here: it said nothing" in costs["why_not"]["cycles"]
        assert costs["source"].startswith("/proc for context switches")


def test_unhealthy_is_not_ready_a_flood_of_errors_is_cut_and_a_contradiction_is_told(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=NAMES[:3])
    # The limit holds for the healthy servers of the others, too.
    project.set(ready_timeout_s=4.0, max_output_mb=2, flamegraph=True)
    perf = tmp_path / "bin" / "perf"
    perf.parent.mkdir()
    perf.write_text('#!/bin/sh\n[ "$1" = stat ] || { echo "failed to mmap with 12"; exit 255; }\n')
    perf.chmod(0o755)
    done = project.doit(
        PATH=f"{perf.parent}:{os.environ['PATH']}",
        STAND_IN_ENGRAM="1:unhealthy,2:unhealthy",
        STAND_IN_LOADTEST="beta:flood_stderr,beta:flood,gamma:exit_with_report",
    )
    assert done.returncode == 1
    alpha, beta, gamma = (project.capture(name) for name in project.names)

    assert alpha["outcome"]["code"] == "server-not-ready"
    assert "GET /health answered 503" in alpha["outcome"]["reason"]
    assert alpha["server"]["start_attempts"] == 2

    assert beta["outcome"]["verdict"] == "passed"
    assert "driver-output-cut" in codes(beta)
    for ending in ("beta.txt", "beta_stderr.txt"):
        assert project.file(ending).stat().st_size < 3_000_000
    assert "bytes left out" in project.file("beta_stderr.txt").read_text()

    assert gamma["outcome"]["verdict"] == "passed"
    assert "driver-disagrees" in codes(gamma)
    if sys.platform.startswith("linux"):
        assert "no-flamegraph" in codes(gamma)
        assert "warning: no flame graph: failed to mmap with 12" in done.stdout
    assert not project.file("gamma_flamegraph.svg").exists()
    assert "the driver ended with exit code 1, but its report meets every target" in done.stdout

    # Progress and results on stdout, errors on stderr, each with its time, scenario and phase.
    assert not ERROR.search(done.stdout)
    retried, failed = done.stderr.splitlines()
    assert re.fullmatch(r"\S+ ERROR alpha \[start\]: .* not ready after 4 s .*; trying once more in 0.2 s", retried)
    assert re.fullmatch(r"\S+ ERROR alpha \[start\]: the server was not ready after 4 s .*\)", failed)
    assert "trying once more" not in done.stdout
    assert ERROR.match(done.stderr)
    assert re.search(r"^ +failed ", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout + done.stderr


def test_a_server_that_dies_while_data_is_loaded_ends_the_scenario_at_once(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    project.set(prepare_timeout_s=600.0, start_retry_delay_s=0.1)
    scenario = project.root / "scenarios" / "competitive" / "alpha.toml"
    scenario.write_text(scenario.read_text().replace("num_nodes = 5", "num_nodes = 20000"))
    done = project.doit(STAND_IN_ENGRAM="1:die_after=1.0,1:die_signal=SIGSEGV")
    outcome = project.capture("alpha")["outcome"]
    assert done.returncode == 1
    assert (outcome["code"], outcome["phase"]) == ("server-crash", "prepare"), outcome
    assert "signal SIGSEGV" in outcome["reason"]
    assert project.started("loadtest") == []
    assert eventually(lambda: not project.orphans(), 10.0)


def test_a_run_whose_pages_cannot_be_written_says_so_and_how_to_go_on(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    baselines = project.root / "scenarios" / "baselines.toml"
    whole = baselines.read_bytes() if baselines.exists() else None
    baselines.write_text("schema = ")
    done = project.doit()
    assert done.returncode == 1, done.stdout
    assert "baselines.toml: not valid TOML" in done.stderr
    assert "The run is not closed" in done.stdout
    baselines.unlink() if whole is None else baselines.write_bytes(whole)
    assert project.doit().returncode == 0
    assert project.manifest()["state"] == "closed"
    assert len(project.started("loadtest")) == 1


def test_a_fault_in_compbench_is_one_line_and_its_traceback_is_kept(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=NAMES[:2])
    with (project.root / "templates" / "diag.txt.j2").open("a") as template:
        template.write("{{ capture_that_is_not_there.x }}\n")
    done = project.doit()
    assert done.returncode == 1
    assert [c["outcome"]["verdict"] for c in map(project.capture, project.names)] == ["passed", "passed"]
    assert "its traceback is in" in done.stderr
    assert "capture_that_is_not_there" in (project.root / "tmp" / "compbench.log").read_text()
    assert len([line for line in done.stderr.splitlines() if not ERROR.match(line)]) == 0, done.stderr


def test_a_foreign_server_is_named_and_outlives_whatever_doit_is_asked(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    shutil.copy("/bin/sleep", tmp_path / "engram")
    with subprocess.Popen([str(tmp_path / "engram"), "300"]) as foreign:
        done = project.doit()
        assert done.returncode == 2, done.stdout + done.stderr
        assert f"running: process {foreign.pid} ({tmp_path}/engram)" in done.stderr
        assert "compbench ends no process that it did not start" in done.stderr
        for words, code in ((["list"], 0), (["taget=engram"], 2), (["preflight"], 1), (["clean"], 0)):
            assert project.doit(*words).returncode == code, words
        assert foreign.poll() is None
        assert project.started() == []
        foreign.kill()
