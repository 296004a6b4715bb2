"""Reports of drivers: parsed, refused in one line, and judged."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compbench.config.scenarios import load_scenario, load_scenarios
from compbench.machine.process import Exit
from compbench.measuring import cautions, driver_report, outcomes
from compbench.model.errors import UserError
from compbench.model.notices import Outcome, Verdict
from compbench.model.records import DataSet
from compbench.model.result import Histograms, Result
from compbench.model.scenario import Validation

ROOT = Path(__file__).resolve().parent.parent.parent
REPORT: dict[str, Any] = {
    "config_name": "Q",
    "elapsed_seconds": 60.0,
    "total_operations": 60000,
    "total_errors": 0,
    "overall_throughput": 1000.0,
    "overall_error_rate": 0.0,
    "p50_latency_ms": 0.2,
    "p95_latency_ms": 0.3,
    "p99_latency_ms": 0.4,
    "per_operation_stats": {"Search": {"count": 60000, "success_count": 60000, "p99_latency_us": 400}},
}
TEXT = """\
2026-11-24T03:03:22Z  INFO loadtest: Duration: 60 seconds

Load Test Report: Q
Duration: 60.00s | Total Operations: 60001
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
Overall Throughput: 1000 ops/sec
Overall Error Rate: 0.50%
P50 Latency: 0.21ms
P95 Latency: 0.27ms
P99 Latency: 0.29ms
"""
TARGETS = Validation(expected_p99_latency_ms=20.0, expected_throughput_ops_sec=800.0, max_error_rate=0.005)


def parsed(**changes: Any) -> Result:
    return driver_report.result_of(driver_report.parse_json(json.dumps({**REPORT, **changes}).encode(), "x.json"))


def test_the_text_report_gives_the_same_figures_as_the_json() -> None:
    result = driver_report.parse_text(TEXT)
    assert result is not None
    assert (result.p50_latency_ms, result.p99_latency_ms, result.throughput_ops_s) == (0.21, 0.29, 1000)
    assert (result.error_fraction, result.total_operations, result.elapsed_s) == (0.005, 60001, 60.0)


def test_a_text_without_a_report_is_none() -> None:
    assert driver_report.parse_text("INFO Duration: 60 seconds\nWARN failed\n") is None


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"p99_latency_ms": "fast"}, "p99_latency_ms = 'fast': Expected `float`, got `str`"),
        ({"p99_latency_ms": -1}, "p99_latency_ms = -1"),
        ({"overall_throughput": float("nan")}, "overall_throughput = nan"),
        ({"total_operations": True}, "total_operations = True"),
        ({"total_operations": -7}, "total_operations = -7"),
        ({"overall_throughput": 10**400}, "Number out of range"),
        ({"overall_throughput": float("inf")}, "overall_throughput = inf"),
        ({"overall_error_rate": 5.0}, "overall_error_rate = 5.0"),
        ({"per_operation_stats": {"Search": {"count": -7}}}, "per_operation_stats"),
        ({"per_operation_stats": {"Search": {"count": 1, "p99_latency_us": float("nan")}}}, "per_operation_stats"),
        ({"compbench": 5}, "compbench = 5"),
        ({"compbench": {"schema": 10**400}}, "compbench.schema"),
        ({"compbench": {"arrival": {"rate": 10**400}}}, "x.json: not a driver's report"),
        ({"compbench": {"recall": [1]}}, "compbench.recall = [1]"),
        ({"compbench": {"time_series": {"interval_s": 0}}}, "compbench.time_series.interval_s = 0"),
        ({"compbench": {"histograms": {"response_time": 3}}}, "compbench.histograms.response_time = 3"),
        ({"compbench": {"valid": "no"}}, "compbench.valid = 'no'"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_key(change: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        parsed(**change)
    assert str(caught.value).startswith("x.json: ")
    assert line in str(caught.value)


def test_garbage_and_missing_keys_are_refused() -> None:
    with pytest.raises(UserError, match="not JSON"):
        driver_report.parse_json(b"{ nonsense", "x.json")
    without = json.dumps({key: value for key, value in REPORT.items() if key != "p50_latency_ms"}).encode()
    with pytest.raises(UserError, match="missing required field `p50_latency_ms`"):
        driver_report.parse_json(without, "x.json")
    for deep in (b"[" * 200_000, b'{"a":' * 200_000):
        with pytest.raises(UserError, match="nested too deeply"):
            driver_report.parse_json(deep, "x.json")
    with pytest.raises(UserError, match="not JSON"):
        driver_report.parse_json(b"1" * 10_000, "x.json")


def test_a_report_that_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("pipe.json", "folder.json"):
        with pytest.raises(UserError, match=f"{name}: can't be read"):
            driver_report.read_result(tmp_path / name, tmp_path / "out")
        with pytest.raises(UserError, match=f"{name}: can't be read"):
            driver_report.read_capacity(tmp_path / name)


def test_a_text_report_with_impossible_numbers_is_none_or_refused() -> None:
    assert driver_report.parse_text(TEXT.replace("P99 Latency: 0.29ms", "P99 Latency: 10.0.0ms")) is None
    assert driver_report.parse_text(TEXT.replace("60001", "9" * 5000)) is None
    with pytest.raises(UserError, match="more failed than was sent"):
        driver_report.parse_text(TEXT.replace("0.50%", "500.00%"))


def test_what_a_driver_says_is_clean_before_it_is_kept(tmp_path: Path) -> None:
    wild = "\ud800 \x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07 \u202e"
    told = parsed(
        per_operation_stats={wild: {"count": 1, "success_count": 1, "p99_latency_us": 1}},
        compbench={"valid": False, "invalid_reason": wild, "errors": {wild: 1}},
    )
    outcome = outcomes.judge(told, TARGETS, 1000.0, Exit(0), [wild])
    kept = msgspec.json.encode([told, outcome]).decode()
    assert "red" in kept
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202e]", kept)
    assert "title" not in kept


def test_the_report_is_read_back_as_the_driver_wrote_it() -> None:
    raw = {**REPORT, "compbench": {"histograms": {"response_time": "HIST"}, "a_newer_key": 1}}
    report = driver_report.parse_json(json.dumps(raw).encode(), "x.json")
    assert report.compbench is not None
    assert report.compbench.histograms == Histograms(response_time="HIST")
    kept = driver_report.result_of(report).details
    assert kept is not None
    assert kept.histograms is None, "a capture is not made large by what the report beside it holds"


def test_a_search_for_a_capacity_is_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "capacity.json"
    path.write_text('{"low_ops_s": -1, "high_ops_s": null, "bound": "target", "curve": []}')
    with pytest.raises(UserError, match=r"capacity\.json: not a driver's report"):
        driver_report.read_capacity(path)
    assert driver_report.read_capacity(tmp_path / "none.json") is None


def test_json_is_read_before_the_text(tmp_path: Path) -> None:
    report, stdout = tmp_path / "r.json", tmp_path / "out"
    assert driver_report.read_result(report, stdout) is None
    stdout.write_text(TEXT)
    from_text = driver_report.read_result(report, stdout)
    assert from_text is not None
    assert from_text.p99_latency_ms == 0.29
    report.write_text(json.dumps(REPORT))
    from_json = driver_report.read_result(report, stdout)
    assert from_json is not None
    assert from_json.p99_latency_ms == 0.4


@pytest.mark.parametrize(
    ("changes", "verdict", "code", "reason"),
    [
        ({}, "passed", "passed", ""),
        ({"p99_latency_ms": 20.0}, "passed", "passed", ""),
        ({"p99_latency_ms": 20.01}, "missed", "targets-missed", "P99 20.01 ms is over 20 ms"),
        ({"overall_throughput": 799.0}, "missed", "targets-missed", "throughput 799 ops/s is under 800 ops/s"),
        ({"overall_throughput": 799.9}, "missed", "targets-missed", "throughput 799.9 ops/s is under 800 ops/s"),
        ({"overall_error_rate": 0.006}, "missed", "targets-missed", "errors 0.60 % are over 0.5 %"),
        ({"total_operations": 0}, "failed", "no-operations", "no operation"),
        (
            {"p50_latency_ms": 0, "p95_latency_ms": 0, "p99_latency_ms": 0},
            "failed",
            "zero-percentiles",
            "all percentiles are 0",
        ),
        ({"p50_latency_ms": 9.0}, "failed", "unordered-percentiles", "not in order"),
        ({"compbench": {"valid": False, "invalid_reason": "lag"}}, "invalid", "measurement-invalid", "lag"),
    ],
)
def test_a_report_is_judged_by_its_own_figures(changes: dict[str, Any], verdict: str, code: str, reason: str) -> None:
    for exit_code in (0, 1):  # what the driver thinks of the targets does not decide
        outcome = outcomes.judge(parsed(**changes), TARGETS, 1000.0, Exit(exit_code), [])
        assert (outcome.verdict, outcome.code) == (verdict, code)
        assert reason in outcome.reason


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (Exit(1), "driver-error"),
        (Exit(2), "driver-usage"),
        (Exit(101), "driver-panicked"),
        (Exit(None, "SIGABRT"), "driver-panicked"),
        (Exit(None, "SIGKILL"), "driver-signal"),
    ],
)
def test_without_a_report_the_scenario_failed_and_says_what_the_driver_said(ended: Exit, code: str) -> None:
    outcome = outcomes.judge(None, TARGETS, 1000.0, ended, ["Error: no such file"])
    assert (outcome.verdict, outcome.code) == ("failed", code)
    assert "Error: no such file" in outcome.reason


@pytest.mark.parametrize(
    ("verdict", "ended", "disagrees"),
    [
        ("passed", Exit(0), False),
        ("missed", Exit(1), False),
        ("passed", Exit(1), True),
        ("missed", Exit(0), True),
        ("passed", Exit(None, "SIGSEGV"), True),
        ("failed", Exit(1), False),
        ("invalid", Exit(1), False),
    ],
)
def test_an_exit_that_says_otherwise_than_the_report_is_noted(verdict: Verdict, ended: Exit, disagrees: bool) -> None:
    notices = list(cautions.of_exit(Outcome(verdict=verdict), ended))
    assert [notice.code for notice in notices] == ["driver-disagrees"] * disagrees
    assert all(str(ended) in notice.text for notice in notices)


SLOW = {"count": 10, "success_count": 10, "p99_latency_us": 0}
FAILED = {"count": 10, "success_count": 0, "error_count": 10, "p99_latency_us": 0}


@pytest.mark.parametrize(("recall", "verdict"), [(SLOW, "failed"), (FAILED, "passed")])
def test_one_kind_of_operation_that_was_never_recorded_spoils_the_result(
    recall: dict[str, int], verdict: Verdict
) -> None:
    result = parsed(per_operation_stats={**REPORT["per_operation_stats"], "Recall": recall})
    outcome = outcomes.judge(result, TARGETS, 1000.0, Exit(0), [])
    assert outcome.verdict == verdict
    assert ("all percentiles of Recall are 0" in outcome.reason) is (verdict == "failed")


def data_set(**changes: Any) -> DataSet:
    whole = DataSet(nodes_in_scenario=1000, scale=1.0, wanted=1000, stored=1000, prepared=True)
    return msgspec.structs.replace(whole, **changes)


@pytest.mark.parametrize(
    ("loaded", "codes"),
    [
        (data_set(), []),
        (data_set(stored=0), ["empty-data-set"]),
        (data_set(stored=0, prepared=False, note="refused"), ["empty-data-set"]),
        (data_set(stored=999), ["incomplete-data-set"]),
        (data_set(stored=None), []),
        (data_set(stored=None, prepared=False), ["incomplete-data-set"]),
        (data_set(scale=0.1, wanted=100), []),
    ],
)
def test_a_data_set_that_is_not_the_scenarios_is_told(loaded: DataSet, codes: list[str]) -> None:
    assert [notice.code for notice in cautions.of_data_set(loaded)] == codes


@pytest.mark.parametrize(
    ("loaded", "fails"),
    [
        (data_set(), False),
        (data_set(stored=1001), True),
        (data_set(stored=999), True),
        (data_set(stored=512, prepared=False, note="loading failed: signal SIGKILL"), True),
        (data_set(stored=None, prepared=False), True),
        (data_set(prepared=False, note="the server has 0 of 1000 edges"), True),
    ],
)
def test_a_server_that_did_not_hold_its_data_set_can_pass_nothing(loaded: DataSet, fails: bool) -> None:
    outcome = outcomes.judge_held_data(loaded)
    assert (outcome is not None) is fails
    assert outcome is None or (outcome.verdict, outcome.code) == ("failed", "data-set-not-held")
    assert outcomes.judge_held_data(data_set(stored=None)) is None, "what a server doesn't tell is no fault"


def test_a_run_in_which_everything_failed_measured_nothing() -> None:
    result = parsed(total_errors=REPORT["total_operations"], overall_error_rate=1.0)
    assert outcomes.judge(result, Validation(), 1000.0, Exit(0), []).code == "all-operations-failed"
    own = {"errors": {"timeout": 2, "HTTP 503": 5}}
    result = parsed(total_errors=REPORT["total_operations"], overall_error_rate=1.0, compbench=own)
    assert outcomes.judge(result, Validation(), 1000.0, Exit(0), []).reason.endswith("operations failed: HTTP 503")


def test_a_run_that_single_requests_held_up_is_told() -> None:
    (scenario, *_) = load_scenarios(ROOT / "scenarios" / "competitive", 4)
    codes = [notice.code for notice in cautions.of_result(parsed(elapsed_seconds=93.0), "builtin", 60.0, scenario)]
    assert codes == ["overran"]


@pytest.mark.parametrize(
    ("name", "changes", "codes"),
    [
        ("qdrant_ann_1m_768d", {}, ["closed-loop", "text-search", "recall-not-checked"]),
        (
            "qdrant_ann_1m_768d",
            {"p99_latency_ms": 65.0},
            ["closed-loop", "censored", "text-search", "recall-not-checked"],
        ),
        (
            "qdrant_ann_1m_768d",
            {"overall_throughput": 100.0},
            ["closed-loop", "censored", "text-search", "recall-not-checked"],
        ),
        ("neo4j_traversal_100k", {}, ["closed-loop", "text-search", "no-traversal", "recall-not-checked"]),
        ("hybrid_production_100k", {}, ["closed-loop", "text-search"]),
    ],
)
def test_what_engrams_own_driver_leaves_out_is_told(name: str, changes: dict[str, Any], codes: list[str]) -> None:
    scenario = load_scenario(ROOT / "scenarios" / "competitive" / f"{name}.toml")
    assert [notice.code for notice in cautions.of_result(parsed(**changes), "loadtest", 60.0, scenario)] == codes
    assert cautions.of_result(parsed(**changes), "builtin", 60.0, scenario) == []


def judged_recall(recall: dict[str, Any], expected: float | None = None) -> Outcome:
    result = parsed(compbench={"recall": recall})
    validation = Validation(expected_recall=expected)
    return outcomes.judge(result, validation, 1000.0, Exit(0), [])


def test_answers_that_mean_nothing_fail_whatever_the_figures() -> None:
    for answers in ("empty-store", "ignores-query"):
        outcome = judged_recall({"answers": answers, "note": "why", "mean": None})
        assert (outcome.verdict, outcome.code, outcome.reason) == ("failed", answers, "why")
    assert judged_recall({"answers": "ok", "mean": 0.1}).verdict == "passed"


def test_an_expected_recall_is_judged_where_it_is_told() -> None:
    assert judged_recall({"answers": "ok", "mean": 0.9}, 0.9).verdict == "passed"
    assert judged_recall({"answers": "ok", "mean": 0.899}, 0.9).reason == "recall 89.90 % is under 90 %"
    assert judged_recall({"answers": "ok", "mean": None, "exact_traversals": 0.5}, 0.9).verdict == "missed"
    assert "can't be told" in judged_recall({"answers": "not-checked", "note": "x", "mean": None}, 0.9).reason
    loadtest = outcomes.judge(parsed(), Validation(expected_recall=0.9), 1000.0, Exit(0), [])
    assert loadtest.verdict == "passed"


def test_a_server_that_was_asked_for_traversals_and_could_not_is_told() -> None:
    scenario = load_scenario(ROOT / "scenarios" / "competitive" / "neo4j_traversal_100k.toml")
    result = parsed(compbench={"traversal": {"asked": True, "measured": False, "note": "it can't"}})
    (notice,) = cautions.of_result(result, "builtin", 60.0, scenario)
    assert (notice.code, notice.text) == ("no-traversal", "it can't")
