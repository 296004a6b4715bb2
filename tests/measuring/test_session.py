"""One measurement from cooldown to stopped server: stand-ins for server and driver, pauses that are not made."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from compbench.config import settings as settings_module
from compbench.config.scenarios import load_scenario
from compbench.config.settings import Settings
from compbench.machine.effects import Effects
from compbench.machine.probes import machine
from compbench.measuring import session
from compbench.model.events import Event, NoticeGiven, OutcomeReached, PhaseBegan, SampleTaken
from compbench.model.measurement import Measurement
from compbench.model.records import Capture, Manifest
from compbench.report.diagnostics import render_system
from compbench.store import provenance, runs
from compbench.systems.registry import load_settings
from tests.helpers import install
from tests.project import ROOT, SCENARIO, free_port

pytestmark = pytest.mark.process


_PLAIN = {"flamegraph": "false", "isolation": "off", "counters": "false"}


@dataclass
class World:
    """A run that is open for the scenarios `alpha` and `beta`, and what is told of it."""

    root: Path
    settings: Settings
    run: runs.Run
    slept: list[float] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)
    on_event: Callable[[Event], None] = lambda _: None
    last: Capture | None = None
    page_cache_stays: str = ""

    def measure(self, name: str = "alpha") -> Capture:
        """Measure a scenario with pauses that are noted and not made, by a clock that goes on by them all the same."""
        scenario = load_scenario(self.root / "scenarios" / f"{name}.toml")
        effects = Effects(
            now=lambda: time.time() + sum(self.slept),
            monotonic=lambda: time.monotonic() + sum(self.slept),
            sleep=self.slept.append,
            drop_page_cache=lambda: self.page_cache_stays,
        )
        asked = (self.run, Measurement(name), scenario, self.settings, ROOT, self._tell, effects)
        self.last = session.measure_scenario(*asked, self.last)
        return self.last

    def _tell(self, event: Event) -> None:
        self.told.append(event)
        self.on_event(event)

    def phases(self) -> list[str]:
        """Return the phases that have begun, in order."""
        return [event.phase for event in self.told if isinstance(event, PhaseBegan)]

    def codes(self) -> list[str]:
        """Return the codes of the warnings, in order."""
        return [event.notice.code for event in self.told if isinstance(event, NoticeGiven)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Lay out the world in a folder; other servers of this machine are none of its business."""
    monkeypatch.setenv("STAND_IN_STATE", str(tmp_path))
    monkeypatch.setenv("STAND_IN_LOADTEST", "lasts=0.3")
    monkeypatch.setattr(machine, "foreign_servers", lambda *_: ([], 0))
    install(tmp_path / "engram")
    (tmp_path / "scenarios").mkdir()
    for name in ("alpha", "beta"):
        (tmp_path / "scenarios" / f"{name}.toml").write_text(SCENARIO.format(name=name, seed=42))
    limits = dict.fromkeys(("min_scenario_memory_gb", "min_available_memory_gb", "warn_total_memory_gb"), "0.01")
    variables = {"system": "engram", "engram_root": "engram", "port": str(free_port()), "duration_s": "1", **limits}
    times = {
        "sample_interval_s": "0.2",
        "cooldown_s": "0",
        "stop_grace_s": "1",
        "ready_timeout_s": "10",
        "warn_load": "1000",
    }
    settings = load_settings(tmp_path, {}, {"scale": "1", **variables, **times, **_PLAIN})
    scenarios = [load_scenario(tmp_path / "scenarios" / f"{name}.toml") for name in ("alpha", "beta")]
    manifest = Manifest(
        run="",
        state="open",
        opened_at=0.0,
        boot_id="",
        selection=["alpha", "beta"],
        fingerprint=provenance.fingerprint(settings, scenarios),
    )
    run = runs.create_run(tmp_path / "runs", "2026-01-01_00-00-00", manifest)
    return World(tmp_path, settings, run)


def test_what_happens_is_told_in_order_and_the_outcome_when_the_capture_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_LOADTEST", "lasts=3")
    there: list[bool] = []
    world.on_event = lambda e: there.append(world.run.has_capture("alpha")) if isinstance(e, OutcomeReached) else None
    capture = world.measure()
    assert capture.outcome.verdict == "passed", capture.outcome
    assert world.phases() == ["start", "prepare", "measure", "snapshot", "stop"]
    assert [sample.sample for sample in world.told if isinstance(sample, SampleTaken)] == capture.samples
    assert len(capture.samples) >= 3
    last = world.told[-1]
    assert isinstance(last, OutcomeReached)
    assert (last.outcome, last.again, last.figures["p99_latency_ms"]) == (capture.outcome, False, 3.42)
    assert there == [True]
    assert world.codes() == [notice.code for notice in capture.notices]
    assert {event.measurement for event in world.told} == {"alpha"}


def test_server_and_driver_get_the_niceness_that_is_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    behind = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)  # which anybody may have
    monkeypatch.setattr(settings_module, "RAISED_NICENESS", behind)
    capture = world.measure("alpha")
    assert (capture.server.niceness, capture.driver_process.niceness) == (behind, behind)
    world.settings = msgspec.structs.replace(world.settings, priority="off")
    capture = world.measure("beta")
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert (capture.server.niceness, capture.driver_process.niceness) == (own, own)


def test_a_rest_precedes_the_second_scenario_and_is_not_made_by_real_waiting(world: World) -> None:
    world.measure("alpha")
    world.settings = msgspec.structs.replace(world.settings, cooldown_s=60.0)
    world.measure("beta")
    assert world.phases()[5] == "cooldown"
    assert sum(world.slept) > 0


def test_a_page_cache_that_stays_is_told_with_the_reason_and_spoils_nothing(world: World) -> None:
    world.page_cache_stays = "that needs root"
    capture = world.measure()
    assert capture.outcome.verdict == "passed", capture.outcome
    (notice,) = (notice for notice in capture.notices if notice.code == "page-cache-kept")
    assert notice.text == "the page cache was not dropped: that needs root"
    assert "page-cache-kept" in world.codes()


def test_a_program_that_has_gone_is_named_and_not_tried_twice(world: World) -> None:
    program = world.root / "engram" / "target" / "release" / "engram"
    world.on_event = lambda e: program.unlink() if isinstance(e, PhaseBegan) and e.phase == "start" else None
    outcome = world.measure().outcome
    assert (outcome.verdict, outcome.code, outcome.phase) == ("failed", "binary-missing", "start"), outcome
    assert str(program) in outcome.reason
    assert world.slept == []
    assert "start-retried" not in world.codes()


def test_another_server_that_came_meanwhile_is_named_before_anything_starts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "foreign_servers", lambda *_: (["process 7 (/x/engram)"], 0))
    outcome = world.measure().outcome
    assert (outcome.verdict, outcome.code, outcome.phase) == ("failed", "other-server", "start")
    assert "process 7 (/x/engram)" in outcome.reason
    assert not (world.root / "started.jsonl").exists()


def test_heat_since_the_last_measurement_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    events = iter(range(100, 200, 10))
    stable = {**machine.read_stability(), "load_1min": 0.0}
    monkeypatch.setattr(machine, "read_stability", lambda: {**stable, "throttle_events": next(events)})
    world.measure("alpha")
    assert "throttled-machine" not in world.codes(), "nothing was known before"
    world.measure("beta")
    (text,) = [e.notice.text for e in world.told if isinstance(e, NoticeGiven) and e.notice.code == "throttled-machine"]
    assert "heat throttled the CPU" in text


def test_little_cpu_is_told_only_of_a_missed_target_but_always_beside_the_samples(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough that what the stand-in server still does for its start is little of it.
    monkeypatch.setenv("STAND_IN_LOADTEST", "lasts=2.0")
    world.settings = msgspec.structs.replace(world.settings, max_others_pct=100.0)
    passed = world.measure("alpha")
    path = world.root / "scenarios" / "beta.toml"
    path.write_text(path.read_text().replace("throughput_ops_sec = 1.0", "throughput_ops_sec = 1e6"))
    scenarios = [load_scenario(world.root / "scenarios" / f"{name}.toml") for name in ("alpha", "beta")]
    world.run = runs.change_manifest(world.run, fingerprint=provenance.fingerprint(world.settings, scenarios))
    missed = world.measure("beta")
    assert (passed.outcome.verdict, missed.outcome.verdict) == ("passed", "missed")
    for capture, is_told in ((passed, False), (missed, True)):
        assert ("low-cpu" in [notice.code for notice in capture.notices]) == is_told
        assert render_system(capture).count("something else may be the bottleneck") == 1


def test_a_driver_that_hangs_has_failed_while_it_measured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_LOADTEST", "hang")
    world.settings = msgspec.structs.replace(world.settings, driver_grace_s=0.5)
    capture = world.measure()
    assert (capture.outcome.code, capture.outcome.phase) == ("driver-timeout", "measure")
    assert capture.files["stdout"].endswith(".txt.partial")


def test_a_whole_output_that_is_no_measurement_is_invalid_and_the_next_attempt_sets_it_aside(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_LOADTEST", "invalid=1,lasts=0.3")
    spoiled = world.measure()
    assert spoiled.outcome.verdict == "invalid"
    assert spoiled.files["stdout"].endswith("_alpha.txt.invalid")
    assert isinstance(world.told[-1], OutcomeReached)
    assert world.told[-1].again
    world.settings = msgspec.structs.replace(world.settings, quiet_timeout_s=0.001, cooldown_s=3.0)
    again = world.measure()
    assert (again.outcome.verdict, again.attempt, again.spoiled_attempts) == ("passed", 2, 1)
    assert world.phases()[5] == "cooldown", "the machine rests from a spoiled one, too"
    kept = world.run.folder / f"{world.run.name}_alpha_capture.json.attempt1.invalid"
    assert json.loads(kept.read_text())["outcome"]["verdict"] == "invalid"


def test_loading_that_takes_too_long_says_that_and_not_that_it_was_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = world.root / "scenarios" / "alpha.toml"
    scenario.write_text(scenario.read_text().replace("num_nodes = 5", "num_nodes = 1000000"))
    found = [load_scenario(world.root / "scenarios" / f"{name}.toml") for name in ("alpha", "beta")]
    world.run = runs.change_manifest(world.run, fingerprint=provenance.fingerprint(world.settings, found))
    world.settings = msgspec.structs.replace(world.settings, prepare_timeout_s=0.0, driver_grace_s=0.5)
    monkeypatch.setenv("STAND_IN_ENGRAM", "hang")
    capture = world.measure()
    assert capture.data_set is not None
    assert capture.data_set.note == "loading was ended after 0.5 s"
    assert not capture.data_set.prepared
