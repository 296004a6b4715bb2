"""The report of a run as text and JSON: a superset of that of Engram's `loadtest`.

Failed operations stay in the histograms of response time, and those that were never sent enter them with the time that
they had waited: leaving them out would flatter a server that fails or starves its slow requests. Percentiles of all
operations come from the merged histograms, never from other percentiles.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from compbench.files.whole import write_whole
from compbench.loadtest.engine.confidence import percentile_intervals
from compbench.loadtest.engine.recorder import Part
from compbench.loadtest.engine.totals import columns_of
from compbench.loadtest.host_figures import host_figures
from compbench.loadtest.verdict import Measured, invalid_reason
from compbench.loadtest.workload.operations import LABELS
from compbench.model.errors import UserError
from compbench.model.result import Details, Histograms, OperationStats, OperationTimes, Report, TimeSeries

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


def json_report(title: str, measured: Measured, asked: Details) -> Report:
    """Return `loadtest`'s JSON report; everything beyond it stands under `compbench`, after the run's options."""
    pooled = measured.pooled
    response = pooled.times.response
    return Report(
        config_name=title,
        elapsed_seconds=measured.elapsed_s,
        total_operations=pooled.count,
        total_errors=measured.errors,
        overall_throughput=measured.throughput,
        overall_error_rate=measured.error_rate,
        p50_latency_ms=response.percentile_ms(50),
        p95_latency_ms=response.percentile_ms(95),
        p99_latency_ms=response.percentile_ms(99),
        per_operation_stats={label: _loadtest_stats(part) for label, part in _labelled(measured)},
        compbench=_with_figures(asked, measured),
    )


def write_json(path: Path, content: msgspec.Struct) -> None:
    """Write a record as a JSON file, whole: beside its place first, then renamed.

    Raises:
        UserError: it can't be written.
    """
    try:
        write_whole(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    except OSError as error:
        raise UserError(f"--output {path}: can't be written ({error.strerror})") from None


def _with_figures(asked: Details, measured: Measured) -> Details:
    pooled = measured.pooled
    reason = invalid_reason(measured)
    return msgspec.structs.replace(
        asked,
        offered_ops_s=sum(measured.offered) / measured.duration_s,
        achieved_ops_s=measured.throughput,
        due=pooled.count,
        sent=pooled.count - pooled.never_sent,
        completed=measured.completed,
        failed=pooled.errors,
        never_sent=pooled.never_sent,
        in_flight_max=measured.ended.in_flight_max,
        driver_cpu_pct=round(measured.ended.cpu_pct, 1),
        client_cpu_us=None if measured.client_cpu_us is None else round(measured.client_cpu_us, 1),
        response_time_ms=pooled.times.response.summary(),
        service_time_ms=pooled.times.service.summary(),
        driver_lag_ms=pooled.times.lag.summary(),
        response_time_ms_ci=percentile_intervals(pooled.times.response),
        per_operation={label: _operation_times(part) for label, part in _labelled(measured)},
        time_series=_time_series(measured),
        errors=dict(measured.totals.reasons.most_common()),
        histograms=Histograms(
            response_time=pooled.times.response.encode(),
            service_time=pooled.times.service.encode(),
            driver_lag=pooled.times.lag.encode(),
        ),
        hosts=host_figures(measured),
        sent_from=list(measured.ended.sent_from),
        is_host_lost=bool(measured.ended.fault),
        late_over_1s_fraction=measured.late_fraction,
        valid=not reason,
        invalid_reason=reason or None,
    )


def _labelled(measured: Measured) -> list[tuple[str, Part]]:
    return [(LABELS[operation], part) for operation, part in sorted(measured.totals.parts.items())]


def _operation_times(part: Part) -> OperationTimes:
    return OperationTimes(
        count=part.count,
        errors=part.errors + part.never_sent,
        never_sent=part.never_sent,
        response_time_ms=part.times.response.summary(),
        service_time_ms=part.times.service.summary(),
        driver_lag_ms=part.times.lag.summary(),
    )


def _time_series(measured: Measured) -> TimeSeries:
    """Return one value a second of each figure; the seconds after the schedule's end are those of the drain."""
    length = max(len(measured.totals.series), len(measured.offered))
    columns = columns_of(measured.totals.series, length)
    offered = measured.offered + [0] * (length - len(measured.offered))
    return TimeSeries(interval_s=1, offered=[*offered], **columns)


def _loadtest_stats(part: Part) -> OperationStats:
    response, failed = part.times.response, part.errors + part.never_sent
    return OperationStats(
        count=part.count,
        success_count=part.count - failed,
        error_count=failed,
        p50_latency_us=round(response.percentile_ms(50) * 1000),
        p95_latency_us=round(response.percentile_ms(95) * 1000),
        p99_latency_us=round(response.percentile_ms(99) * 1000),
        p999_latency_us=round(response.percentile_ms(99.9) * 1000),
        mean_latency_us=response.mean_ms * 1000,
        max_latency_us=round(response.max_ms * 1000),
    )
