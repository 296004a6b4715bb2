"""The search for a capacity against simulated servers."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from compbench.loadtest.engine.capacity import RATE_LIMIT, CapacitySearch, Goal, RateBracket, Trial, is_sustained

GOAL = Goal(p99_ms=20, max_error_rate=0.01, repeats=3, precision_pct=5)
Server = Callable[[float], Trial]


def queue(capacity: float, noise: float = 0.0, seed: int = 1) -> Server:
    """A single-server queue whose P99 grows as 1 / (1 - load), each trial off by a random factor."""
    rng = random.Random(seed)

    def trial(rate: float) -> Trial:
        load = rate / capacity
        p99_ms = 1 / (1 - load) if load < 1 else 5000.0
        return Trial(rate, min(rate, capacity), p99_ms * rng.lognormvariate(0, noise), 0.0)

    return trial


def search(server: Server, goal: Goal = GOAL) -> CapacitySearch:
    found = CapacitySearch(goal)
    for _ in range(200):
        if (rate := found.next_rate) is None:
            return found
        found.add(server(rate))
    raise AssertionError("the search does not end")


@pytest.mark.parametrize("capacity", [7, 130, 1000, 33_333, 400_000])
def test_a_quiet_server_is_bracketed_within_the_precision(capacity: float) -> None:
    result = search(queue(capacity)).result()
    true = capacity * (1 - 1 / 20)
    assert result.high is not None
    assert result.low <= true < result.high
    assert result.high <= max(result.low * 1.05, result.low + 1)
    assert result.bound == "target"


def test_a_noisy_server_is_found_near_its_capacity_nearly_always() -> None:
    lows = [search(queue(1000, noise=0.2, seed=seed)).result().low for seed in range(100)]
    # At 0.75 of the capacity the P99 is 4 ms, eight deviations below the limit; at 0.97 it is 33 ms.
    assert all(750 <= low <= 990 for low in lows)


def test_one_failure_by_chance_does_not_end_the_search() -> None:
    server, calls = queue(1000), iter(range(1000))

    def hiccup(rate: float) -> Trial:
        return server(rate)._replace(p99_ms=500.0) if next(calls) == 2 else server(rate)

    assert search(hiccup).result().low == pytest.approx(950, rel=0.06)


def test_a_server_that_sustains_nothing_has_no_capacity() -> None:
    found = search(lambda rate: Trial(rate, rate, 500.0, 0.0))
    assert (found.result().bound, found.result().low) == ("none", 0)


def test_errors_and_a_rate_that_is_not_reached_are_no_capacity() -> None:
    assert not is_sustained(Trial(100, 100, 1.0, 0.02), GOAL)
    assert not is_sustained(Trial(100, 96, 1.0, 0.0), GOAL)
    assert is_sustained(Trial(100, 97, 20.0, 0.01), GOAL)


def test_a_failure_of_the_driver_is_no_evidence_and_is_called_its_limit() -> None:
    def trial(rate: float) -> Trial:
        if rate > 3000:
            return Trial(rate, 3000, 900.0, 0.0, invalid_reason="the driver used 100% of a core")
        return Trial(rate, rate, 1.0, 0.0)

    found = search(trial)
    result = found.result()
    assert result.bound == "driver"
    assert result.low <= 3000 < (result.high or 0)
    assert {point.sustained for point in found.points if point.trial.rate > 3000} == {None}


def test_what_meets_the_goal_in_spite_of_the_driver_is_sustained() -> None:
    assert is_sustained(Trial(100, 100, 5.0, 0.0, invalid_reason="lag"), GOAL)


def test_a_lost_host_ends_the_search_and_its_trial_is_never_sustained() -> None:
    lost = Trial(200, 200, 5.0, 0.0, invalid_reason="host b was lost", is_host_lost=True)
    assert is_sustained(lost, GOAL) is None, "the figures of the seconds before may be good"
    found = CapacitySearch(GOAL)
    found.add(Trial(100, 100, 5.0, 0.0))
    found.add(lost)
    assert found.next_rate is None
    assert found.result() == RateBracket(100, None, "driver", "host b was lost")


def test_a_host_that_is_lost_at_once_says_nothing_of_the_lowest_rate() -> None:
    found = CapacitySearch(GOAL)
    found.add(Trial(100, 0, 0.0, 0.0, invalid_reason="host b was lost", is_host_lost=True))
    assert found.result() == RateBracket(0, None, "driver", "host b was lost")


def test_a_spoiled_trial_is_tried_again() -> None:
    server, calls = queue(1000), iter(range(1000))

    def spoiled(rate: float) -> Trial:
        trial = server(rate)
        return trial._replace(p99_ms=50.0, invalid_reason="lag") if next(calls) % 4 == 1 else trial

    result = search(spoiled).result()
    assert result.bound == "target"
    assert result.low == pytest.approx(950, rel=0.06)


def test_the_search_ends_at_its_limit() -> None:
    result = search(lambda rate: Trial(rate, rate, 1.0, 0.0)).result()
    assert (result.low, result.high, result.bound) == (RATE_LIMIT, None, "limit")
