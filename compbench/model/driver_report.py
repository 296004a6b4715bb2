"""A driver's report, read and checked; what it amounts to is `compbench.measuring.judgement`'s business.

Pure but for reading the two files that a driver wrote. Both drivers write the same JSON and text (`loadtest`'s).
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from compbench.model.errors import UserError

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class OperationStats(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of operation; latencies in microseconds."""

    count: int
    success_count: int = 0
    error_count: int = 0
    p50_latency_us: float = 0.0
    p95_latency_us: float = 0.0
    p99_latency_us: float = 0.0
    p999_latency_us: float = 0.0
    mean_latency_us: float = 0.0
    max_latency_us: float = 0.0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A driver's figures; `error_rate` is a fraction, `own` what only compbench's driver tells (without histograms)."""

    p50_latency_ms: float
    p95_latency_ms: float
    p99_latency_ms: float
    throughput_ops_s: float
    error_rate: float
    total_operations: int
    total_errors: int
    elapsed_s: float
    operations: dict[str, OperationStats] = {}
    own: dict[str, Any] = {}


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One rate that was tried in a search for a capacity; `sustained` is None where the driver spoiled the trial."""

    rate_ops_s: float
    achieved_ops_s: float
    p99_ms: float
    error_rate: float
    sustained: bool | None


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate within the limits: `low_ops_s` is sustained, `high_ops_s` (None: not found) is not.

    `bound` says what ended the search from above: the `target`, the `driver`, the search's own `limit`, or that not
    even the lowest rate was sustained (`none`).
    """

    low_ops_s: float
    high_ops_s: float | None
    bound: Literal["target", "driver", "limit", "none"]
    p99_limit_ms: float
    max_error_rate: float
    precision_pct: float
    curve: list[Trial]
    note: str = ""


def read_capacity(report: Path) -> Capacity | None:
    """Read the report of a search for a capacity; None if there is none.

    Raises:
        UserError: it is not such a report: names file and key.
    """
    if not report.exists():
        return None
    try:
        return msgspec.json.decode(report.read_bytes(), type=Capacity)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{report.name}: not the report of a search for a capacity: {error}") from None


def read_result(report: Path, stdout: Path) -> Result | None:
    """Read the JSON report, or, without one, the text report; None if there is neither.

    Raises:
        UserError: the JSON is not a report: names file, key and value.
    """
    if report.exists():
        return parse_json(report.read_bytes(), report.name)
    return parse_text(stdout.read_text(encoding="utf-8", errors="replace")) if stdout.exists() else None


def parse_json(text: bytes, where: str) -> Result:
    """Parse the JSON of ENGRAM's `loadtest --output`.

    Raises:
        UserError: not JSON, a key is missing, or a value is no finite number from 0 on.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{where}: not a report: a JSON object is wanted")
    own = raw.get("compbench")
    try:
        operations = msgspec.convert(raw.get("per_operation_stats", {}), dict[str, OperationStats])
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: per_operation_stats: {error}") from None
    return Result(
        p50_latency_ms=_number(raw, "p50_latency_ms", where),
        p95_latency_ms=_number(raw, "p95_latency_ms", where),
        p99_latency_ms=_number(raw, "p99_latency_ms", where),
        throughput_ops_s=_number(raw, "overall_throughput", where),
        error_rate=_number(raw, "overall_error_rate", where),
        total_operations=int(_number(raw, "total_operations", where)),
        total_errors=int(_number(raw, "total_errors", where)),
        elapsed_s=_number(raw, "elapsed_seconds", where),
        operations=operations,
        own={key: value for key, value in own.items() if key != "histograms"} if isinstance(own, dict) else {},
    )


def parse_text(text: str) -> Result | None:
    """Parse the text report; None if there is none."""
    plain = _ANSI.sub("", text)
    head = re.search(r"Duration: ([\d.]+)s \| Total Operations: (\d+)", plain)
    if head is None:
        return None
    found = {
        name: re.search(pattern, plain[head.end() :])
        for name, pattern in {
            "throughput": r"Overall Throughput: ([\d.]+) ops/sec",
            "errors": r"Overall Error Rate: ([\d.]+)%",
            "p50": r"P50 Latency: ([\d.]+)ms",
            "p95": r"P95 Latency: ([\d.]+)ms",
            "p99": r"P99 Latency: ([\d.]+)ms",
        }.items()
    }
    values = {name: float(match[1]) for name, match in found.items() if match}
    if len(values) < len(found):
        return None
    error_rate = values["errors"] / 100
    return Result(
        p50_latency_ms=values["p50"],
        p95_latency_ms=values["p95"],
        p99_latency_ms=values["p99"],
        throughput_ops_s=values["throughput"],
        error_rate=error_rate,
        total_operations=int(head[2]),
        total_errors=round(int(head[2]) * error_rate),
        elapsed_s=float(head[1]),
    )


def recall_of(result: Result) -> dict[str, Any]:
    """Return what compbench's driver found out about the answers; empty from another driver."""
    found = result.own.get("recall")
    return found if isinstance(found, dict) else {}


def _number(raw: dict[str, Any], key: str, where: str) -> float:
    if key not in raw:
        raise UserError(f"{where}: {key}: missing from the report")
    value = raw[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"{where}: {key} = {value!r}: a finite number from 0 on is wanted")
    return float(value)
