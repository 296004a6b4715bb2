"""The sources of settings: which one wins, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compbench.config.sources import variables_of
from compbench.model.errors import UserError
from compbench.systems.registry import load_settings

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_command_line_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    (tmp_path / "compbench.toml").write_text("port = 1001\n")
    assert load_settings(tmp_path, {}, {}).port == 1001
    assert load_settings(tmp_path, {"COMPBENCH_PORT": "1002"}, {}).port == 1002
    assert load_settings(tmp_path, {"COMPBENCH_PORT": "1002"}, {"port": "1003"}).port == 1003


def test_a_profile_gives_defaults_that_a_setting_overrides(tmp_path: Path) -> None:
    quick = load_settings(tmp_path, {}, {"profile": "quick"})
    assert (quick.duration_s, quick.cooldown_s, quick.sample_interval_s) == (10, 1.0, 1.0)
    full = load_settings(tmp_path, {}, {})
    assert (full.duration_s, full.cooldown_s, full.sample_interval_s) == (None, 30.0, 5.0)
    assert load_settings(tmp_path, {}, {"profile": "quick", "cooldown_s": "7"}).cooldown_s == 7.0


@pytest.mark.parametrize(("profile", "warm_up_s"), [("full", 5.0), ("quick", 2.0)])
def test_several_systems_are_warmed_up_and_repeated_unless_that_is_set(
    tmp_path: Path, profile: str, warm_up_s: float
) -> None:
    systems = str(ROOT / "tests" / "stand_ins" / "systems")
    several = {"system": "flat,toy", "systems_dir": systems, "profile": profile}
    asked = load_settings(tmp_path, {}, several)
    assert (asked.warm_up_s, asked.repeat) == (warm_up_s, 3)
    asked = load_settings(tmp_path, {}, {**several, "warm_up_s": "0", "repeat": "1"})
    assert (asked.warm_up_s, asked.repeat) == (0.0, 1)
    assert load_settings(tmp_path, {}, {**several, "system": "flat"}).warm_up_s == 0.0


@pytest.mark.parametrize(
    ("file", "environment", "variables", "line"),
    [
        ("prot = 1\n", {}, {}, r'compbench\.toml: prot: unknown setting \(did you mean "port"\?\)'),
        ("new = true\n", {}, {}, "it belongs on the command line, as `doit new=...`"),
        ("port = '1'\n", {}, {}, r"port = '1': expected int, got str"),
        ("port = \n", {}, {}, r"compbench\.toml: not valid TOML"),
        ("", {"COMPBENCH_PRT": "1"}, {}, "environment: COMPBENCH_PRT: unknown setting"),
        ("", {"COMPBENCH_SCALE": "2"}, {}, r"environment: scale = '2': expected float <= 1"),
        ("", {}, {"system": "x"}, "command line: system = 'x': no such system; known: auto, .*engram"),
        ("", {}, {"target": "engram"}, "command line: target: unknown setting: it is called system now"),
        ("system.engrm.root = 1", {}, {}, r"compbench\.toml: system\.engrm: no such system.*engram"),
        ("", {"COMPBENCH_SYSTEM_ENGRAM_ROT": "x"}, {}, r"environment: system\.engram: rot: unknown key"),
        ("", {}, {"system.engram.log_level": "x"}, r"command line: system\.engram: log_level = 'x': unknown value"),
        ("", {}, {"port": "70000"}, "command line: port = '70000'"),
        ("notify = {on = ['never']}", {}, {}, r"notify\.on\[0\] = 'never': .*; known: end, failure, regression$"),
        ("notify = {xyz = 1}", {}, {}, r"notify\.xyz: unknown key; known here: on, variables$"),
        ("", {"COMPBENCH_NOTIFY": "x"}, {}, r"environment: notify: it is a table: write it into compbench\.toml$"),
        ("", {}, {"notify": "x"}, r"command line: notify: it is a table: write it into compbench\.toml$"),
        ("warn_load = inf", {}, {}, r"compbench\.toml: warn_load = inf"),
        ("warn_load = nan", {}, {}, r"compbench\.toml: warn_load = nan"),
        ("", {}, {"cooldown_s": "nan"}, r"command line: cooldown_s = 'nan'"),
        ("", {}, {"min_free_disk_gb": "1e308"}, r"min_free_disk_gb = '1e308': expected float <= 1000000"),
        ("\ufeffport = 1", {}, {}, r"compbench\.toml: begins with a byte order mark.* save it as UTF-8 without"),
        ("system.engram = 5", {}, {}, r"toml: system\.engram = 5: it is a table: set its keys: system\.engram\.root, "),
        ("", {}, {"system.engram": "x"}, r"command line: system\.engram = 'x': it is a table: set its keys"),
        pytest.param(f"port = {'9' * 5000}", {}, {}, r"compbench\.toml: not valid TOML", id="digits"),
        pytest.param(f"port = {'[' * 5000}", {}, {}, "toml: not valid TOML: nested too deeply", id="depth"),
    ],
)
def test_a_wrong_name_or_value_is_refused_with_its_place(
    tmp_path: Path, file: str, environment: dict[str, str], variables: dict[str, str], line: str
) -> None:
    (tmp_path / "compbench.toml").write_text(file)
    with pytest.raises(UserError, match=line):
        load_settings(tmp_path, environment, variables)


@pytest.mark.parametrize(
    ("file", "variables", "line"),
    [
        ("work_dir = '.'", {}, r"compbench\.toml: work_dir = .*: it is the project's folder"),
        ("work_dir = 'tmp'", {}, r"compbench\.toml: work_dir = .*: it holds output_dir"),
        ("cache_dir = 'scenarios'", {}, r"cache_dir = .*: it holds scenarios_dir"),
        ("cache_dir = '..'", {}, r"cache_dir = .*: it holds the project's folder"),
        ("", {"work_dir": "/"}, r"command line: work_dir = '/': it holds .*: name a folder of its own"),
        ("", {"cache_dir": "~"}, r"command line: cache_dir = .*: it is the home folder"),
        ("", {"work_dir": "link"}, r"work_dir = .*: it is the project's folder"),
        ("output_dir = 'tmp'", {}, r"compbench\.toml: cache_dir = .*/tmp/cache': it lies in output_dir"),
        ("output_dir = 'tmp/cache/runs'", {}, r"compbench\.toml: cache_dir = .*: it holds output_dir"),
        ("output_dir = 'tmp/work'", {}, r"compbench\.toml: work_dir = .*: it is output_dir"),
        ("", {"output_dir": ""}, r"command line: output_dir = '': expected str of length >= 1"),
        ("engram_root = '~nosuchuser/x'", {}, r"compbench\.toml: system\.engram\.root = '~nosuchuser/x': not a path"),
        ('work_dir = "tmp\\u0000x"', {}, r"compbench\.toml: work_dir = 'tmp\\x00x': not a path"),
    ],
)
def test_a_folder_that_cleaning_would_harm_is_refused(
    tmp_path: Path, file: str, variables: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (root / "link").symlink_to(root)
    (root / "compbench.toml").write_text(file)
    with pytest.raises(UserError, match=line):
        load_settings(root, {}, variables)


@pytest.mark.parametrize("path", ["/tmp/" + "/".join(["x" * 200] * 25), "x" * 256, "/tmp/" + "x/" * 1950])
def test_a_path_that_is_too_long_is_one_short_line(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match=r"command line: output_dir = .*not a path \(File name too long\)") as refused:
        load_settings(tmp_path, {}, {"output_dir": path})
    assert len(str(refused.value)) < 250


def test_folders_that_are_shared_with_others_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    shared = str(tmp_path / "shared")
    settings = load_settings(tmp_path / "project", {}, {"work_dir": shared, "cache_dir": shared, "output_dir": "runs"})
    assert (settings.work_dir, settings.cache_dir) == (shared, shared)


def test_a_folder_beside_the_scenarios_is_a_suite_of_any_number(tmp_path: Path) -> None:
    for name in ("competitive", "mine"):
        (tmp_path / "scenarios" / name).mkdir(parents=True)
    usual = load_settings(tmp_path, {}, {})
    assert (usual.suite, usual.expected_scenarios) == ("competitive", 4)
    mine = load_settings(tmp_path, {}, {"suite": "mine"})
    assert (mine.suite, mine.expected_scenarios) == ("mine", None)
    assert mine.scenarios_dir == str(tmp_path / "scenarios" / "mine")
    assert load_settings(tmp_path, {}, {"suite": "mine", "expected_scenarios": "2"}).expected_scenarios == 2
    elsewhere = load_settings(tmp_path, {}, {"scenarios_dir": "my/own"})
    assert (elsewhere.suite, elsewhere.expected_scenarios) == ("own", None)
    with pytest.raises(UserError, match=r'suite = .mien.: no such folder in .*scenarios \(did you mean "mine"\?\)'):
        load_settings(tmp_path, {}, {"suite": "mien"})
    with pytest.raises(UserError, match=r"suite = '\.\./x'"):
        load_settings(tmp_path, {}, {"suite": "../x"})


def test_any_trace_of_an_engram_build_means_engram(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}, {}).system == "embedded"
    assert load_settings(tmp_path, {}, {"engram_root": str(tmp_path / "nowhere")}).system == "engram"
    (tmp_path / "target" / "release").mkdir(parents=True)
    found = load_settings(tmp_path, {}, {})
    assert (found.system, found.driver, found.scale) == ("engram", "loadtest", "auto")
    assert load_settings(tmp_path, {}, {"system": "embedded"}).driver == "builtin"


def test_limits_are_the_specified_ones_except_for_quick_on_embedded(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}, {}).limits.min_available_memory_gb == 8
    small = load_settings(tmp_path, {}, {"profile": "quick", "min_free_disk_gb": "3"}).limits
    assert (small.min_available_memory_gb, small.min_free_disk_gb) == (1, 3)


def test_a_pipe_in_the_place_of_the_file_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "compbench.toml")
    with pytest.raises(UserError, match=r"compbench\.toml: can't be read \(not a regular file\)"):
        load_settings(tmp_path, {}, {})


def test_variables_are_the_words_with_an_equals_sign() -> None:
    assert variables_of(["run:a", "system=engram", "--file=x", "-n"]) == {"system": "engram"}


def test_the_words_that_ask_for_the_same_have_the_settings_of_the_environment_that_they_do_not_name(
    tmp_path: Path,
) -> None:
    environment = {
        "COMPBENCH_PORT": "7500",
        "COMPBENCH_SCALE": "0.1",
        "COMPBENCH_SYSTEM": "engram",
        "COMPBENCH_SYSTEM_ENGRAM_ROOT": "/build",
        "COMPBENCH_SYSTEM_ENGRAM_LOG_LEVEL": "info",
        "HOME": "/root",
    }
    variables = {"port": "7600", "system.engram.log_level": "debug"}
    called = ["doit", *(f"{name}={value}" for name, value in variables.items())]
    words = load_settings(tmp_path, environment, variables, called).invocation
    assert sorted(words[3:]) == ["scale=0.1", "system.engram.root=/build", "system=engram"]
    again = load_settings(tmp_path, {}, variables_of(words))
    assert (again.port, again.scale, again.system_tables["engram"]["root"]) == (7600, 0.1, "/build")
