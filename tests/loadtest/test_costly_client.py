"""The rule for a client whose own work would take a core, whether or not it got one."""

from __future__ import annotations

import numpy as np
import pytest

from compbench.loadtest.engine.openloop import Ended
from compbench.loadtest.engine.recorder import Part
from compbench.loadtest.engine.totals import Totals
from compbench.loadtest.verdict import Measured, driver_fault


def measured(due: int, sent: int, cpu_pct: float, seconds: int = 10, senders: int = 1) -> Measured:
    """Return a run in which so many were sent, slowly answered, without any lag of the driver."""
    part = Part()
    part.count, part.never_sent = due, due - sent
    part.times.response.record(np.full(due, 3.0))
    part.times.lag.record(np.full(sent, 0.0001))
    cpu_s = cpu_pct / 100 * seconds
    return Measured(seconds, [due // seconds] * seconds, Totals(), part, Ended(sent, 64, cpu_pct, cpu_s), senders)


@pytest.mark.parametrize(
    ("due", "sent", "cpu_pct", "is_costly"),
    [
        (4000, 2250, 90.0, True),  # 4 ms each, on a core of its own
        (4000, 900, 36.0, True),  # the same client beside other work
        (4000, 4000, 40.0, False),  # 1 ms each: all were sent
        (10_000, 9000, 20.0, False),  # 0.2 ms each, and a slow server
        (200_000, 30_000, 40.0, False),  # 0.13 ms each: it could have sent much more than it did
        (10_000, 64, 1.2, False),  # a server that hangs: the driver only waits
    ],
)
def test_a_client_is_too_costly_by_what_a_request_takes_and_not_by_how_many_it_sent(
    due: int, sent: int, cpu_pct: float, *, is_costly: bool
) -> None:
    reason = driver_fault(measured(due, sent, cpu_pct))
    assert ("the client's own work" in reason) == is_costly, reason
    assert is_costly or not reason


def test_of_several_senders_each_is_judged_by_its_own_share_of_the_requests() -> None:
    # Each of three sends 1000 a second, which take 0.9 ms each: 90 % of a core, and more if all had been sent.
    reason = driver_fault(measured(30_000, 20_000, 90.0, senders=3))
    assert "the client's own work on 1000 ops/sec takes" in reason
    assert not driver_fault(measured(30_000, 20_000, 60.0, senders=3))
