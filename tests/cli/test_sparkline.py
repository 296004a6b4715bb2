"""The seconds of a measurement as a line of text: what it shows, and that it fits."""

from __future__ import annotations

from typing import Any

import pytest

from compbench.cli.living import fitting
from compbench.cli.sparkline import ASCII, BLOCKS, SecondsSeen, sparkline
from compbench.model.events import SecondMeasured


def seen(p99s: list[float | None], **known: Any) -> SecondsSeen:
    seconds = SecondsSeen()
    for number, value in enumerate(p99s):
        seconds.take(SecondMeasured(at=0.0, second=number, offered=9, completed=9, p99_ms=value, **known))
    return seconds


def test_bars_are_shares_of_the_highest_so_that_noise_does_not_look_like_a_change() -> None:
    assert sparkline([8.0, 1.0, 0.0, 4.0, None, 7.9]) == "█▂▁▅ █"
    assert sparkline([10.0, 10.1, 9.9]) == "███"
    assert sparkline([0.0, 8.0, 4.0], ASCII) == ".@+"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([]) == ""
    assert len(BLOCKS) == len(ASCII) == 8


def test_a_line_tells_the_latest_value_the_range_of_what_is_drawn_and_recall_where_it_is_known() -> None:
    assert seen([1.0, 8.0, 4.0, None]).line(80) == "P99 4.00 ms (1.00 to 8.00)  ▂█▅ "
    known = seen([123.4, 61.75], recall=0.95, checked=120)
    assert known.line(80) == "P99 61.8 ms (61.8 to 123)  recall 0.950 (of 120)  █▅"
    assert known.line(53) == "P99 61.8 ms (61.8 to 123)  recall 0.950  █▅", "the number of answers goes first"
    assert known.line(37) == "P99 61.8 ms (61.8 to 123)  █▅"
    assert known.line(20) == "recall 0.950", "no room for bars"
    assert known.line(10) == ""


@pytest.mark.parametrize("p99s", [[None], [], [None, None]])
def test_without_an_operation_that_ended_there_is_no_line(p99s: list[float | None]) -> None:
    assert seen(p99s).line(80) == ""


def test_a_line_is_never_longer_than_its_room() -> None:
    kinds: list[list[float | None]] = [[9.99] * 50, [5.0, *[9.99] * 60, 100.0], [None] * 60 + [1e7], [0.001] * 700]
    for p99s in kinds:
        for width in range(200):
            for known in ({}, {"recall": 1.0, "checked": 10_000, "rate_ops_s": 123_456.0}):
                assert len(seen(p99s, **known).line(width)) <= width


def test_what_has_scrolled_out_of_a_line_no_longer_flattens_it() -> None:
    line = seen([900.0, *[4.0, 8.0] * 30]).line(60)
    assert line.startswith("P99 8.00 ms (4.00 to 8.00)  ")
    assert set(line[28:]) == {"▅", "█"}


def test_each_trial_of_a_search_for_a_capacity_begins_anew_and_tells_its_rate() -> None:
    seconds = seen([9.0] * 5, rate_ops_s=100.0)
    for number, value in enumerate((1.0, 2.0)):
        seconds.take(SecondMeasured(at=0.0, second=number, offered=200, completed=200, p99_ms=value, rate_ops_s=200.0))
    assert seconds.line(80) == "P99 2.00 ms (1.00 to 2.00)  at 200/s  ▅█"


def test_parts_for_which_there_is_no_room_are_left_out_whole_from_the_end() -> None:
    text = "prepare: 5s elapsed, 250 of 1,000 memories, suite: 9 s left"
    assert fitting(text, len(text)) == text
    assert fitting(text, len(text) - 1) == "prepare: 5s elapsed, 250 of 1,000 memories"
    assert fitting(text, 20) == fitting(text, 1) == "prepare: 5s elapsed"
