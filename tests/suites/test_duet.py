"""Two builds in one run, in pairs: found, resumed, and never taken for a suite."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.builds import lay_out
from tests.project import Project, eventually

SHORT = ("duration_s=1", "warm_up_s=0", "cooldown_s=0", "invalid_retries=0")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a build whose searches take several times as long, and two scenarios to measure it with."""
    made = Project(tmp_path / "project", names=("alpha", "beta"))
    made.set(system="auto", expected_scenarios=2, connections=8)
    lay_out(made.root / "old")
    lay_out(made.root / "new", share=8.0)
    return made


def order_of(project: Project) -> list[str]:
    """Return the measurements of the newest run in the order of their beginning."""
    captures = [json.loads(path.read_text()) for path in project.run().glob("*_capture.json")]
    captures.sort(key=lambda capture: float(capture["started_at"]))
    return [f"{capture['scenario']}@{capture['variant']}" for capture in captures]


def test_an_interrupted_duet_goes_on_where_it_was_and_is_no_suite(project: Project) -> None:
    words = ("duet", "base=old", "head=new", "repeat=6", *SHORT)
    begun = project.start(*words)
    assert eventually(lambda: bool(list(project.output.glob("*/*alpha@*_capture.json"))), 60.0)
    begun.send_signal(signal.SIGINT)
    out, err = begun.communicate(timeout=60)
    assert begun.returncode == 130, out + err
    kept = {path: path.stat().st_mtime_ns for path in project.run().glob("*_capture.json")}
    assert len(kept) >= 1
    done = project.doit(*words)
    # On a busy machine a pair may lack a side, and six are the fewest that tell anything.
    assert done.returncode in (1, 2), done.stdout + done.stderr
    assert ("slower than base" if done.returncode == 1 else "nothing can be compared: ") in done.stdout
    assert "\nSummary: 12 rounds: " in done.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert order_of(project) == 3 * ["alpha@base", "alpha@head", "alpha@head", "alpha@base"]
    manifest = project.manifest()
    assert (manifest["kind"], manifest["state"], len(project.runs())) == ("duet", "closed", 1)
    assert {"binary:base:engram", "binary:head:engram"} <= set(manifest["fingerprint"])
    record = json.loads(project.file("alpha_duet.json").read_text())
    assert record["base"]["sha256"] != record["head"]["sha256"]
    assert project.doit("due").returncode == 1, "no full run has been closed"
    assert "only studies" in project.doit("compare").stderr
    assert eventually(lambda: not project.orphans(), 10.0)


@pytest.mark.slow
def test_a_build_that_is_slower_is_found_and_ends_with_1(project: Project) -> None:
    done = project.doit("duet:beta", "base=old", "head=new", "repeat=8", *SHORT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^head is [\d.]+ % slower than base in P\d\d \(\w+ time\) \(", done.stdout, re.MULTILINE)
    assert {name.partition("@")[0] for name in order_of(project)} == {"beta"}


def test_a_build_that_is_not_there_is_told_before_anything_is_measured(project: Project) -> None:
    done = project.doit("duet", "base=old", "head=nowhere", *SHORT)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "nowhere/target/release/engram" in done.stderr
    assert project.runs() == []
