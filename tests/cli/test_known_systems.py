"""What `doit systems` says; through the real loading, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from compbench.cli.known_systems import KnownSystem, describe_abilities
from compbench.report import render
from compbench.systems.api import Capabilities
from compbench.systems.registry import load_settings

ROOT = Path(__file__).resolve().parent.parent.parent
STAND_INS = ROOT / "tests" / "stand_ins" / "systems"


def run_doit(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-B", "-m", "doit", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_doit_systems_tells_of_each_system_and_of_what_auto_takes(tmp_path: Path) -> None:
    root = tmp_path / "engram"
    (root / "target" / "release").mkdir(parents=True)
    done = run_doit("systems", f"systems_dir={STAND_INS}", f"system.engram.root={root}", "system=flat")
    assert (done.returncode, done.stderr) == (0, "")
    assert "systems: flat is measured (system=flat is set)" in done.stdout
    assert f"system=auto takes engram: system.engram.root = {root} is set" in done.stdout
    told = {part.splitlines()[0].partition(":")[0]: part for part in done.stdout.split("\n\n")[1:]}
    assert all(len(line) <= 80 or " " not in line.strip() for part in told.values() for line in part.splitlines())
    told = {name: " ".join(part.split()) for name, part in told.items()}
    assert {"contender", "contrary", "elsewhere", "embedded", "engram", "flat", "toy"} <= set(told)
    assert f"no, missing: {root}/target/release/engram" in told["engram"]
    assert f"cargo build --release in {root}" in told["engram"]
    for name in ("contrary", "embedded", "flat"):
        assert "found yes" in told[name]
        assert "not readable here" not in told[name]
        assert "mode managed" in told[name]
    assert "mode managed (or container, endpoint)" in told["contender"]
    packaged = "the contender 1.0, licence Apache-2.0"
    assert f"get it doit install:contender: {packaged}, about 3 MB" in told["contender"]


def test_the_text_says_why_a_system_can_not_be_loaded() -> None:
    broken = KnownSystem("mine", "My system", problem="its server.py can't be loaded: no module named x")
    text = render("systems.txt.j2", settings=load_settings(ROOT, {}, {}), systems=[broken])
    assert "mine: My system\n  found     no: its server.py can't be loaded: no module named x" in text
    assert "version" not in text


def test_abilities_are_told_with_what_is_lacking() -> None:
    assert describe_abilities(Capabilities(dimension=3, metrics=("cosine", "dot"), deletes=True)) == (
        "vectors of 3 dimensions, by cosine or dot, a least similarity, storing while it searches, removing;"
        " not: following edges, completing vectors, filters"
    )
    asked = describe_abilities(Capabilities(tells_edges=True))
    assert "not: following edges (unless it tells so when it runs), completing vectors" in asked
    assert "when it runs" not in describe_abilities(Capabilities(tells_edges=True, edges=True))
    everything = Capabilities(edges=True, completion=True, deletes=True, filters=True)
    assert describe_abilities(everything).startswith("vectors of any dimension, by cosine, ")
    assert "not:" not in describe_abilities(everything)
    assert describe_abilities(Capabilities(most_dimensions=9)).startswith("vectors of any dimension up to 9, by cosine")
