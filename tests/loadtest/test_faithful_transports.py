"""Over every transport a known delay and a stall of the server are told as they were, with real searches of a client.

Lower limits hold exactly: noise of the machine only ever adds to a time. Upper ones are for the quickest requests.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.known import FOUND, TRANSPORTS, Known, percentile, told_of

pytestmark = pytest.mark.process

# The histograms know a time to one part in a thousand.
ROUNDING = 0.999
DELAY_MS = 42.0
# What the loopback, the server and the driver add at most while nothing else holds them up.
ROOM_MS = 5.0
# The server counts from its first request, which the machine may hold up: the stall may then miss some requests.
STALL_ROOM_MS = 50.0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_delay_and_a_stall_are_told_as_they_were_over(transport: str) -> None:
    known = Known(delay_ms=DELAY_MS, rate=100, seconds=2, connections=12, stall_every_s=1.5, stall_for_s=0.4)
    told = told_of(TRANSPORTS[transport], known)
    response, service = known.expected()
    assert told.totals.completed == told.part.count == len(response) == 200
    assert told.found == [FOUND] * len(told.found) != []
    times = told.part.times
    for percent in (90, 99):
        assert times.response.percentile_ms(percent) >= percentile(response, percent) * ROUNDING - STALL_ROOM_MS
    for told_times in (times.response, times.service):
        assert DELAY_MS * ROUNDING <= told_times.percentile_ms(1) <= DELAY_MS + ROOM_MS
    # Only the twelve that were under way had a long service: who counts those alone would not see the stall.
    assert percentile(service, 90) == pytest.approx(DELAY_MS)
    assert times.service.percentile_ms(25) < times.response.percentile_ms(90) / 2


def test_what_must_come_out_is_what_the_arithmetic_says() -> None:
    response, service = Known(20, 300, 2, 64).expected()
    assert np.allclose(response, 20)
    assert np.allclose(service, 20)
    stalled, _ = Known(2, 300, 4, 64, stall_every_s=1, stall_for_s=0.2).expected()
    # A fifth of all waits, evenly from 0.2 s down to the delay.
    assert np.mean(stalled > 2.001) == pytest.approx(0.2, abs=0.01)
    assert percentile(stalled, 90) == pytest.approx(101, abs=2)
