"""A driver's report: read, checked, judged against a scenario's targets, and what could make it wrong.

Pure but for reading the two files that a driver wrote. Both drivers write the same JSON and text (`loadtest`'s).
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from compbench.errors import UserError
from compbench.process import Exit
from compbench.records import DataSet, Notice, Outcome
from compbench.scenarios import Scenario, Validation, mean_rate

# Engram's loadtest records microseconds in a histogram that ends here, and drops what is slower.
CENSORED_FROM_MS = 65.0
_USAGE_EXIT_CODE = 2
_PANIC_EXIT_CODE = 101
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


def judge_capacity(found: Capacity | None, ended: Exit, stderr_lines: list[str]) -> Outcome:
    """Judge a search that has ended: passed if it found the target's own limit."""
    if found is None:
        return _without_report(ended, stderr_lines)
    if found.bound in ("target", "limit"):
        return Outcome(verdict="passed", code="passed", reason=found.note)
    code, advice = "capacity-none", "the lowest rate that was tried is too much: see the curve"
    if found.bound == "driver":
        code, advice = "capacity-beyond-driver", "give the driver more processes (processes=2), or a machine of its own"
    return Outcome(verdict="failed", code=code, phase="measure", reason=found.note, advice=advice)


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


def judge(
    result: Result | None, validation: Validation, offered_ops_s: float, ended: Exit, stderr_lines: list[str]
) -> Outcome:
    """Judge what a driver that ended by itself reported: passed, missed, or failed with the reason."""
    if result is None:
        return _without_report(ended, stderr_lines)
    if wrong := _invalid(result):
        return Outcome(verdict="failed", code=wrong[0], reason=wrong[1], phase="measure", advice=wrong[2])
    if missed := missed_targets(result, validation):
        return Outcome(
            verdict="missed",
            code="targets-missed",
            phase="measure",
            reason="; ".join(missed),
            advice=f"the load was {offered_ops_s:g} ops/s: see the table of samples for what was short",
        )
    return Outcome(verdict="passed", code="passed")


def disagreement(outcome: Outcome, ended: Exit) -> Notice | None:
    """Return a warning if the driver's exit says otherwise than its own report, by which the scenario is judged.

    `loadtest` ends with 1 if a target of the scenario is missed, else with 0.
    """
    if outcome.verdict == "failed" or ended.code == (1 if outcome.verdict == "missed" else 0):
        return None
    said = "misses a target" if outcome.verdict == "missed" else "meets every target"
    text = f"the driver ended with {ended}, but its report {said}: the scenario is judged by the report"
    return _notice("driver-disagrees", text)


def missed_targets(result: Result, validation: Validation) -> list[str]:
    """Return each target that is not met, with both numbers."""
    missed = []
    limit = validation.expected_p99_latency_ms
    if limit is not None and result.p99_latency_ms > limit:
        missed.append(f"P99 {result.p99_latency_ms:.2f} ms is over {limit:g} ms")
    limit = validation.expected_throughput_ops_sec
    if limit is not None and result.throughput_ops_s < limit:
        missed.append(f"throughput {result.throughput_ops_s:.0f} ops/s is under {limit:g} ops/s")
    limit = validation.max_error_rate
    if limit is not None and result.error_rate > limit:
        missed.append(f"errors {result.error_rate * 100:.2f} % are over {limit * 100:g} %")
    limit = validation.expected_recall
    if limit is not None and result.own:
        found = recall_of(result)
        recall = found.get("exact_traversals") if found.get("mean") is None else found["mean"]
        if recall is None:
            missed.append(f"recall can't be told ({found.get('note') or 'no answer was checked'}), wanted {limit:g}")
        elif recall < limit:
            missed.append(f"recall {recall:.3f} is under {limit:g}")
    return missed


def cautions(result: Result | None, driver: str, data_set: DataSet | None, scenario: Scenario) -> list[Notice]:
    """Return what could make the figures wrong or mean something else than they seem to."""
    notices = []
    if data_set is not None:
        notices += _data_cautions(data_set)
    if result is not None:
        notices += _answer_cautions(result, scenario)
    if result is None or driver != "loadtest":
        return notices
    notices.append(_notice("closed-loop", "Engram's loadtest waits for each answer before it sends the next request"))
    rate = mean_rate(scenario.arrival)
    if result.p99_latency_ms >= CENSORED_FROM_MS or result.throughput_ops_s < rate / 2:
        text = f"Engram's loadtest drops every latency over {CENSORED_FROM_MS:g} ms: the percentiles flatter"
        notices.append(_notice("censored", text))
    if scenario.operations.embedding_search_weight > 0:
        text = "Engram's loadtest discards the vector of a search: EmbeddingSearch is a text search"
        notices.append(_notice("text-search", text))
    return notices


def _answer_cautions(result: Result, scenario: Scenario) -> list[Notice]:
    traversal = result.own.get("traversal")
    if isinstance(traversal, dict) and traversal.get("note"):
        return [_notice("no-traversal", str(traversal["note"]))]
    notices = []
    if scenario.graph is not None and not result.own:
        notices.append(_notice("no-traversal", "Engram's loadtest follows no edges: its recalls go by similarity"))
    if scenario.validation.expected_recall is not None and not result.own:
        notices.append(_notice("recall-not-checked", "Engram's loadtest checks no answers: recall is not judged"))
    return notices


def _data_cautions(data_set: DataSet) -> list[Notice]:
    notices = []
    if data_set.scale < 1:
        text = f"the data set is scaled down: {data_set.wanted} memories instead of {data_set.nodes_in_scenario}"
        notices.append(_notice("scaled-down", text))
    if data_set.stored == 0:
        notices.append(_notice("empty-data-set", "the server holds no memories: searches have nothing to find"))
    elif not data_set.prepared or (data_set.stored is not None and data_set.stored < data_set.wanted):
        held = "an unknown number" if data_set.stored is None else data_set.stored
        why = f": {data_set.note}" if data_set.note else ""
        text = f"the data set is incomplete: {held} of {data_set.wanted} memories{why}"
        notices.append(_notice("incomplete-data-set", text))
    return notices


def _invalid(result: Result) -> tuple[str, str, str] | None:
    if result.total_operations == 0:
        return "no-operations", "the driver sent no operation", "see the driver's output"
    if unrecorded := _unrecorded(result):
        return "zero-percentiles", unrecorded, "use driver=builtin, which records without a limit"
    if not result.p50_latency_ms <= result.p95_latency_ms <= result.p99_latency_ms:
        return "unordered-percentiles", "P50, P95 and P99 are not in order: the report is wrong", "report it"
    if (answers := _answers(result)) is not None:
        return answers
    if result.own.get("valid") is False:
        reason = f"measurement invalid: {result.own.get('invalid_reason') or 'the driver lagged behind its schedule'}"
        return "measurement-invalid", reason, "end what else is busy on this machine, and measure again"
    return None


def _unrecorded(result: Result) -> str:
    """Say which latencies are missing from the report altogether, or return an empty text."""
    if result.p99_latency_ms == 0:
        return f"all percentiles are 0 over {result.total_operations} operations: all were slower than is recorded"
    # Overall percentiles are the highest of all kinds of operation: a kind without any is easily overlooked.
    silent = [name for name, kind in result.operations.items() if kind.success_count and not kind.p99_latency_us]
    return f"all percentiles of {', '.join(silent)} are 0: all were slower than is recorded" if silent else ""


def _answers(result: Result) -> tuple[str, str, str] | None:
    """Return what is wrong with the answers as such, by the driver's own check of a sample; None if nothing is."""
    found = recall_of(result)
    reason = str(found.get("note") or "the answers mean nothing")
    match found.get("answers"):
        case "empty-store":
            return "empty-store", reason, "see the notes on the data set: the server must hold it to be measured"
        case "ignores-query":
            return "ignores-query", reason, "the server's answers do not depend on what is asked: mend the server"
        case _:
            return None


def recall_of(result: Result) -> dict[str, Any]:
    """Return what compbench's driver found out about the answers; empty from another driver."""
    found = result.own.get("recall")
    return found if isinstance(found, dict) else {}


def _without_report(ended: Exit, stderr_lines: list[str]) -> Outcome:
    said = " ".join(line.strip() for line in stderr_lines if line.strip())
    code, reason = "driver-error", f"the driver ended without a report ({ended})"
    if ended.code == _USAGE_EXIT_CODE:
        code = "driver-usage"
    elif ended.code == _PANIC_EXIT_CODE or ended.signal == "SIGABRT":
        code, reason = "driver-panicked", f"the driver panicked ({ended})"
    elif ended.signal:
        code = "driver-signal"
    reason = f"{reason}: {said}" if said else reason
    return Outcome(verdict="failed", code=code, reason=reason, phase="measure", advice="see the driver's output")


def _number(raw: dict[str, Any], key: str, where: str) -> float:
    if key not in raw:
        raise UserError(f"{where}: {key}: missing from the report")
    value = raw[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"{where}: {key} = {value!r}: a finite number from 0 on is wanted")
    return float(value)


def _notice(code: str, text: str) -> Notice:
    return Notice(code=code, text=text)
