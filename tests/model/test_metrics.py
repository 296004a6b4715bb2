"""How a figure reads, in the one table that every page, the terminal and the comparisons print it by."""

from __future__ import annotations

import pytest

from compbench.model.metrics import (
    ALL,
    CAPACITY,
    ERRORS,
    OFFERED,
    P99,
    RECALL,
    RECALL_BELOW,
    RECALL_P5,
    THROUGHPUT,
    Metric,
    change_pct,
    given,
)  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "value", "number", "words"),
    [
        (P99, 1.2345, "1.23", "P99 1.23 ms"),
        (P99, 4523.178, "4523.18", "P99 4523.18 ms"),
        (THROUGHPUT, 999.96, "1000", "1000 ops/s"),
        (THROUGHPUT, 35.44, "35.4", "35.4 ops/s"),
        (THROUGHPUT, 0.0, "0", "0 ops/s"),
        (OFFERED, 4.6, "4.6", "offered 4.6 ops/s"),
        (CAPACITY, 12_345.6, "12346", "capacity 12346 ops/s"),
        (ERRORS, 0.104, "0.10", "0.10 % errors"),
        (RECALL, 99.5, "99.50", "recall 99.50 %"),
        (RECALL_P5, 80.0, "80.00", "recall P5 80.00 %"),
        (RECALL_BELOW, 3.1, "3.10", "3.10 % of searches below recall 0.8"),
    ],
)
def test_a_figure_reads_the_same_alone_and_within_a_line(metric: Metric, value: float, number: str, words: str) -> None:
    assert metric.number(value) == number
    assert metric.shown(value) == f"{number} {metric.unit}"
    assert metric.in_words(value) == words


def test_what_is_not_there_is_a_dash_everywhere() -> None:
    assert {metric.number(None) for metric in ALL} == {metric.shown(None) for metric in ALL} == {"-"}
    assert given(None) == change_pct(None) == "-"


def test_what_somebody_has_given_keeps_its_digits() -> None:
    assert [given(value) for value in (22.0, 27.96, 1_000_000.0)] == ["22", "27.96", "1000000"]


def test_worse_is_more_latency_and_less_throughput() -> None:
    assert (P99.is_worse(1), P99.is_worse(-1)) == (True, False)
    assert (THROUGHPUT.is_worse(1), THROUGHPUT.is_worse(-1)) == (False, True)
