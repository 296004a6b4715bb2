"""Results in the formats of other programs: CSV, JUnit XML, OpenMetrics, and a step summary of GitHub Actions.

One function a format, each of plain records; JUnit XML and OpenMetrics are written by the libraries of these formats.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from compbench.files.whole import write_whole
from compbench.model.records import Capture, Manifest
from compbench.model.times import iso_utc
from compbench.report.past.history import METRICS, FoundCapacity, Past, find_capacities

CSV_NAME = "runs.csv"
METRICS_NAME = "compbench.prom"
STEP_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
_CSV_FACTS = ("run", "opened_at", "commit", "uncommitted", "machine", "target", "driver", "profile", "scale")


def write_exports(output_dir: Path, history: Sequence[Past]) -> list[Path]:
    """Write all runs as CSV and the newest one of the suite as OpenMetrics, beside the runs; return the paths.

    Raises:
        OSError: a file could not be written.
    """
    texts = {CSV_NAME: csv_text(history)}
    newest = next((past for past in reversed(history) if past.kind == "suite"), None)
    if newest is not None:
        texts[METRICS_NAME] = openmetrics_text(newest, find_capacities(history, newest.fingerprint))
    for name, text in texts.items():
        write_whole(output_dir / name, text)
    return [output_dir / name for name in texts]


def csv_text(history: Sequence[Past]) -> str:
    """Return every run as CSV: a line per scenario and repeat, oldest first; an empty cell is not recorded."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_CSV_FACTS, "scenario", "repeat", "outcome", *(metric.name for metric in METRICS)])
    for past in history:
        facts = [past.run, iso_utc(past.opened_at), past.commit, "yes" if past.dirty else "no", past.machine]
        facts += [past.fingerprint.get(name, "") for name in ("target", "driver", "profile", "scale")]
        order = list(past.verdicts)
        for one in sorted(past.measured, key=lambda one: (order.index(one.scenario), one.repeat)):
            cells = [f"{one.figures[metric.name]:.6g}" if metric.name in one.figures else "" for metric in METRICS]
            writer.writerow([*facts, one.scenario, one.repeat, one.verdict, *cells])
    return out.getvalue()


def openmetrics_text(past: Past, capacities: Mapping[str, FoundCapacity]) -> str:
    """Return a run for the textfile collector of Prometheus' node exporter.

    Only gauges, which OpenMetrics and the older text format write alike; of repeats the mean. Capacities, by scenario,
    come from runs of their own.
    """
    from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415 - an optional library
    from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415 - see above

    registry = CollectorRegistry()
    labels = ["scenario", "target", "profile"]
    facts = [past.fingerprint.get(name, "") for name in ("target", "profile")]
    opened = Gauge("compbench_run_opened_timestamp_seconds", "When the newest closed run was opened", registry=registry)
    opened.set(past.opened_at)
    passed = Gauge("compbench_scenario_passed", "1 if the scenario passed", labels, registry=registry)
    for scenario, verdict in past.verdicts.items():
        passed.labels(scenario, *facts).set(verdict == "passed")
    figures = {name: dict(values) for name, values in past.values.items()}
    for scenario, found in capacities.items():
        figures.setdefault(scenario, {})["capacity_qps"] = [float(found.facts["low_ops_s"])]
    for name, text, metric, factor in _GAUGES:
        gauge = Gauge(name, text, labels, registry=registry)
        for scenario, values in figures.items():
            if known := values.get(metric):
                gauge.labels(scenario, *facts).set(factor * sum(known) / len(known))
    return str(generate_latest(registry), "utf-8")  # type: ignore[no-untyped-call]


# Base units, as Prometheus wants them: seconds and ratios.
_GAUGES = (
    ("compbench_p50_latency_seconds", "Median response time", "p50_latency_ms", 1e-3),
    ("compbench_p99_latency_seconds", "99th percentile of response time", "p99_latency_ms", 1e-3),
    ("compbench_throughput_operations_per_second", "Operations answered, at a fixed rate", "throughput_qps", 1.0),
    ("compbench_capacity_operations_per_second", "Highest rate sustained within the limits", "capacity_qps", 1.0),
    ("compbench_error_ratio", "Share of operations that failed", "error_rate_pct", 1e-2),
    ("compbench_recall_ratio", "Share of the true neighbours that were found", "recall_pct", 1e-2),
)


def junit_xml(manifest: Manifest, captures: Sequence[Capture]) -> bytes:
    """Return a run as JUnit XML, a test case per scenario and repeat: missed is a failure, failed an error.

    A selected scenario that was not measured is skipped.
    """
    from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite  # noqa: PLC0415 - optional

    suite = TestSuite("compbench")
    suite.timestamp = iso_utc(manifest.opened_at).removesuffix("Z")
    for name, value in _properties(manifest):
        suite.add_property(name, value)
    known = {capture.measurement: capture for capture in captures}
    for unit in manifest.selection:
        case = TestCase(unit, "compbench", 0.0)
        capture = known.get(unit)
        if capture is None:
            case.result = [Skipped("not measured")]
        else:
            case.time = capture.ended_at - capture.started_at
            kind = {"missed": Failure, "failed": Error, "invalid": Error}.get(capture.outcome.verdict)
            case.result = [kind(capture.outcome.reason, capture.outcome.code)] if kind else []
        suite.add_testcase(case)
    whole = JUnitXml("compbench")
    whole.add_testsuite(suite)
    whole.update_statistics()  # type: ignore[no-untyped-call]
    return bytes(whole.tostring())  # type: ignore[no-untyped-call]


def append_step_summary(environment: Mapping[str, str], markdown: str) -> None:
    """Add the report, without its pictures, to the summary of a step of GitHub Actions, if this is one.

    Raises:
        OSError: the file that the environment names can't be written.
    """
    name = environment.get(STEP_SUMMARY_VARIABLE)
    if not name:
        return
    lines = [line for line in markdown.splitlines() if not line.startswith("![")]
    with Path(name).open("a", encoding="utf-8") as summary:
        summary.write("\n".join(lines) + os.linesep)


def _properties(manifest: Manifest) -> Iterator[tuple[str, str]]:
    git = manifest.provenance.get("git") or {}
    yield "commit", str(git.get("commit") or "unknown")
    for name in ("target", "driver", "profile", "scale", "machine"):
        if name in manifest.fingerprint:
            yield name, manifest.fingerprint[name]
