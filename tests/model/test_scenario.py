"""What a scenario's own figures mean."""

from __future__ import annotations

import pytest

from compbench.model.scenario import Arrival, Constant, Exponential, PeriodicBurst, Poisson, mean_rate

BURSTS = PeriodicBurst(base_rate=10, burst_rate=100, burst_duration_sec=1, burst_period_sec=10)


@pytest.mark.parametrize(
    ("arrival", "rate"),
    [(Constant(rate=7), 7), (Poisson(lambda_=7), 7), (Exponential(lambda_=7), 7), (BURSTS, 19)],
)
def test_the_mean_rate_weighs_bursts_by_their_length(arrival: Arrival, rate: float) -> None:
    assert mean_rate(arrival) == pytest.approx(rate)
