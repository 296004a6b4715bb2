"""Pairs of measurements, each of two builds one right after the other: whether one is slower, and how sure that is.

Pure functions of numbers, on logarithms, since latencies are compared as ratios. What the machine does to both sides of
a pair alike cancels out, so that pairs tell smaller changes than as many repeats of two runs would.
`benchmarks/duet_study.py` shows how often identical builds alarm, and how often a slowdown is found.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from compbench.model.measurement import FEWEST_PAIRS
from compbench.report.statistics import ALPHA, CONFIDENCE

# The change of which is said how many pairs find it, and how surely they do.
WANTED_CHANGE_PCT, WANTED_POWER = 10.0, 0.95
# As many as the setting `repeat` takes.
MOST_PAIRS = 100
# With fewer pairs the ranks want nearly all signs alike, and the power of the t-test says nothing of both tests'.
SURE_FROM = 8
# Both tests find as much as the t-test alone with so much more noise: of 3000 simulated duets each, at a noise of 6 to
# 20 %, as many pairs as that asks for find 10 % in 95.0 to 96.9 %; without it, in 92.6 to 94.2 % from 7 % on.
_BOTH_TESTS = 1.05
# Standard errors.
_CERTAIN = 10


@dataclass(frozen=True)
class PairedChange:
    """How a figure differs within pairs, head against base.

    `low_pct` and `high_pct` bound `delta_pct` at 95 % (Student's t on logarithms), `p_value` is that test's, and
    `rank_p_value` that of Wilcoxon's signed ranks, which a few odd pairs can't sway. `noise_pct` is the standard
    deviation of a pair's ratio, and `noise_high_pct` the upper end of its 95 % interval (chi-square).
    """

    pairs: int
    delta_pct: float
    low_pct: float
    high_pct: float
    p_value: float
    rank_p_value: float
    noise_pct: float
    noise_high_pct: float

    @property
    def differs(self) -> bool:
        """Tell whether noise alone rarely makes such pairs, by both tests."""
        return self.pairs >= FEWEST_PAIRS and self.deciding_p < ALPHA

    @property
    def deciding_p(self) -> float:
        """Return the larger p-value: both tests must tell a difference."""
        return max(self.p_value, self.rank_p_value)

    @property
    def could_hide_pct(self) -> float:
        """Return the largest change, either way, that these pairs do not exclude."""
        return max(abs(self.low_pct), abs(self.high_pct))


def change_in_pairs(pairs: Sequence[tuple[float, float]]) -> PairedChange | None:
    """Return the change from the first to the second of each pair (all positive); None for fewer than two pairs."""
    from scipy import stats  # noqa: PLC0415 - costs a second

    if len(pairs) < 2:  # noqa: PLR2004 - a single pair has no spread
        return None
    logs = [math.log(head / base) for base, head in pairs]
    effect, deviation = statistics.fmean(logs), statistics.stdev(logs)
    error = deviation / math.sqrt(len(logs))
    freedom = len(logs) - 1
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    p_value = 2 * float(stats.t.sf(abs(effect) / error, freedom)) if error else float(effect == 0)
    return PairedChange(
        pairs=len(logs),
        delta_pct=_pct(effect),
        low_pct=_pct(effect - half),
        high_pct=_pct(effect + half),
        p_value=p_value,
        rank_p_value=float(stats.wilcoxon(logs).pvalue) if any(logs) else 1.0,
        noise_pct=_pct(deviation),
        noise_high_pct=_pct(deviation * math.sqrt(freedom / float(stats.chi2.ppf((1 - CONFIDENCE) / 2, freedom)))),
    )


def power(pairs: int, noise_pct: float, change_pct: float = WANTED_CHANGE_PCT) -> float:
    """Return how likely that many pairs, `SURE_FROM` or more, find a change by both tests, at that noise of a ratio.

    That they find it the wrong way round is left out.
    """
    from scipy import stats  # noqa: PLC0415 - see change_in_pairs

    if noise_pct == 0:
        return 1.0
    freedom = pairs - 1
    shift = math.log1p(change_pct / 100) / (_BOTH_TESTS * math.log1p(noise_pct / 100)) * math.sqrt(pairs)
    limit = float(stats.t.ppf(1 - ALPHA / 2, freedom))
    # So far out scipy's distribution is not a number, and the power 1 in all digits.
    return 1.0 if shift > limit + _CERTAIN else float(stats.nct.sf(limit, freedom, shift))


def pairs_needed(noise_pct: float, change_pct: float = WANTED_CHANGE_PCT) -> int | None:
    """Return the fewest pairs that find a change as surely as is wanted; None if `MOST_PAIRS` do not."""
    low, high = SURE_FROM, MOST_PAIRS
    if power(high, noise_pct, change_pct) < WANTED_POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        if power(middle, noise_pct, change_pct) >= WANTED_POWER:
            high = middle
        else:
            low = middle + 1
    return low


def _pct(logarithm: float) -> float:
    return 100 * math.expm1(logarithm)
