"""Reads a driver's report: its JSON, its text, or its search for a capacity, checked and in compbench's own units.

Both drivers write the same JSON and text (`loadtest`'s). Whatever is wrong with them is one clear line.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from compbench.files.regular import read_regular
from compbench.model.errors import UserError
from compbench.model.result import Capacity, Details, OperationFigures, OperationStats, Prepared, Report, Result
from compbench.model.texts import clean, clean_values

T = TypeVar("T")
# Of a wrong value, so much is shown.
_SHOWN = 60
_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)"


def read_capacity(report: Path) -> Capacity | None:
    """Read the report of a search for a capacity; None if there is none.

    Raises:
        UserError: it is not such a report: names file and key.
    """
    content = _content(report)
    return None if content is None else _decode(content, Capacity, report.name)


def read_prepared(report: Path) -> Prepared | None:
    """Read how loading a data set ended; None if it did not end by itself.

    Raises:
        UserError: it is no such report: names file and key.
    """
    content = _content(report)
    return None if content is None else _decode(content, Prepared, report.name)


def read_result(report: Path, stdout: Path) -> Result | None:
    """Read the JSON report, or, without one, the text report; None if there is neither.

    Raises:
        UserError: it is not a report: names file and key.
    """
    if (content := _content(report)) is not None:
        return result_of(parse_json(content, report.name))
    text = _content(stdout)
    return None if text is None else parse_text(text.decode(errors="replace"), stdout.name)


def read_report(report: Path) -> Report | None:
    """Read the JSON report as the driver wrote it, with its histograms; None if there is none.

    Raises:
        UserError: it is not a report: names file and key.
    """
    content = _content(report)
    return None if content is None else parse_json(content, report.name)


def parse_json(text: bytes, where: str) -> Report:
    """Parse the JSON of `loadtest run --output`.

    Raises:
        UserError: not JSON, a key is missing, or a value can't be what it says.
    """
    return _decode(text, Report, where)


def parse_text(text: str, where: str = "the text report") -> Result | None:
    """Parse the text report; None if there is none.

    Raises:
        UserError: more operations failed than there were.
    """
    plain = clean(text)
    head = re.search(rf"Duration: {_NUMBER}s \| Total Operations: (\d{{1,15}})$", plain, re.MULTILINE)
    if head is None:
        return None
    found = {
        name: re.search(pattern, plain[head.end() :], re.MULTILINE)
        for name, pattern in {
            "throughput": rf"Overall Throughput: {_NUMBER} ops/sec",
            "errors": rf"Overall Error Rate: {_NUMBER}%",
            "p50": rf"P50 Latency: {_NUMBER}ms",
            "p95": rf"P95 Latency: {_NUMBER}ms",
            "p99": rf"P99 Latency: {_NUMBER}ms",
        }.items()
    }
    values = {name: float(match[1]) for name, match in found.items() if match}
    if len(values) < len(found):
        return None
    error_fraction = values["errors"] / 100
    if error_fraction > 1:
        raise UserError(f"{where}: Overall Error Rate: {values['errors']:g} %: more failed than was sent")
    return Result(
        p50_latency_ms=values["p50"],
        p95_latency_ms=values["p95"],
        p99_latency_ms=values["p99"],
        throughput_ops_s=values["throughput"],
        error_fraction=error_fraction,
        total_operations=int(head[2]),
        total_errors=round(int(head[2]) * error_fraction),
        elapsed_s=float(head[1]),
    )


def result_of(report: Report) -> Result:
    """Return a report's figures in compbench's own names and units, without histograms."""
    details = report.compbench
    return Result(
        p50_latency_ms=report.p50_latency_ms,
        p95_latency_ms=report.p95_latency_ms,
        p99_latency_ms=report.p99_latency_ms,
        throughput_ops_s=report.overall_throughput,
        error_fraction=report.overall_error_rate,
        total_operations=report.total_operations,
        total_errors=report.total_errors,
        elapsed_s=report.elapsed_seconds,
        operations={label: _figures(stats) for label, stats in report.per_operation_stats.items()},
        details=None if details is None else _without_histograms(details),
    )


def _without_histograms(details: Details) -> Details:
    hosts = [msgspec.structs.replace(host, histograms=None) for host in details.hosts or []]
    return msgspec.structs.replace(details, histograms=None, hosts=hosts)


def _figures(stats: OperationStats) -> OperationFigures:
    return OperationFigures(
        count=stats.count,
        errors=stats.error_count,
        p50_latency_ms=stats.p50_latency_us / 1000,
        p95_latency_ms=stats.p95_latency_us / 1000,
        p99_latency_ms=stats.p99_latency_us / 1000,
        max_latency_ms=stats.max_latency_us / 1000,
    )


def _content(path: Path) -> bytes | None:
    try:
        return read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path.name}: can't be read: {error.strerror}") from None


def _decode(text: bytes, kind: type[T], where: str) -> T:
    try:
        raw = clean_values(json.loads(text.decode(errors="replace")))
        return _converted(raw, kind, where)
    except ValueError as error:
        raise UserError(f"{where}: not JSON: {error}") from None
    except RecursionError:
        raise UserError(f"{where}: not a driver's report: nested too deeply") from None


def _converted(raw: object, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: not a driver's report: {_explained(str(error), raw)}") from None


def _explained(message: str, raw: object) -> str:
    """Put the key and its value before msgspec's words, which end in its path if it is not the whole."""
    wanted, _, path = message.removesuffix("`").partition(" - at `$.")
    value = raw
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return message
        value = value[key]
    return f"{path} = {repr(value)[:_SHOWN]}: {wanted}"
