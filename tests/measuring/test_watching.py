"""What is watched while the driver measures, and what its samples warn of."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from compbench.machine.effects import Effects
from compbench.measuring import watching
from compbench.measuring.attempt import Attempt
from compbench.measuring.drivers import DriverFiles, Job
from compbench.model.measurement import Measurement
from compbench.model.sample import Sample
from compbench.systems.registry import load_settings


class BusyDriver:
    """In the place of the sampler: a driver that uses 120 % of a core."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take what a sampler takes."""

    def stop(self) -> list[Sample]:
        """Return two samples."""
        return [Sample(elapsed_s=at_s, driver_cpu_pct=120.0) for at_s in (5.0, 10.0)]


@pytest.mark.parametrize(
    ("driver", "processes", "codes"),
    [
        ("builtin", 1, ["driver-saturated"]),
        ("builtin", 2, []),
        ("loadtest", 1, []),
    ],
)
def test_a_driver_is_saturated_by_the_cores_that_its_processes_can_keep_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, processes: int, codes: list[str]
) -> None:
    monkeypatch.setattr(watching, "Sampler", BusyDriver)
    monkeypatch.setattr("psutil.cpu_count", lambda: 4)
    settings = load_settings(tmp_path, {}, {"system": "embedded", "driver": driver, "processes": str(processes)})
    facts: dict[str, Any] = dict.fromkeys(("run", "scenario"))
    attempt = Attempt(
        **facts,
        measurement=Measurement("alpha"),
        settings=settings,
        root=tmp_path,
        tell=lambda _: None,
        effects=Effects(),
        number=1,
        spoiled_attempts=0,
        started_at=0.0,
    )
    child = cast("Any", SimpleNamespace(pid=os.getpid()))
    server = cast("Any", SimpleNamespace(child=child))
    job = Job([], DriverFiles(tmp_path / "report", tmp_path / "progress"), 10.0, 20.0)
    with watching.watching(attempt, child, server, job, tmp_path):
        pass
    assert [notice.code for notice in attempt.notices] == codes
