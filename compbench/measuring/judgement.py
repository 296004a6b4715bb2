"""What a driver's report amounts to: an outcome by a scenario's targets, and what could make the figures wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from compbench.machine.probes.busy_processes import BusyProcess, describe
from compbench.machine.process import Exit
from compbench.model.records import DataSet, Notice, Outcome, Sample
from compbench.model.result import Capacity, Recall, Result
from compbench.model.scenario import Scenario, Validation, mean_rate

# Engram's loadtest records microseconds in a histogram that ends here, and drops what is slower.
CENSORED_FROM_MS = 65.0
_USAGE_EXIT_CODE = 2
_PANIC_EXIT_CODE = 101


# Half a core that others use is worth a word even if the measurement stood it.
BUSY_CORE_PCT = 50.0
# With less of all cores' time idle than this, in percent, a process that wants a core waits for it.
SCARCE_PCT = 10.0
# A run that took so much longer than planned was held up by single requests.
OVERRUN_SHARE, OVERRUN_S = 1.1, 5.0


def judge_data_set(data_set: DataSet | None) -> Outcome | None:
    """Judge whether the server held the whole data set; None if it did, or if all was taken and it doesn't count.

    With less of it a scenario is another one than its name says, whatever its figures are.
    """
    if data_set is None:
        return None
    if data_set.prepared if data_set.stored is None else data_set.stored >= data_set.wanted:
        return None
    held = "an unknown number" if data_set.stored is None else data_set.stored
    reason = f"the server held {held} of {data_set.wanted} memories: this is not the scenario's data set"
    why = f" ({data_set.note})" if data_set.note else ""
    advice = "nothing was measured: it would be another workload; mend what keeps the server from its data"
    return Outcome(verdict="failed", code="data-set-not-held", phase="prepare", reason=reason + why, advice=advice)


def judge_capacity(found: Capacity | None, ended: Exit, stderr_lines: list[str]) -> Outcome:
    """Judge a search that has ended: passed if it found the target's own limit."""
    if found is None:
        return _without_report(ended, stderr_lines)
    if found.bound in ("target", "limit"):
        return Outcome(verdict="passed", code="passed", reason=found.note)
    code = "capacity-beyond-driver" if found.bound == "driver" else "capacity-none"
    return Outcome(verdict="failed", code=code, phase="measure", reason=found.note)


def judge(
    result: Result | None, validation: Validation, offered_ops_s: float, ended: Exit, stderr_lines: list[str]
) -> Outcome:
    """Judge what a driver that ended by itself reported: passed, missed, failed or invalid, with the reason."""
    if result is None:
        return _without_report(ended, stderr_lines)
    if wrong := _failure(result):
        return Outcome(verdict="failed", code=wrong[0], reason=wrong[1], phase="measure")
    if result.details is not None and result.details.valid is False:
        reason = result.details.invalid_reason or "the driver lagged behind its schedule"
        return Outcome(
            verdict="invalid",
            code="measurement-invalid",
            phase="measure",
            reason=f"measurement invalid: {reason}",
        )
    if missed := missed_targets(result, validation):
        return Outcome(
            verdict="missed",
            code="targets-missed",
            phase="measure",
            reason="; ".join(target.text for target in missed),
            advice=f"the load was {offered_ops_s:g} ops/s: see the table of samples for what was short",
        )
    return Outcome(verdict="passed", code="passed")


def judge_crowding(
    outcome: Outcome, missed: Sequence[MissedTarget], samples: Sequence[Sample], max_others_pct: float
) -> Outcome:
    """Return a missed measurement as invalid if others held the cores meanwhile and every target missed is one of time.

    Others only add time, so what passed beside them has passed; what missed says nothing about the server. A target
    that no other process can spoil (recall, errors) stays missed.

    Args:
        outcome: what the driver's report amounts to.
        missed: the targets that are not met.
        samples: of the machine, the server and the driver while it was measured.
        max_others_pct: how much of all cores' time others may use, in percent.
    """
    crowded = sum(is_crowded(sample, max_others_pct) for sample in samples)
    if outcome.verdict != "missed" or not crowded or not all(target.is_of_time for target in missed):
        return outcome
    share = f"in {crowded} of {len(samples)} samples"
    reason = f"measurement invalid: {outcome.reason}, while other processes held the cores {share}"
    return Outcome(verdict="invalid", code="machine-crowded", phase="measure", reason=reason)


def is_crowded(sample: Sample, max_others_pct: float) -> bool:
    """Tell whether processes other than server and driver used the cores in this interval, and left none idle."""
    cores = sample.per_core_pct
    if not cores or sample.cpu_pct is None or sample.driver_cpu_pct is None:
        return False
    used_pct = sum(cores) / len(cores)
    others_pct = used_pct - (sample.cpu_pct + sample.driver_cpu_pct) / len(cores)
    return others_pct > max_others_pct and used_pct > 100 - SCARCE_PCT


def others_at_work(busy: Sequence[BusyProcess], outcome: Outcome) -> list[Notice]:
    """Return a warning of other processes that took cores from the measurement, if they were many or it is spoiled."""
    if not busy or (outcome.verdict != "invalid" and sum(process.pct for process in busy) < BUSY_CORE_PCT):
        return []
    text = f"other processes used the cores meanwhile: {describe(busy)}; end them, or measure when they have ended"
    return [_notice("other-processes", text)]


def name_the_busy(outcome: Outcome, busy: Sequence[BusyProcess]) -> Outcome:
    """Return the outcome of a spoiled measurement with who used the cores meanwhile."""
    if not busy:
        return outcome
    reason = f"{outcome.reason}; meanwhile busy: {describe(busy)}"
    advice = "end what is busy, or wait until it has ended, and measure again"
    return msgspec.structs.replace(outcome, reason=reason, advice=advice)


def disagreement(outcome: Outcome, ended: Exit) -> Notice | None:
    """Return a warning if the driver's exit says otherwise than its own report, by which the scenario is judged.

    `loadtest` ends with 1 if a target of the scenario is missed, else with 0.
    """
    if not outcome.is_measurement or ended.code == (1 if outcome.verdict == "missed" else 0):
        return None
    said = "misses a target" if outcome.verdict == "missed" else "meets every target"
    text = f"the driver ended with {ended}, but its report {said}: the scenario is judged by the report"
    return _notice("driver-disagrees", text)


class MissedTarget(NamedTuple):
    """A target that is not met, in words with both numbers; `is_of_time` if other processes can spoil its figure."""

    text: str
    is_of_time: bool = False


def missed_targets(result: Result, validation: Validation) -> list[MissedTarget]:
    """Return each target that is not met."""
    missed = []
    limit = validation.expected_p99_latency_ms
    if limit is not None and result.p99_latency_ms > limit:
        missed.append(MissedTarget(f"P99 {result.p99_latency_ms:.2f} ms is over {limit:g} ms", is_of_time=True))
    limit = validation.expected_throughput_ops_sec
    if limit is not None and result.throughput_ops_s < limit:
        text = f"throughput {result.throughput_ops_s:.0f} ops/s is under {limit:g} ops/s"
        missed.append(MissedTarget(text, is_of_time=True))
    limit = validation.max_error_rate
    if limit is not None and result.error_fraction > limit:
        missed.append(MissedTarget(f"errors {result.error_fraction * 100:.2f} % are over {limit * 100:g} %"))
    limit = validation.expected_recall
    if limit is not None and result.details is not None:
        recall = result.recall or Recall()
        if recall.reached is None:
            missed.append(
                MissedTarget(f"recall can't be told ({recall.note or 'no answer was checked'}), wanted {limit:g}")
            )
        elif recall.reached < limit:
            missed.append(MissedTarget(f"recall {recall.reached:.3f} is under {limit:g}"))
    return missed


def cautions(result: Result | None, driver: str, duration_s: float, scenario: Scenario) -> list[Notice]:
    """Return what could make the figures wrong or mean something else than they seem to."""
    if result is None:
        return []
    notices = [*_traversal_cautions(result), *_overrun(result, duration_s)]
    if driver != "loadtest":
        return notices
    notices.append(_notice("closed-loop", "Engram's loadtest waits for each answer before it sends the next request"))
    rate = mean_rate(scenario.arrival)
    if result.p99_latency_ms >= CENSORED_FROM_MS or result.throughput_ops_s < rate / 2:
        text = f"Engram's loadtest drops every latency over {CENSORED_FROM_MS:g} ms: the percentiles flatter"
        notices.append(_notice("censored", text))
    if scenario.operations.embedding_search_weight > 0:
        text = "Engram's loadtest discards the vector of a search: EmbeddingSearch is a text search"
        notices.append(_notice("text-search", text))
    if scenario.graph is not None:
        notices.append(_notice("no-traversal", "Engram's loadtest follows no edges: its recalls go by similarity"))
    if scenario.validation.expected_recall is not None:
        notices.append(_notice("recall-not-checked", "Engram's loadtest checks no answers: recall is not judged"))
    return notices


def _traversal_cautions(result: Result) -> list[Notice]:
    traversal = result.details.traversal if result.details else None
    return [_notice("no-traversal", traversal.note)] if traversal and traversal.note else []


def _overrun(result: Result, duration_s: float) -> list[Notice]:
    if result.elapsed_s <= max(duration_s * OVERRUN_SHARE, duration_s + OVERRUN_S):
        return []
    text = f"the driver took {result.elapsed_s:.0f} s for {duration_s:g} s: single requests have held it up"
    return [_notice("overran", text)]


def data_cautions(data_set: DataSet) -> list[Notice]:
    """Return in what the data set is not the one that the scenario asks for."""
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


def _failure(result: Result) -> tuple[str, str] | None:
    if result.total_operations == 0:
        return "no-operations", "the driver sent no operation"
    if result.total_errors >= result.total_operations:
        reason = f"all {result.total_operations} operations failed"
        return "all-operations-failed", reason
    return _wrong_percentiles(result) or _wrong_answers(result)


def _wrong_percentiles(result: Result) -> tuple[str, str] | None:
    if result.p99_latency_ms == 0:
        reason = f"all percentiles are 0 over {result.total_operations} operations: all were slower than is recorded"
        return "zero-percentiles", reason
    # Overall percentiles are the highest of all kinds of operation: a kind without any is easily overlooked.
    kinds = result.operations.items()
    if silent := [name for name, kind in kinds if kind.count > kind.errors and not kind.p99_latency_ms]:
        reason = f"all percentiles of {', '.join(silent)} are 0: every one of them was slower than is recorded"
        return "zero-percentiles", reason
    if not result.p50_latency_ms <= result.p95_latency_ms <= result.p99_latency_ms:
        return "unordered-percentiles", "P50, P95 and P99 are not in order: the report is wrong"
    return None


def _wrong_answers(result: Result) -> tuple[str, str] | None:
    """Return what is wrong with the answers as such, by the driver's own check of a sample; None if nothing is."""
    found = result.recall or Recall()
    reason = found.note or "the answers mean nothing"
    match found.answers:
        case "empty-store":
            return "empty-store", reason
        case "ignores-query":
            return "ignores-query", reason
        case _:
            return None


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
    return Outcome(verdict="failed", code=code, reason=reason, phase="measure")


def _notice(code: str, text: str) -> Notice:
    return Notice(code=code, text=text)
