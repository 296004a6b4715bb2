"""What is made again, and what a quiet machine is; waiting for one with a clock and counters of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from compbench.machine.effects import Effects
from compbench.machine.probes.busy_processes import BusyProcess, ProcessReading, ProcessTime
from compbench.machine.probes.counters import CpuSeconds, MachineCounters
from compbench.measuring import cautions, outcomes
from compbench.measuring.attempt import Attempt
from compbench.measuring.quiet import await_quiet
from compbench.measuring.retries import QUIET_FOR_S, disturbances, due
from compbench.model.events import Event, NoticeGiven, PhaseBegan, ProgressMade
from compbench.model.measurement import Measurement
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


class Machine:
    """A machine of two cores that is busy until a moment of its own clock."""

    def __init__(self, busy_until_s: float) -> None:
        self.now_s, self.busy_s, self.busy_until_s = 1000.0, 0.0, busy_until_s

    def sleep(self, seconds: float) -> None:
        self.busy_s += max(0.0, min(seconds, self.busy_until_s - (self.now_s - 1000.0)))
        self.now_s += seconds

    def counters(self) -> MachineCounters:
        idle_s = self.now_s - self.busy_s
        return MachineCounters(cores=[CpuSeconds(total_s=self.now_s, idle_s=idle_s, io_wait_s=0.0, steal_s=0.0)] * 2)

    def processes(self) -> ProcessReading:
        return ProcessReading(
            self.now_s, {(1_000_000_007, 1.0): ProcessTime(1_000_000_001, "compiler", self.busy_s, 0.0)}
        )

    @property
    def effects(self) -> Effects:
        clock = lambda: self.now_s  # noqa: E731 - a value beside others
        return Effects(clock, clock, self.sleep, lambda: "", self.counters, self.processes)


def waited(tmp_path: Path, busy_until_s: float, limit: str = "60") -> tuple[Attempt, list[Event], float]:
    """Wait for a machine that is busy until then; return the attempt, what was told, and how long it took."""
    told: list[Event] = []
    machine, settings = Machine(busy_until_s), load_settings(tmp_path, {}, {"quiet_timeout_s": limit})
    missing: Any = None
    attempt = Attempt(
        missing, missing, Measurement("alpha"), settings, tmp_path, told.append, machine.effects, 2, 1, 0.0
    )
    await_quiet(attempt)
    return attempt, told, machine.now_s - 1000.0


def test_a_quiet_machine_is_waited_for_only_for_the_seconds_that_prove_it(tmp_path: Path) -> None:
    attempt, told, took_s = waited(tmp_path, 0.0)
    assert took_s == QUIET_FOR_S
    assert isinstance(told[0], PhaseBegan)
    assert (told[0].phase, told[0].limit_s) == ("quiet", 60.0)
    assert attempt.notices == []
    assert [record.name for record in attempt.phases] == ["quiet"]


def test_a_busy_machine_is_waited_for_and_who_is_busy_is_told(tmp_path: Path) -> None:
    attempt, told, took_s = waited(tmp_path, 20.0)
    assert took_s == 20 + QUIET_FOR_S
    notes = [event.note for event in told if isinstance(event, ProgressMade)]
    assert notes[0] == "100 % of the cores' time is in use (limit 10 %)"
    assert notes[5] == f"{notes[0]}: compiler (process 1000000007) 100 % of a core"
    assert notes[-1] == "quiet so far"
    assert attempt.notices == []


def test_a_machine_that_stays_busy_is_measured_all_the_same_and_that_is_said(tmp_path: Path) -> None:
    attempt, told, took_s = waited(tmp_path, 1000.0, "30")
    assert took_s == 30
    assert isinstance(told[-1], NoticeGiven)
    (notice,) = attempt.notices
    assert notice.code == "not-quiet"
    assert "did not become quiet within 30 s (100 % of the cores' time is in use" in notice.text
    assert "compiler" in notice.text


def test_no_waiting_if_that_is_set(tmp_path: Path) -> None:
    assert waited(tmp_path, 1000.0, "0")[1:] == ([], 0.0)


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
