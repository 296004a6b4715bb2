"""`doit noise`: the same measurement again and again, with and without isolation, and what a comparison makes of it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.project import Project, eventually

TIMES = 5


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of two small scenarios, measured on the embedded server."""
    made = Project(tmp_path / "project", names=("alpha", "beta"))
    made.set(system="embedded", driver="builtin", scale=1.0, invalid_retries=9, isolation="auto", expected_scenarios=2)
    return made


@pytest.mark.slow
def test_a_study_is_kept_and_is_what_a_comparison_of_single_runs_takes(project: Project) -> None:
    begun = project.start("noise", f"repeat={TIMES}")
    assert eventually(lambda: len(list(project.output.glob("*/*_capture.json"))) > 1, 60.0)
    begun.send_signal(signal.SIGINT)
    begun.communicate(timeout=60)
    made = list(project.run().glob("*_capture.json"))
    assert 0 < len(made) < 2 * TIMES
    # On a busy machine one may be spoiled, which is made again.
    valid = [path for path in made if json.loads(path.read_text())["outcome"]["verdict"] != "invalid"]
    kept = {path: path.stat().st_mtime_ns for path in valid}

    done = project.doit("noise", f"repeat={TIMES}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "what was measured is not measured again"
    manifest = project.manifest()
    assert (manifest["kind"], manifest["state"]) == ("noise", "closed")
    assert {name.rpartition("_run")[0] for name in manifest["selection"]} == {"alpha@off", "alpha@auto"}
    begins = [name.partition("_run")[0] for name in manifest["selection"][::2]]
    assert begins[:4] == [begins[0], begins[1]] * 2, "which comes first changes from round to round"
    assert begins[0] != begins[1]
    records = json.loads(project.file("alpha_noise.json").read_text())["records"]
    assert [record["variant"] for record in records] == ["off", "auto"]
    assert {len(figure["values"]) for record in records for figure in record["figures"]} == {TIMES}
    assert project.file("alpha_noise.log").read_text() in done.stdout
    for told in ("isolation = off", "isolation = auto", "P99.9", "service P50", "repeats that find a change"):
        assert told in done.stdout
    notes = sorted((project.root / "tmp" / "cache" / "noise").glob("*.json"))
    assert notes

    assert project.doit("clean").returncode == 0
    assert sorted((project.root / "tmp" / "cache" / "noise").glob("*.json")) == notes, "a study is no cache"

    for _ in range(2):
        assert project.doit("run:alpha", "new=1").returncode == 0
    compared = project.doit("compare")
    assert compared.returncode in (0, 1), compared.stdout + compared.stderr
    assert f"noise of this machine, measured {records[0]['run'][:10]}, n = {TIMES}, " in compared.stdout
    assert "assumed" not in compared.stdout
    assert project.doit("run:alpha", "new=1", "connections=3").returncode == 0
    assert project.doit("run:alpha", "new=1", "connections=3").returncode == 0
    assert "noise assumed to be 5 %" in project.doit("compare").stdout, "that was measured with other settings"


def test_a_study_of_too_few_repeats_or_beside_other_work_is_refused_in_one_line(project: Project) -> None:
    done = project.doit("noise", "repeat=4")
    assert done.returncode == 2
    assert "noise: repeat = 4: so few tell nothing of a spread: at least 5" in done.stderr
    done = project.doit("noise", "run:beta")
    assert done.returncode == 2
    assert "it is a run of its own" in done.stderr
    assert not project.output.exists()
