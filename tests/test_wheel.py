"""The package as a user installs it: what it holds, and that it measures and reports without a checkout."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests import load, synthetic
from tests.load import SEARCHES, toml
from tests.project import ROOT, eventually, free_port

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]
EXTRAS = "loadtest,embedded,report"


def run(folder: Path, *argv: str | Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder that is no checkout; it must end with this exit code, if any is given."""
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=550)
    assert code in (None, done.returncode), f"{argv}\n{done.stdout}\n{done.stderr}"
    return done


def environment(folder: Path) -> Path:
    """Make an empty virtual environment; return its folder of programs."""
    run(folder.parent, sys.executable, "-m", "venv", folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the files that git knows."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    run(ROOT, "git", "clone", "--quiet", "--no-hardlinks", ROOT, source)
    run(folder, sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder / "dist", source)
    (built,) = (folder / "dist").glob("compbench-*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path) -> Path:
    """The programs of an environment that has the wheel and its extras, from the package index, and nothing else."""
    found = environment(wheel.parent.parent / "whole")
    run(wheel.parent, found / "pip", "install", "--quiet", f"{wheel}[{EXTRAS}]")
    return found


def test_the_wheel_holds_templates_and_licences_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    templates = {path.name for path in (ROOT / "templates").iterdir()}
    assert {name.rpartition("/")[2] for name in names if name.startswith("compbench/templates/")} == templates
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {"LICENSE-MIT", "LICENSE-APACHE"}
    assert [name for name in names if not name.startswith(("compbench/", "compbench-"))] == []


def test_without_extras_each_program_says_in_one_line_what_to_install(wheel: Path, tmp_path: Path) -> None:
    bare = environment(tmp_path / "bare")
    run(tmp_path, bare / "pip", "install", "--quiet", wheel)
    for room in ("loadtest", "embedded"):
        said = run(tmp_path, bare / "python", "-m", f"compbench.{room}", "--help", code=1).stderr
        assert f"python -m pip install '.[{room}]'" in said
        assert len(said.splitlines()) == 1
    assert "The suite runs from a checkout" in run(tmp_path, bare / "compbench").stdout
    assert run(tmp_path, bare / "compbench", "run", code=2).stdout == ""


def test_an_installed_package_measures_and_reports_without_a_checkout(programs: Path, tmp_path: Path) -> None:
    assert "ground-truth" in run(tmp_path, programs / "compbench-loadtest", "--help").stdout
    port = free_port()
    scenario = tmp_path / "small.toml"
    scenario.write_text(toml(load.scenario(SEARCHES)))
    argv: list[str | Path] = [programs / "python", "-m", "compbench.embedded", "start", "--port", str(port)]
    log = tmp_path / "server.log"
    with log.open("w") as out, subprocess.Popen(argv, cwd=tmp_path, stdout=out, stderr=out) as server:
        try:
            assert eventually(lambda: "started successfully" in log.read_text())
            endpoint: list[str | Path] = ["--scenario", scenario, "--endpoint", f"http://127.0.0.1:{port}"]
            loadtest: list[str | Path] = [programs / "python", "-m", "compbench.loadtest"]
            run(tmp_path, *loadtest, "prepare", *endpoint)
            how: list[str | Path] = ["--target-rate", "50", "--duration", "2", "--output", tmp_path / "out.json"]
            # A machine that is busy for a moment spoils a measurement, and the driver says so.
            for _ in range(5):
                done = run(tmp_path, *loadtest, "run", *endpoint, *how, code=None)
                if "Measurement invalid" not in done.stdout:
                    break
            assert done.returncode == 0, done.stdout + done.stderr
        finally:
            server.terminate()
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["total_operations"] > 50, report["compbench"]["valid"]) == (True, True)
    made = synthetic.make_run(tmp_path / "runs")
    run(tmp_path, programs / "python", "-m", "compbench.report", made, ROOT / "scenarios" / "competitive", "cache")
    assert "<svg" in (made / f"{made.name}_report.html").read_text()
