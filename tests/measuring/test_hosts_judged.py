"""Measurements of several hosts judged: a host that was lost, and others than before."""

from __future__ import annotations

from compbench.machine.process import Exit
from compbench.measuring.outcomes import judge, judge_senders
from compbench.model.notices import outcome_of
from compbench.model.result import Details, HostFigures, Result, Summary
from compbench.model.scenario import Validation

NONE = Summary(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def result_from(*hosts: str, operations: int = 100, lost: str = "") -> Result:
    figures = [
        HostFigures(name=name, response_time_ms=NONE, service_time_ms=NONE, driver_lag_ms=NONE) for name in hosts
    ]
    details = Details(
        valid=not lost, invalid_reason=lost or None, is_host_lost=bool(lost), sent_from=[*hosts], hosts=figures
    )
    return Result(
        p50_latency_ms=1.0,
        p95_latency_ms=1.0,
        p99_latency_ms=1.0,
        throughput_ops_s=10.0,
        error_fraction=0.0,
        total_operations=operations,
        total_errors=0,
        elapsed_s=10.0,
        details=details,
    )


def test_a_host_that_is_not_ready_is_invalid_and_no_failure_though_nothing_was_sent() -> None:
    found = judge(result_from(operations=0, lost="host b was lost"), Validation(), 10.0, Exit(1), [])
    assert (found.verdict, found.reason) == ("invalid", "host b was lost")


def test_a_load_from_other_hosts_than_earlier_in_the_run_is_invalid() -> None:
    passed = outcome_of("passed", note="")
    assert judge_senders(passed, result_from("a", "b"), [None, result_from(), result_from("a", "b")]) == passed
    found = judge_senders(passed, result_from("a"), [result_from("a", "b")])
    assert (found.verdict, found.reason) == ("invalid", "sent from a, and earlier in this run from a, b")
