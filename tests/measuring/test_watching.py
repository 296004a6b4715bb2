"""What is watched while the driver measures, what its samples warn of, and a server that dies as the driver ends."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from compbench.config.settings import Settings
from compbench.machine import process
from compbench.machine.effects import Effects
from compbench.machine.output import Output
from compbench.measuring import costing, driver_wait, watching
from compbench.measuring.attempt import Attempt, ScenarioFailed
from compbench.measuring.drivers import DriverFiles, Job
from compbench.measuring.server import ServerProcess
from compbench.model.events import Event, SecondMeasured
from compbench.model.measurement import Measurement
from compbench.model.sample import Sample
from compbench.systems.api import Launch
from compbench.systems.registry import load_settings
from tests.project import free_port


class BusyDriver:
    """In the place of the sampler: a driver that uses 120 % of a core."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take what a sampler takes."""

    def stop(self) -> list[Sample]:
        """Return two samples."""
        return [Sample(elapsed_s=at_s, driver_cpu_pct=120.0) for at_s in (5.0, 10.0)]


def begun(settings: Settings, root: Path) -> Attempt:
    """Return an attempt that is under way, of no run and no scenario."""
    facts: dict[str, Any] = dict.fromkeys(("run", "scenario"))
    return Attempt(
        **facts,
        measurement=Measurement("alpha"),
        settings=settings,
        root=root,
        tell=lambda _: None,
        effects=Effects(),
        number=1,
        spoiled_attempts=0,
        started_at=0.0,
    )


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
    settings = load_settings(
        tmp_path, {}, {"system": "embedded", "driver": driver, "processes": str(processes), "isolation": "off"}
    )
    attempt = begun(settings, tmp_path)
    child = cast("Any", SimpleNamespace(pid=os.getpid()))
    server = cast("Any", SimpleNamespace(child=child, pid=child.pid))
    job = Job([], DriverFiles(tmp_path / "report", tmp_path / "progress"), 10.0, 20.0)
    with watching.watching(attempt, child, server, job, tmp_path):
        pass
    assert [notice.code for notice in attempt.notices] == codes


@pytest.mark.parametrize(("elapsed_s", "starts_at"), [(2.0, 48.0), (None, 40.0)])
def test_samples_begin_before_costs_are_counted_from_the_drivers_own_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elapsed_s: float | None, starts_at: float
) -> None:
    noted: list[object] = []
    window = SimpleNamespace(begin=noted.append, end_in_time=lambda: None)
    monkeypatch.setattr(costing, "counting_costs", lambda *_: contextlib.nullcontext(window))
    monkeypatch.setattr(BusyDriver, "start", lambda _, driver_pid: noted.append(driver_pid), raising=False)
    monkeypatch.setattr(watching, "Sampler", BusyDriver)
    attempt, now = begun(load_settings(tmp_path, {}, {"system": "embedded", "flamegraph": "false"}), tmp_path), [40.0]
    attempt.effects = dataclasses.replace(attempt.effects, monotonic=lambda: now[0])
    this = cast("Any", SimpleNamespace(pid=os.getpid()))
    job = Job([], DriverFiles(tmp_path / "report", tmp_path / "progress"), 10.0, 20.0)
    with watching.watching(attempt, this, this, job, tmp_path) as (begin, _):
        now[0] = 50.0
        begin(elapsed_s)
    assert noted == [os.getpid(), starts_at]


def test_a_driver_that_tells_its_progress_says_when_it_began_and_another_is_watched_at_once(tmp_path: Path) -> None:
    attempt = begun(load_settings(tmp_path, {}, {"system": "embedded"}), tmp_path)
    attempt.effects = dataclasses.replace(attempt.effects, now=lambda: 1000.4)
    progress, told = tmp_path / "progress", list[object]()
    progress.write_text('{"phase": "measure", "elapsed_s": 3.0, "at": 1000.0}\n')
    server = cast("Any", SimpleNamespace(children=[], exit=None, await_news_of_death=lambda _: None))
    with running("exec sleep 0.6", tmp_path, "--progress") as driver:
        driver_wait.Following(attempt, driver, server, progress, 60.0, told.append).until_end()
    assert told == [pytest.approx(3.4)]
    with running("exit 0", tmp_path) as driver:
        driver.wait(10.0)
        driver_wait.Following(attempt, driver, server, tmp_path / "none", 60.0, told.append).until_end()
    assert told[1:] == [None]
    reader = driver_wait.ProgressReader(progress)
    reader.read()
    assert reader.elapsed_s(990.0) == 3.0, "a clock that was set back makes it no earlier than the driver says"


def test_seconds_that_a_driver_tells_last_are_events_too_each_once_also_if_it_is_ended_for_its_time(
    tmp_path: Path,
) -> None:
    attempt, told = begun(load_settings(tmp_path, {}, {"system": "embedded"}), tmp_path), list[Event]()
    attempt.tell = told.append
    server = cast("Any", SimpleNamespace(children=[], exit=None, await_news_of_death=lambda _: None))
    second = '{"event":"second-measured","at":1,"second":%d,"offered":9,"completed":8}'
    lines = [f"""echo '{{"second":{second % number}}}' >> told""" for number in range(4)]
    for limit_s, last in ((60.0, "exit 0"), (0.5, "exec sleep 60")):
        with running("; ".join([lines[0], "sleep 0.3", *lines[1:], last]), tmp_path) as driver:
            driver_wait.Following(attempt, driver, server, tmp_path / "told", limit_s).until_end()
        seconds = [event for event in told if isinstance(event, SecondMeasured)]
        assert [(event.second, event.measurement) for event in seconds] == [(number, "alpha") for number in range(4)]
        told.clear()
        (tmp_path / "told").unlink()


@pytest.mark.process
def test_a_server_whose_death_is_told_after_the_drivers_end_has_crashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_wait, "_NEWS_OF_DEATH_S", 60.0)
    # The server listens nowhere, as one that is about to be dead, and its death comes well after the driver's end.
    server = "while [ ! -e gone ]; do sleep 0.05; done; sleep 1; kill -SEGV $$"
    attempt = begun(load_settings(tmp_path, {}, {"port": str(free_port())}), tmp_path)
    with running(server, tmp_path) as under_test, running("touch gone; exit 1", tmp_path) as driver:
        dying = ServerProcess(attempt.settings, under_test, Launch([], {}), tmp_path, Output(tmp_path / "log", 1000))
        with pytest.raises(ScenarioFailed) as failed:
            driver_wait.Following(attempt, driver, dying, tmp_path / "progress", 60.0).until_end()
        assert driver.exit == process.Exit(code=1), "it ended by itself, before the server"
    assert failed.value.outcome.code == "server-crash"
    assert "signal SIGSEGV" in failed.value.outcome.reason


def running(script: str, folder: Path, *words: str) -> contextlib.AbstractContextManager[process.Child]:
    return process.running(
        ["sh", "-c", script, *words], environment=os.environ, folder=folder, stdout=Output(folder / "out", 1000)
    )


def test_what_comes_before_measuring_has_the_time_of_a_load_and_measuring_its_own(tmp_path: Path) -> None:
    words = {"driver": "builtin", "system": "embedded", "prepare_timeout_s": "100", "scale": "1", "driver_grace_s": "7"}
    attempt = begun(load_settings(tmp_path, {}, {**words, "warm_up_s": "2"}), tmp_path)
    driver = cast("Any", SimpleNamespace(argv=["run", "--progress", "there"]))
    following = driver_wait.Following(attempt, driver, cast("Any", None), tmp_path / "progress", 11.0)
    limits = []
    for phase in ("", "warm-up", "measure", "hold"):
        reader = driver_wait.ProgressReader(following.progress_file, phase=phase)
        following._note_beginning(reader)
        limits.append(following.limit_now_s)
    assert limits == [109.0, 109.0, 11.0, 11.0], "an index may be built first"
