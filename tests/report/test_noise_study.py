"""What a study of noise calculates, held against tables and against simulated comparisons."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from compbench.model.metrics import P99, STUDIED
from compbench.model.noise import LEAST_COUNT, FigureNoise, NoiseRecord
from compbench.report import noise_study
from compbench.report.noise_study import aa_differences_pct, figure_noise, power_of, quieter_of, repeats_to_find
from compbench.report.statistics import ALPHA, RUN_SHARE, judge_change
from tests import synthetic
from tests.synthetic import Recipe, RunRecipe

NAME = P99.name
PAIRS = 1500
# Three standard deviations of a share of so many pairs, at most.
SLACK = 3 * 0.5 / math.sqrt(PAIRS)


def spread_out(sd_log: float, count: int = 10, seed: int = 1, middle: float = 10.0) -> list[float]:
    """Return values in a random order whose logarithms are spread normally, with exactly this standard deviation."""
    scores = [NormalDist().inv_cdf((place + 0.5) / count) for place in range(count)]
    logs = np.random.default_rng(seed).permutation(scores)
    logs *= sd_log / logs.std(ddof=1)
    return [float(value) for value in middle * np.exp(logs)]


def record(variant: str, values: list[float]) -> NoiseRecord:
    return NoiseRecord(
        run="r", scenario="s", variant=variant, measured_at=0.0, facts={}, figures=[figure_noise(NAME, values)]
    )


def test_a_spread_has_the_interval_of_the_chi_square_distribution() -> None:
    found = figure_noise(NAME, spread_out(0.03))
    assert found.sd_log == pytest.approx(0.03)
    # chi-square of 9 degrees of freedom, from any table: 2.700 and 19.023
    assert found.sd_log_low == pytest.approx(0.03 * math.sqrt(9 / 19.023), rel=1e-3)
    assert found.sd_log_high == pytest.approx(0.03 * math.sqrt(9 / 2.700), rel=1e-3)
    assert found.cv_pct == pytest.approx(3.0, rel=0.05)


def test_a_drift_moves_the_spread_and_not_the_robust_one() -> None:
    calm = spread_out(0.01, 20)
    drifting = [value * math.exp(0.01 * place) for place, value in enumerate(calm)]
    before, after = figure_noise(NAME, calm), figure_noise(NAME, drifting)
    assert after.sd_log > 4 * before.sd_log
    assert after.robust_sd_log < 2 * before.robust_sd_log
    assert noise_study.variant_study(record("off", drifting)).rows[0].is_uneven
    assert not noise_study.variant_study(record("off", calm)).rows[0].is_uneven


def test_a_differences_are_those_of_neighbours() -> None:
    assert aa_differences_pct([10.0, 11.0, 9.9]) == pytest.approx([10.0, -10.0])
    (row,) = noise_study.variant_study(record("off", [10.0, 11.0, 9.9, 9.9, 9.9])).rows
    assert row.median_difference_pct == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("effect_pct", "sd_log", "repeats"), [(10.0, 0.03, 4), (10.0, 0.05, 8), (5.0, 0.02, 6), (5.0, 0.02, 12)]
)
def test_the_power_is_that_of_simulated_comparisons(effect_pct: float, sd_log: float, repeats: int) -> None:
    random = np.random.default_rng(20_261_127)

    def run() -> list[float]:
        own = random.normal(0, sd_log, repeats)
        return [float(value) for value in np.exp(own + random.normal(0, RUN_SHARE * sd_log))]

    told = 0
    for _ in range(PAIRS):
        head = [value * (1 + effect_pct / 100) for value in run()]
        change = judge_change(run(), head, least_effect_pct=0.0)
        told += change.p_value is not None and change.p_value < ALPHA
    assert power_of(effect_pct, sd_log, repeats) == pytest.approx(told / PAIRS, abs=SLACK)


def test_repeats_are_the_fewest_that_reach_the_power() -> None:
    for effect_pct, sd_log in ((5.0, 0.02), (10.0, 0.03), (10.0, 0.005)):
        found = repeats_to_find(effect_pct, sd_log)
        assert found is not None
        assert power_of(effect_pct, sd_log, found) >= noise_study.POWER
        assert found == 2 or power_of(effect_pct, sd_log, found - 1) < noise_study.POWER
    # G*Power's textbook case without anything in common: two groups, d = 1, alpha 0.05, power 0.9: 23 a side (22.02
    # by its table of 0.9 for d = 1).
    assert repeats_to_find(100 * math.expm1(0.05), 0.05, run_share=0.0) == 23


def test_no_number_of_repeats_sees_through_what_whole_runs_have_in_common() -> None:
    assert repeats_to_find(5.0, 0.05) is None
    assert repeats_to_find(5.0, 0.05, run_share=0.0) is not None
    assert repeats_to_find(5.0, 0.0) == 2, "figures that never vary"
    assert power_of(5.0, 1e-9, 2) == 1.0


def test_which_is_quieter_is_said_only_where_it_is_more_than_chance() -> None:
    clear = quieter_of(record("off", spread_out(0.10)), record("auto", spread_out(0.01, seed=2)))
    assert clear is not None
    assert (clear.is_told, clear.name, clear.other) == (True, "auto", "off")
    assert clear.times == pytest.approx(10)
    alike = quieter_of(record("off", spread_out(0.010)), record("auto", spread_out(0.012, seed=2)))
    assert alike is not None
    assert not alike.is_told
    assert alike.name == "off"
    assert alike.level is not None
    assert alike.level.ratio == pytest.approx(1.0)
    same = quieter_of(record("off", [5.0] * 5), record("auto", [5.0] * 5))
    assert same is not None
    assert not same.is_told


def test_a_single_far_measurement_makes_no_other_variant_quieter() -> None:
    auto = [10 * (1 + 0.002 * math.sin(place)) for place in range(9)] + [16.0]
    off = [10 * (1 + 0.08 * place / 5) for place in (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)]
    for first, second in ((record("off", off), record("auto", auto)), (record("auto", auto), record("off", off))):
        found = quieter_of(first, second)
        assert found is not None
        assert found.name == "off", "by the deviations, which ranks of the distances contradict"
        assert not found.is_told


def test_a_figure_is_studied_that_every_valid_measurement_has() -> None:
    recipes = [
        Recipe(synthetic.NAMES[0], duration_s=2, rate_ops_s=50, seed=seed, repeat=seed, verdict=verdict)
        for seed, verdict in enumerate(("passed", "missed", "invalid", "passed", "passed", "passed"), 1)
    ]
    captures = [synthetic.make_capture("r", recipe, RunRecipe())[0] for recipe in recipes]
    found = {figure.name: figure for figure in noise_study.figures_noise(captures)}
    assert list(found) == [metric.name for metric in STUDIED]
    assert {len(figure.values) for figure in found.values()} == {LEAST_COUNT}, "the invalid one is left out"
    assert noise_study.figures_noise(captures[:5]) == [], "too few"
    assert isinstance(found[NAME], FigureNoise)
