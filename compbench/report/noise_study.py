"""What an A/A study tells: how far figures of the same thing differ by chance, and how many repeats see through that.

Pure. Figures are compared as ratios, so spreads are those of natural logarithms. `tests/report/test_noise_study.py`
holds the calculated power against simulated comparisons.
"""

from __future__ import annotations

import itertools
import math
import statistics as basic
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compbench.model.metrics import P99, STUDIED, Metric
from compbench.model.noise import LEAST_COUNT, FigureNoise, NoiseRecord
from compbench.model.records import Capture
from compbench.report.statistics import ALPHA, RUN_SHARE, Ratio, noise_of, ratio_of

# Changes that a study says the repeats for, and how often these find them.
EFFECTS_PCT = (5.0, 10.0)
POWER = 0.9
# As many as the setting `repeat` takes.
MOST_REPEATS = 100
# The figure by which it is told which variant is quieter: targets and comparisons are about it.
DECIDING = P99
# By chance the robust estimate of ten rounds is below a third of the plain one in one figure of 150 (simulated).
_UNEVEN = 3.0
# Of the integrals: as many quantiles of each distribution.
_STEPS = 64


@dataclass(frozen=True)
class Repeats:
    """How many measurements a side find a change, None for more than `MOST_REPEATS`.

    `at_most` is the number if the spread is at the upper end of its interval; `interleaved` the one where both sides
    are measured in turn in one run, so that nothing but the spread of repeats stands between them.
    """

    number: int | None
    at_most: int | None
    interleaved: int | None


@dataclass(frozen=True)
class NoiseRow:
    """One figure of one variant: its spread, the A/A differences of neighbouring rounds, and what repeats find."""

    metric: Metric
    noise: FigureNoise
    differences_pct: list[float]
    repeats: Mapping[float, Repeats]

    @property
    def median_difference_pct(self) -> float:
        """Return the median size of the A/A differences."""
        return basic.median(abs(difference) for difference in self.differences_pct)

    @property
    def is_uneven(self) -> bool:
        """Tell whether neighbours differ by far less than the spread lets expect: it drifted, or few rounds are off."""
        return self.noise.sd_log > _UNEVEN * self.noise.robust_sd_log


@dataclass(frozen=True)
class VariantStudy:
    """The rows of one variant of the settings, and how many measurements they are of."""

    variant: str
    count: int
    rows: list[NoiseRow]


@dataclass(frozen=True)
class Quieter:
    """How the spreads of a figure differ between two variants.

    `times` is the larger standard deviation over the smaller one, `name` the variant of the smaller one. `p_value` is
    that of Mann and Whitney's test of the distances from the median, two-sided, but only in the direction of the
    deviations: ranks that point the other way, as where a single measurement makes the larger one, support nothing.
    Where one measurement in ten is far off, it calls ten equal ones a side unequal in at most 5 % of simulated cases,
    the F test in 49 %. `level` is the figure of the second variant over that of the first.
    """

    name: str
    other: str
    times: float
    p_value: float
    level: Ratio | None

    @property
    def is_told(self) -> bool:
        """Tell whether it is more than chance."""
        return self.p_value < ALPHA


def figure_noise(name: str, values: Sequence[float]) -> FigureNoise:
    """Describe the spread of a figure (at least two values, all positive)."""
    from scipy import stats  # noqa: PLC0415 - costs a second

    logs = [math.log(value) for value in values]
    mean, deviation, freedom = basic.fmean(values), basic.stdev(logs), len(values) - 1
    low, high = (math.sqrt(freedom / float(stats.chi2.ppf(q, freedom))) for q in (1 - ALPHA / 2, ALPHA / 2))
    return FigureNoise(
        name=name,
        values=list(values),
        mean=mean,
        cv_pct=100 * basic.stdev(values) / mean,
        sd_log=deviation,
        sd_log_low=low * deviation,
        sd_log_high=high * deviation,
        robust_sd_log=noise_of(logs),
    )


def figures_noise(captures: Sequence[Capture]) -> list[FigureNoise]:
    """Return the spread of every studied figure that each of these repeats has, and that is never zero.

    Args:
        captures: of one scenario in one variant, in the order of measuring; invalid and failed ones are left out.
    """
    measured = [capture for capture in captures if capture.outcome.is_measurement]
    found = []
    for metric in STUDIED:
        values = [value for capture in measured if (value := metric.read(capture.result, capture.capacity))]
        if len(values) == len(measured) >= LEAST_COUNT:
            found.append(figure_noise(metric.name, values))
    return found


def power_of(effect_pct: float, sd_log: float, repeats: int, run_share: float = RUN_SHARE) -> float:
    """Return how often so many repeats a side tell a change from noise, by the test that a comparison makes.

    That is Welch's t-test with the same spread on both sides. The power is the mean over what the sides' variances may
    turn out to be: their sum has a chi-square distribution, and how they share it, on which the critical value depends,
    an independent beta distribution. `run_share` is the deviation of a whole run, as a share of that of its repeats.
    """
    import numpy as np  # noqa: PLC0415 - see figure_noise
    from scipy import stats  # noqa: PLC0415 - see figure_noise

    if sd_log == 0:
        return 1.0
    freedom = repeats - 1
    places = (np.arange(_STEPS) + 0.5) / _STEPS
    share = stats.beta.ppf(places, freedom / 2, freedom / 2)
    critical = stats.t.ppf(1 - ALPHA / 2, freedom / (share**2 + (1 - share) ** 2))
    deviation = np.sqrt(stats.chi2.ppf(places, 2 * freedom) / (2 * freedom))
    limit = np.outer(critical, deviation)
    centre = math.log1p(effect_pct / 100) / (sd_log * math.sqrt(2 * (1 / repeats + run_share**2)))
    return float((stats.norm.sf(limit - centre) + stats.norm.cdf(-limit - centre)).mean())


def repeats_to_find(effect_pct: float, sd_log: float, run_share: float = RUN_SHARE) -> int | None:
    """Return the least number of repeats a side that tells a change with `POWER`, None if that takes too many."""
    counts = range(2, MOST_REPEATS + 1)
    if power_of(effect_pct, sd_log, MOST_REPEATS, run_share) < POWER:
        return None
    return next(count for count in counts if power_of(effect_pct, sd_log, count, run_share) >= POWER)


def aa_differences_pct(values: Sequence[float]) -> list[float]:
    """Return the differences of neighbouring rounds, the later against the earlier, in per cent."""
    return [100 * (after / before - 1) for before, after in itertools.pairwise(values)]


def variant_study(record: NoiseRecord) -> VariantStudy:
    """Return what a record tells, a row for each figure, in the order of the metrics."""
    pairs = [(metric, record.of(metric.name)) for metric in STUDIED]
    rows = [_row(metric, noise) for metric, noise in pairs if noise is not None]
    return VariantStudy(record.variant, max((len(row.noise.values) for row in rows), default=0), rows)


def quieter_of(first: NoiseRecord, second: NoiseRecord, metric: Metric = DECIDING) -> Quieter | None:
    """Say which of two variants has the smaller spread of a figure, None if it was not studied in both."""
    from scipy import stats  # noqa: PLC0415 - see figure_noise

    one, other = first.of(metric.name), second.of(metric.name)
    if one is None or other is None:
        return None
    (small, quieter), (large, noisier) = sorted(((one.sd_log, first.variant), (other.sd_log, second.variant)))
    logs = [[math.log(value) for value in noise.values] for noise in (one, other)]
    first_off, second_off = ([abs(log - basic.median(own)) for log in own] for own in logs)
    side = "less" if one.sd_log <= other.sd_log else "greater"
    p_value = min(1.0, 2 * float(stats.mannwhitneyu(first_off, second_off, alternative=side).pvalue))
    return Quieter(
        name=quieter,
        other=noisier,
        times=large / small if small else math.inf,
        p_value=p_value,
        level=ratio_of(one.values, other.values),
    )


def _row(metric: Metric, noise: FigureNoise) -> NoiseRow:
    repeats = {
        effect: Repeats(
            number=repeats_to_find(effect, noise.sd_log),
            at_most=repeats_to_find(effect, noise.sd_log_high),
            interleaved=repeats_to_find(effect, noise.sd_log, run_share=0.0),
        )
        for effect in EFFECTS_PCT
    }
    return NoiseRow(metric, noise, aa_differences_pct(noise.values), repeats)
