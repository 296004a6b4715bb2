"""A capacity that was found, in words, and beside the throughputs that competitors have published. Pure.

A published throughput is a capacity too, so the two may stand side by side; whether better or worse may be said of them
is decided as for a P99: never of scaled-down data, or of a system whose folder says that its figures can't be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compbench.model.metrics import CAPACITY, OFFERED, change_pct, given
from compbench.model.records import Capture
from compbench.model.result import Capacity
from compbench.report.baselines import COMPARABLE_SHARE, Baseline, caveat_of

# Why a search went no higher.
BOUNDS = {
    "target": "the server's own limit",
    "driver": "the driver's limit: the server may bear more",
    "limit": "the search's limit: the server may bear more",
    "none": "not even the lowest rate was sustained",
}


@dataclass(frozen=True)
class PublishedCapacity:
    """A scenario's capacity beside a published throughput; `caveat` says why they can't be compared, if so."""

    scenario: str
    found_ops_s: float
    system: str
    low_ops_s: float
    high_ops_s: float
    hardware: str
    caveat: str

    @property
    def published(self) -> str:
        """Return the published throughput: one figure, or a range."""
        until = f" to {given(self.high_ops_s)}" if self.high_ops_s > self.low_ops_s else ""
        return f"{self.system} {given(self.low_ops_s)}{until} {CAPACITY.unit}"

    @property
    def stands(self) -> str:
        """Return how the capacity stands: within a tenth of the published figure it is comparable."""
        if self.caveat:
            return f"not comparable: {self.caveat}"
        if self.found_ops_s > self.high_ops_s * (1 + COMPARABLE_SHARE):
            return f"{change_pct(100 * (self.found_ops_s / self.high_ops_s - 1))} better"
        if self.found_ops_s < self.low_ops_s * (1 - COMPARABLE_SHARE):
            return f"{change_pct(100 * (self.found_ops_s / self.low_ops_s - 1))} worse"
        return "comparable"


def describe_capacity(capacity: Capacity) -> str:
    """Return the result of a search: the highest rate sustained, the lowest that was not, and the end of the search."""
    if capacity.bound == "none":
        lowest = min((tried.rate_ops_s for tried in capacity.curve), default=0.0)
        rate = OFFERED.shown(lowest)
        return f"no capacity: P99 under {given(capacity.p99_limit_ms)} ms was not sustained even at {rate}"
    beyond = "" if capacity.high_ops_s is None else f", {CAPACITY.number(capacity.high_ops_s)} not"
    limit = f"sustained at P99 under {given(capacity.p99_limit_ms)} ms{beyond}"
    return f"{CAPACITY.in_words(capacity.low_ops_s)} {limit} ({BOUNDS[capacity.bound]})"


def beside_published(
    capture: Capture, capacity: Capacity | None, published: Sequence[Baseline]
) -> list[PublishedCapacity]:
    """Return a scenario's capacity beside each throughput that is published of it; `capture` tells system and scale."""
    if capacity is None:
        return []
    return [
        PublishedCapacity(
            scenario=capture.scenario,
            found_ops_s=capacity.low_ops_s,
            system=f"{baseline.system} {baseline.version}",
            low_ops_s=baseline.qps_low,
            high_ops_s=baseline.qps_high or baseline.qps_low,
            hardware=baseline.hardware,
            caveat=caveat_of(capture) or _caveat_of_search(capacity, baseline.qps_low),
        )
        for baseline in published
        if baseline.scenario == capture.scenario and baseline.qps_low
    ]


def _caveat_of_search(capacity: Capacity, published_ops_s: float) -> str:
    """Return why less than a published throughput is nothing worse: the search did not find the server's own limit."""
    is_less = capacity.low_ops_s < published_ops_s * (1 - COMPARABLE_SHARE)
    return BOUNDS[capacity.bound] if is_less and capacity.bound in ("driver", "limit") else ""
