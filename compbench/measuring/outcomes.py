"""A driver's report judged by a scenario's targets: the outcome of the measurement. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from compbench.machine.probes.busy_processes import BusyProcess, describe_busy
from compbench.machine.process import Exit
from compbench.model.metrics import ERRORS, P99, RECALL, THROUGHPUT, Metric, given
from compbench.model.notices import Outcome, outcome_of
from compbench.model.records import DataSet
from compbench.model.result import Capacity, Recall, Result
from compbench.model.sample import Sample
from compbench.model.scenario import Validation

_USAGE_EXIT_CODE = 2
_PANIC_EXIT_CODE = 101
# With less of all cores' time idle than this, in percent, a process that wants a core waits for it.
SCARCE_PCT = 10.0


def judge_held_data(data_set: DataSet | None) -> Outcome | None:
    """Judge whether the server held the whole data set, rows and edges; None if it did, or took all and doesn't count.

    With less of it, or more, a scenario is another one than its name says, whatever its figures are.
    """
    if data_set is None:
        return None
    if data_set.prepared and (data_set.stored is None or data_set.stored == data_set.wanted):
        return None
    return outcome_of("data-set-not-held", "prepare", held=data_set.held, wanted=data_set.wanted, note=data_set.note)


def judge_capacity(found: Capacity | None, ended: Exit, stderr_lines: list[str]) -> Outcome:
    """Judge a search that has ended: passed if it found the target's own limit."""
    if found is None:
        return _without_report(ended, stderr_lines)
    if found.bound in ("target", "limit"):
        return outcome_of("passed", note=found.note)
    return outcome_of(
        "capacity-beyond-driver" if found.bound == "driver" else "capacity-none", "measure", note=found.note
    )


def judge(
    result: Result | None, validation: Validation, offered_ops_s: float, ended: Exit, stderr_lines: list[str]
) -> Outcome:
    """Judge what a driver that ended by itself reported: passed, missed, failed or invalid, with the reason."""
    if result is None:
        return _without_report(ended, stderr_lines)
    is_host_lost = result.details is not None and result.details.is_host_lost
    if not is_host_lost and (failed := _failure(result)):
        return failed
    if result.details is not None and result.details.valid is False:
        why = result.details.invalid_reason or "the driver lagged behind its schedule"
        return outcome_of("measurement-invalid", "measure", why=why)
    if missed := missed_targets(result, validation):
        texts = "; ".join(target.text for target in missed)
        return outcome_of("targets-missed", "measure", missed=texts, rate_ops_s=offered_ops_s)
    return outcome_of("passed", note="")


def judge_senders(outcome: Outcome, result: Result, earlier: Iterable[Result | None]) -> Outcome:
    """Return a measurement as invalid if other hosts sent it than earlier ones of its run: it was another load."""
    hosts = _sent_from(result)
    for other in earlier:
        had = _sent_from(other)
        if outcome.is_measurement and had and had != hosts:
            now = ", ".join(hosts) or "here alone"
            return outcome_of(
                "measurement-invalid", "measure", why=f"sent from {now}, and earlier in this run from {', '.join(had)}"
            )
    return outcome


def _sent_from(result: Result | None) -> list[str]:
    return result.details.sent_from if result and result.details else []


def judge_crowding(
    outcome: Outcome,
    missed: Sequence[MissedTarget],
    samples: Sequence[Sample],
    max_others_pct: float,
    own_cpus: Sequence[int] = (),
) -> Outcome:
    """Return a missed measurement as invalid if others held the cores meanwhile and every target missed is one of time.

    Others only add time, so a measurement that passed beside them has passed; one that missed says nothing about the
    server. A target that no other process can spoil (recall, errors) stays missed.

    Args:
        outcome: the one by the driver's report alone.
        missed: the targets that are not met.
        samples: of the machine, the server and the driver while it was measured.
        max_others_pct: how much of the cores' time others may use, in percent.
        own_cpus: those of the server, where the driver has others: only these are looked at then.
    """
    crowded = sum(is_crowded(sample, max_others_pct, own_cpus) for sample in samples)
    if outcome.verdict != "missed" or not crowded or not all(target.is_of_time for target in missed):
        return outcome
    return outcome_of("machine-crowded", "measure", missed=outcome.reason, crowded=crowded, samples=len(samples))


def is_crowded(sample: Sample, max_others_pct: float, own_cpus: Sequence[int] = ()) -> bool:
    """Tell whether others than server and driver used the cores in this interval, and left none idle.

    Others are processes, and other machines of the same host (steal). Interrupts are left out: most are of the load.
    """
    cores = sample.per_core_pct
    if not cores or sample.cpu_pct is None or sample.driver_cpu_pct is None:
        return False
    ours_pct = sample.cpu_pct + sample.driver_cpu_pct
    if own_cpus and max(own_cpus) < len(cores):
        cores, ours_pct = [cores[cpu] for cpu in own_cpus], sample.cpu_pct
    used_pct = sum(cores) / len(cores)
    others_pct = used_pct - (sample.interrupts_pct or 0.0) - ours_pct / len(cores)
    return others_pct > max_others_pct and used_pct > 100 - SCARCE_PCT


def name_the_busy(outcome: Outcome, busy: Sequence[BusyProcess]) -> Outcome:
    """Return the outcome of a spoiled measurement with who used the cores meanwhile."""
    if not busy:
        return outcome
    return msgspec.structs.replace(outcome, reason=f"{outcome.reason}; meanwhile busy: {describe_busy(busy)}")


class MissedTarget(NamedTuple):
    """A target that is not met, in words with both numbers; `is_of_time` if other processes can spoil its figure."""

    text: str
    is_of_time: bool = False


def missed_targets(result: Result, validation: Validation) -> list[MissedTarget]:
    """Return each target that is not met."""
    missed = []
    limit = validation.expected_p99_latency_ms
    if limit is not None and result.p99_latency_ms > limit:
        missed.append(MissedTarget(_said(P99, result, "is over", given(limit)), is_of_time=True))
    limit = validation.expected_throughput_ops_sec
    if limit is not None and result.throughput_ops_s < limit:
        missed.append(MissedTarget(_said(THROUGHPUT, result, "is under", given(limit)), is_of_time=True))
    limit = validation.max_error_rate
    if limit is not None and result.error_fraction > limit:
        missed.append(MissedTarget(_said(ERRORS, result, "are over", given(100 * limit))))
    limit = validation.expected_recall
    if limit is not None and result.details is not None:
        recall = result.recall or Recall()
        if recall.reached is None:
            why = recall.note or "no answer was checked"
            missed.append(MissedTarget(f"recall can't be told ({why}), wanted {given(100 * limit)} {RECALL.unit}"))
        elif recall.reached < limit:
            missed.append(MissedTarget(_said(RECALL, result, "is under", given(100 * limit))))
    return missed


def _said(metric: Metric, result: Result, stands: str, limit: str) -> str:
    """Say how a figure stands to its target, as every page writes it: `P99 20.01 ms is over 20 ms`.

    One that rounds to its target is told with all of its digits.
    """
    value = metric.read(result, None)
    shown = metric.number(value)
    if value is not None and float(shown) == float(limit):
        shown = given(value)
    return f"{metric.label} {shown} {metric.unit} {stands} {limit} {metric.unit}"


def _failure(result: Result) -> Outcome | None:
    if result.total_operations == 0:
        return outcome_of("no-operations", "measure")
    if result.total_errors >= result.total_operations:
        errors = (result.details.errors if result.details else None) or {}
        most = max(errors, key=lambda problem: errors[problem], default="")
        why = f": {most}" if most else ""
        return outcome_of("all-operations-failed", "measure", count=result.total_operations, why=why)
    return _wrong_percentiles(result) or _wrong_answers(result)


def _wrong_percentiles(result: Result) -> Outcome | None:
    if result.p99_latency_ms == 0:
        return outcome_of("zero-percentiles", "measure", of_kinds="")
    # Overall percentiles are the highest of all kinds of operation: a kind without any is easily overlooked.
    kinds = result.operations.items()
    if silent := [name for name, kind in kinds if kind.count > kind.errors and not kind.p99_latency_ms]:
        return outcome_of("zero-percentiles", "measure", of_kinds=f" of {', '.join(silent)}")
    if not result.p50_latency_ms <= result.p95_latency_ms <= result.p99_latency_ms:
        return outcome_of("unordered-percentiles", "measure")
    return None


def _wrong_answers(result: Result) -> Outcome | None:
    """Judge the answers as such, by the driver's own check of a sample; None if they are all right."""
    found = result.recall or Recall()
    note = found.note or "the answers mean nothing"
    match found.answers:
        case "empty-store":
            return outcome_of("empty-store", "measure", note=note)
        case "ignores-query":
            return outcome_of("ignores-query", "measure", note=note)
        case _:
            return None


def _without_report(ended: Exit, stderr_lines: list[str]) -> Outcome:
    code = "driver-error"
    if ended.code == _USAGE_EXIT_CODE:
        code = "driver-usage"
    elif ended.code == _PANIC_EXIT_CODE or ended.signal == "SIGABRT":
        code = "driver-panicked"
    elif ended.signal:
        code = "driver-signal"
    said = " ".join(line.strip() for line in stderr_lines if line.strip())
    return outcome_of(code, "measure", ended=ended, said=said)
