"""Interruptions at awkward moments, through the real `doit` command; tests/test_kill.py has those at random ones."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from compbench.machine.version_line import _TIME_LIMIT_S as TIME_LIMIT_S
from tests.project import BRIEF, NAMES, Project, eventually


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two scenarios, `alpha` and `beta`."""
    return Project(tmp_path / "project", names=NAMES[:2])


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for doit's end; return exit code, stdout and stderr."""
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err, out + err
    return process.returncode, out, err


def versions_asked(project: Project) -> list[int]:
    """Return the processes that were started to tell the server's version, and still run."""
    argv = [str(project.root / "engram" / "target" / "release" / "engram"), "--version"]
    return [p.pid for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[-2:] == argv]


def names_of_files(project: Project) -> set[str]:
    """Return the names of the newest run's files without its timestamp; what earlier attempts left is left out."""
    run = project.run()
    names = {path.name.replace(run.name, "TIMESTAMP") for path in run.iterdir()}
    return {name for name in names if ".attempt" not in name}


def test_a_second_signal_does_not_cut_the_unwinding_short(project: Project) -> None:
    project.set(stop_grace_s=5.0)
    process = project.start(STAND_IN_ENGRAM="ignore_sigterm")
    assert eventually(lambda: project.started("loadtest"))
    process.send_signal(signal.SIGINT)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
    assert code == 130
    assert err.count("already stopping") == 2
    assert "interrupted by SIGINT" in err
    assert "Competitive benchmark suite interrupted." in out
    assert eventually(lambda: not project.orphans(), 10.0)


def test_two_signals_while_nobody_reads_the_errors_interrupt_all_the_same(project: Project) -> None:
    project.set(stop_grace_s=2.0)
    process = project.start(STAND_IN_ENGRAM="ignore_sigterm")
    assert process.stderr is not None
    assert eventually(lambda: project.started("loadtest"))
    process.stderr.close()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not project.file("alpha_capture.json").exists(), "an interruption is no failure of the scenario"
    assert project.manifest()["state"] == "open"
    assert len(project.started("loadtest")) == 1, "the suite went on"
    assert eventually(lambda: not project.orphans(), 10.0)


def test_a_guard_that_is_stopped_costs_neither_figures_nor_leaves_processes(project: Project) -> None:
    process = project.start("run:alpha")
    assert eventually(lambda: project.started("loadtest"))
    for program in ("engram", "loadtest"):
        os.kill(project.started(program)[0]["ppid"], signal.SIGSTOP)
    code, out, err = ended(process)
    assert code == 0, out + err
    assert project.capture("alpha")["outcome"]["verdict"] == "passed"
    assert project.orphans() == []


def test_a_closed_terminal_and_a_signal_during_cooldown_lose_nothing(project: Project) -> None:
    undisturbed = Project(project.root.parent / "undisturbed", names=project.names)
    process = undisturbed.start(STAND_IN_LOADTEST=BRIEF)

    project.set(cooldown_s=3.0)
    first = project.start(STAND_IN_LOADTEST=BRIEF)
    assert eventually(lambda: project.runs() and project.file("alpha_capture.json").exists())
    time.sleep(0.5)
    first.send_signal(signal.SIGINT)
    code, out, err = ended(first)
    assert code == 130, out + err
    assert project.driven() == ["alpha"]
    assert len(project.started("engram")) == 1, "the signal came while there was no server"
    summary = project.file("summary.txt").read_text()
    assert "interrupted" in summary
    assert "beta" in summary
    ended_at = project.capture("alpha")["ended_at"]

    second = project.start()
    assert eventually(lambda: len(project.started("loadtest")) == 2)
    second.send_signal(signal.SIGHUP)
    code, out, err = ended(second)
    assert code == 130, out + err
    assert "interrupted by SIGHUP" in err
    assert eventually(lambda: not project.orphans(), 10.0)

    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.driven() == ["alpha", "beta", "beta"]
    assert project.capture("alpha")["ended_at"] == ended_at
    rests = [record["duration_s"] for record in project.capture("beta")["phases"] if record["name"] == "cooldown"]
    assert all(rest < 3.0 for rest in rests), "the rest counts from the last scenario's end, however often it began"
    assert list(project.run().glob("*.attempt1.partial"))

    assert ended(process)[0] == 0
    assert names_of_files(project) == names_of_files(undisturbed)


@pytest.mark.parametrize("told", ["slow_version=30", "endless_version"])
def test_a_signal_during_the_checks_leaves_no_run_and_no_process(project: Project, told: str) -> None:
    process = project.start(STAND_IN_ENGRAM=told)
    assert eventually(lambda: versions_asked(project))
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    code, out, err = ended(process)
    assert code == 130, out + err
    assert time.monotonic() - began < TIME_LIMIT_S / 2, "the time limit of the program ended it, not the signal"
    assert versions_asked(project) == []
    assert project.runs() == []
    assert project.started() == []
    assert eventually(lambda: not project.orphans(), 10.0)


def test_reading_commands_work_while_a_suite_measures(project: Project) -> None:
    first = project.start("run:alpha", STAND_IN_LOADTEST="hang")
    assert eventually(lambda: project.started("loadtest"))
    for words in (["list"], ["list", "--all", "--status"], ["info", "run:alpha"], ["help"], ["help", "list"], ["plan"]):
        done = project.doit(*words)
        # `doit info` ends with 1 for a task that is due, and the plan with 2, because the port is in use.
        expected = {"info": 1, "plan": 2}.get(words[0], 0)
        assert done.returncode == expected, (words, done.stdout, done.stderr)
        assert done.stdout
    checks = project.doit("preflight")
    assert checks.returncode == 1, "the port is in use"
    assert "a suite is running: pid" in checks.stdout
    report = project.doit("report")
    assert report.returncode == 2
    assert f"pid {first.pid}" in report.stderr
    first.send_signal(signal.SIGINT)
    code, out, err = ended(first)
    assert code == 130, out + err
