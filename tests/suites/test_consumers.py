"""The pages of a run, matched by the very patterns with which their readers read them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from compbench.model.events import MeasurementBegan, SecondMeasured
from compbench.model.file_names import EVENTS
from tests.helpers import read_events
from tests.project import Project

TIMESTAMP = r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"
# Of the report generator: of each text file that is no page, and of the metadata.
RESULT_PATTERNS = [
    r"P50\s+[Ll]atency:\s+([\d.]+)\s*ms",
    r"P95\s+[Ll]atency:\s+([\d.]+)\s*ms",
    r"P99\s+[Ll]atency:\s+([\d.]+)\s*ms",
    r"[Tt]hroughput:\s+([\d.]+)\s*(?:ops/sec|QPS)",
    r"[Ee]rror\s+[Rr]ate:\s+([\d.]+)\s*%",
    r"[Tt]otal\s+[Oo]perations:\s+([\d,]+)",
    r"[Dd]uration:\s+([\d.]+)\s*s",
]
METADATA_PATTERNS = [
    r"[Bb]ranch:\s+(.+)",
    r"OS:\s+(.+)",
    r"CPU:\s+(.+)",
    r"RAM:\s+(.+)",
    r"[Ee]ngram\s+[Vv]ersion:\s+(.+)",
    r"Engram Core:\s+(.+)",
    r"[Tt]imestamp:\s+(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)",
]
PAGES = ("_metadata.txt", "_stderr.txt", "_diag.txt", "_sys.txt", "_summary.txt")
FLAT_KEYS = {"p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "throughput_qps", "duration_s"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run of one scenario; compbench's own driver wants enough CPU time and true answers."""
    project = Project(tmp_path_factory.mktemp("consumers") / "project", names=("alpha",))
    scenario = project.root / "scenarios" / "competitive" / "alpha.toml"
    # One pause of the machine is the P99 of so few operations.
    scenario.write_text(scenario.read_text().replace("p99_latency_ms = 500.0", "p99_latency_ms = 5000.0"))
    for _ in range(3):
        done = project.doit("system=embedded", "driver=builtin", "scale=1", "invalid_retries=10")
        if "measurement invalid" not in done.stderr:
            break
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def result_files(run: Path) -> list[Path]:
    return [path for path in run.glob("*.txt") if not path.name.endswith(PAGES)]


def test_every_other_text_file_is_a_scenario_and_matches(project: Project) -> None:
    (found,) = result_files(project.run())
    assert re.fullmatch(rf"({TIMESTAMP})_(.+)", found.stem)
    text = found.read_text()
    assert "\x1b" not in text
    for pattern in RESULT_PATTERNS:
        assert re.search(pattern, text), pattern


def test_metadata_has_each_label_once_and_no_made_up_commit(project: Project) -> None:
    text = project.file("metadata.txt").read_text()
    for pattern in METADATA_PATTERNS:
        assert len(re.findall(pattern, text)) == 1, pattern
    assert re.search(r"[Cc]ommit\s+[Hh]ash:\s+([a-f0-9]{40}|not readable here)\n", text)


def test_the_flat_result_has_the_keys_that_validators_read(project: Project) -> None:
    flat = json.loads((project.run() / "alpha_loadtest.json").read_text())
    assert set(flat) == FLAT_KEYS
    assert 0 < flat["p50_latency_ms"] <= flat["p95_latency_ms"] <= flat["p99_latency_ms"]


def test_the_table_of_samples_begins_as_specified(project: Project) -> None:
    head, *rows = project.file("alpha_sys.txt").read_text().splitlines()
    assert [cell.strip() for cell in head.split("|")] == [
        "Timestamp",
        "CPU%",
        "Mem(MB)",
        "Threads",
        "IO_Wait%",
        "Net(KB/s)",
    ]
    assert re.match(r"00:00:0\d", rows[0])
    assert any(row.startswith("PEAK:") for row in rows)
    assert any(row.startswith("AVG:") for row in rows)


def test_the_driver_is_open_loop_and_says_what_its_clock_measures(project: Project) -> None:
    own = project.capture("alpha")["result"]["details"]
    assert own["valid"] is True
    assert own["offered_ops_s"] == 20
    assert own["response_time_ms"]["p99"] >= own["service_time_ms"]["p50"]


def test_the_events_have_each_second_once_as_the_report_has_it(project: Project) -> None:
    series = project.capture("alpha")["result"]["details"]["time_series"]
    told: list[SecondMeasured] = []
    for event in read_events(project.run() / EVENTS):
        if isinstance(event, MeasurementBegan):
            told.clear()  # what driver or machine spoiled was made again
        elif isinstance(event, SecondMeasured):
            assert event.measurement == "alpha"
            told.append(event)
    assert [second.second for second in told] == list(range(len(told)))
    assert [second.completed for second in told] == series["completed"]
    assert [second.p99_ms for second in told] == series["response_p99_ms"]


def test_results_json_has_everything_but_the_samples(project: Project) -> None:
    results = json.loads((project.run() / "results.json").read_text())
    assert results["schema"] == 3
    (scenario,) = results["scenarios"]
    assert scenario["outcome"]["verdict"] == "passed"
    assert scenario["data_set"]["stored"] == 5
    assert scenario["monitoring"]["peak"]["threads"] > 0


def test_the_drivers_json_keeps_the_keys_that_performance_checks_read(project: Project) -> None:
    raw = json.loads(project.file("alpha.json").read_text())
    latencies = [raw[f"p{q}_latency_ms"] for q in (50, 95, 99)]
    assert latencies == sorted(latencies)
    assert raw["overall_throughput"] > 0
    assert (raw["total_errors"], raw["overall_error_rate"]) == (0, 0)


def test_the_report_is_named_as_its_readers_look_for_it(project: Project) -> None:
    done = project.doit("report")
    assert done.returncode == 0, done.stderr
    name = project.run().name
    assert [path.name for path in project.run().glob("*report*.html")] == [f"{name}_report.html"]
    assert project.file("report.md").is_file()
    assert [path.name for path in result_files(project.run())] == [f"{name}_alpha.txt"]


def test_a_report_that_can_not_be_written_is_told_and_ends_with_1(project: Project) -> None:
    path = project.file("report.html")
    path.unlink(missing_ok=True)
    path.mkdir()
    done = project.doit("report")
    path.rmdir()
    assert done.returncode == 1
    assert "the report could not be rendered" in done.stdout
    assert "doit report run=" in done.stdout
