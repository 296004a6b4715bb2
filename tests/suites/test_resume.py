"""Which run an invocation goes on with, and what two runs in one invocation end with, through the real `doit`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.project import BRIEF, NAMES, Project, eventually


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two scenarios, `alpha` and `beta`."""
    return Project(tmp_path / "project", names=NAMES[:2])


def test_what_is_measured_in_an_open_suite_is_skipped_and_only_rendered_again(project: Project) -> None:
    project.interrupt_in("beta")
    (suite,) = project.runs()
    again = project.doit("run:alpha")
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"alpha: measured already in run {suite.name}; " in again.stdout
    assert "run:alpha new=1` measures it again" in again.stdout
    project.file("alpha_diag.txt").unlink()
    assert project.doit("diagnostics:alpha").returncode == 0
    assert project.file("alpha_diag.txt").is_file()
    project.file("summary.txt").unlink()
    assert project.doit("pages:alpha").returncode == 0
    assert project.file("summary.txt").is_file()
    assert project.driven() == ["alpha", "beta"]
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.runs(), project.driven()) == ([suite], ["alpha", "beta", "beta"])
    assert project.manifest()["state"] == "closed"


def test_other_settings_get_a_run_of_their_own_beside_an_open_suite_whose_advice_can_be_pasted(
    project: Project,
) -> None:
    out = project.interrupt_in("beta").stdout
    (suite,) = project.runs()
    told = re.search(r"Go on, without measuring again what is measured: (.*)", out)
    assert told is not None, out
    other = project.interrupt_in("beta", "run:beta", "connections=63")
    assert len(project.runs()) == 2
    beside = re.search(r"Go on, without measuring again what is measured: (.*)", other.stdout)
    assert beside is not None
    resumed = project.paste(beside[1])
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert len(project.runs()) == 2, "a run of its own is resumed like any"
    done = project.paste(told[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.runs()[0] == suite
    assert project.driven() == ["alpha", "beta", "beta", "beta", "beta"]
    assert '"closed"' in (suite / "manifest.json").read_text()


def test_only_another_whole_suite_abandons_one_and_puts_its_halves_aside(project: Project) -> None:
    project.interrupt_in("beta")
    (suite,) = project.runs()
    assert list(suite.glob("*_beta*.partial"))
    alone = project.doit("run:alpha", "new=1")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert f"run {suite.name} stays open" in alone.stdout
    assert '"open"' in (suite / "manifest.json").read_text()
    done = project.doit("new=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"run {suite.name} is abandoned, its files are kept, " in done.stdout
    assert list((suite / "leftovers").glob("*_beta*.partial"))
    assert not list(suite.glob("*.partial"))
    assert list(suite.glob("*_alpha_capture.json"))
    assert "abandoned" in (suite / "results.json").read_text()


@pytest.mark.parametrize(
    "words", [["capacity:beta", "run:alpha"], pytest.param(["run:alpha", "capacity:beta"], marks=pytest.mark.slow)]
)
def test_a_search_and_a_scenario_in_one_invocation_have_two_runs_and_one_end(
    project: Project, words: list[str]
) -> None:
    project.set(capacity_step_s=1, capacity_repeats=1, capacity_precision_pct=50.0, connections=32)
    for number in (1, 2, 3):
        done = project.doit(*words, STAND_IN_ENGRAM="slow_answers=0.2")
        runs = project.runs()[-2:]
        assert len(project.runs()) == 2 * number, done.stdout + done.stderr
        # On a busy machine a search may end at the driver's own limit, and says so.
        if project.capture("beta_capacity")["outcome"]["code"] != "capacity-beyond-driver":
            break
    assert done.returncode == 0, done.stdout + done.stderr
    states = {path.name: (path / "manifest.json").read_text() for path in runs}
    assert all('"state": "closed"' in text for text in states.values()), states
    assert list(runs[0].glob("*_alpha_capture.json"))
    assert list(runs[1].glob("*_beta_capacity_capture.json"))
    assert not list(runs[1].glob("*_alpha*"))
    assert all(f"Results in tmp/competitive_benchmarks/{path.name}/" in done.stdout for path in runs)
    assert done.stdout.count("Summary: 1/1 scenarios passed") == 2

    manifest, capture = project.manifest(), project.capture("beta_capacity")
    assert (manifest["kind"], manifest["selection"]) == ("capacity", ["beta_capacity"])
    assert (capture["driver"], capture["result"]) == ("builtin", None)
    assert capture["outcome"]["verdict"] == "passed"
    found = capture["capacity"]
    assert found["low_ops_s"] <= 32 / 0.2 < found["high_ops_s"]
    assert "capacity of Scenario beta" in done.stdout
    assert f"{found['low_ops_s']:.0f} ops/sec sustained" in done.stdout
    assert project.file("beta_capacity.json").is_file()
    assert not [path for path in runs[1].glob("*.txt") if path.name.endswith("_capacity.txt")], "taken for a scenario"
    assert project.doit("run:beta").returncode == 0, "a search stands in no suite's way"
    assert eventually(lambda: not project.orphans(), 10.0)


def test_an_interruption_before_the_first_result_leaves_metadata(project: Project) -> None:
    project.environment["STAND_IN_ENGRAM"] = "slow_start=1"
    project.interrupt_in("alpha")
    assert "Timestamp: " in project.file("metadata.txt").read_text()
    seconds = re.search(r"Total duration: (\d+) seconds", project.file("summary.txt").read_text())
    assert seconds is not None
    assert int(seconds[1]) >= 1, "the invocation's own time counts"


@pytest.mark.slow
def test_each_run_has_a_timestamp_and_measures_and_renders_in_the_same_order_under_any_hash_seed(
    project: Project,
) -> None:
    for seed in ("0", "1", "7"):
        assert project.doit(PYTHONHASHSEED=seed).returncode == 0
        captures = [project.file(f"{name}_capture.json").stat().st_mtime_ns for name in project.names]
        rendered = [project.file(f"{name}_diag.txt").stat().st_mtime_ns for name in project.names]
        assert captures[0] <= rendered[0] < captures[1] <= rendered[1]
    assert len(project.runs()) == 3
    assert project.driven() == ["alpha", "beta"] * 3


def test_a_task_shows_the_files_that_it_makes_and_is_made_of(project: Project) -> None:
    project.interrupt_in("beta")
    capture, diagnostics = str(project.file("alpha_capture.json")), str(project.file("alpha_diag.txt"))
    info = project.doit("info", "diagnostics:alpha")
    assert (info.returncode, "up-to-date" in info.stdout) == (0, True), info.stdout
    for path in (capture, diagnostics):
        assert f" - {path}\n" in info.stdout
    status = project.doit("list", "--all", "--status", "--deps").stdout
    for word, task in (("U", "measure:alpha"), ("U", "diagnostics:alpha"), ("U", "pages:alpha"), ("R", "measure:beta")):
        assert re.search(rf"^{word} {task} ", status, re.MULTILINE), status
    assert f" -  {capture}\n" in status
    for touched in ("scenarios/competitive/alpha.toml", "engram/target/release/engram"):
        assert f" -  {project.root / touched}\n" in status
        (project.root / touched).touch()
    assert re.search(r"^U measure:alpha ", project.doit("list", "--all", "--status").stdout, re.MULTILINE)
    project.file("alpha_capture.json").touch()
    assert re.search(r"^R diagnostics:alpha ", project.doit("list", "--all", "--status").stdout, re.MULTILINE)


def test_a_report_of_an_open_run_measures_nothing_though_a_scenario_was_edited(project: Project) -> None:
    project.interrupt_in("beta")
    started, (suite,) = project.started(), project.runs()
    path = project.root / "scenarios" / "competitive" / "alpha.toml"
    path.write_text(path.read_text() + "# edited\n")
    done = project.doit("report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"run {suite.name} (open): rendered again" in done.stdout
    assert "preflight" not in done.stdout, "no check is made for it, either"
    assert (project.started(), project.runs()) == (started, [suite])


def test_a_scenario_edited_between_two_invocations_gets_all_its_files_into_the_new_run(project: Project) -> None:
    project.interrupt_in("beta")
    (suite,) = project.runs()
    path = project.root / "scenarios" / "competitive" / "beta.toml"
    path.write_text(path.read_text() + "# edited\n")
    done = project.doit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"run {suite.name} is abandoned" in done.stdout
    assert project.run() != suite
    for name in project.names:
        assert project.file(f"{name}_diag.txt").is_file()
        assert (project.run() / f"{name}_loadtest.json").is_file()
    assert project.driven() == ["alpha", "beta", "alpha", "beta"]


def test_a_run_of_some_repeats_is_resumed_with_these_alone(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=NAMES[:1])
    first = project.doit("pages:alpha_run2", "repeat=3", STAND_IN_LOADTEST="alpha:panic")
    assert first.returncode == 1, first.stdout + first.stderr
    done = project.doit(f"resume={project.run().name}", "repeat=3", STAND_IN_LOADTEST=BRIEF)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.manifest()["selection"] == ["alpha_run2"]
    assert project.driven() == ["alpha", "alpha"]
