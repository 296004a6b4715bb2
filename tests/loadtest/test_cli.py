"""The driver's command line: flags and exit codes as Engram's `loadtest`, reports a superset of its, the same work."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from hdrh.log import HistogramLogReader

from compbench.config.scenarios import load_scenario
from compbench.loadtest.engine.histogram import empty_hdr
from compbench.loadtest.run import workload_digest
from compbench.loadtest.workload.arrivals import Schedule
from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.loadtest.workload.workload import Workload
from compbench.systems.engram.client import Client
from tests.drive import constant, drive, loadtest, scenario_file, serving

POISSON = 'pattern = "poisson"\nlambda = 150.0'
# What the scenario below amounts to with seed 7: pinned, so that no change of the work goes unnoticed.
DIGEST = "4ccbb775d67e84d3528ffad9cee5b57b3b32166a0ba033dc216355ec602cf44d"

LOADTEST_JSON = {
    "config_name": str,
    "elapsed_seconds": float,
    "total_operations": int,
    "total_errors": int,
    "overall_throughput": float,
    "overall_error_rate": float,
    "p50_latency_ms": float,
    "p95_latency_ms": float,
    "p99_latency_ms": float,
    "per_operation_stats": dict,
}
LOADTEST_OPERATION = {
    "count": int,
    "success_count": int,
    "error_count": int,
    "p50_latency_us": int,
    "p95_latency_us": int,
    "p99_latency_us": int,
    "p999_latency_us": int,
    "mean_latency_us": float,
    "max_latency_us": int,
}
OWN_KEYS = {
    *(
        "schema",
        "driver_version",
        "seed",
        "data_seed",
        "endpoint",
        "scenario",
        "scale",
        "duration_s",
        "warm_up_s",
        "connections",
    ),
    *("processes", "arrival", "workload_digest", "offered_ops_s", "achieved_ops_s", "due", "sent", "completed"),
    *("failed", "never_sent", "in_flight_max", "driver_cpu_pct", "response_time_ms", "service_time_ms"),
    *("effort", "client_cpu_us", "floor", "floor_missing", "hosts", "is_host_lost", "sent_from"),
    *("driver_lag_ms", "response_time_ms_ci", "per_operation", "time_series", "errors", "histograms", "hlog"),
    *("late_over_1s_fraction", "valid", "invalid_reason", "recall", "traversal"),
}
LOADTEST_TEXT = r"""Load Test Report: A small workload
Duration: \d+\.\d\ds \| Total Operations: \d+
━{42}
Overall Throughput: \d+ ops/sec
Overall Error Rate: \d+\.\d\d%
P50 Latency: \d+\.\d\dms
P95 Latency: \d+\.\d\dms
P99 Latency: \d+\.\d\dms

Per-Operation Statistics:
━{42}
(
\w+:
  Count: \d+
  Throughput: \d+ ops/sec
  P50: \d+\.\d\dms
  P95: \d+\.\d\dms
  P99: \d+\.\d\dms
  Errors: \d+
)+"""


def test_json_and_text_are_a_superset_of_loadtests_and_agree_with_the_log_of_histograms(tmp_path: Path) -> None:
    hlog = tmp_path / "run.hlog.partial"
    with serving("--error-share", "0.05") as url:
        driven = drive(tmp_path, url, constant(100), 2, "--hlog", hlog, "--warm-up", "1")
    for key, kind in LOADTEST_JSON.items():
        assert type(driven.report[key]) is kind, key
    assert set(driven.report["per_operation_stats"]) == {"Recall", "Search"}
    for stats in driven.report["per_operation_stats"].values():
        assert {key: type(value) for key, value in stats.items()} == LOADTEST_OPERATION
        assert stats["count"] == stats["success_count"] + stats["error_count"]
    assert re.search(LOADTEST_TEXT, driven.stdout), driven.stdout
    for line in ("Starting load test: A small workload (seed: 7)", "Target rate: 100 ops/sec", "Duration: 2 seconds"):
        assert f" INFO loadtest: {line}\n" in driven.stdout
    assert re.search(r"WARN loadtest: Operation failed operation=(Recall|Search) error=HTTP 500", driven.stdout)
    own = driven.own
    assert set(own) == OWN_KEYS
    assert (own["schema"], own["due"], own["hlog"]) == (2, 200, "run.hlog")
    total, reader = empty_hdr(), HistogramLogReader(str(hlog), empty_hdr())
    while (read := reader.get_next_interval_histogram()) is not None:
        if not read.get_tag():
            total.add(read)
    reader.close()
    for name, percentile in {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9}.items():
        assert total.get_value_at_percentile(percentile) / 1000 == own["response_time_ms"][name]
        low, high = own["response_time_ms_ci"][name]
        assert low is None or low <= own["response_time_ms"][name] <= (high or float("inf"))


def test_one_process_and_two_do_the_same_work_and_count_alike(tmp_path: Path) -> None:
    reports = []
    for processes in ("1", "2"):
        with serving("--delay-ms", "20") as url:
            reports.append(drive(tmp_path, url, POISSON, 2, "--processes", processes).own)
    one, two = reports
    assert one["workload_digest"] == two["workload_digest"] == DIGEST
    assert one["due"] == two["due"] == two["response_time_ms"]["count"]
    assert one["time_series"]["offered"][:2] == two["time_series"]["offered"][:2]
    for label, part in one["per_operation"].items():
        assert part["count"] == two["per_operation"][label]["count"]
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["response_time_ms"]["p50"] >= 20 * 0.999


def test_the_digest_depends_on_seed_and_arrivals_and_not_on_the_address(tmp_path: Path) -> None:
    def digest(arrival: str, seed: int, port: int) -> str:
        scenario = load_scenario(scenario_file(tmp_path, arrival))
        schedule = Schedule(scenario.arrival, seed, 0, 2)
        count = sum(schedule.offered()[1])
        client = Client(None, f"http://127.0.0.1:{port}", shape_of(scenario, open_vectors(scenario, seed)))
        work = Workload(scenario, seed, client, data_seed=seed, prepared=100, count=count)
        return workload_digest(schedule, work)

    assert digest(POISSON, 7, 1) == digest(POISSON, 7, 2) == DIGEST
    assert len({digest(POISSON, 7, 1), digest(POISSON, 8, 1), digest(constant(150), 7, 1)}) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        ["--duration", "60s"],
        ["--duration", "0"],
        ["--seed", "-1"],
        ["--target-rate", "0"],
        ["--processes", "0"],
        ["--connections", "1000"],
        ["--scale", "0"],
        ["--bogus"],
        ["-s", "1"],
    ],
)
def test_wrong_usage_is_exit_code_2_on_stderr(tmp_path: Path, wrong: list[str]) -> None:
    ended = loadtest("run", "--scenario", scenario_file(tmp_path, constant(10)), *wrong)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "error: " in ended.stderr


def test_errors_are_one_line_on_stderr_and_exit_code_1(tmp_path: Path) -> None:
    scenario = scenario_file(tmp_path, constant(10))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        cases: tuple[tuple[list[str | Path], str], ...] = (
            (["--scenario", tmp_path / "none.toml"], "none.toml"),
            (["--scenario", scenario, "--endpoint", url], "is the server running there?"),
            (["--scenario", scenario, "--endpoint", url, "--processes", "2"], "is the server running there?"),
            (["--scenario", scenario, "--endpoint", "ftp://x"], "expected http://host:port"),
            (["--scenario", scenario, "--endpoint", "http://[::1"], "expected http://host:port"),
            (["--scenario", scenario, "--endpoint", "http://a..b:1"], "expected http://host:port"),
            (["--scenario", scenario, "--output", tmp_path / "no" / "report.json"], "no folder"),
            (["--scenario", scenario, "--hlog", tmp_path / "no" / "x.hlog"], "no folder"),
        )
        for arguments, reason in cases:
            ended = loadtest("run", "--duration", "1", *arguments)
            assert ended.returncode == 1
            assert re.fullmatch(r"Error: .+\n", ended.stderr), ended.stderr
            assert reason in ended.stderr


def test_a_missed_target_is_exit_code_1_with_a_report_whatever_the_terminal_can_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    output = tmp_path / "report.json"
    scenario = scenario_file(
        tmp_path, constant(50), validation="expected_p99_latency_ms = 1.0\nexpected_throughput_ops_sec = 900.0"
    )
    scenario.write_text(scenario.read_text().replace("A small workload", "Écriture"))
    with serving("--delay-ms", "30") as url:
        base = ("--scenario", scenario, "--endpoint", url, "--duration", "1", "--output", output)
        ended = loadtest("run", *base)
    assert ended.returncode == 1
    assert re.search(r"WARN loadtest: P99 latency [\d.]+ms exceeds target 1\.00ms", ended.stdout)
    assert re.search(r"WARN loadtest: Throughput \d+ ops/sec below target 900 ops/sec", ended.stdout)
    assert "Load test did not meet validation criteria!" in ended.stdout
    assert "Starting load test: ?criture" in ended.stdout
    assert (ended.stderr, json.loads(output.read_text())["total_operations"]) == ("", 50)


@pytest.mark.slow
def test_a_search_for_a_capacity_bears_a_terminal_that_has_ascii_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    output, scenario = tmp_path / "capacity.json", scenario_file(tmp_path, constant(20))
    scenario.write_text(scenario.read_text().replace("A small workload", "Écriture"))
    searched = ("--p99", "1", "--step-duration", "1", "--repeats", "1", "--precision", "50", "--output", output)
    with serving("--delay-ms", "30") as url:
        ended = loadtest("capacity", "--scenario", scenario, "--endpoint", url, *searched)
    assert (ended.returncode, ended.stderr, json.loads(output.read_text())["bound"]) == (1, "", "none")
    assert "?criture" in ended.stdout


def test_target_rate_replaces_the_arrival_pattern(tmp_path: Path) -> None:
    with serving() as url:
        own = drive(tmp_path, url, POISSON, 1, "--target-rate", "40").own
    assert (own["due"], own["arrival"]) == (40, {"pattern": "constant", "rate": 40})


def test_progress_is_told_from_the_start_of_each_phase(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    with serving("--error-share", "0.1") as url:
        # Without a cache of its own, recall would be told as soon as another test has left the neighbours.
        options = ("--warm-up", "1", "--progress", path, "--cache", tmp_path / "cache")
        own = drive(tmp_path, url, constant(50), 2, *options).own
    every = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [line for line in every if "phase" in line]
    phases = [line["phase"] for line in lines]
    assert phases == sorted(phases, reverse=True)
    assert set(phases) == {"warm-up", "measure"}
    first = lines[phases.index("measure")]
    assert (first["elapsed_s"], first["operations"], first["wanted"]) == (0, 0, 100)
    assert lines[-1]["operations"] == 100
    assert lines[-1]["errors"] == own["failed"]
    told, series = [line["second"] for line in every if "second" in line], own["time_series"]
    assert [second["second"] for second in told] == list(range(len(told))), "the warm-up has none"
    for key, column in {"p95_ms": "response_p95_ms", "max_ms": "response_max_ms", "lag_p99_ms": "lag_p99_ms"}.items():
        assert [second.get(key) for second in told] == series[column]
    for key in ("offered", "completed", "errors"):
        assert [second.get(key, 0) for second in told] == series[key]
    assert {key for second in told for key in second} & {"recall", "checked", "rate_ops_s", "hosts"} == set()


def test_capacity_finds_the_rate_of_a_server_that_has_one(tmp_path: Path) -> None:
    output, progress = tmp_path / "capacity.json", tmp_path / "progress"
    options = ("--p99", "400", "--max-error-rate", "0", "--step-duration", "1", "--repeats", "3", "--precision", "100")
    with serving("--rate", "150") as url:
        scenario = scenario_file(tmp_path, constant(10))
        more = ("--output", output, "--progress", progress)
        ended = loadtest("capacity", "--scenario", scenario, "--endpoint", url, *more, *options)
    told = [line["second"] for line in map(json.loads, progress.read_text().splitlines()) if "second" in line]
    trials = [second["rate_ops_s"] for second in told if second["second"] == 0]
    found = json.loads(output.read_text())
    low, high = found["low_ops_s"], found["high_ops_s"]
    # A second of 200 requests a second leaves the last one waiting for 333 ms: its P99 is allowed, its rate is not.
    # Noise of the machine can only make it less.
    assert low <= 155
    assert low < high
    assert found["rate_ops_s"] == low >= 100
    assert found["curve"][0]["rate_ops_s"] == 100
    assert trials == [tried["rate_ops_s"] for tried in found["curve"]], "each trial counts its seconds from 0"
    assert {"rate_ops_s", "achieved_ops_s", "p99_ms", "error_rate", "valid", "invalid_reason", "sustained"} == set(
        found["curve"][0]
    )
    assert f"Capacity: {low:.0f} ops/sec sustained, {high:.0f} not" in ended.stdout
    assert ended.returncode == (0 if found["bound"] == "target" else 1)


def test_capacity_needs_a_limit_for_p99(tmp_path: Path) -> None:
    ended = loadtest("capacity", "--scenario", scenario_file(tmp_path, constant(10)))
    assert ended.returncode == 1
    assert "give --p99" in ended.stderr
