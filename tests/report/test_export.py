"""Each export, read back by a parser of its format that somebody else wrote."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text_format

from compbench.model import file_names
from compbench.model.metrics import P99
from compbench.model.records import Capture, Manifest
from compbench.model.result import Capacity
from compbench.report import pages, summary
from compbench.report.export import junit, runs_csv
from compbench.report.export.openmetrics import openmetrics_text
from compbench.report.past import comparable, history
from compbench.store import runs
from compbench.store.record_files import read_record
from tests import synthetic
from tests.project import ROOT
from tests.rendering import render
from tests.synthetic import NAMES, Recipe, RunRecipe

FOUND = Capacity(
    low_ops_s=1234.0,
    high_ops_s=1300.0,
    bound="target",
    p99_limit_ms=20.0,
    max_error_rate=0.01,
    precision_pct=5.0,
    curve=[],
)
SCENARIOS = ROOT / "scenarios" / "competitive"
# The names are read by others' programs, so they stand here and don't come from the product's table.
RUN_COLUMNS = ["run", "opened_at", "commit", "uncommitted", "machine", "system", "driver", "profile", "scale"]
MEASURED_COLUMNS = ["scenario", "repeat", "outcome", "duration_s"]
FIGURE_COLUMNS = [
    *("p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "p999_latency_ms", "offered_ops_s", "throughput_ops_s"),
    *("recall_pct", "recall_p5_pct", "recall_below_080_pct", "error_rate_pct", "capacity_ops_s"),
    *("round_trip_p50_ms", "round_trip_p99_ms"),
    *("server_instructions_per_request", "server_cycles_per_request", "server_instructions_per_cycle"),
    *("server_context_switches_per_request", "server_involuntary_switches_pct", "server_migrations_per_request"),
    *("server_page_faults_per_request", "driver_instructions_per_request", "driver_cycles_per_request"),
    *("driver_instructions_per_cycle", "driver_context_switches_per_request", "driver_involuntary_switches_pct"),
    *("driver_migrations_per_request", "driver_page_faults_per_request"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed run with its pages: repeats, a missed and a failed scenario, awkward characters."""
    captures = [
        *(Recipe(NAMES[0], duration_s=2, repeat=n, seed=n) for n in (1, 2)),
        Recipe(NAMES[1], duration_s=2, verdict="missed", reason='P99 "30 ms" is over <15> & more, really'),
        Recipe(NAMES[2], duration_s=2, verdict="failed", reason="Server crash detected"),
    ]
    folder = synthetic.make_run(tmp_path_factory.mktemp("runs"), RunRecipe(captures=captures, dirty=[" M a,b.rs"]))
    manifest, captures_read = read(folder)
    pages.write_pages(
        folder, manifest, captures_read, interrupted=False, scenarios_dir=SCENARIOS, now=manifest.opened_at
    )
    return folder


def read(folder: Path) -> tuple[Manifest, list[Capture]]:
    manifest = read_record(folder / file_names.MANIFEST, Manifest)
    return manifest, runs.Run(folder, manifest).captures()


def past_of(folder: Path) -> history.Past:
    past = history.read_past(folder)
    assert past is not None
    return past


def test_csv_has_the_columns_that_its_readers_name(folder: Path) -> None:
    header, first, *_ = csv.reader(io.StringIO(runs_csv.csv_text([past_of(folder)])), strict=True)
    assert header == [*RUN_COLUMNS, *MEASURED_COLUMNS, *FIGURE_COLUMNS]
    row = dict(zip(header, first, strict=True))
    _, (capture, *_) = read(folder)
    assert capture.result
    for name in ("p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "throughput_ops_s"):
        assert float(row[name]) == pytest.approx(getattr(capture.result, name), rel=1e-4)
    assert float(row["duration_s"]) == capture.duration_s == 2


def test_csv_has_a_line_for_each_scenario_and_repeat(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(runs_csv.csv_text([past_of(folder)])), strict=True))
    assert [(row["scenario"], row["repeat"], row["outcome"]) for row in rows] == [
        (NAMES[0], "1", "passed"),
        (NAMES[0], "2", "passed"),
        (NAMES[1], "1", "missed"),
        (NAMES[2], "1", "failed"),
    ]
    _, captures = read(folder)
    assert float(rows[0]["p99_latency_ms"]) == pytest.approx(P99.read(captures[0].result, None), rel=1e-4)
    assert rows[3]["p99_latency_ms"] == "", "figures of a failed scenario are none"
    assert rows[0]["uncommitted"] == "yes"


@pytest.mark.process
def test_an_invalid_measurement_is_an_error_by_name_and_its_figures_are_none(tmp_path: Path) -> None:
    recipes = [
        Recipe(NAMES[0], duration_s=2, verdict="missed", reason="P99 30 ms is over 15 ms"),
        Recipe(NAMES[1], duration_s=2, verdict="invalid", reason="the driver lacked CPU time"),
        Recipe(NAMES[2], duration_s=2),
    ]
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=recipes))
    manifest, captures = read(folder)
    pages.write_pages(folder, manifest, captures, interrupted=False, scenarios_dir=SCENARIOS, now=synthetic.NOON)
    past = past_of(folder)
    assert past.verdicts[NAMES[1]] == "invalid"
    assert past.values[NAMES[1]] == {}
    rows = list(csv.DictReader(io.StringIO(runs_csv.csv_text([past])), strict=True))
    assert [(row["outcome"], bool(row["p99_latency_ms"])) for row in rows] == [
        ("missed", True),
        ("invalid", False),
        ("passed", True),
    ]
    (suite,) = JUnitXml.fromstring(junit.junit_xml(manifest, captures))
    assert (suite.failures, suite.errors) == (1, 1)
    families = openmetrics(openmetrics_text(past, {}))  # type: ignore[no-untyped-call]
    gauges = {(s.name, s.labels.get("scenario")): s.value for family in families for s in family.samples}
    assert gauges["compbench_scenario_passed", NAMES[1]] == 0
    assert ("compbench_p99_latency_seconds", NAMES[1]) not in gauges
    told = (folder / f"{folder.name}_summary.txt").read_text()
    assert "Total scenarios: 3\nPassed: 1\nFailed: 2 " in told
    assert f"({NAMES[0]}: missed, {NAMES[1]}: invalid)" in told
    render(folder)
    for ending in ("html", "md"):
        assert f"{NAMES[1]} gave no measurement (invalid)" in (folder / f"{folder.name}_report.{ending}").read_text()


def test_each_repeat_keeps_its_own_outcome_and_figures(tmp_path: Path) -> None:
    verdicts = ("passed", "failed", "passed")
    recipes = [Recipe(NAMES[0], duration_s=2, repeat=n, verdict=v) for n, v in enumerate(verdicts, 1)]
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=recipes))
    for number, p99_ms, recall in ((1, 1.0, None), (3, 3.0, {"mean": 0.99, "checked": 9})):
        path = folder / f"{folder.name}_{NAMES[0]}_run{number}_capture.json"
        capture = json.loads(path.read_text())
        capture["result"]["p99_latency_ms"] = p99_ms
        capture["result"]["details"]["recall"] = recall
        path.write_text(json.dumps(capture))
    pages.write_pages(folder, *read(folder), interrupted=False, scenarios_dir=SCENARIOS, now=synthetic.NOON)
    rows = csv.DictReader(io.StringIO(runs_csv.csv_text([past_of(folder)])), strict=True)
    assert [(r["repeat"], r["outcome"], r["p99_latency_ms"], r["recall_pct"]) for r in rows] == [
        ("1", "passed", "1", ""),
        ("2", "failed", "", ""),
        ("3", "passed", "3", "99"),
    ]


def test_a_study_is_told_by_its_rounds_of_which_a_missed_target_is_no_failure(tmp_path: Path) -> None:
    verdicts = ("missed", "passed", "invalid", "passed")
    recipes = [Recipe(NAMES[0], duration_s=2, repeat=n, verdict=v) for n, v in enumerate(verdicts, 1)]
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=recipes))
    manifest, captures = read(folder)
    manifest = msgspec.structs.replace(manifest, kind="noise", selection=[*manifest.selection, "not_there_yet"])
    (suite,) = JUnitXml.fromstring(junit.junit_xml(manifest, captures))
    assert (suite.failures, suite.errors, suite.skipped) == (0, 1, 1)
    rounds = "5 rounds: 3 measured, 1 invalid, 1 not measured"
    told = summary.final_message(manifest, captures, folder, interrupted=False)
    assert told.startswith("Study of noise not complete yet.\n")
    assert f"\nSummary: {rounds}\n" in told
    page = summary.render_summary(manifest, captures, folder, [], interrupted=False)
    assert f"\nRounds: {rounds}\n" in page
    for text in (told, page):
        assert "suite" not in text
        assert "scenarios passed" not in text
        assert f"{NAMES[0]}_run3 invalid" in text
        assert f"{NAMES[0]}_run1 missed in" not in text
    whole = msgspec.structs.replace(manifest, selection=[capture.measurement for capture in captures])
    told = summary.final_message(whole, captures, folder, interrupted=False)
    assert f"Measure only what failed or was invalid again: doit resume={folder.name}" in told


def test_junit_has_a_case_for_each_measurement_of_the_selection(folder: Path) -> None:
    manifest, captures = read(folder)
    longer = msgspec.structs.replace(manifest, selection=[*manifest.selection, "not_there_yet"])
    (suite,) = JUnitXml.fromstring(junit.junit_xml(longer, captures))
    cases = {case.name: case for case in suite}
    assert list(cases) == longer.selection
    assert [type(result) for case in cases.values() for result in case.result] == [Failure, Error, Skipped]
    assert cases[NAMES[1]].result[0].message == 'P99 "30 ms" is over <15> & more, really'
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (5, 1, 1, 1)
    assert cases[f"{NAMES[0]}_run1"].time == pytest.approx(14)


def test_no_gauge_has_the_tail_that_dividing_leaves(folder: Path) -> None:
    past = past_of(folder)
    past = dataclasses.replace(past, values={NAMES[0]: {"p99_latency_ms": [2.32 / 3]}})
    shown = [line.rpartition(" ")[2] for line in openmetrics_text(past, {}).splitlines() if line[0] != "#"]
    assert "0.000773333333333" in shown
    assert [value for value in shown if len(Decimal(value).normalize().as_tuple().digits) > 12] == []


def test_metrics_are_read_alike_by_both_parsers_of_prometheus(folder: Path) -> None:
    found = {NAMES[1]: comparable.FoundCapacity("2026-01-01_00-00-00", FOUND)}
    text = openmetrics_text(past_of(folder), found)
    for parse in (openmetrics, text_format):
        samples = {(s.name, s.labels.get("scenario")): s.value for family in parse(text) for s in family.samples}
        p99_s = samples["compbench_p99_latency_seconds", NAMES[0]]
        values = past_of(folder).values[NAMES[0]]["p99_latency_ms"]
        assert p99_s == pytest.approx(sum(values) / 2000)
        assert samples["compbench_scenario_passed", NAMES[0]] == 1
        assert samples["compbench_capacity_operations_per_second", NAMES[1]] == 1234
        assert samples["compbench_scenario_passed", NAMES[2]] == 0
        assert ("compbench_p99_latency_seconds", NAMES[2]) not in samples
        assert samples["compbench_run_opened_timestamp_seconds", None] == synthetic.NOON
    assert text.endswith("# EOF\n")


@pytest.mark.process
def test_the_report_of_a_closed_run_leaves_junit_and_a_step_summary(folder: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("what another step said\n\n")
    render(folder, state="interrupted", GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text() == "what another step said\n\n", "a run that is not closed is no result of a step"
    render(folder, GITHUB_STEP_SUMMARY=str(summary))
    text = summary.read_text()
    assert text.startswith("what another step said\n")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert [t for t in tokens if t.type == "table_open"]
    assert not [child for t in tokens for child in t.children or [] if child.type == "image"]
    cells = [t.content for t in tokens if t.type == "inline"]
    assert NAMES[1] in cells
    JUnitXml.fromfile(str(folder / f"{folder.name}_junit.xml"))
