"""The search for a capacity: the highest constant rate that a target sustains. Pure: it is given the results of trials.

The rate is doubled until it is not sustained, then the gap is halved until it is narrow enough, as in the saturation
searches of network benchmarking (RFC 2544, section 26.1, there with loss as the only condition). Rates are compared by
their ratio, so a trial goes to the geometric middle. A trial is repeated, and the majority decides, because noise can
fail one; only while doubling a single success is enough. A failure that may be the driver's own is no evidence about
the target: the trial is repeated, and if that goes on, the driver's limit ends the search from above.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

# So much of the offered rate must be achieved: the rest of a sustained rate is still in flight at the end.
ACHIEVED_SHARE = 0.97
RAMP_FACTOR = 2.0
START_RATE = 100.0
RATE_LIMIT = 1_000_000.0
# So often in a row the driver may spoil a rate's trial before that rate counts as beyond the driver.
SPOILED_LIMIT = 2

Bound = Literal["target", "driver", "limit", "none"]


class Goal(NamedTuple):
    """When a rate counts as sustained, how often it is tried, and how narrow the answer must be."""

    p99_ms: float
    max_error_rate: float
    repeats: int
    precision_pct: float


class Trial(NamedTuple):
    """The result of one trial; `invalid_reason` is empty unless the driver spoiled it, or lost one of its hosts."""

    rate: float
    achieved: float
    p99_ms: float
    error_rate: float
    invalid_reason: str = ""
    is_host_lost: bool = False


class Point(NamedTuple):
    """A trial, and whether it was sustained; None if the driver spoiled it."""

    trial: Trial
    sustained: bool | None


class RateBracket(NamedTuple):
    """The answer: the target sustains `low` operations a second and not `high`; the truth lies between.

    `bound` names the reason of `high`: the target's limit, the driver's, the search's, or that nothing was sustained
    ("none"; `low` is then 0). `high` is None if no rate was found that is too much. `fault` says which host was lost,
    so that the search ended early and there is no answer.
    """

    low: float
    high: float | None
    bound: Bound
    fault: str = ""


def is_sustained(trial: Trial, goal: Goal) -> bool | None:
    """Judge a trial: None if it failed and the driver may be to blame.

    A driver that lags only adds to the times and takes from the rate: a trial that meets the goal all the same counts.
    One that lost a host has not sent its load, whatever the figures of the seconds before are.
    """
    if trial.is_host_lost:
        return None
    met = (
        trial.p99_ms <= goal.p99_ms
        and trial.error_rate <= goal.max_error_rate
        and trial.achieved >= ACHIEVED_SHARE * trial.rate
    )
    return None if trial.invalid_reason and not met else met


class CapacitySearch:
    """A search under way: ask for `next_rate`, try it, `add` the result, until there is no next rate."""

    def __init__(self, goal: Goal, start_rate: float = START_RATE) -> None:
        self.points: list[Point] = []
        self._goal = goal
        self._low, self._high = 0.0, math.inf
        self._high_bound: Bound = "limit"
        self._rate = start_rate
        self._yes = self._no = self._spoiled = 0
        self._fault = ""

    @property
    def next_rate(self) -> float | None:
        """Return the rate to try next, in operations a second; None if the search is over."""
        return None if self._is_over() else self._rate

    def add(self, trial: Trial) -> None:
        """Take the result of the trial of `next_rate`."""
        verdict = is_sustained(trial, self._goal)
        self.points.append(Point(trial, verdict))
        if trial.is_host_lost:  # those that are left would be another driver, and the lost one does not come back
            self._fault = trial.invalid_reason
            return
        if verdict is None:
            self._spoiled += 1
        else:
            self._yes, self._no, self._spoiled = self._yes + verdict, self._no + (not verdict), 0
        majority = self._goal.repeats // 2 + 1
        if self._yes == (1 if math.isinf(self._high) else majority):
            self._move(sustained=True, bound="target")
        elif self._no == majority:
            self._move(sustained=False, bound="target")
        elif self._spoiled == SPOILED_LIMIT:
            self._move(sustained=False, bound="driver")

    def result(self) -> RateBracket:
        """Return the answer as far as it is known by now."""
        high = None if math.isinf(self._high) else self._high
        bound: Bound = self._high_bound if self._low else "none"
        return RateBracket(self._low, high, "driver" if self._fault else bound, self._fault)

    def _move(self, *, sustained: bool, bound: Bound) -> None:
        """Settle the rate and choose the next one."""
        if sustained:
            self._low = self._rate
        else:
            self._high, self._high_bound = self._rate, bound
        self._yes = self._no = self._spoiled = 0
        if math.isinf(self._high):
            self._rate = min(self._low * RAMP_FACTOR, RATE_LIMIT)
        elif self._low:
            self._rate = _rounded(math.sqrt(self._low * self._high))
        else:
            self._rate = _rounded(self._high / RAMP_FACTOR)

    def _is_over(self) -> bool:
        if self._fault or self._low >= RATE_LIMIT or self._high <= 1:
            return True
        narrow = self._high <= self._low * (1 + self._goal.precision_pct / 100)
        return bool(self._low) and (narrow or self._rate in (self._low, self._high))


def _rounded(rate: float) -> float:
    """Return a whole number of operations a second, at least 1."""
    return float(max(1, round(rate)))
