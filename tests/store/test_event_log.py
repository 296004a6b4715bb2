"""A run's record of events: every kind comes back as it was, a torn line costs nothing, a full disk ends it quietly."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

from compbench.model.events import (
    Event,
    HostSecond,
    MeasurementBegan,
    NoticeGiven,
    OutcomeReached,
    PhaseBegan,
    ProgressMade,
    RunClosed,
    RunOpened,
    SampleTaken,
    SecondMeasured,
)
from compbench.model.file_names import EVENTS
from compbench.model.notices import Notice, Outcome
from compbench.model.sample import Sample
from compbench.store.event_log import EventLog
from tests.helpers import read_events

EVERY_KIND: list[Event] = [
    RunOpened(at=1.0, run="2026-01-01_00-00-00", selection=["alpha"]),
    MeasurementBegan(at=2.0, measurement="alpha", title="A", place=1, of=2, left_s=20.0),
    PhaseBegan(at=3.0, measurement="alpha", phase="measure", limit_s=10.0),
    ProgressMade(at=4.0, measurement="alpha", elapsed_s=1.0, offered_ops_s=20.0, note="the machine is busy"),
    SampleTaken(at=5.0, measurement="alpha", sample=Sample(elapsed_s=1.0, cpu_pct=50.0)),
    SecondMeasured(
        at=5.5,
        measurement="alpha",
        second=0,
        offered=1000,
        completed=998,
        errors=2,
        p99_ms=3.4,
        hosts={"a": HostSecond(completed=333, lag_p99_ms=0.1)},
    ),
    NoticeGiven(at=6.0, measurement="alpha", notice=Notice(code="x", text="ä\n\x1b")),
    OutcomeReached(at=7.0, measurement="alpha", outcome=Outcome(verdict="passed"), figures={"p99_latency_ms": 1.5}),
    RunClosed(at=8.0, run="2026-01-01_00-00-00"),
]


def log_into(folder: Path, events: list[Event]) -> list[str]:
    """Append the events as one invocation would; return what was lost."""
    lost: list[str] = []
    log = EventLog(folder, lost.append)
    for event in events:
        log(event)
    log.close()
    return lost


def test_every_kind_of_event_comes_back_as_it_was_one_a_line(tmp_path: Path) -> None:
    assert log_into(tmp_path, EVERY_KIND) == []
    path = tmp_path / EVENTS
    assert len(path.read_bytes().splitlines()) == len(EVERY_KIND)
    assert read_events(path) == EVERY_KIND


def test_of_progress_one_event_a_second_is_kept(tmp_path: Path) -> None:
    quarters = [ProgressMade(at=100 + number / 4, measurement="alpha", elapsed_s=number / 4) for number in range(40)]
    log_into(tmp_path, [*quarters, EVERY_KIND[-1]])
    *kept, last = read_events(tmp_path / EVENTS)
    assert [event.at for event in kept] == [100.0 + second for second in range(10)]
    assert last == EVERY_KIND[-1], "other events are kept all"


def test_a_line_that_a_kill_has_torn_is_left_out_and_the_next_invocation_goes_on_after_it(tmp_path: Path) -> None:
    log_into(tmp_path, EVERY_KIND[:3])
    path = tmp_path / EVENTS
    whole = path.read_bytes()
    for torn in range(1, len(whole.splitlines()[0])):
        path.write_bytes(whole + whole[:torn])
        assert read_events(path) == EVERY_KIND[:3]
    log_into(tmp_path, EVERY_KIND[3:])
    assert read_events(path) == EVERY_KIND


def test_a_disk_that_fills_up_is_said_once_and_costs_no_more_than_the_lines(tmp_path: Path) -> None:
    lost: list[str] = []
    log = EventLog(tmp_path, lost.append)
    log(EVERY_KIND[0])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / EVENTS).stat().st_size + 10, limits[1]))
    try:
        for event in EVERY_KIND[1:]:
            log(event)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert len(lost) == 1
    assert read_events(tmp_path / EVENTS) == EVERY_KIND[:1]


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (lost,) = log_into(tmp_path / "missing", EVERY_KIND)
    assert f"{tmp_path}/missing/{EVENTS}: no events are written any more (No such file or directory)" in lost


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / EVENTS).symlink_to(tmp_path / "precious")
    assert len(log_into(tmp_path, EVERY_KIND)) == 1
    assert (tmp_path / "precious").read_text() == "kept"
