"""What a few measurements can tell, and what they can't."""

from __future__ import annotations

import pytest

from compbench.report.statistics import ACCEPTABLE_CV_PCT, HISTORY_FROM, grade, judge_change, noise_of, outliers, spread


@pytest.mark.parametrize(
    ("cv_pct", "expected"),
    [(0, "excellent"), (1.99, "excellent"), (2.0, "acceptable"), (5.0, "acceptable"), (5.01, "unstable")],
)
def test_the_grades_of_a_spread_have_the_published_bounds(cv_pct: float, expected: str) -> None:
    assert grade(cv_pct) == expected


def test_three_repeats_have_students_interval() -> None:
    found = spread([9.0, 10.0, 11.0])
    assert (found.mean, found.median, found.count) == (10.0, 10.0, 3)
    assert found.cv_pct == pytest.approx(10.0)
    assert found.grade == "unstable"
    # t(0.975; 2) = 4.3027 from any table, times 1 / sqrt(3)
    assert found.low == pytest.approx(10 - 4.3027 / 3**0.5, abs=1e-3)
    assert found.high == pytest.approx(10 + 4.3027 / 3**0.5, abs=1e-3)


def test_one_value_has_no_spread() -> None:
    assert spread([3.0]).cv_pct is None


def test_an_outlier_is_named_by_its_position_but_not_among_four() -> None:
    assert outliers([10.0, 10.1, 9.9, 10.05, 14.0]) == (4,)
    assert outliers([10.0, 10.1, 9.9, 14.0]) == ()
    assert outliers([5.0] * 6) == ()


def test_a_change_wants_both_an_effect_and_a_test() -> None:
    base = [10.0, 10.1, 9.9]
    assert judge_change(base, [11.0, 11.1, 10.9], least_effect_pct=5).changed
    small = judge_change(base, [10.4, 10.45, 10.35], least_effect_pct=5)
    assert not small.changed
    assert small.p_value is not None
    assert small.p_value < 0.05, "the test is sure, but four per cent are of no interest"
    noisy = judge_change([8.0, 10.0, 12.5], [9.0, 11.5, 13.0], least_effect_pct=5)
    assert not noisy.changed, "the effect is large, but so is the noise"
    assert noisy.delta_pct > 5


def test_a_disturbed_measurement_neither_hides_nor_makes_a_change() -> None:
    base = [10.0, 10.1, 9.9, 10.05, 9.95]
    assert judge_change(base, [11.0, 11.1, 10.9, 11.05, 16.0], least_effect_pct=5).changed
    assert not judge_change(base, [10.0, 10.1, 9.9, 10.05, 16.0], least_effect_pct=5).changed


def test_single_runs_say_what_they_cannot_tell() -> None:
    slower = judge_change([10.0], [11.0], least_effect_pct=5)
    assert not slower.changed
    assert slower.p_value is None
    assert slower.least_pct > 10
    assert f"{ACCEPTABLE_CV_PCT:g} %" in slower.basis
    assert judge_change([10.0], [15.0], least_effect_pct=5).changed


def test_a_quiet_history_lets_single_runs_tell_more() -> None:
    quiet = [10.0 * (1 + 0.002 * (-1) ** number) for number in range(HISTORY_FROM)]
    change = judge_change([10.0], [11.0], least_effect_pct=5, history=quiet)
    assert change.changed
    assert str(HISTORY_FROM) in change.basis


def test_noise_is_read_from_neighbours_so_that_a_step_is_none() -> None:
    level = [0.0, 0.01, -0.01, 0.01, 0.0, -0.01, 0.01]
    stepped = [*level, *(value + 1 for value in level)]
    assert noise_of(stepped) == pytest.approx(noise_of(level), rel=0.5)


def test_figures_that_never_vary_are_compared_exactly() -> None:
    assert not judge_change([500.0] * 3, [500.0] * 3, least_effect_pct=5).changed
    assert judge_change([500.0] * 3, [450.0] * 3, least_effect_pct=5).changed
