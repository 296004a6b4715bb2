"""How often a comparison of two runs cries wolf, and what it overlooks: an A/A study and its power.

Runs are simulated: the P99 of four scenarios, each with noise that is normal on a logarithmic scale, a common factor of
the whole run (a machine that is slower today), and one measurement in fifty that is a third slower (another process).
An A/A pair differs in nothing, so every "changed" is a false alarm; for the power, the head is 10 % slower.

    python -m benchmarks.aa_study [PAIRS]
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from compbench.report.noise_study import figure_noise
from compbench.report.statistics import HISTORY_FROM, KnownNoise, judge_change

PAIRS = 1000
SCENARIOS = 4
SLOWDOWN = 1.10
LEAST_EFFECT_PCT = 5.0
NOISES_PCT = (1.0, 2.0, 3.0, 5.0)
REPEATS = (1, 2, 3, 5, 8, 10)
# Measurements of a study of noise, as many as it makes unless it is told otherwise.
STUDIED = 10
OUTLIER_SHARE, OUTLIER_FACTOR = 0.02, 1.33
# Of the noise of one measurement, how much all measurements of a run have in common.
COMMON_SHARE = 0.3


def measurements(random: np.random.Generator, noise_pct: float, repeats: int) -> NDArray[np.float64]:
    """Return the P99 of one run: an array of (scenario, repeat)."""
    sigma = noise_pct / 100
    own = random.normal(0, sigma * np.sqrt(1 - COMMON_SHARE**2), (SCENARIOS, repeats))
    common = random.normal(0, sigma * COMMON_SHARE)
    outliers = np.where(random.random((SCENARIOS, repeats)) < OUTLIER_SHARE, OUTLIER_FACTOR, 1.0)
    return np.exp(own + common) * outliers


def studied(random: np.random.Generator, noise_pct: float, count: int) -> list[KnownNoise | None]:
    """Return what a study of so many measurements tells of the noise of each scenario; nothing without one."""
    if count == 0:
        return [None] * SCENARIOS
    found = [figure_noise("p99", own.tolist()) for own in measurements(random, noise_pct, count)]
    return [KnownNoise(noise.sd_log, count, "a study") for noise in found]


def called(
    random: np.random.Generator, noise_pct: float, repeats: int, factor: float, history: int, study_of: int
) -> list[bool]:
    """Return for each scenario of one pair whether it is called changed.

    `history` is how many runs came before, `study_of` how many measurements a study of the noise had.
    """
    base = measurements(random, noise_pct, repeats)
    head = measurements(random, noise_pct, repeats) * factor
    past = [measurements(random, noise_pct, 1) for _ in range(history)]
    noises = studied(random, noise_pct, study_of)
    return [
        judge_change(
            base[place].tolist(),
            head[place].tolist(),
            least_effect_pct=LEAST_EFFECT_PCT,
            history=[float(run[place, 0]) for run in past],
            noise=noises[place],
        ).changed
        for place in range(SCENARIOS)
    ]


def study(
    pairs: int, noise_pct: float, repeats: int, history: int = 0, study_of: int = 0
) -> tuple[float, float, float]:
    """Return, in per cent: false alarms per figure, pairs of runs with any false alarm, power at a 10 % slowdown."""
    random = np.random.default_rng(20_261_124)
    same = [called(random, noise_pct, repeats, 1.0, history, study_of) for _ in range(pairs)]
    slower = [called(random, noise_pct, repeats, SLOWDOWN, history, study_of) for _ in range(pairs)]
    return 100 * float(np.mean(same)), 100 * float(np.mean([any(pair) for pair in same])), 100 * float(np.mean(slower))


def main() -> None:
    """Print the table."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    print(f"{pairs} pairs of runs, {SCENARIOS} figures each; a change of over {LEAST_EFFECT_PCT:g} % is of interest")
    print("noise  repeats                 false alarms  pairs with one  power at +10 %")
    for noise_pct in NOISES_PCT:
        for repeats in REPEATS:
            for history, study_of in ((0, 0), (0, STUDIED), (HISTORY_FROM, 0)) if repeats == 1 else ((0, 0),):
                per_figure, per_pair, power = study(pairs, noise_pct, repeats, history, study_of)
                kind = f"{repeats}" + (f" ({history} runs before)" if history else "")
                kind += f" (a study of {study_of})" if study_of else ""
                print(f"{noise_pct:4.0f} %  {kind:22} {per_figure:12.1f} % {per_pair:13.1f} % {power:13.1f} %")


if __name__ == "__main__":
    main()
