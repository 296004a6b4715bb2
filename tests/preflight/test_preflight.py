"""The checks as pure judgements: every threshold from both sides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compbench.config.settings import SPECIFIED_LIMITS, Settings
from compbench.machine.probes import machine
from compbench.machine.probes.binaries import Release
from compbench.model.records import Finding, Manifest
from compbench.preflight import checks, judgement
from compbench.store import runs
from compbench.systems.registry import load_settings

ROOT = Path(__file__).resolve().parent.parent.parent
GB = 1_000_000_000


@pytest.mark.parametrize(
    ("total_gb", "available_gb", "level"),
    [(32, 20, "ok"), (16, 8, "ok"), (15.9, 8, "warning"), (32, 7.9, "critical"), (8, 7, "critical")],
)
def test_memory(total_gb: float, available_gb: float, level: str) -> None:
    found = judgement.judge_memory(int(total_gb * GB), int(available_gb * GB), SPECIFIED_LIMITS)
    assert found.level == level


@pytest.mark.parametrize(("free_gb", "level"), [(10, "ok"), (9.9, "warning"), (5, "warning"), (4.9, "critical")])
def test_disk(free_gb: float, level: str) -> None:
    found = judgement.judge_disk(int(free_gb * GB), Path("/x"), SPECIFIED_LIMITS)
    assert found.level == level
    assert ("Insufficient disk space" in found.found) is (level == "critical")


@pytest.mark.parametrize(("load", "level"), [(2.0, "ok"), (2.01, "warning"), (None, "ok")])
def test_load_is_not_truncated(load: float | None, level: str) -> None:
    assert judgement.judge_most("load", load, 2.0).level == level


@pytest.mark.parametrize(
    ("governors", "level"), [(["performance"], "ok"), (["performance", "powersave"], "warning"), (None, "ok")]
)
def test_governor(governors: list[str] | None, level: str) -> None:
    assert judgement.judge_governors(governors).level == level


@pytest.mark.parametrize(
    ("niceness", "wanted", "level", "mend"),
    [
        (-15, -15, "ok", ""),
        (0, 0, "ok", ""),
        (0, -15, "note", "`nice -15`"),
        (-5, -15, "note", "`nice -15`"),
        (5, 0, "warning", "without `nice`"),
        (5, -15, "warning", "without `nice`"),
    ],
)
def test_priority_is_noted_where_less_is_given_than_asked_for(
    niceness: int, wanted: int, level: str, mend: str
) -> None:
    finding = judgement.judge_priority(niceness, wanted)
    assert (finding.level, mend in finding.mend) == (level, True)
    assert f"niceness {niceness}" in finding.found


@pytest.mark.parametrize(("heat", "level"), [(80.0, "ok"), (80.1, "warning"), (None, "ok")])
def test_temperature_says_when_there_is_no_sensor(heat: float | None, level: str) -> None:
    found = judgement.judge_most("temperature", heat, 80.0, "no sensor")
    assert found.level == level
    assert (found.found == "not readable here: no sensor") is (heat is None)


def test_foreign_servers_are_named_and_not_ended() -> None:
    assert judgement.judge_processes([], 0).level == "ok"
    assert judgement.judge_processes([], 1).level == "warning"
    found = judgement.judge_processes(["process 7 (/x/engram)"], 0)
    assert found.level == "critical"
    assert "process 7 (/x/engram)" in found.found


@pytest.mark.parametrize(
    ("levels", "code"), [(["ok"], 0), (["ok", "warning"], 2), (["warning", "critical"], 1), ([], 0)]
)
def test_exit_codes_are_the_specified_ones(levels: list[str], code: int) -> None:
    findings = [Finding(check="x", level=level, found="") for level in levels]  # type: ignore[arg-type]
    assert judgement.preflight_exit_code(findings) == code


def test_versions_other_than_the_checkouts_are_critical() -> None:
    expected = {"engram-cli": "0.1.0", "loadtest": "0.1.0"}
    assert judgement.judge_versions({"engram-cli": "engram-cli 0.1.0"}, expected).level == "ok"
    assert judgement.judge_versions({"engram-cli": "engram-cli 0.2.0"}, expected).level == "critical"
    assert judgement.judge_versions({"engram-cli": "another program by that name"}, expected).level == "critical"
    assert judgement.judge_versions({"engram-cli": "not readable here: 0.1.0"}, expected).level == "critical"
    incomparable = judgement.judge_versions({"engram-cli": "engram-cli 0.2.0"}, {}, ["loadtest"])
    assert incomparable.level == "warning"
    assert "can't be compared" in incomparable.found
    for known in (incomparable, judgement.judge_versions({"engram-cli": "engram-cli 0.1.0"}, expected, ["loadtest"])):
        assert "loadtest: cannot be asked, known by its hash" in known.found


def settings(root: Path, **variables: str) -> Settings:
    return load_settings(root, {}, variables)


def test_every_check_answers_on_a_bare_machine(tmp_path: Path) -> None:
    for name in checks.CHECKS:
        finding = checks.run_check(name, settings(tmp_path), tmp_path)
        assert finding.check == name
        assert finding.found


@pytest.mark.parametrize(
    ("num_nodes", "scale", "level", "found", "mend"),
    [
        (200_000, "0.001", "ok", "one: 200 of 200,000 memories", ""),
        (2000, "0.001", "critical", "one: 2 of 2,000 memories at scale 0.001", "set scale=0.025 or more"),
        (20, "1", "ok", "one: 20 memories", ""),
        (20, "0.5", "critical", "one: 10 of 20 memories at scale 0.5", "set scale=1 or more"),
    ],
)
def test_a_scale_that_leaves_next_to_nothing_is_refused_before_anything_runs(
    tmp_path: Path, num_nodes: int, scale: str, level: str, found: str, mend: str
) -> None:
    (tmp_path / "small").mkdir()
    text = (ROOT / "scenarios" / "competitive" / "qdrant_ann_1m_768d.toml").read_text()
    (tmp_path / "small" / "one.toml").write_text(re.sub(r"num_nodes = \S+", f"num_nodes = {num_nodes}", text))
    finding = checks.run_check("scale", settings(tmp_path, scenarios_dir="small", scale=scale), tmp_path)
    assert (finding.level, finding.found) == (level, found)
    assert finding.mend.startswith(mend)


def test_a_dimension_that_the_server_refuses_is_critical(tmp_path: Path) -> None:
    asked = settings(tmp_path, system="engram", scenarios_dir="small", expected_scenarios="1")
    folder = tmp_path / "small"
    folder.mkdir()
    text = (ROOT / "scenarios" / "competitive" / "qdrant_ann_1m_768d.toml").read_text()
    (folder / "one.toml").write_text(text)
    assert checks.run_check("scenarios", asked, tmp_path).level == "ok"
    (folder / "one.toml").write_text(text.replace("embedding_dim = 768", "embedding_dim = 100"))
    finding = checks.run_check("scenarios", asked, tmp_path)
    assert (finding.level, finding.found) == ("critical", "one: data.embedding_dim is not 768")
    assert finding.mend == "set it to 768: Engram refuses every other dimension"


def test_more_dimensions_than_the_server_takes_are_critical(tmp_path: Path) -> None:
    asked = settings(tmp_path, system="embedded", scenarios_dir="small", expected_scenarios="1")
    folder = tmp_path / "small"
    folder.mkdir()
    text = (ROOT / "scenarios" / "competitive" / "qdrant_ann_1m_768d.toml").read_text()
    (folder / "one.toml").write_text(text.replace("embedding_dim = 768", "embedding_dim = 4096"))
    assert checks.run_check("scenarios", asked, tmp_path).level == "ok"
    (folder / "one.toml").write_text(text.replace("embedding_dim = 768", "embedding_dim = 4097"))
    finding = checks.run_check("scenarios", asked, tmp_path)
    assert (finding.level, finding.found) == ("critical", "one: data.embedding_dim is above 4096")
    assert finding.mend.startswith("set it to at most 4096: compbench's embedded server refuses")


def test_a_missing_build_is_critical_and_says_what_to_do(tmp_path: Path) -> None:
    asked = settings(tmp_path, engram_root="nowhere")
    for name in ("binary_server", "binary_driver"):
        finding = checks.run_check(name, asked, tmp_path)
        assert finding.level == "critical"
        assert "is missing" in finding.found
        assert "cargo build --release" in finding.mend


def test_too_little_memory_stops_a_scenario_and_a_busy_machine_is_noted(tmp_path: Path) -> None:
    readings = {"available_memory_bytes": 5 * GB, "load_1min": 3.0, "busy_pct": 40.0, "temperature_c": None}
    notices, refusal = judgement.judge_stability(readings, settings(tmp_path))
    assert [notice.code for notice in notices] == ["busy-machine"]
    assert refusal is None
    quiet = {**readings, "busy_pct": 2.0}
    assert judgement.judge_stability(quiet, settings(tmp_path)) == ([], None)
    _, refusal = judgement.judge_stability({**readings, "available_memory_bytes": 3 * GB}, settings(tmp_path))
    assert refusal is not None
    assert refusal.reason == "only 3.0 GB of memory available; 4 GB are wanted for a scenario"


def test_another_system_than_the_one_that_was_meant_is_a_warning_unless_it_was_asked_for(tmp_path: Path) -> None:
    finding = checks.run_check("system", settings(tmp_path), tmp_path)
    assert finding.level == "warning"
    why = "compbench's embedded server is measured instead of Engram: no trace of an Engram build"
    assert finding.found.startswith(why)
    assert finding.mend.startswith("cargo build --release in ")
    assert finding.mend.endswith("or say that compbench's embedded server is meant: system=embedded")
    for asked in (settings(tmp_path, system="embedded"), settings(tmp_path, engram_root="x")):
        assert checks.run_check("system", asked, tmp_path).level == "ok"


def test_tools_that_engrams_own_script_needs_are_critical_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    asked = settings(tmp_path, engram_root="engram")
    assert checks.run_check("tools_required", asked, tmp_path).level == "warning"
    script = tmp_path / "engram" / "scripts" / "engram_diagnostics.sh"
    script.parent.mkdir(parents=True)
    script.touch()
    finding = checks.run_check("tools_required", asked, tmp_path)
    assert (finding.level, finding.mend) == ("critical", "install them")
    assert "jq (Engram's scripts read JSON with it); bc (" in finding.found
    assert checks.run_check("tools_required", settings(tmp_path, system="embedded"), tmp_path).level == "warning"
    folder = str(Path(__file__).resolve().parent.parent / "stand_ins" / "systems")
    another = settings(tmp_path, system="flat", systems_dir=folder)
    assert checks.run_check("tools_required", another, tmp_path).level == "ok", "it declares none"


def test_a_tool_that_compbench_replaces_is_a_note_and_one_that_it_would_use_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checks.run_check("tools_optional", settings(tmp_path), tmp_path).level == "warning"
    assert checks.run_check("tools_optional", settings(tmp_path, flamegraph="false"), tmp_path).level == "note"
    (tmp_path / "perf").touch(mode=0o755)
    finding = checks.run_check("tools_optional", settings(tmp_path), tmp_path)
    assert (finding.level, "htop" in finding.found) == ("note", True)
    assert judgement.preflight_exit_code([finding]) == 0


@pytest.mark.parametrize("key", ["work_dir", "cache_dir", "output_dir"])
def test_a_folder_that_is_a_file_is_critical_and_named(tmp_path: Path, key: str) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        finding = checks.run_check(key, settings(tmp_path, **{key: path}), tmp_path)
        assert finding.level == "critical"
        assert finding.found == f"{tmp_path / path} can't be written: Not a directory"
        assert key in finding.mend
    assert checks.run_check(key, settings(tmp_path, **{key: "not/yet"}), tmp_path).level == "ok"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system here")
def test_another_disk_that_is_nearly_full_is_a_warning(tmp_path: Path) -> None:
    plenty = machine.free_disk_bytes(tmp_path) / GB
    little = machine.free_disk_bytes(Path("/dev/shm")) / GB
    if little >= plenty:
        pytest.skip("the second file system has more room than the first")
    limit = str((plenty + little) / 2)
    asked = settings(tmp_path, warn_free_disk_gb=limit, min_free_disk_gb=limit)
    assert checks.run_check("disk", asked, tmp_path).level == "ok"
    finding = checks.run_check("disk", settings(tmp_path, warn_free_disk_gb=limit, work_dir="/dev/shm/x"), tmp_path)
    assert finding.level == "warning"
    assert "/dev/shm/x" in finding.found


@pytest.mark.parametrize(("limit", "level"), [(164, "ok"), (163, "critical"), (-1, "ok")])
def test_open_files_must_be_as_many_as_the_connections_and_what_else_is_open(limit: int, level: str) -> None:
    finding = judgement.judge_open_files(limit, 164)
    assert finding.level == level
    assert ("ulimit -n 164" in finding.mend) is (level == "critical")


@pytest.mark.parametrize(
    ("is_executable", "release", "level", "found"),
    [
        (None, None, "critical", "/x/engram is missing"),
        (False, None, "critical", "/x/engram is not executable"),
        (True, ("yes", "no assertions"), "ok", "engram: release build (no assertions)"),
        (True, ("no", "it has assertions"), "critical", "engram: debug build (it has assertions)"),
        (True, ("unknown", "a script"), "warning", "engram: release build or not is not readable here (a script)"),
    ],
)
def test_a_program_is_judged_by_what_was_read_of_it_alone(
    is_executable: bool | None, release: tuple[Release, str] | None, level: str, found: str
) -> None:
    finding = judgement.judge_program(
        "binary_server", Path("/x/engram"), "cargo build --release", is_executable=is_executable, release=release
    )
    assert (finding.check, finding.level, finding.found) == ("binary_server", level, found)
    assert finding.mend == ("" if level == "ok" else "cargo build --release")


def test_a_run_that_was_interrupted_is_named_with_what_becomes_of_it(tmp_path: Path) -> None:
    assert checks.run_check("leftovers", settings(tmp_path), tmp_path).found == "none"
    manifest = Manifest(run="", state="open", opened_at=0.0, selection=["alpha", "beta"], fingerprint={})
    runs.create_run(Path(settings(tmp_path).output_dir), "2026-01-01_00-00-00", manifest)
    finding = checks.run_check("leftovers", settings(tmp_path), tmp_path)
    assert (finding.code, finding.level) == ("leftovers", "ok")
    assert "2026-01-01_00-00-00 lacks 2 scenarios and is continued if nothing changed" in finding.found
    assert finding.found.endswith("; `doit clean` removes them")


def test_a_mode_that_the_systems_folder_does_not_offer_is_refused(tmp_path: Path) -> None:
    systems = str(ROOT / "tests" / "stand_ins" / "systems")
    finding = checks.run_check("binary_server", settings(tmp_path, systems_dir=systems, system="elsewhere"), tmp_path)
    assert (finding.level, finding.code) == ("critical", "mode-unsupported")
    assert finding.found == "the server elsewhere is to run in mode endpoint, which its folder does not offer"
    assert (finding.wanted, finding.mend) == ("a mode of: managed", "set system.elsewhere.mode to one of these")
    started = checks.run_check("binary_server", settings(tmp_path, systems_dir=systems, system="flat"), tmp_path)
    assert started.level == "ok"
