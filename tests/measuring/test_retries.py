"""What is made again, what a busy machine is, and who is named for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from compbench.machine.probes.busy_processes import BusyProcess
from compbench.measuring import cautions, outcomes
from compbench.measuring.retries import disturbances, due
from compbench.model.notices import Outcome, Verdict, outcome_of
from compbench.model.records import Capture
from compbench.model.sample import Sample
from compbench.systems.registry import load_settings


def capture(scenario: str, verdict: Verdict, spoiled: int = 0, repeat: int | None = None) -> Capture:
    facts: dict[str, Any] = dict.fromkeys(("run", "title", "system", "driver", "profile"), "x")
    facts |= dict.fromkeys(("seed", "duration_s", "sample_interval_s", "started_at", "ended_at"), 1)
    outcome = Outcome(verdict=verdict)
    return Capture(scenario=scenario, repeat=repeat, outcome=outcome, spoiled_attempts=spoiled, **facts)


def test_only_what_is_invalid_is_made_again_and_not_more_often_than_is_permitted() -> None:
    captures = [
        capture("alpha", "passed"),
        capture("beta", "invalid"),
        capture("gamma", "missed"),
        capture("delta", "failed"),
        capture("beta", "invalid", spoiled=1, repeat=2),
        capture("beta", "invalid", spoiled=2, repeat=3),
    ]
    assert due(captures, 2) == ["beta", "beta_run2"]
    assert due(captures, 1) == ["beta"]
    assert due(captures, 0) == []


@pytest.mark.parametrize(
    ("second", "found"),
    [
        (Sample(elapsed_s=1.0), []),
        (Sample(elapsed_s=1.0, per_core_pct=[10.0, 10.0], steal_pct=5.0, load_1min=2.0), []),
        (Sample(elapsed_s=1.0, per_core_pct=[100.0, 0.0]), ["50 % of the cores' time is in use (limit 10 %)"]),
        (Sample(elapsed_s=1.0, steal_pct=6.0), ["6 % of it is given to other machines (limit 5 %)"]),
        (Sample(elapsed_s=1.0, load_1min=2.5), ["load average 2.5 (limit 2)"]),
    ],
)
def test_a_machine_is_quiet_if_load_steal_and_cores_in_use_are_within_their_limits(
    tmp_path: Path, second: Sample, found: list[str]
) -> None:
    assert disturbances(second, load_settings(tmp_path, {}, {})) == found


def test_a_spoiled_measurement_names_who_used_the_cores_and_a_whole_one_only_much_use() -> None:
    invalid = outcome_of("measurement-invalid", why="the driver lagged")
    compiler, little = BusyProcess(7, "cc1", 93.0), BusyProcess(8, "top", 6.0)
    named = outcomes.name_the_busy(invalid, [compiler, little])
    assert named.reason.endswith("; meanwhile busy: cc1 (process 7) 93 % of a core, top (process 8) 6 % of a core")
    assert "end what is busy" in named.advice
    assert outcomes.name_the_busy(invalid, []) == invalid
    passed = msgspec.structs.replace(invalid, verdict="passed")
    codes = [[n.code for n in cautions.of_others([who], o)] for who in (compiler, little) for o in (invalid, passed)]
    assert codes == [["other-processes"], ["other-processes"], ["other-processes"], []]
    assert list(cautions.of_others([], invalid)) == []


def second(
    *, cores: tuple[float, ...], server: float | None = 40.0, driver: float | None = 30.0, interrupts: float = 0.0
) -> Sample:
    return Sample(
        elapsed_s=1.0, per_core_pct=list(cores), cpu_pct=server, driver_cpu_pct=driver, interrupts_pct=interrupts
    )


@pytest.mark.parametrize(
    ("sample", "crowded"),
    [
        (second(cores=(100.0, 95.0)), True),
        (second(cores=(100.0, 60.0)), False),  # others are at work, and there was room for all
        (second(cores=(100.0, 95.0), server=150.0), False),  # the server itself filled the machine
        (second(cores=(100.0,) * 8, server=700.0), False),  # others used 70 % of one core of eight
        (second(cores=(100.0,) * 8, server=600.0), True),
        (second(cores=()), False),
        # Interrupts are of the load itself, and of no process.
        (second(cores=(100.0, 100.0), server=120.0, driver=50.0, interrupts=15.0), False),
        (second(cores=(100.0, 100.0), server=120.0, driver=50.0), True),
        (second(cores=(100.0, 100.0), server=None), False),
    ],
)
def test_others_hold_the_cores_if_they_use_some_and_leave_none_idle(sample: Sample, crowded: bool) -> None:
    assert outcomes.is_crowded(sample, 10.0) is crowded
    assert not outcomes.is_crowded(sample, 100.0)


def test_where_the_server_has_cpus_of_its_own_only_these_are_looked_at() -> None:
    # Others fill the server's three, and the driver's own is nearly idle.
    sample = msgspec.structs.replace(second(cores=(10.0, 100.0, 100.0, 100.0)), cpu_pct=150.0, driver_cpu_pct=10.0)
    assert not outcomes.is_crowded(sample, 10.0)
    assert outcomes.is_crowded(sample, 10.0, (1, 2, 3))
    alone = msgspec.structs.replace(sample, cpu_pct=299.0)
    assert not outcomes.is_crowded(alone, 10.0, (1, 2, 3))
    assert not outcomes.is_crowded(sample, 10.0, (7,)), "a CPU that the samples do not have tells nothing"


def test_a_target_of_time_missed_beside_others_says_nothing_about_the_server() -> None:
    quiet, crowded = second(cores=(50.0, 50.0)), second(cores=(100.0, 100.0))
    slow, wrong = outcomes.MissedTarget("P99 is over", is_of_time=True), outcomes.MissedTarget("recall is under")
    missed = Outcome(verdict="missed", code="targets-missed", reason="P99 is over")
    judged = outcomes.judge_crowding(missed, [slow], [quiet, crowded, quiet], 10.0)
    assert (judged.verdict, judged.code) == ("invalid", "machine-crowded")
    assert "P99 is over, while others held the cores in 1 of 3 samples" in judged.reason
    assert outcomes.judge_crowding(missed, [slow], [quiet], 10.0) is missed
    assert outcomes.judge_crowding(missed, [slow, wrong], [crowded], 10.0) is missed
    passed = Outcome(verdict="passed", code="passed")
    assert outcomes.judge_crowding(passed, [], [crowded], 10.0) is passed
