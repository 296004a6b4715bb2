"""The gates agree: the public workflow and the commit hooks call what `.ci/run` and `make lint` call."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import tomli
import yaml

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CI_RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def workflow() -> dict[str, Any]:
    """Return the public workflow."""
    return dict(yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")))


def commands(job: str) -> list[str]:
    """Return the commands that a job runs, in order."""
    return [step["run"] for step in workflow()["jobs"][job]["steps"] if "run" in step]


def recipe(target: str) -> list[str]:
    """Return the commands of a target of the Makefile, without the folder of the environment."""
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    return [line.strip().replace("$(BIN)/", "") for line in lines.splitlines()]


def test_the_public_gate_runs_what_the_projects_own_gate_runs() -> None:
    assert commands("gate") == re.findall(r"^make .*$", CI_RUN, re.MULTILINE)


def test_every_command_of_the_workflow_is_a_target_of_make() -> None:
    called = [command for job in workflow()["jobs"] for command in commands(job)]
    assert called
    assert [command for command in called if not recipe(command.removeprefix("make "))] == []


def test_the_workflow_covers_both_systems_and_begins_with_the_oldest_python() -> None:
    matrix = workflow()["jobs"]["gate"]["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "macos-latest"]
    oldest = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    first = int(oldest.removeprefix("3."))
    assert matrix["python"] == [f"3.{minor}" for minor in range(first, 15)]


def test_the_hooks_of_a_commit_are_the_linters_of_the_gate() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in configuration["repos"] for hook in repository["hooks"]]
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks]
    linters = [command.replace(" --check", "") for command in recipe("lint")]
    assert entries == linters


def test_settings_given_to_make_reach_doit_and_makes_own_do_not() -> None:
    argv = [
        "make",
        "--no-print-directory",
        "-n",
        "-o",
        ".venv/.installed",
        "demo",
        "port=7500",
        "PYTHON=python3.12",
        "scale=0.01",
    ]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    *_, program, system, profile, new, first, second = done.stdout.split()
    assert (program, system, profile, new) == (".venv/bin/doit", "system=embedded", "profile=quick", "new=1")
    assert {first, second} == {"port=7500", "scale=0.01"}
