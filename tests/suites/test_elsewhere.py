"""A server that the user runs on another address, through whole runs: what its pages say, and what goes wrong."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from tests.project import NAMES, Project
from tests.rival_programs import users_qdrant

# A busy machine spoils figures; that they were taken is all that matters here.
MEASURED = ("passed", "missed", "invalid")
UNKNOWN = "Not known of its machine: CPU, memory, disk, isolation, priority, limits, other load"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project of one scenario that measures Qdrant's stand-in, with the default effort."""
    made = Project(tmp_path / "project", names=NAMES[:1])
    made.set(system="qdrant", driver="builtin", duration_s=2, **{"system.qdrant.effort": 16, "invalid_retries": 0})
    return made


def told(project: Project, ending: str) -> str:
    """Return the newest page of that kind."""
    return sorted(project.output.glob(f"*/*{ending}"))[-1].read_text(encoding="utf-8")


def test_pages_say_what_is_not_known_of_its_machine_and_what_the_way_there_takes(project: Project) -> None:
    project.set(report=True)
    with users_qdrant("delay_ms=2") as port:
        done = project.doit(f"system.qdrant.endpoint=http://127.0.0.2:{port}")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    capture = project.capture("alpha")
    assert capture["outcome"]["verdict"] in MEASURED, capture["outcome"]
    server, samples = capture["server"], capture["samples"]
    assert server["metrics_from"] == f"http://127.0.0.2:{port}/metrics"
    assert (server["ready_after_s"], server["pid"], server["cpus"]) == (None, None, "")
    assert any(sample["cpu_pct"] is not None and sample["memory_bytes"] > 1_000_000 for sample in samples)
    assert all(sample["threads"] is None for sample in samples), "it does not tell them"
    for ending in ("_summary.txt", "_metadata.txt", "_report.md", "_report.html", "_diag.txt"):
        assert UNKNOWN in told(project, ending), ending
        assert "tells CPU, memory, open files, not its threads" in told(project, ending), ending
    assert "above, and all of" in told(project, "_metadata.txt")
    assert "Driver's machine" in told(project, "_report.html")
    assert "driver's machine: stolen time" in told(project, "_report.md")
    assert "pressure on the driver's machine" in told(project, "_report.md")
    assert "None" not in told(project, "_diag.txt").partition("== driver")[0]
    floor = capture["result"]["details"]["floor"]
    said = told(project, "_summary.txt")
    if floor is None:  # a machine that was busy just then
        assert "round trip of an empty request not known: " in said
        assert "round-trip-unknown" in {notice["code"] for notice in capture["notices"]}
    else:
        assert floor["p50_ms"] > 2
        assert f"round trip of an empty request P50 {floor['p50_ms']:.2f} ms, P99 {floor['p99_ms']:.2f} ms" in said
        assert "an empty request, P50; P99" in told(project, "_report.html")
        assert re.search(rf"\| {floor['p50_ms']:.2f} \| {floor['p99_ms']:.2f} \|", told(project, "_report.md"))
    project.doit("export")
    (row,) = csv.DictReader((project.output / "runs.csv").read_text().splitlines())
    assert row["round_trip_p50_ms"] == ("" if floor is None else f"{floor['p50_ms']:.6g}")


def test_one_that_is_gone_while_it_is_measured_fails_and_nobody_says_that_it_still_runs(project: Project) -> None:
    with users_qdrant("end_after=20") as port:
        done = project.doit(f"system.qdrant.endpoint=http://127.0.0.2:{port}")
    assert done.returncode == 1, done.stdout + done.stderr
    capture = project.capture("alpha")
    assert (capture["outcome"]["verdict"], capture["outcome"]["code"]) == ("failed", "endpoint-lost")
    codes = {notice["code"] for notice in capture["notices"]}
    assert {"server-metrics-lost", "data-left"} <= codes
    assert "Traceback" not in done.stdout + done.stderr
    assert not any(b"Traceback" in path.read_bytes() for path in project.output.rglob("*") if path.is_file())


@pytest.mark.slow
def test_one_whose_metrics_fall_silent_is_measured_and_that_is_a_notice(project: Project) -> None:
    with users_qdrant("metrics_times=4") as port:
        done = project.doit(f"system.qdrant.endpoint=http://127.0.0.2:{port}")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    capture = project.capture("alpha")
    assert capture["outcome"]["verdict"] in MEASURED, capture["outcome"]
    lost = [notice["text"] for notice in capture["notices"] if notice["code"] == "server-metrics-lost"]
    assert len(lost) == 1
    assert "it answers 404" in lost[0]
    assert capture["samples"][0]["memory_bytes"] is not None
    assert capture["samples"][-1]["memory_bytes"] is None
