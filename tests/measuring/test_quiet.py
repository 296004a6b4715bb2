"""Waiting for a machine as quiet as at the start: with clock and counters of the test's own, and beside a real loop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from compbench.machine.effects import Effects
from compbench.machine.probes.busy_processes import ProcessReading, ProcessTime
from compbench.machine.probes.counters import CpuSeconds, MachineCounters
from compbench.machine.resting import read_at_rest
from compbench.measuring.attempt import Attempt
from compbench.measuring.quiet import LOOK_S, rest
from compbench.measuring.quietness import HEAT_TOLERANCE_C, louder_than, quietness_of
from compbench.measuring.retries import QUIET_FOR_S
from compbench.model.events import Event, NoticeGiven, PhaseBegan, ProgressMade
from compbench.model.measurement import Measurement
from compbench.model.records import MachineAtRest, Manifest
from compbench.model.sample import Sample
from compbench.store.runs import Run
from compbench.systems.registry import load_settings
from tests.measuring.test_retries import capture

START = 1000.0
QUIET = MachineAtRest(read_at=0.0, cores=2, busy_pct=1.0, steal_pct=0.0, temperature_c=40.0, load_1min=0.1)


class Machine:
    """A machine of two cores, which are in use until a moment of its own clock; so long it is as hot as that."""

    def __init__(self, busy_until_s: float, hot_until_s: float = 0.0) -> None:
        self.now_s, self.busy_s, self.busy_until_s, self.hot_until_s = START, 0.0, busy_until_s, hot_until_s

    @property
    def waited_s(self) -> float:
        """Return for how long it has been slept."""
        return self.now_s - START

    def sleep(self, seconds: float) -> None:
        self.busy_s += max(0.0, min(seconds, self.busy_until_s - self.waited_s))
        self.now_s += seconds

    def counters(self) -> MachineCounters:
        idle_s = self.now_s - self.busy_s
        core = CpuSeconds(total_s=self.now_s, idle_s=idle_s, io_wait_s=0.0, steal_s=0.0)
        # A load average holds for minutes what is over.
        return MachineCounters(cores=[core] * 2, load_1min=50.0)

    def processes(self) -> ProcessReading:
        compiler = ProcessTime(1_000_000_001, "compiler", self.busy_s, 0.0)
        return ProcessReading(self.now_s, {(1_000_000_007, 1.0): compiler})

    def heat_c(self) -> float:
        return 70.0 if self.waited_s < self.hot_until_s else 41.0

    @property
    def effects(self) -> Effects:
        clock = lambda: self.now_s  # noqa: E731 - a value beside others
        return Effects(clock, clock, self.sleep, lambda: "", self.counters, self.processes, self.heat_c)


class Waited(NamedTuple):
    """How waiting for a machine went."""

    attempt: Attempt
    told: list[Event]
    took_s: float

    @property
    def phases(self) -> list[str]:
        return [record.name for record in self.attempt.phases]

    @property
    def codes(self) -> list[str]:
        return [notice.code for notice in self.attempt.notices]

    @property
    def notes(self) -> list[str]:
        """Return what was shown as the reason for waiting longer than the cooldown."""
        return [event.note for event in self.told if isinstance(event, ProgressMade) and event.note]


@pytest.fixture
def waited(tmp_path: Path) -> Callable[..., Waited]:
    """Return what waits before a measurement: the second of a run, unless told otherwise."""

    def wait(
        machine: Machine,
        at_rest: MachineAtRest | None = QUIET,
        *,
        spoiled: int = 0,
        first: bool = False,
        **settings: str,
    ) -> Waited:
        last = None if first else msgspec.structs.replace(capture("before", "passed"), ended_at=START)
        told: list[Event] = []
        words = {"cooldown_s": "10", "quiet_timeout_s": "60", "warn_load": "1000", **settings}
        manifest = Manifest(run="r", state="open", opened_at=0.0, selection=["alpha"], fingerprint={}, at_rest=at_rest)
        missing: Any = None
        attempt = Attempt(
            Run(tmp_path, manifest),
            missing,
            Measurement("alpha"),
            load_settings(tmp_path, {}, words),
            tmp_path,
            told.append,
            machine.effects,
            spoiled + 1,
            spoiled,
            START,
            last,
        )
        rest(attempt)
        return Waited(attempt, told, machine.waited_s)

    return wait


def test_a_cooldown_whose_last_seconds_were_quiet_is_all_that_is_waited(waited: Callable[..., Waited]) -> None:
    still = waited(Machine(busy_until_s=10 - QUIET_FOR_S))
    assert (still.phases, still.took_s, still.notes) == (["cooldown"], 10.0, [])
    # One of a second has no three of them: all of it counts, so that a quick suite takes no longer.
    short = waited(Machine(0.0), cooldown_s="1")
    assert (short.phases, short.took_s) == (["cooldown"], 1.0)
    none = waited(Machine(0.0), cooldown_s="0")
    assert (none.phases, none.took_s) == (["cooldown"], LOOK_S)


def test_what_is_busier_than_at_the_start_is_waited_for_and_who_it_is_is_told_and_kept(
    waited: Callable[..., Waited],
) -> None:
    busy = waited(Machine(busy_until_s=20.0))
    assert (busy.phases, busy.took_s, busy.codes) == (["cooldown", "quiet"], 20.0 + QUIET_FOR_S, [])
    begun = [event for event in busy.told if isinstance(event, PhaseBegan)]
    why = "100 % of the cores' time is in use (1 % at the start): compiler (process 1000000007) 100 % of a core"
    assert [(event.phase, event.limit_s, event.note) for event in begun] == [
        ("cooldown", 10.0, ""),
        ("quiet", 60.0, why),
    ]
    assert busy.notes[:10] == [why] * 10
    assert set(busy.notes[10:]) == {"quiet so far"}
    assert [record.note for record in busy.attempt.phases] == ["", why]


def test_a_hot_machine_is_waited_for_until_it_is_as_cool_as_at_the_start(waited: Callable[..., Waited]) -> None:
    hot = waited(Machine(0.0, hot_until_s=30.5))
    assert (hot.phases, hot.took_s, hot.notes[0]) == (
        ["cooldown", "quiet"],
        33.0,
        "the CPU has 70 C (40 C at the start)",
    )


def test_a_machine_that_does_not_become_quiet_is_measured_all_the_same_and_that_is_said(
    waited: Callable[..., Waited],
) -> None:
    busy = waited(Machine(1000.0), quiet_timeout_s="30")
    assert (busy.took_s, busy.codes) == (10.0 + 30.0, ["not-quiet"])
    assert isinstance(busy.told[-1], NoticeGiven)
    text = busy.attempt.notices[0].text
    assert "did not become quiet within 30 s (100 % of the cores' time is in use (1 % at the start)" in text
    assert "compiler" in text


def test_a_machine_that_was_as_busy_at_the_start_is_not_waited_for(waited: Callable[..., Waited]) -> None:
    at_start = MachineAtRest(read_at=0.0, cores=2, busy_pct=97.0)
    assert waited(Machine(1000.0), at_start).phases == ["cooldown"]
    # Of a run that does not tell how it began, the limits of a busy machine hold.
    assert waited(Machine(1000.0), None).phases == ["cooldown", "quiet"]
    assert waited(Machine(0.0), None).phases == ["cooldown"]


def test_before_the_first_measurement_the_machine_is_looked_at_if_something_was_made_since_the_start(
    waited: Callable[..., Waited],
) -> None:
    just_opened = MachineAtRest(read_at=START - 1, cores=2, busy_pct=1.0)
    assert waited(Machine(0.0), just_opened, first=True).phases == []
    assert waited(Machine(0.0), QUIET, first=True).took_s == LOOK_S
    assert waited(Machine(9.5), QUIET, first=True).phases == ["cooldown", "quiet"]


def test_one_that_is_made_again_is_preceded_by_three_quiet_seconds_of_no_busy_machine(
    waited: Callable[..., Waited],
) -> None:
    at_start = MachineAtRest(read_at=0.0, cores=2, busy_pct=97.0)
    again = waited(Machine(20.0), at_start, spoiled=1)
    assert (again.phases, again.took_s) == (["cooldown", "quiet"], 20.0 + QUIET_FOR_S)
    assert again.notes[0].startswith("100 % of the cores' time is in use (limit 10 %)")
    soon = waited(Machine(0.0), spoiled=1, cooldown_s="0")
    assert (soon.phases, soon.took_s) == (["quiet"], QUIET_FOR_S)
    # The quiet second of the cooldown is one of the three.
    assert waited(Machine(0.0), spoiled=1, cooldown_s="1").took_s == QUIET_FOR_S
    # Here the load average counts, too.
    assert waited(Machine(0.0), spoiled=1, warn_load="2").codes == ["not-quiet"]


def test_nothing_but_the_cooldown_is_waited_if_that_is_set(waited: Callable[..., Waited]) -> None:
    for spoiled in (0, 1):
        assert waited(Machine(1000.0), spoiled=spoiled, quiet_timeout_s="0").phases == ["cooldown"]
        none = waited(Machine(1000.0), spoiled=spoiled, quiet_timeout_s="0", cooldown_s="0")
        assert (none.told, none.took_s) == ([], 0.0)


@pytest.mark.parametrize(
    ("at_rest", "second", "heat_c", "found"),
    [
        ((2, 1.0), (6.0, 2.0), 40.0 + HEAT_TOLERANCE_C, []),
        ((2, 1.0), (7.0, 0.0), None, ["7 % of the cores' time is in use (1 % at the start)"]),
        ((2, 50.0), (54.0, 0.0), None, []),
        # Of 64 cores five points are three cores; half a core is 0.8 points.
        ((64, 1.0), (1.7, 0.0), None, []),
        ((64, 1.0), (2.5, 0.0), None, ["2 % of the cores' time is in use (1 % at the start)"]),
        ((2, 1.0), (1.0, 3.0), None, ["3 % of it is given to other machines (0 % at the start)"]),
        ((2, 1.0), (1.0, 0.0), 46.0, ["the CPU has 46 C (40 C at the start)"]),
        (
            None,
            (11.0, 6.0),
            81.0,
            [
                "11 % of the cores' time is in use (limit 10 %)",
                "6 % of it is given to other machines (limit 5 %)",
                "the CPU has 81 C (limit 80 C)",
            ],
        ),
        (None, (10.0, 5.0), 80.0, []),
    ],
)
def test_a_machine_is_quiet_if_it_is_what_it_was_at_the_start_within_a_tolerance(
    tmp_path: Path,
    at_rest: tuple[int, float] | None,
    second: tuple[float, float],
    heat_c: float | None,
    found: list[str],
) -> None:
    known = at_rest and MachineAtRest(
        read_at=0.0, cores=at_rest[0], busy_pct=at_rest[1], steal_pct=0.0, temperature_c=40.0
    )
    sample = Sample(elapsed_s=1.0, per_core_pct=[second[0]] * 2, steal_pct=second[1], load_1min=99.0)
    assert louder_than(sample, heat_c, quietness_of(known or None, load_settings(tmp_path, {}, {}))) == found


def test_what_the_machine_does_not_tell_is_not_waited_for(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {}, {})
    untold = Sample(elapsed_s=1.0)
    assert louder_than(untold, None, quietness_of(QUIET, settings)) == []
    # A sensor that was not there at the start is judged as on any machine.
    no_sensor = MachineAtRest(read_at=0.0, cores=2, busy_pct=1.0)
    assert louder_than(untold, 79.0, quietness_of(no_sensor, settings)) == []


@pytest.fixture
def loops() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep every core of the machine busy."""
    argv = [sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(argv) for _ in range(os.cpu_count() or 1)]
    yield started
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.process
@pytest.mark.slow  # the loops are named by their share of a core, which other tests at work beside them take
def test_real_loops_that_were_not_there_at_the_start_are_waited_for_and_named(
    waited: Callable[..., Waited], loops: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(0.0)
    real = Effects()
    monkeypatch.setattr(Machine, "effects", real)
    at_rest = read_at_rest(real)
    assert (at_rest.busy_pct > 90, at_rest.cores) == (True, len(loops))
    busy = waited(machine, msgspec.structs.replace(at_rest, busy_pct=1.0), cooldown_s="1", quiet_timeout_s="4")
    quiet = busy.attempt.phases[-1]
    assert (quiet.name, quiet.duration_s >= 4, busy.codes) == ("quiet", True, ["not-quiet"])
    assert "cores' time is in use (1 % at the start): " in busy.attempt.notices[0].text
    assert "python" in busy.attempt.notices[0].text
