"""How many rows load within a time: round numbers, and what is foreseen of the next one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from compbench.loadtest.sizing import TELLING_S, Step, foreseen_s, will_do
from compbench.model.sizes import round_below, round_numbers


def test_round_numbers_end_with_the_most() -> None:
    assert list(round_numbers(1_000_000)) == [
        *(100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
    ]
    assert list(round_numbers(44_000))[-2:] == [20_000, 44_000]
    assert list(round_numbers(30)) == [30]
    assert list(round_numbers(100)) == [100]
    assert [round_below(most) for most in (5, 99, 100, 199, 499_999, 500_000)] == [5, 99, 100, 100, 200_000, 500_000]


def stopped_at(time_of: Callable[[int], float], limit_s: float, most: int = 1_000_000) -> int:
    """Return where loading stops if so many rows take that long."""
    steps: list[Step] = []
    for number in round_numbers(most):
        if not will_do(steps, number, limit_s):
            break
        steps.append(Step(number, time_of(number)))
    return steps[-1].rows


@pytest.mark.parametrize(
    ("time_of", "size"),
    [
        (lambda n: n / 12_000, 100_000),  # a steady pace
        (lambda n: n / 1e6, 1_000_000),  # all of it, long before
        (lambda n: n**2 * 2e-8, 20_000),  # each insert looks at all: 8 s for 20,000, 50 s for 50,000
        (lambda n: n / 5000 + n**2 * 2e-8, 10_000),
        (lambda n: 100.0 + n, 100),  # nothing loads in time: the least there is
    ],
)
def test_loading_stops_at_the_last_round_number_that_fits(time_of: Callable[[int], float], size: int) -> None:
    assert stopped_at(time_of, 10.0) == size


@pytest.mark.parametrize("noise", [0.8, 0.9, 1.1, 1.25])
def test_a_machine_that_is_a_little_faster_or_slower_stops_at_the_same_size(noise: float) -> None:
    assert stopped_at(lambda n: noise * (n / 20_000 + n**2 * 6e-9), 10.0) == 20_000


def test_too_short_a_time_tells_nothing() -> None:
    assert will_do([], 100, 0.001)
    assert will_do([Step(100, TELLING_S / 2)], 10**9, 1.0)
    assert not will_do([Step(100, TELLING_S)], 10**9, 1.0)


def test_a_pace_that_grows_is_foreseen_to_grow_on_and_one_that_falls_to_stay() -> None:
    assert foreseen_s([Step(1000, 1.0), Step(2000, 4.0)], 4000) == pytest.approx(16.0)
    assert foreseen_s([Step(1000, 1.0), Step(2000, 1.5)], 4000) == pytest.approx(3.0)
    assert foreseen_s([Step(1000, 1.0)], 4000) == pytest.approx(4.0)
