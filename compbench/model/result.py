"""The record of a measurement that the driver writes, and that judgement, pages and history read.

`Report` is the JSON that `loadtest run --output` writes, in Engram's names and units; the further figures of
compbench's driver stand under `compbench`. `Result` is the part that compbench keeps, under its own names: `_ms`
milliseconds, `_ops_s` operations a second, `_fraction` 0 to 1, `_pct` per cent. None is a figure that the driver does
not tell.
"""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DETAILS_SCHEMA = 2
CAPACITY_SCHEMA = 1
FRONTIER_SCHEMA = 1

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Amount = Annotated[float, Meta(ge=0, le=sys.float_info.max)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
# Lower and upper end in milliseconds, None for an end that so few operations can't bound.
Bounds = tuple[Amount | None, Amount | None]
Answers = Literal["ok", "empty-store", "ignores-query", "not-checked"]


class Summary(msgspec.Struct, frozen=True):
    """The figures of one distribution; times in milliseconds, 0 if nothing was recorded."""

    count: Count
    p50: Amount
    p90: Amount
    p95: Amount
    p99: Amount
    p999: Amount
    max: Amount
    mean: Amount


class Intervals(msgspec.Struct, frozen=True, kw_only=True):
    """Confidence intervals of percentiles."""

    confidence: Fraction
    method: str
    p50: Bounds | None = None
    p90: Bounds | None = None
    p95: Bounds | None = None
    p99: Bounds | None = None
    p999: Bounds | None = None


class Recall(msgspec.Struct, frozen=True):
    """The quality of the checked answers.

    `mean` is the mean recall of `checked` vector searches with its 95 % confidence interval (`low`, `high`; normal
    approximation), over result limits from `k_min` to `k_max`; None where it can't be told. `p5` is the recall that all
    but 5 % of the checked searches reach, `below_080` the share of the checked searches whose recall is below 0.8.
    `exact_traversals` is the share of `traversals` whose answer was exactly right. `answers` is the verdict on the
    answers as such. `not_kept` says why the exact neighbours, by which it is judged, could not be kept for later runs.
    """

    answers: Answers | None = None
    note: str = ""
    mean: Fraction | None = None
    low: Fraction | None = None
    high: Fraction | None = None
    checked: Count = 0
    k_min: Count | None = None
    k_max: Count | None = None
    traversals: Count = 0
    exact_traversals: Fraction | None = None
    not_kept: str = ""
    p5: Fraction | None = None
    below_080: Fraction | None = None

    @property
    def reached(self) -> float | None:
        """Return the fraction by which the answers are judged: of searches the mean recall, else of traversals."""
        return self.exact_traversals if self.mean is None else self.mean


class Traversals(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a scenario asked for traversals, and whether traversals were measured; `note` says why not."""

    asked: bool = False
    measured: bool = False
    note: str = ""


class OperationTimes(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of operation as compbench's driver knows it: counts, and the three times in milliseconds."""

    count: Count
    errors: Count
    never_sent: Count
    response_time_ms: Summary
    service_time_ms: Summary
    driver_lag_ms: Summary


class TimeSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A list a figure, a value an interval; None where nothing ended in it. After the schedule comes the drain."""

    interval_s: Annotated[float, Meta(gt=0)] = 1.0
    offered: list[Amount | None] = []
    completed: list[Amount | None] = []
    errors: list[Amount | None] = []
    response_p50_ms: list[Amount | None] = []
    response_p95_ms: list[Amount | None] = []
    response_p99_ms: list[Amount | None] = []
    response_max_ms: list[Amount | None] = []
    lag_p99_ms: list[Amount | None] = []


class Histograms(msgspec.Struct, frozen=True, kw_only=True):
    """The three times of all operations as HdrHistograms of microseconds: V2 format, compressed, base64."""

    response_time: str | None = None
    service_time: str | None = None
    driver_lag: str | None = None


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """What protocol and client cost by themselves: the smallest request that the system answers, at the same rate.

    Times are response times in milliseconds; `client_cpu_us` is the CPU time of the driver for one request. `hosts` are
    P50 and P99 as each host had them, where several sent.
    """

    count: Count
    p50_ms: Amount
    p99_ms: Amount
    client_cpu_us: Amount
    hosts: dict[str, tuple[Amount, Amount]] = {}


class HostFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One of several hosts that sent the load: its own times, by its own clock, and how well that was in step.

    Its clock was `offset_s` ahead of the driver's that gathers, give or take `uncertainty_ms`; `round_trip_ms` is what
    a message between the two took at least, `drift_ms` how much the offset changed until the end. `differs` says how
    the host's P99 (or P50, of few operations) or lag differs from that of each of the others; empty if it does not.
    """

    name: str
    address: str = ""
    cores: Count = 0
    processes: Count = 1
    count: Count = 0
    errors: Count = 0
    driver_cpu_pct: Amount = 0.0
    client_cpu_us: Amount | None = None
    response_time_ms: Summary
    service_time_ms: Summary
    driver_lag_ms: Summary
    offset_s: float = 0.0
    uncertainty_ms: Amount = 0.0
    round_trip_ms: Amount = 0.0
    drift_ms: float | None = None
    differs: str = ""
    time_series: TimeSeries | None = None
    histograms: Histograms | None = None


class FrontierPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One effort on the ladder, at the scenario's rate: recall of the timed answers, and their response times.

    `valid` is False where the driver or the machine spoiled the times; the recall stands all the same.
    """

    effort: Count
    recall: Fraction | None
    recall_p5: Fraction | None = None
    checked: Count = 0
    offered_ops_s: Amount
    achieved_ops_s: Amount
    p50_ms: Amount
    p99_ms: Amount
    valid: bool = True
    note: str = ""


class RecallCapacity(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate within the scenario's P99 target at the least effort that reaches a recall.

    Both are None where no effort of the ladder reaches it; `capacity` alone is None where it was not searched for.
    """

    recall: Fraction
    effort: Count | None = None
    capacity: Capacity | None = None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that only compbench's driver tells (docs/driver.md); an older or a newer one may tell less.

    `sent_from` are the names of the hosts, where several were to send, and `hosts` their own figures; `is_host_lost`
    tells that one was lost or late, so that the figures are none, however many operations there were.
    """

    schema: Whole | None = None
    driver_version: str | None = None
    seed: Whole | None = None
    data_seed: Whole | None = None
    endpoint: str | None = None
    scenario: str | None = None
    scale: Amount | None = None
    duration_s: Amount | None = None
    warm_up_s: Amount | None = None
    connections: Count | None = None
    processes: Count | None = None
    arrival: dict[str, Amount | str] | None = None
    workload_digest: str | None = None
    traversal: Traversals | None = None
    hlog: str | None = None
    recall: Recall | None = None
    offered_ops_s: Amount | None = None
    achieved_ops_s: Amount | None = None
    due: Count | None = None
    sent: Count | None = None
    completed: Count | None = None
    failed: Count | None = None
    never_sent: Count | None = None
    in_flight_max: Count | None = None
    driver_cpu_pct: Amount | None = None
    response_time_ms: Summary | None = None
    service_time_ms: Summary | None = None
    driver_lag_ms: Summary | None = None
    response_time_ms_ci: Intervals | None = None
    per_operation: dict[str, OperationTimes] | None = None
    time_series: TimeSeries | None = None
    errors: dict[str, Count] | None = None
    effort: Count | None = None
    client_cpu_us: Amount | None = None
    floor: Floor | None = None
    floor_missing: str = ""  # why it is None
    histograms: Histograms | None = None
    hosts: list[HostFigures] = []
    sent_from: list[str] = []
    is_host_lost: bool = False
    late_over_1s_fraction: Fraction | None = None
    valid: bool | None = None
    invalid_reason: str | None = None


class OperationStats(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of operation as `loadtest` reports it; latencies in microseconds."""

    count: Count
    success_count: Count = 0
    error_count: Count = 0
    p50_latency_us: Amount = 0.0
    p95_latency_us: Amount = 0.0
    p99_latency_us: Amount = 0.0
    p999_latency_us: Amount = 0.0
    mean_latency_us: Amount = 0.0
    max_latency_us: Amount = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of `loadtest run --output`; `compbench` is there only if compbench's own driver wrote it."""

    config_name: str = ""
    elapsed_seconds: Amount
    total_operations: Count
    total_errors: Count
    overall_throughput: Amount
    overall_error_rate: Fraction
    p50_latency_ms: Amount
    p95_latency_ms: Amount
    p99_latency_ms: Amount
    per_operation_stats: dict[str, OperationStats] = {}
    compbench: Details | None = None


class OperationFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of operation; latencies are response times."""

    count: int
    errors: int
    p50_latency_ms: float
    p95_latency_ms: float
    p99_latency_ms: float
    max_latency_ms: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A driver's figures; `details` has those that only compbench's driver tells, without its histograms."""

    p50_latency_ms: float
    p95_latency_ms: float
    p99_latency_ms: float
    throughput_ops_s: float
    error_fraction: float
    total_operations: int
    total_errors: int
    elapsed_s: float
    operations: dict[str, OperationFigures] = {}
    details: Details | None = None

    @property
    def recall(self) -> Recall | None:
        """Return the verdict of compbench's driver on the answers; None from another driver."""
        return self.details.recall if self.details else None


class IndexProof(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a system's own plan or metrics say that the index answers searches (None: it does not tell), and how."""

    is_used: bool | None = None
    said: str = ""


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """How loading a data set ended: the JSON of `loadtest prepare --output`.

    `sent` memories were sent now, `found` were there before; `stored` is the server's own count (all spaces), None
    if it gives none; `method` is how they were sent, `edges` how many the server says it has. Where as many were to be
    loaded as fit into a time, `wanted` is how many that are, and `fits` the largest round number that was in by then;
    `out_of_time` tells that the load was given up because of the time, and for no other reason. `index_s` is how much
    of `elapsed_s` was spent on building the index after the rows were in; `index_proof` is what the system says of it.
    """

    wanted: Count
    sent: Count
    found: Count = 0
    stored: Count | None = None
    edges: Count | None = None
    method: str = ""
    elapsed_s: Amount = 0.0
    complete: bool
    fits: Count = 0
    out_of_time: bool = False
    index_s: Amount = 0.0
    index_proof: IndexProof | None = None
    note: str = ""


class RequestSizes(msgspec.Struct, frozen=True, kw_only=True):
    """How large requests are: what `loadtest sizes` prints. `mean_limit` is how many hits a request asks for."""

    mean_bytes: Amount
    largest_bytes: Count
    mean_limit: Amount


class TriedRate(msgspec.Struct, frozen=True, kw_only=True):
    """One rate that was tried in a search for a capacity; `sustained` is None where the driver spoiled the trial."""

    rate_ops_s: Amount
    achieved_ops_s: Amount
    p99_ms: Amount
    error_rate: Fraction
    sustained: bool | None
    valid: bool | None = None
    invalid_reason: str | None = None


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate within the limits: `low_ops_s` is sustained, `high_ops_s` (None: not found) is not.

    `bound` says why the search went no higher: the `target`, the `driver`, the search's own `limit`, or that not even
    the lowest rate was sustained (`none`).
    """

    low_ops_s: Amount
    high_ops_s: Amount | None
    bound: Literal["target", "driver", "limit", "none"]
    p99_limit_ms: Amount
    max_error_rate: Fraction
    precision_pct: Amount
    curve: list[TriedRate]
    note: str = ""


class Frontier(msgspec.Struct, frozen=True, kw_only=True):
    """A system's recall against speed over the common ladder of effort: the JSON of `loadtest frontier --output`.

    `knob` is the system's own name for the effort, `goal` the recall that its figures are compared at, `chosen` the
    least effort whose mean recall reaches it, as a scenario's target is judged by the mean (None: none does); `best` is
    the effort of the highest recall. The confidence interval of the recall at the chosen effort stands in `note`, and
    may reach below the goal. A system without a knob has an empty `knob` and one point, of effort 0.
    """

    schema: Whole = FRONTIER_SCHEMA
    driver_version: str = ""
    knob: str
    goal: Fraction
    chosen: Count | None
    best: Count | None = None
    step_s: Amount
    seed: Whole
    points: list[FrontierPoint]
    capacities: list[RecallCapacity] = []
    measured_at: Amount = 0.0
    note: str = ""


class CapacityReport(Capacity, frozen=True, kw_only=True):
    """The JSON of `loadtest capacity --output`: the result and the question."""

    schema: int
    driver_version: str
    scenario: str
    endpoint: str
    seed: int
    scale: float
    connections: int
    processes: int
    step_duration_s: int
    repeats: int
    rate_ops_s: float
