"""Schedules: the four patterns in their true shapes, in chunks, shared without loss."""

from __future__ import annotations

import numpy as np
import pytest

from compbench.loadtest.workload import streams
from compbench.loadtest.workload.arrivals import CHUNK, Schedule, Seconds, due_times
from compbench.model.scenario import Arrival, Constant, Exponential, PeriodicBurst, Poisson

BURST = PeriodicBurst(base_rate=10, burst_rate=100, burst_duration_sec=2, burst_period_sec=10)
PATTERNS = (Constant(rate=777), Poisson(lambda_=777), Exponential(lambda_=777), BURST)


def all_due(arrival: Arrival, duration_s: float, seed: int = 1) -> Seconds:
    return np.concatenate([np.empty(0), *due_times(arrival, duration_s, seed, streams.ARRIVALS)])


def test_constant_arrivals_are_evenly_spaced_from_0_and_none_is_at_the_end() -> None:
    due = all_due(Constant(rate=1000), 3)
    assert len(due) == 3000
    assert np.allclose(due, np.arange(3000) / 1000, atol=1e-9)
    assert len(all_due(Constant(rate=1 / 3 * 3), 10)) == 10


@pytest.mark.parametrize("arrival", [Poisson(lambda_=500), Exponential(lambda_=500)])
def test_random_arrivals_are_a_poisson_process(arrival: Arrival) -> None:
    due = all_due(arrival, 200)
    gaps = np.diff(due)
    # 100,000 gaps: five standard errors of mean and deviation, and of the share beyond the mean, which is 1/e.
    assert gaps.mean() == pytest.approx(1 / 500, rel=5 / np.sqrt(len(gaps)))
    assert gaps.std() == pytest.approx(1 / 500, rel=5 * np.sqrt(2 / len(gaps)))
    assert np.mean(gaps > 1 / 500) == pytest.approx(np.exp(-1), abs=5 * 0.5 / np.sqrt(len(gaps)))
    # Counts of seconds have their mean as variance; neighbours are independent.
    counts = np.bincount(due.astype(int), minlength=200)
    assert counts.var() == pytest.approx(counts.mean(), rel=0.6)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 5 / np.sqrt(len(gaps))


def test_bursts_have_each_rate_in_its_part_of_the_period() -> None:
    due = all_due(BURST, 25)
    counts = np.bincount(due.astype(int), minlength=25)
    assert list(counts) == [100 if second % 10 < 2 else 10 for second in range(25)]


@pytest.mark.parametrize("arrival", PATTERNS)
def test_a_schedule_comes_in_bounded_chunks_and_is_ascending(arrival: Arrival) -> None:
    schedule = Schedule(arrival, 1, warm_up_s=1.5, duration_s=4)
    chunks = list(schedule.chunks())
    assert max(map(len, chunks)) <= CHUNK
    due = np.concatenate(chunks)
    assert (np.diff(due) >= 0).all()
    assert due[0] >= 0
    assert due[-1] < schedule.end_s
    warm_up, offered = schedule.offered()
    assert warm_up == (due < 1.5).sum()
    assert offered == list(np.bincount((due[due >= 1.5] - 1.5).astype(int), minlength=4))


@pytest.mark.parametrize("arrival", PATTERNS)
@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_are_the_whole_schedule_with_its_numbers(arrival: Arrival, shards: int) -> None:
    schedule = Schedule(arrival, 5, warm_up_s=0.7, duration_s=4)
    due = np.concatenate(list(schedule.chunks())).tolist()
    parts = [list(schedule.shard(number, shards)) for number in range(shards)]
    for number, part in enumerate(parts):
        assert [index for index, _ in part] == list(range(number, len(due), shards))
    assert sorted(pair for part in parts for pair in part) == list(enumerate(due))


def test_what_is_measured_does_not_depend_on_the_warm_up_and_the_seed_decides() -> None:
    def measured(warm_up_s: float, seed: int) -> Seconds:
        due = np.concatenate(list(Schedule(Poisson(lambda_=100), seed, warm_up_s, 5).chunks()))
        return due[due >= warm_up_s] - warm_up_s

    assert np.allclose(measured(0, 1), measured(2, 1))
    assert not np.array_equal(measured(0, 1), measured(0, 2))
