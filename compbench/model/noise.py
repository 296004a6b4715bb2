"""The noise of one machine as an A/A study has measured it: the same measurement several times, spread by spread.

A record is kept for each scenario, machine and settings; a comparison of single runs takes it instead of an
assumption. Plain data: `report/noise_study.py` calculates it, `store/noise_records.py` keeps it.
"""

from __future__ import annotations

import hashlib

import msgspec

NOISE_SCHEMA = 1
# With fewer, the interval of a spread is so wide that an assumption is no worse: of four, up to 3.7 times as much.
LEAST_COUNT = 5


class FigureNoise(msgspec.Struct, frozen=True, kw_only=True):
    """The spread of one figure over repeats of the same measurement; `values`, all positive, stand in their order.

    `sd_log` is the standard deviation of the natural logarithms and `sd_log_low` to `sd_log_high` its 95 % interval.
    `robust_sd_log` is told from the differences of neighbours, by their median: neither a drift of the machine nor a
    single disturbed measurement moves it, so that it is the smaller one where there was either.
    """

    name: str
    values: list[float]
    mean: float
    cv_pct: float
    sd_log: float
    sd_log_low: float
    sd_log_high: float
    robust_sd_log: float


class NoiseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a study found of one scenario in one variant of the settings.

    `facts` are the inputs that a run must have in common with it for its noise to be this one; `told` are those that
    are only named where they differ (`kernel`, `compbench`). `measured_at` is the end of its last measurement.
    """

    schema: int = NOISE_SCHEMA
    run: str
    scenario: str
    variant: str
    measured_at: float
    facts: dict[str, str]
    told: dict[str, str] = {}
    figures: list[FigureNoise] = []

    @property
    def key(self) -> str:
        """Return the hash of its facts, by which it is kept: a later study of the same takes its place."""
        return hashlib.sha256(msgspec.json.encode(sorted(self.facts.items()))).hexdigest()[:24]

    def of(self, metric: str) -> FigureNoise | None:
        """Return the spread of a figure, None if it was not studied."""
        return next((figure for figure in self.figures if figure.name == metric), None)


class NoiseStudy(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has found of one scenario: a record for each variant of the settings that tells enough."""

    schema: int = NOISE_SCHEMA
    run: str
    scenario: str
    records: list[NoiseRecord]
