"""Pairs of measurements: what is called a difference, how sure that is, and how many pairs a change takes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compbench.report.pairing import SURE_FROM, PairedChange, change_in_pairs, pairs_needed, power
from compbench.report.statistics import ALPHA


def pairs(seed: int, count: int, factor: float = 1.0, noise: float = 0.05, drift: float = 0.3) -> PairedChange:
    """Return the change of pairs whose rounds differ much, and the sides of each by little besides the factor."""
    random = np.random.default_rng(seed)
    rounds = np.exp(random.normal(0, drift, count))
    own = np.exp(random.normal(0, noise / math.sqrt(2), (2, count)))
    found = change_in_pairs([(a * b, factor * a * c) for a, b, c in zip(rounds, *own, strict=True)])
    assert found is not None
    return found


def test_what_both_sides_of_a_pair_have_in_common_hides_nothing() -> None:
    found = pairs(1, 12, factor=1.1, noise=0.03)
    assert found.differs
    assert found.low_pct < 10 < found.high_pct
    assert 1 < found.noise_pct < 6, "and not the 30 % by which rounds differ"


def test_alike_builds_alarm_about_as_seldom_as_the_tests_say() -> None:
    alarms = [pairs(seed, 12).differs for seed in range(600)]
    assert np.mean(alarms) < ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 600)


@pytest.mark.parametrize("noise_pct", [4.0, 8.0])
def test_as_many_pairs_as_are_told_find_the_change(noise_pct: float) -> None:
    count = pairs_needed(noise_pct)
    assert count is not None
    assert power(count, noise_pct) >= 0.95
    assert count == SURE_FROM or power(count - 1, noise_pct) < 0.95
    noise = math.log1p(noise_pct / 100)
    found = [pairs(seed, count, factor=1.1, noise=noise) for seed in range(200)]
    assert np.mean([one.differs for one in found]) > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 200)


def test_one_odd_pair_makes_no_difference_and_too_few_pairs_never_do() -> None:
    even = [(1.0, 1.001), (1.0, 0.999), (1.0, 1.002), (1.0, 0.998), (1.0, 1.001), (1.0, 0.999)]
    odd = change_in_pairs([*even, (1.0, 30.0)])
    assert odd is not None
    assert not odd.differs
    few = change_in_pairs([(1.0, 1.5), (1.0, 1.51), (1.0, 1.49), (1.0, 1.5), (1.0, 1.52)])
    assert few is not None
    assert few.p_value < ALPHA
    assert not few.differs
    assert change_in_pairs([(1.0, 1.1)]) is None
    alike = change_in_pairs([(1.0, 1.0)] * 6)
    assert alike is not None
    assert (alike.differs, alike.delta_pct, alike.could_hide_pct) == (False, 0.0, 0.0)
    assert pairs_needed(0.0) == SURE_FROM
    assert pairs_needed(900.0) is None


def test_the_noise_is_known_to_the_interval_of_the_chi_square_distribution() -> None:
    found = pairs(3, 12, noise=0.05)
    # chi-square of 11 degrees of freedom, from any table: 3.816
    high = math.expm1(math.log1p(found.noise_pct / 100) * math.sqrt(11 / 3.816))
    assert found.noise_high_pct == pytest.approx(100 * high, rel=1e-3)
