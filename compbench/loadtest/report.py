"""What a run amounted to, as text and JSON: a superset of what Engram's `loadtest` reports.

Failed operations stay in the histograms of response time, and those that were never sent enter them with the time that
they had waited: leaving them out would flatter a server that fails or starves its slow requests. Percentiles of all
operations come from the merged histograms, never from other percentiles.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson

from compbench.files.whole import write_whole
from compbench.loadtest.engine.confidence import percentile_intervals
from compbench.loadtest.engine.recorder import Part, Times
from compbench.loadtest.engine.totals import NOTHING, Second
from compbench.loadtest.verdict import Measured, invalid_reason
from compbench.loadtest.workload.operations import LABELS
from compbench.model.errors import UserError

SCHEMA = 2
RULE = "━" * 42


def text_report(title: str, measured: Measured) -> str:
    """Return the report that a person reads, in the words and order of Engram's `loadtest`."""
    response = measured.pooled.times.response
    lines = [
        f"Load Test Report: {title}",
        f"Duration: {measured.elapsed_s:.2f}s | Total Operations: {measured.pooled.count}",
        RULE,
        f"Overall Throughput: {measured.throughput:.0f} ops/sec",
        f"Overall Error Rate: {measured.error_rate * 100:.2f}%",
        *(f"P{q} Latency: {response.percentile_ms(q):.2f}ms" for q in (50, 95, 99)),
        "",
        "Per-Operation Statistics:",
        RULE,
    ]
    for label, part in _labelled(measured):
        response = part.times.response
        succeeded = part.count - part.errors - part.never_sent
        lines += [
            "",
            f"{label}:",
            f"  Count: {part.count}",
            f"  Throughput: {succeeded / measured.elapsed_s:.0f} ops/sec",
            *(f"  P{q}: {response.percentile_ms(q):.2f}ms" for q in (50, 95, 99)),
            f"  Errors: {part.errors + part.never_sent}",
        ]
    return "\n".join(lines)


def json_report(title: str, measured: Measured, facts: dict[str, Any]) -> dict[str, Any]:
    """Return `loadtest`'s JSON report; all that it lacks goes under `compbench`, after the given facts."""
    pooled = measured.pooled
    return {
        "config_name": title,
        "elapsed_seconds": measured.elapsed_s,
        "total_operations": pooled.count,
        "total_errors": measured.errors,
        "overall_throughput": measured.throughput,
        "overall_error_rate": measured.error_rate,
        **{f"p{q}_latency_ms": pooled.times.response.percentile_ms(q) for q in (50, 95, 99)},
        "per_operation_stats": {label: _loadtest_stats(part) for label, part in _labelled(measured)},
        "compbench": {"schema": SCHEMA, **facts, **_figures(measured)},
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole: beside its place first, then renamed.

    Raises:
        UserError: it can't be written.
    """
    try:
        write_whole(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise UserError(f"--output {path}: can't be written ({error.strerror})") from None


def _figures(measured: Measured) -> dict[str, Any]:
    pooled = measured.pooled
    reason = invalid_reason(measured)
    return {
        "offered_ops_s": sum(measured.offered) / measured.duration_s,
        "achieved_ops_s": measured.throughput,
        "due": pooled.count,
        "sent": pooled.count - pooled.never_sent,
        "completed": measured.completed,
        "failed": pooled.errors,
        "never_sent": pooled.never_sent,
        "in_flight_max": measured.ended.in_flight_max,
        "driver_cpu_pct": round(measured.ended.cpu_pct, 1),
        **_summaries(pooled.times),
        "response_time_ms_ci": percentile_intervals(pooled.times.response),
        "per_operation": {
            label: {
                "count": part.count,
                "errors": part.errors + part.never_sent,
                "never_sent": part.never_sent,
                **_summaries(part.times),
            }
            for label, part in _labelled(measured)
        },
        "time_series": _time_series(measured),
        "errors": dict(measured.totals.reasons.most_common()),
        "histograms": {
            "response_time": pooled.times.response.encode(),
            "service_time": pooled.times.service.encode(),
            "driver_lag": pooled.times.lag.encode(),
        },
        "late_over_1s_fraction": measured.late_fraction,
        "valid": not reason,
        "invalid_reason": reason or None,
    }


def _labelled(measured: Measured) -> list[tuple[str, Part]]:
    return [(LABELS[operation], part) for operation, part in sorted(measured.totals.parts.items())]


def _summaries(times: Times) -> dict[str, dict[str, float]]:
    names = ("response_time_ms", "service_time_ms", "driver_lag_ms")
    return {name: msgspec.structs.asdict(histogram.summary()) for name, histogram in zip(names, times, strict=True)}


def _time_series(measured: Measured) -> dict[str, Any]:
    """Return a list a figure, one value a second; the seconds after the schedule's end are those of the drain."""
    length = max(len(measured.totals.series), len(measured.offered))
    series = measured.totals.series + [NOTHING] * (length - len(measured.totals.series))
    columns = zip(*series, strict=True)
    return {
        "interval_s": 1,
        "offered": measured.offered + [0] * (length - len(measured.offered)),
        **{name: list(column) for name, column in zip(Second._fields, columns, strict=True)},
    }


def _loadtest_stats(part: Part) -> dict[str, float]:
    response, failed = part.times.response, part.errors + part.never_sent
    return {
        "count": part.count,
        "success_count": part.count - failed,
        "error_count": failed,
        **{f"p{q}_latency_us": round(response.percentile_ms(q) * 1000) for q in (50, 95, 99)},
        "p999_latency_us": round(response.percentile_ms(99.9) * 1000),
        "mean_latency_us": response.mean_ms * 1000,
        "max_latency_us": round(response.max_ms * 1000),
    }
