"""A host that is slow, hangs or is cut off while several send: it is named, and no figure of such a run is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.cluster import DaskPrograms, start_dask
from tests.lab.hosts import Lab, why_not
from tests.lab.runs import (
    CLEAR_WITHIN_S,
    DESK,
    PHASES,
    SENDERS,
    begin,
    laboratory,
    nothing_of_ours_is_left,
    undisturbed,
)

pytestmark = [pytest.mark.process, pytest.mark.skipif(bool(why_not()), reason=why_not())]

VICTIM = "b"
# Each way; a host whose clock is known to 20 ms only does not take part, and a busy machine adds to it.
DELAY_MS, LOSS_PCT = 10.0, 1.0


@pytest.fixture
def hosts() -> Iterator[tuple[Lab, DaskPrograms]]:
    with laboratory() as lab:
        yield lab, start_dask(lab, DESK, SENDERS)


@pytest.mark.slow
def test_a_slow_host_is_named_and_its_clock_is_known_less_well(hosts: tuple[Lab, DaskPrograms]) -> None:
    lab, dask = hosts
    lab.slow(VICTIM, DELAY_MS, LOSS_PCT)
    # Of under 370 operations the interval of a P99 has no upper end.
    outcome = undisturbed(lab, dask.address, "--duration", "8")
    told = {host["name"]: host for host in outcome.own["hosts"]}
    assert set(told) == set(SENDERS), outcome.told
    assert "P99 response time" in told[VICTIM]["differs"], told[VICTIM]["response_time_ms"]
    assert not any(told[host]["differs"] for host in SENDERS if host != VICTIM)
    near, far = told["a"], told[VICTIM]
    assert far["round_trip_ms"] >= 2 * DELAY_MS > near["round_trip_ms"]
    assert far["uncertainty_ms"] >= DELAY_MS > near["uncertainty_ms"]
    assert abs(1000 * (far["offset_s"] - 200_000 - near["offset_s"] + 100_000)) <= far["uncertainty_ms"] + 1


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("delay_ms", [1, 5, 10, 15, 30, 60])
def test_the_uncertainty_of_a_clock_grows_with_the_delay_and_is_invalid_above_its_limit(delay_ms: int) -> None:
    with laboratory() as lab:
        dask = start_dask(lab, DESK, SENDERS)
        lab.slow(VICTIM, delay_ms)
        outcome = begin(lab, dask.address).outcome(90)
        if delay_ms < 20:
            (far,) = (host for host in outcome.own["hosts"] if host["name"] == VICTIM)
            assert delay_ms <= far["uncertainty_ms"] <= delay_ms + 5
            assert abs(1000 * (far["offset_s"] - 300_000)) <= far["uncertainty_ms"]
            print("COUNT uncertainty", delay_ms, far["uncertainty_ms"], far["offset_s"], far["differs"])
        else:
            print("COUNT uncertainty", delay_ms, outcome.told)
            assert f"host {VICTIM}" in outcome.told
            assert "clock" in outcome.told
        assert nothing_of_ours_is_left(lab)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("phase", PHASES[1:4])
@pytest.mark.parametrize("ill", ["hangs", "is cut off"])
def test_a_host_that_hangs_or_is_cut_off_ends_as_invalid_within_a_deadline(ill: str, phase: str) -> None:
    with laboratory() as lab:
        dask = start_dask(lab, DESK, SENDERS)
        run = begin(lab, dask.address)
        assert run.reaches(phase)
        (lab.freeze if ill == "hangs" else lab.cut)(VICTIM)
        outcome = run.outcome(CLEAR_WITHIN_S)
        print("COUNT", ill, phase, outcome.told)
        assert f"host {VICTIM}" in outcome.told
        assert "Traceback" not in outcome.said
        (lab.thaw if ill == "hangs" else lab.mend)(VICTIM)
        assert nothing_of_ours_is_left(lab, 40)
