"""What a driver's progress file says, as an event."""

from __future__ import annotations

from pathlib import Path

from compbench.loadtest.command_line import _Comparing
from compbench.loadtest.progress import Progress
from compbench.measuring.driver_wait import ProgressReader


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
