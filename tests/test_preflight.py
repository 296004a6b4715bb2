"""The checks as pure judgements: every threshold from both sides."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from compbench import preflight
from compbench.probes import binaries, machine
from compbench.records import Finding
from compbench.settings import SPECIFIED_LIMITS, Settings, load_settings

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("total_gb", "available_gb", "level"),
    [(32, 20, "ok"), (16, 8, "ok"), (15.9, 8, "warning"), (32, 7.9, "critical"), (8, 7, "critical")],
)
def test_memory(total_gb: float, available_gb: float, level: str) -> None:
    found = preflight.judge_memory(int(total_gb * GB), int(available_gb * GB), SPECIFIED_LIMITS)
    assert found.level == level


@pytest.mark.parametrize(("free_gb", "level"), [(10, "ok"), (9.9, "warning"), (5, "warning"), (4.9, "critical")])
def test_disk(free_gb: float, level: str) -> None:
    found = preflight.judge_disk(int(free_gb * GB), Path("/x"), SPECIFIED_LIMITS)
    assert found.level == level
    assert ("Insufficient disk space" in found.found) is (level == "critical")


@pytest.mark.parametrize(("load", "level"), [(2.0, "ok"), (2.01, "warning"), (None, "ok")])
def test_load_is_not_truncated(load: float | None, level: str) -> None:
    assert preflight.judge_load(load, 2.0).level == level


@pytest.mark.parametrize(
    ("governors", "level"), [(["performance"], "ok"), (["performance", "powersave"], "warning"), (None, "ok")]
)
def test_governor(governors: list[str] | None, level: str) -> None:
    assert preflight.judge_governors(governors).level == level


@pytest.mark.parametrize(("heat", "level"), [(80.0, "ok"), (80.1, "warning"), (None, "ok")])
def test_temperature_says_when_there_is_no_sensor(heat: float | None, level: str) -> None:
    found = preflight.judge_temperature(heat, 80.0)
    assert found.level == level
    assert (found.found == "not readable here: no sensor") is (heat is None)


def test_foreign_servers_are_named_and_not_ended() -> None:
    assert preflight.judge_processes([], 0).level == "ok"
    assert preflight.judge_processes([], 1).level == "warning"
    found = preflight.judge_processes(["process 7 (/x/engram)"], 0)
    assert found.level == "critical"
    assert "process 7 (/x/engram)" in found.found


def test_a_folder_named_engram_is_no_server(tmp_path: Path) -> None:
    (tmp_path / "engram").mkdir()
    with subprocess.Popen(["sleep", "30"], cwd=tmp_path / "engram") as sleeper:
        found, _ = machine.foreign_servers()
        sleeper.kill()
    assert not any(f"process {sleeper.pid} " in line for line in found)


def test_an_executable_named_engram_is_a_server_wherever_it_is(tmp_path: Path) -> None:
    shutil.copy("/bin/sleep", tmp_path / "engram")
    with subprocess.Popen([str(tmp_path / "engram"), "30"]) as server:
        found, _ = machine.foreign_servers()
        server.kill()
    assert any(f"process {server.pid} " in line for line in found)


@pytest.mark.parametrize(
    ("levels", "code"), [(["ok"], 0), (["ok", "warning"], 2), (["warning", "critical"], 1), ([], 0)]
)
def test_exit_codes_are_the_specified_ones(levels: list[str], code: int) -> None:
    findings = [Finding(check="x", level=level, found="") for level in levels]  # type: ignore[arg-type]
    assert preflight.preflight_exit_code(findings) == code


def test_versions_other_than_the_checkouts_are_critical() -> None:
    expected = {"engram-cli": "0.1.0", "loadtest": "0.1.0"}
    assert preflight.judge_versions({"engram-cli": "0.1.0"}, expected).level == "ok"
    assert preflight.judge_versions({"engram-cli": "0.2.0"}, expected).level == "critical"
    assert preflight.judge_versions({"engram-cli": "0.2.0"}, {}).level == "ok"


def compiled(folder: Path, *flags: str) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    (folder / "x.c").write_text("int main(void) { return 1; }")
    # The name must not matter: upstream's check took the word "debug" in a path for a debug build.
    subprocess.run([compiler, *flags, "-o", str(folder / "debug_x"), str(folder / "x.c")], check=True)
    return folder / "debug_x"


def test_a_binary_is_read_by_its_sections_not_by_its_name(tmp_path: Path) -> None:
    plain = binaries.read_binary(compiled(tmp_path))
    assert plain is not None
    assert (plain.kind, plain.has_debug_info) == ("ELF", False)
    assert binaries.is_release_build(plain)[0] == "yes"
    debug = binaries.read_binary(compiled(tmp_path, "-g"))
    assert debug is not None
    assert binaries.is_release_build(debug)[0] == "no"


def test_a_stripped_debug_build_is_known_by_its_panic(tmp_path: Path) -> None:
    stripped = binaries.read_binary(compiled(tmp_path, "-s"))
    assert stripped is not None
    assert binaries.is_release_build(stripped, 101)[0] == "no"
    assert binaries.is_release_build(stripped, 1)[0] == "yes"


def test_a_script_is_neither_release_nor_debug(tmp_path: Path) -> None:
    path = tmp_path / "engram"
    path.write_text("#!/bin/sh\n")
    facts = binaries.read_binary(path)
    assert facts is not None
    assert binaries.is_release_build(facts)[0] == "unknown"
    assert binaries.read_binary(tmp_path / "absent") is None


def settings(root: Path, **variables: str) -> Settings:
    return load_settings(root, {}, variables)


def test_every_check_answers_on_a_bare_machine(tmp_path: Path) -> None:
    for name in preflight.CHECKS:
        finding = preflight.run_check(name, settings(tmp_path), tmp_path)
        assert finding.check == name
        assert finding.found


def test_a_missing_build_is_critical_and_says_what_to_do(tmp_path: Path) -> None:
    asked = settings(tmp_path, engram_root="nowhere")
    for name in ("binary_engram", "binary_loadtest"):
        finding = preflight.run_check(name, asked, tmp_path)
        assert finding.level == "critical"
        assert "is missing" in finding.found
        assert "cargo build --release" in finding.mend


def test_too_little_memory_stops_a_scenario_and_a_busy_machine_is_noted(tmp_path: Path) -> None:
    readings = {"available_memory_bytes": 5 * GB, "load_1min": 3.0, "busy_pct": 40.0, "temperature_c": None}
    notices, refusal = preflight.judge_stability(readings, SPECIFIED_LIMITS, settings(tmp_path))
    assert [notice.code for notice in notices] == ["busy-machine"]
    assert refusal is None
    quiet = {**readings, "busy_pct": 2.0}
    assert preflight.judge_stability(quiet, SPECIFIED_LIMITS, settings(tmp_path)) == ([], None)
    _, refusal = preflight.judge_stability(
        {**readings, "available_memory_bytes": 3 * GB}, SPECIFIED_LIMITS, settings(tmp_path)
    )
    assert refusal == "only 3.0 GB of memory available; 4 GB are wanted for a scenario"
