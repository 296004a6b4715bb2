"""What a driver's progress file says, as an event."""

from __future__ import annotations

from pathlib import Path

from compbench.loadtest.command_line import _Comparing
from compbench.loadtest.progress import Progress
from compbench.measuring.driver_wait import ProgressReader
from compbench.model.events import SecondMeasured


def test_comparing_rows_tells_how_many_and_how_long_all_will_take(tmp_path: Path) -> None:
    reader = ProgressReader(tmp_path / "progress")
    with Progress(reader.path) as progress:
        tick = _Comparing(progress, 10_000)
        tick(2.0, 4000)
        reader.read()
        first = reader.progress(2.5, at=0.0, measurement="alpha")
        tick(3.0, 5000)
        reader.read()
        second = reader.progress(3.5, at=0.0, measurement="alpha")
    assert (first.done, first.wanted, first.total_s) == (4000, 10_000, None), "nothing is known of the speed"
    # Of 5000 rows 4000 were there before: 1000 a second.
    assert (second.done, second.total_s, second.work) == (5000, 8.0, "rows compared for exact neighbours")


def test_the_length_of_a_load_is_not_taken_from_its_driver(tmp_path: Path) -> None:
    reader = ProgressReader(tmp_path / "progress")
    with Progress(reader.path) as progress:
        facts = {"elapsed_s": 1.0, "total_s": 5.0, "offered_ops_s": 9.0, "operations": 9, "errors": 0, "wanted": 45}
        progress.write("warm-up", **facts)  # type: ignore[arg-type]
    reader.read()
    assert (reader.progress(1.0, at=0.0, measurement="a").total_s, reader.phase) == (None, "warm-up")


def test_every_second_is_handed_on_once_however_late_it_is_read_and_a_half_written_line_waits(tmp_path: Path) -> None:
    reader, seen = ProgressReader(tmp_path / "progress"), []
    seconds = [SecondMeasured(at=1.0, second=number, offered=9, completed=number, p99_ms=1.5) for number in range(5)]
    with Progress(reader.path) as progress:
        facts = {"elapsed_s": 1.0, "total_s": 5.0, "offered_ops_s": 9.0, "operations": 9, "errors": 0, "wanted": 45}
        progress.write("measure", **facts)  # type: ignore[arg-type]
        for second in seconds[:3]:
            progress.write_second(second)
        reader.read()
        reader.read()
        seen += reader.take_seconds()
        assert reader.phase == "measure", "a line of a second says nothing about the phase"
        progress.write_second(seconds[3])
    whole = reader.path.read_bytes()
    with Progress(reader.path) as progress:
        progress.write_second(seconds[4])
    more = reader.path.read_bytes()
    for until in range(len(whole), len(more) + 1):
        reader.path.write_bytes(more[:until])
        reader.read()
        seen += reader.take_seconds()
    assert seen == seconds
