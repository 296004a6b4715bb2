"""The statistics of a few measurements: spread, intervals, outliers, and whether a figure changed.

Pure functions of numbers. "Changed" wants both: an effect that matters, and a test that says that noise alone rarely
makes such an effect. Latencies and rates are compared as ratios, so tests work on logarithms. `benchmarks/aa_study.py`
shows how often `judge_change` cries wolf, and how often it overlooks a change.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Literal

# ENGRAM's quarterly review grades the coefficient of variation of repeats so.
EXCELLENT_CV_PCT = 2.0
ACCEPTABLE_CV_PCT = 5.0
CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
# Without repeats nothing tells a disturbed measurement from a change: the threshold is higher.
SINGLE_RUN_ALPHA = 0.005
# Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (ASQC 1993): modified z-scores above 3.5.
OUTLIER_SCORE = 3.5
# An outlier that a comparison leaves out must be further off: the deviation of few values is itself uncertain, and
# without values that are only a little extreme the rest look more alike than they are.
DISREGARDED_SCORE = 7.0
# The third quartile of the standard normal distribution: makes the median absolute deviation comparable to a
# standard deviation.
MAD_TO_SIGMA = 0.6745
# Below this, half of the values lie so near to the median by construction that a deviation means nothing.
OUTLIERS_FROM = 5
# Earlier runs that are needed before they say how much single runs differ by chance, and how many are looked at.
HISTORY_FROM, HISTORY_TO = 10, 30

# How much runs differ beyond their repeats, as a share of the repeats' deviation: an assumption, unless it is
# measured on the machine at hand.
RUN_SHARE = 0.4

Grade = Literal["excellent", "acceptable", "unstable"]


@dataclass(frozen=True)
class Spread:
    """Repeats of one figure; `low` and `high` bound the mean at 95 % confidence (Student's t).

    None are the bounds of a single value, or without scipy. No figure is negative, so neither is a bound.
    """

    count: int
    mean: float
    median: float
    cv_pct: float | None = None
    grade: Grade | None = None
    low: float | None = None
    high: float | None = None
    outliers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Change:
    """How a figure differs between two runs.

    `delta_pct` is head against base; `p_value` is None where no test is possible; `least_pct` is the smallest change
    that these measurements can tell from noise, and `basis` says how that is known.
    """

    delta_pct: float
    changed: bool
    p_value: float | None
    least_pct: float
    basis: str


@dataclass(frozen=True)
class KnownNoise:
    """The spread of single measurements of a figure that a study has measured: the standard deviation of `count` logs.

    `basis` says in words which study that was.
    """

    sd_log: float
    count: int
    basis: str


@dataclass(frozen=True)
class Ratio:
    """A figure of one system over that of another, with the interval that holds it at `confidence`."""

    ratio: float
    low: float
    high: float
    confidence: float

    def is_over(self, least_effect_pct: float) -> bool:
        """Tell whether it is an effect that matters, either way."""
        return max(self.ratio, 1 / self.ratio) > 1 + least_effect_pct / 100


def ratio_of(base: Sequence[float], head: Sequence[float], alpha: float = ALPHA) -> Ratio | None:
    """Return `head` over `base` of repeats (all values positive); None where fewer than two a side say nothing.

    None as well where all repeats of either side are alike: they do not tell what noise does.
    Of geometric means, by Welch's t-test on the logarithms, as `judge_change` tests.
    """
    if min(len(base), len(head)) < 2 or min(*base, *head) <= 0 or find_spec("scipy") is None:  # noqa: PLR2004
        return None
    effect, _, margin = _welch(base, head, alpha)
    if margin == 0:
        return None
    return Ratio(math.exp(effect), math.exp(effect - margin), math.exp(effect + margin), 1 - alpha)


def spread(values: Sequence[float]) -> Spread:
    """Describe repeats of one figure (at least one value, all finite)."""
    mean, median = statistics.fmean(values), statistics.median(values)
    if len(values) < 2:  # noqa: PLR2004 - a single value has no spread
        return Spread(len(values), mean, median)
    deviation = statistics.stdev(values)
    cv_pct = 100 * deviation / abs(mean) if mean else 0.0
    found = Spread(len(values), mean, median, cv_pct, grade(cv_pct), outliers=outliers(values))
    if find_spec("scipy") is None:
        return found
    half = _t_quantile(len(values) - 1) * deviation / math.sqrt(len(values))
    return replace(found, low=max(0.0, mean - half), high=mean + half)


def grade(cv_pct: float) -> Grade:
    """Return the grade of a coefficient of variation."""
    if cv_pct < EXCELLENT_CV_PCT:
        return "excellent"
    return "acceptable" if cv_pct <= ACCEPTABLE_CV_PCT else "unstable"


def outliers(values: Sequence[float], limit: float = OUTLIER_SCORE) -> tuple[int, ...]:
    """Return the positions of values whose modified z-score is too high; none are named among fewer than five."""
    if len(values) < OUTLIERS_FROM:
        return ()
    median = statistics.median(values)
    deviation = statistics.median(abs(value - median) for value in values)
    if deviation == 0:
        return ()
    scores = (MAD_TO_SIGMA * abs(value - median) / deviation for value in values)
    return tuple(position for position, score in enumerate(scores) if score > limit)


def judge_change(
    base: Sequence[float],
    head: Sequence[float],
    *,
    least_effect_pct: float,
    history: Sequence[float] = (),
    noise: KnownNoise | None = None,
    alpha: float = ALPHA,
) -> Change:
    """Say whether a figure (all values positive) changed from `base` to `head`.

    With repeats on both sides, Welch's t-test on the logarithms decides; a rank test can't: for three against three
    its smallest p-value is 0.1. With one value on a side there is no test of these values; then their difference
    must exceed the usual difference of single runs at this noise, taken from at least ten earlier comparable runs
    (`history`, oldest first), or else from a study (`noise`), or else assumed to be as high as is acceptable at all.
    """
    p_value: float | None = None
    if min(len(base), len(head)) > 1:
        effect, p_value, least = _welch(base, head, alpha)
        basis = f"{len(base)} and {len(head)} repeats"
    else:
        effect = math.log(_geometric_mean(head) / _geometric_mean(base))
        least, basis = _least_for_single_runs(base, head, history, noise, min(alpha, SINGLE_RUN_ALPHA))
    delta_pct = 100 * math.expm1(effect)
    told = p_value < alpha if p_value is not None else abs(effect) > least
    matters = abs(delta_pct) > least_effect_pct
    return Change(delta_pct, told and matters, p_value, max(least_effect_pct, 100 * math.expm1(least)), basis)


def noise_of(series: Sequence[float]) -> float:
    """Return the standard deviation of a series without its shifts: from the differences of neighbours, robustly."""
    steps = [abs(after - before) for before, after in itertools.pairwise(series)]
    return statistics.median(steps) / MAD_TO_SIGMA / math.sqrt(2)


def _welch(base: Sequence[float], head: Sequence[float], alpha: float) -> tuple[float, float, float]:
    """Return effect and p-value of Welch's test on logarithms, and the smallest effect that it would call.

    Two things are added to the textbook's test. Gross outliers are left out: one measurement that another process
    disturbed would hide any change. And repeats of one run share the state of the machine, so that two runs differ by
    more than their repeats show: `RUN_SHARE` of the repeats' deviation is added for each run.
    """
    from scipy import stats  # noqa: PLC0415 - costs a second, and only a comparison needs it

    logs = [[math.log(value) for value in _without_outliers(values)] for values in (base, head)]
    effect = statistics.fmean(logs[1]) - statistics.fmean(logs[0])
    variances = [statistics.variance(part) for part in logs]
    errors = [variance / len(part) for variance, part in zip(variances, logs, strict=True)]
    if sum(errors) == 0:
        return effect, (1.0 if effect == 0 else 0.0), 0.0
    # Welch and Satterthwaite's degrees of freedom.
    freedom = sum(errors) ** 2 / sum(e**2 / (len(part) - 1) for e, part in zip(errors, logs, strict=True))
    error = math.sqrt(sum(errors) + RUN_SHARE**2 * sum(variances))
    p_value = 2 * float(stats.t.sf(abs(effect) / error, freedom))
    return effect, p_value, float(stats.t.ppf(1 - alpha / 2, freedom)) * error


def _without_outliers(values: Sequence[float]) -> list[float]:
    named = outliers(values, DISREGARDED_SCORE)
    return [value for position, value in enumerate(values) if position not in named]


def _least_for_single_runs(
    base: Sequence[float], head: Sequence[float], history: Sequence[float], noise: KnownNoise | None, alpha: float
) -> tuple[float, str]:
    """Return the smallest effect (logarithm) that single runs can tell, and how that is known.

    Earlier runs come first: they differ as runs do. A study's measurements are those of one run, so that the two runs'
    own share is added, as to repeats.
    """
    scale = math.sqrt(1 / len(base) + 1 / len(head))
    if len(history) >= HISTORY_FROM:
        recent = history[-HISTORY_TO:]
        deviation = noise_of([math.log(value) for value in recent])
        return _t_quantile(len(recent) // 2, alpha) * deviation * scale, f"the noise of {len(recent)} earlier runs"
    if noise is not None:
        scale = math.sqrt(1 / len(base) + 1 / len(head) + 2 * RUN_SHARE**2)
        return _t_quantile(noise.count - 1, alpha) * noise.sd_log * scale, noise.basis
    quantile = statistics.NormalDist().inv_cdf(1 - alpha / 2)
    deviation = math.log1p(ACCEPTABLE_CV_PCT / 100)
    return quantile * deviation * scale, f"one run each, noise assumed to be {ACCEPTABLE_CV_PCT:g} %"


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def _t_quantile(degrees: int, alpha: float = ALPHA) -> float:
    from scipy import stats  # noqa: PLC0415 - see _welch

    return float(stats.t.ppf(1 - alpha / 2, degrees))
