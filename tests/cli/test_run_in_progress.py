"""A run that is being measured into: what it hands to a measurement."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compbench.cli.run_in_progress import RunInProgress
from compbench.machine.effects import Effects
from compbench.measuring import session
from compbench.model.events import Event, MeasurementBegan
from compbench.model.measurement import Measurement
from compbench.model.notices import outcome_of
from compbench.model.records import Capture, Manifest
from compbench.store import runs
from compbench.systems.registry import load_settings
from tests.load import scenario


def test_a_measurement_is_told_which_one_came_before_it_also_if_that_was_its_own_spoiled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Manifest(run="", state="open", opened_at=0.0, selection=["alpha", "beta"], fingerprint={})
    run = runs.create_run(tmp_path, "2026-01-01_00-00-00", manifest)
    before: list[float | None] = []

    def measured(*asked: Any) -> Capture:
        last = asked[-1]
        before.append(last and last.ended_at)
        facts: dict[str, Any] = dict.fromkeys(("run", "title", "system", "driver", "profile"), "x")
        facts |= dict.fromkeys(("seed", "duration_s", "sample_interval_s", "started_at"), 1)
        outcome = outcome_of("measurement-invalid", why="the driver lagged")
        return Capture(scenario=asked[1].scenario, outcome=outcome, ended_at=float(len(before)), **facts)

    monkeypatch.setattr(session, "measure_scenario", measured)
    loaded = {name: scenario(title=name.title()) for name in ("alpha", "beta")}
    project: Any = SimpleNamespace(loaded=loaded, settings=load_settings(tmp_path, {}, {}), root=tmp_path)
    told: list[Event] = []
    in_progress = RunInProgress(run, project, Effects(), 0.0, told.append, lambda _: None)
    for place, name in enumerate(("alpha", "beta", "alpha", "alpha"), 1):
        in_progress.measure(Measurement(name), (place, 4))
    assert before == [None, 1.0, 2.0, 3.0]
    assert [capture.ended_at for capture in in_progress.captures] == [4.0, 2.0]
    titles = [event.title for event in told if isinstance(event, MeasurementBegan)]
    assert titles == ["Alpha", "Beta", "Alpha", "Alpha"], "as loaded: no scenario file is read again, there is none"
