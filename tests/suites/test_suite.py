"""The suite through the real `doit` command, with stand-ins for Engram's binaries."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from compbench.cli import project as cli_project
from compbench.cli import tasks
from compbench.machine import priority
from compbench.systems.registry import load_settings
from tests.project import BRIEF, NAMES, Project, eventually


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two scenarios, `alpha` and `beta`."""
    return Project(tmp_path / "project", names=NAMES[:2])


def ends_clean(project: Project) -> bool:
    return eventually(lambda: not project.orphans(), 10.0)


def test_a_suite_passes_with_every_specified_file(project: Project) -> None:
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Summary: 2/2 scenarios passed" in done.stdout
    run = project.run()
    assert f"Results in tmp/competitive_benchmarks/{run.name}/" in done.stdout
    endings = [f"{name}{end}" for name in project.names for end in (".txt", "_stderr.txt", "_diag.txt", "_sys.txt")]
    for ending in [*endings, "metadata.txt", "summary.txt"]:
        assert project.file(ending).is_file(), ending
    assert "All scenarios passed" in project.file("summary.txt").read_text()
    given = priority.attainable(-15)
    for capture in map(project.capture, project.names):
        assert (capture["server"]["niceness"], capture["driver_process"]["niceness"]) == (given, given)
    assert project.manifest()["state"] == "closed"
    assert not list(run.glob("*.partial"))
    assert not list(run.glob(".*.tmp"))
    assert ends_clean(project)


def test_a_whole_suite_with_repeats_selects_its_measurements_round_by_round(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {}, {"repeat": "2", "system": "embedded"})
    asked = cli_project.Project(tmp_path, settings, ["alpha", "beta"])
    pages = [task.removeprefix("pages:") for task in tasks.default_tasks(asked) if task.startswith("pages:")]
    assert pages == asked.names
    assert {name.rpartition("_")[2] for name in pages[:2]} == {"run1"}


def test_repeats_are_interleaved_and_each_has_its_own_files(project: Project) -> None:
    done = project.doit("run:beta", "run:alpha", "repeat=2")
    assert done.returncode == 0, done.stdout + done.stderr
    selection = project.manifest()["selection"]
    assert sorted(selection) == ["alpha_run1", "alpha_run2", "beta_run1", "beta_run2"]
    assert project.driven() == [n.rpartition("_")[0] for n in selection]
    assert {name.rpartition("_")[2] for name in selection[:2]} == {"run1"}
    assert "Summary: 4/4 scenarios passed" in done.stdout
    assert all(project.file(f"{name}.txt").is_file() for name in selection)
    assert (project.capture("beta_run2")["scenario"], project.capture("beta_run2")["repeat"]) == ("beta", 2)


def test_a_capacity_without_a_name_is_explained_and_searched_for_nowhere(project: Project) -> None:
    done = project.doit("capacity", "capacity_limit_s=90")
    assert done.returncode == 2
    assert [f"  doit capacity:{name}" in done.stdout for name in project.names] == [True, True], done.stdout
    assert "all 2: at most 3 min" in done.stdout
    assert project.started() == []
    assert project.runs() == []


@pytest.mark.parametrize("lost", ["| head -1", ">/dev/full", ">&- 2>&- <&-"])
def test_a_suite_outlives_its_output(project: Project, lost: str) -> None:
    line = shlex.join([sys.executable, "-m", "doit", "run:alpha"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line} {lost}"],
        cwd=project.root,
        env=project.variables(STAND_IN_LOADTEST=BRIEF),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert project.manifest()["state"] == "closed"
    assert project.capture("alpha")["outcome"]["verdict"] == "passed"


def test_one_scenario_alone_makes_a_run_of_its_own(project: Project) -> None:
    done = project.doit("run:beta")
    assert done.returncode == 0, done.stderr
    assert project.manifest()["selection"] == ["beta"]
    assert "Summary: 1/1 scenarios passed" in done.stdout


# What goes wrong in a scenario of that name: the word for the stand-in, and what must become of it. One suite has them
# all, in the order of the names, so that each also proves that the one before cost nothing but itself.
DRIVER_CASES = {
    "a_slow": ("slow_operations", "missed", "targets-missed", "throughput"),
    "b_contradicts": ("exit_with_report=1", "passed", "passed", ""),
    "c_fails": ("exit_without_report=1", "failed", "driver-error", "told to fail"),
    "d_zero": ("zero_percentiles", "failed", "zero-percentiles", "percentiles are 0"),
    "e_garbage": ("garbage_json", "failed", "report-unreadable", "not JSON"),
    "f_text_only": ("no_json", "passed", "passed", ""),
    "g_panics": ("panic", "failed", "driver-panicked", "panicked"),
    "h_crashes": ("crash_signal=SIGSEGV", "failed", "driver-signal", "SIGSEGV"),
    "i_healthy": ("", "passed", "passed", ""),
}
# The words name the server's starts in this suite: a start that fails for now is tried once more.
SERVER_CASES = {
    "a_dies": ("1:die_after=1.3,1:die_signal=SIGABRT", "failed", "server-crash", "Server crash detected"),
    "b_never_starts": ("2:exit_at_start=1,3:exit_at_start=1", "failed", "server-ended-at-start", "exit code 1"),
    "c_starts_late": ("4:exit_at_start=1", "passed", "passed", ""),
    "d_moves": ("6:move_port,7:move_port", "failed", "port-moved", "moved to port"),
    "e_stubborn": ("8:ignore_sigterm", "passed", "passed", ""),
    "f_healthy": ("", "passed", "passed", ""),
}


@pytest.mark.parametrize(
    ("cases", "variable"), [(DRIVER_CASES, "STAND_IN_LOADTEST"), (SERVER_CASES, "STAND_IN_ENGRAM")]
)
def test_what_goes_wrong_costs_one_scenario_and_says_why(
    tmp_path: Path, cases: dict[str, tuple[str, str, str, str]], variable: str
) -> None:
    project = Project(tmp_path / "project", names=tuple(cases))
    named = variable == "STAND_IN_LOADTEST"
    words = [f"{name}:{case[0]}" if named else case[0] for name, case in cases.items() if case[0]]
    # A driver whose server is to die meanwhile is at work until then.
    done = project.doit(**{"STAND_IN_LOADTEST": "a_dies:lasts=9", variable: ",".join(words)})
    summary = project.file("summary.txt").read_text()
    for name, (_, verdict, code, reason) in cases.items():
        outcome = project.capture(name)["outcome"]
        assert (outcome["verdict"], outcome["code"]) == (verdict, code), (name, outcome)
        assert reason in outcome["reason"]
        assert project.file(f"{name}.txt").is_file() is (verdict != "failed"), "only what did not run whole is partial"
        assert project.file(f"{name}_diag.txt").is_file()
        if verdict == "failed":
            assert re.search(rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ ERROR {name}", done.stderr, re.MULTILINE)
            assert outcome["reason"] in summary
    assert done.returncode == 1
    assert ends_clean(project)


def test_a_server_that_is_never_ready_and_a_driver_that_hangs_are_ended(project: Project) -> None:
    project.set(ready_timeout_s=4.0, driver_grace_s=1.0)
    done = project.doit(
        STAND_IN_ENGRAM="1:never_ready,2:never_ready", STAND_IN_LOADTEST="beta:hang,beta:ignore_sigterm"
    )
    assert done.returncode == 1
    assert project.capture("alpha")["outcome"]["code"] == "server-not-ready"
    assert project.capture("beta")["outcome"]["code"] == "driver-timeout"
    assert list(project.run().glob("*_beta.txt.partial"))
    assert ends_clean(project)


def test_a_flood_of_output_fills_neither_disk_nor_memory(project: Project) -> None:
    project.set(max_output_mb=2)
    done = project.doit("run:alpha", STAND_IN_LOADTEST="flood")
    assert done.returncode == 0, done.stderr
    assert project.file("alpha.txt").stat().st_size < 3_000_000
    assert "bytes left out" in project.file("alpha.txt").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_130_and_the_next_doit_goes_on(project: Project, number: signal.Signals) -> None:
    ended = project.interrupt_in("beta", number=number)
    assert "Competitive benchmark suite interrupted." in ended.stdout
    assert ends_clean(project)
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(project.runs()) == 1
    assert project.driven() == ["alpha", "beta", "beta"]
    assert list(project.run().glob("*_beta*.attempt1.partial"))


def test_a_critical_check_starts_nothing_and_exits_2(project: Project) -> None:
    (project.root / "engram" / "target" / "release" / "loadtest").unlink()
    done = project.doit()
    assert done.returncode == 2
    assert "loadtest is missing" in done.stderr
    assert project.started() == []
    assert project.runs() == []
    assert project.doit("preflight").returncode == 1


def test_a_port_in_use_is_named_and_its_owner_left_alone(project: Project) -> None:
    with socket.create_server(("127.0.0.1", project.port)):
        done = project.doit()
        assert done.returncode == 2
        assert f"port {project.port} is in use by process {os.getpid()}" in done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["sytem=engram"], 'did you mean "system"?'),
        (["profile=quik"], "profile"),
        (["-n", "2"], "one at a time"),
        (["resume=2020-01-01_00-00-00"], "no run"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_starts(project: Project, words: list[str], line: str) -> None:
    done = project.doit(*words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert line in done.stderr
    assert project.started() == []


def test_a_second_suite_is_refused_while_one_measures(project: Project) -> None:
    first = project.start()
    assert eventually(lambda: project.started("loadtest"))
    second = project.doit()
    clean = project.doit("clean")
    first.communicate(timeout=60)
    assert (second.returncode, clean.returncode, first.returncode) == (2, 2, 0)
    assert f"pid {first.pid}" in second.stderr


def test_clean_removes_the_open_run_but_no_closed_one_and_says_so_first(project: Project) -> None:
    assert project.doit().returncode == 0
    closed = project.run()
    project.interrupt_in("alpha")
    opened = project.run()
    assert f"would remove tmp/competitive_benchmarks/{opened.name}" in project.doit("clean", "-n").stdout
    assert opened.exists()
    assert project.doit("clean").returncode == 0
    assert project.runs() == [closed]


def test_what_failed_is_measured_again_on_resume_and_its_files_are_kept(project: Project) -> None:
    failed = project.doit("sample_interval_s=0.3", STAND_IN_LOADTEST="beta:exit_without_report=1")
    assert failed.returncode == 1
    resumed = f"resume={project.run().name}"
    (line,) = re.findall(r"^Measure only what failed or was invalid again: (.*)$", failed.stdout, re.MULTILINE)
    assert line.endswith(f" -m doit sample_interval_s=0.3 {resumed}")
    assert f"measure again what failed or was invalid: {line}\n" in project.file("summary.txt").read_text()
    other = project.doit(resumed)
    assert (other.returncode, "sample_interval_s" in other.stderr) == (2, True), other.stderr
    done = project.paste(line)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.driven() == ["alpha", "beta", "beta"]
    assert project.capture("beta")["attempt"] == 2
    assert project.file("beta_capture.json.attempt1.partial").exists()
    assert project.manifest()["state"] == "closed"


def test_a_run_of_one_scenario_is_resumed_alone(project: Project) -> None:
    assert project.doit("run:beta", STAND_IN_LOADTEST="exit_without_report=1").returncode == 1
    resumed = f"resume={project.run().name}"
    other = project.doit(resumed, "run:alpha")
    assert (other.returncode, "was made without alpha" in other.stderr) == (2, True), other.stderr
    done = project.doit(resumed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.driven() == ["beta", "beta"]
    assert len(project.runs()) == 1


def test_changed_inputs_start_a_new_run_and_say_what_changed(project: Project) -> None:
    project.interrupt_in("alpha")
    project.set(connections=63)
    done = project.doit()
    assert done.returncode == 0
    assert "is abandoned" in done.stdout
    assert "connections: 64 -> 63" in done.stdout
    assert len(project.runs()) == 2


def test_plan_writes_nothing(project: Project) -> None:
    done = project.doit("plan")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1. alpha: start, load 5 memories, measure" in done.stdout
    assert project.runs() == []
    assert not (project.root / "tmp" / "preflight").exists()


def test_a_scenario_edited_while_another_is_measured_fails_and_is_not_measured(project: Project) -> None:
    process = project.start()
    assert eventually(lambda: project.started("loadtest"))
    path = project.root / "scenarios" / "competitive" / "beta.toml"
    path.write_text(path.read_text().replace("rate = 20.0", "rate = 60.0"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    outcome = project.capture("beta")["outcome"]
    assert (outcome["verdict"], outcome["code"]) == ("failed", "inputs-changed"), outcome
    assert "scenario:beta: " in outcome["reason"]
    assert project.driven() == ["alpha"]
    assert len(project.started("engram")) == 1


def test_a_binary_built_anew_while_a_scenario_is_measured_is_not_measured_under_the_old_hash(project: Project) -> None:
    process = project.start()
    assert eventually(lambda: project.started("loadtest"))
    binary = project.root / "engram" / "target" / "release" / "engram"
    (binary.parent / "new").write_text(binary.read_text() + "\n# another build\n")
    (binary.parent / "new").chmod(0o755)
    (binary.parent / "new").replace(binary)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert project.capture("beta")["outcome"]["code"] == "inputs-changed", out + err
    assert "binary:engram: " in err
