"""The recorder: every operation in the second in which it ended, with its three times and its reason."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from compbench.loadtest.engine.recorder import BATCH, NEVER_SENT, OTHER_REASONS, REASONS_LIMIT, Interval, Recorder
from compbench.transport.exchange import Exchange


def ended(at: float, *, due: float, sent: float = math.nan, problem: str = "", operation: int = 0) -> Exchange:
    exchange = Exchange(0, due, b"", lambda _: None, operation)
    exchange.free_at, exchange.sent_at, exchange.done_at = due - 1, sent, at
    exchange.ok, exchange.problem = not problem, problem
    return exchange


def test_the_recorder_hands_out_every_second_with_what_ended_in_it() -> None:
    intervals: list[Interval] = []
    recorder = Recorder(start_s=100.0, warm_up_s=1.0, on_interval=intervals.append)
    recorder.add(ended(100.6, due=100.5, sent=100.5))  # warm-up
    recorder.add(ended(101.2, due=100.9, sent=100.9))  # warm-up that ends later
    recorder.add(ended(101.3, due=101.0, sent=101.1, operation=2))
    recorder.advance(102.001)
    recorder.add(ended(104.5, due=101.5, sent=103.0, problem="lost"))
    recorder.add_never_sent(np.array([2, 2]), np.array([100.9, 104.0]), 105.0)
    recorder.finish()
    assert [interval.number for interval in intervals] == [-1, 0, 1, 2, 3]
    assert [interval.warm_up for interval in intervals] == [1, 1, 0, 0, 0]
    first, last = intervals[1].parts[2], intervals[4]
    assert first.times.response.percentile_ms(50) == pytest.approx(300, rel=1e-3)
    assert first.times.service.percentile_ms(50) == pytest.approx(200, rel=1e-3)
    assert first.times.lag.percentile_ms(50) == pytest.approx(100, rel=1e-3)
    assert (last.parts[0].errors, last.parts[0].late, last.last_s) == (1, 1, 3.5)
    # Due in the warm-up and never sent: not measured. The other has waited a second.
    assert (last.parts[2].count, last.parts[2].never_sent) == (1, 1)
    assert last.parts[2].times.response.max_ms == pytest.approx(1000, rel=1e-3)
    assert last.parts[2].times.service.total == 0
    assert sum((interval.reasons for interval in intervals), Counter()) == {"lost": 1, NEVER_SENT: 1}


def test_reasons_are_told_apart_up_to_a_limit_and_all_counted() -> None:
    intervals: list[Interval] = []
    recorder = Recorder(0.0, 0.0, intervals.append)
    for number in range(2 * REASONS_LIMIT + BATCH):
        recorder.add(ended(0.5, due=0.1, sent=0.1, problem=f"problem {number}"))
    recorder.finish()
    (interval,) = intervals
    assert interval.reasons.total() == interval.pooled().errors == 2 * REASONS_LIMIT + BATCH
    assert interval.reasons[OTHER_REASONS] == REASONS_LIMIT + BATCH
