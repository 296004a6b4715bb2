"""A scenario: its data set, its arrivals, its operations and its targets, as types with the ranges of their keys.

The schema is the one that Engram's `loadtest` reads, plus `seed`, `expected_recall`, `[data_set]` and `[graph]`, which
`loadtest` ignores as it does every key that it doesn't know. Here unknown keys are refused, because a misspelt weight
would silently measure something else. Knows nothing of files; `config.scenarios` reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

U64_MAX = 2**64 - 1
# A request's starting node is drawn as a 32 bit number.
NODES_LIMIT = 2**32 - 1
# Far above what any driver sends, each of its processes on a core of its own; `--target-rate` has the same limit.
RATE_LIMIT = 1_000_000
SimilarityMetric = Literal["cosine", "euclidean", "dot"]
QueryKind = Literal["held-out", "jittered", "out-of-distribution"]
Weight = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
# `loadtest` truncates the mean rate to an integer; below 1 it would never send anything.
Rate = Annotated[float, msgspec.Meta(ge=1, le=RATE_LIMIT)]
WholeSeconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table that refuses keys that it doesn't know."""


class Constant(_Table, frozen=True, tag_field="pattern", tag="constant"):
    """Requests at equal distances, `rate` a second."""

    rate: Rate


class Poisson(_Table, frozen=True, tag_field="pattern", tag="poisson"):
    """A Poisson process of `lambda` requests a second."""

    lambda_: Rate = msgspec.field(name="lambda")


class Exponential(_Table, frozen=True, tag_field="pattern", tag="exponential"):
    """Exponentially distributed distances of mean 1 / `lambda` seconds: the same process as `poisson`."""

    lambda_: Rate = msgspec.field(name="lambda")


class PeriodicBurst(_Table, frozen=True, tag_field="pattern", tag="periodic_burst"):
    """`burst_rate` for `burst_duration_sec` at the start of every `burst_period_sec`, else `base_rate`."""

    base_rate: Rate
    burst_rate: Rate
    burst_duration_sec: WholeSeconds
    burst_period_sec: WholeSeconds


Arrival = Constant | Poisson | Exponential | PeriodicBurst


class Clustered(_Table, frozen=True, tag_field="type", tag="clustered"):
    """Vectors around `num_clusters` centres, each coordinate with standard deviation `std_dev`."""

    num_clusters: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10
    std_dev: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.1


class Uniform(_Table, frozen=True, tag_field="type", tag="uniform"):
    """Every coordinate uniform in [-1, 1)."""


class HotSpot(_Table, frozen=True, tag_field="type", tag="hot_spot"):
    """Vectors around one centre, which is cut or padded to the data set's dimension."""

    center: list[Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]]


Distribution = Clustered | Uniform | HotSpot


class GeneratedSet(_Table, frozen=True, tag_field="kind", tag="embeddings"):
    """Embeddings as models make them, drawn from `seed`; scenarios of one seed and dimension share one set.

    `queries` says which vectors are searched for: held-out draws of the same kind, members of the set a little moved,
    or vectors of another distribution. `near_duplicates` is the share of rows that nearly repeat another one.
    """

    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    queries: QueryKind = "held-out"
    near_duplicates: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.0


class OwnSet(_Table, frozen=True, tag_field="kind", tag="files"):
    """A set of the user's own: files, whose paths are relative to the scenario file's folder.

    One file of `rows` may hold queries and neighbours too (HDF5); else they have files of their own. Without
    `neighbours` the exact ones are computed, and with `none` also where the file lists some.
    """

    rows: Annotated[str, msgspec.Meta(min_length=1)]
    queries: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    neighbours: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    metric: SimilarityMetric | None = None


class Operations(_Table, frozen=True):
    """How often each operation is drawn, relative to the sum of the weights."""

    store_weight: Weight
    recall_weight: Weight
    embedding_search_weight: Weight
    pattern_completion_weight: Weight = 0.0

    def total_weight(self) -> float:
        """Return the sum of the four weights."""
        return self.store_weight + self.recall_weight + self.embedding_search_weight + self.pattern_completion_weight


class Data(_Table, frozen=True):
    """The data set: how many memories, of which dimension, in how many memory spaces.

    `embedding_distribution` is that of `loadtest`, and of vectors that no `[data_set]` describes.
    """

    num_nodes: Annotated[int, msgspec.Meta(ge=1, le=NODES_LIMIT)]
    embedding_dim: Annotated[int, msgspec.Meta(ge=2, le=65_536)]
    memory_spaces: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    embedding_distribution: Distribution = Clustered()


class Graph(_Table, frozen=True):
    """Directed edges between the memories, `average_degree` from each on average, and how far operations follow them.

    With a graph a recall is a traversal of `recall_hops` steps, a search one of `search_hops`. The limits keep what
    is within two steps under the 1000 results that one answer may hold.
    """

    average_degree: Annotated[float, msgspec.Meta(gt=0, le=20)]
    recall_hops: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    search_hops: Annotated[int, msgspec.Meta(ge=1, le=2)] = 2


class Validation(_Table, frozen=True):
    """The targets of a scenario; one that is absent is not judged. Error rate and recall are fractions of 0 to 1."""

    expected_p99_latency_ms: Positive | None = None
    expected_throughput_ops_sec: Positive | None = None
    max_error_rate: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    expected_recall: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None


class _Duration(_Table, frozen=True):
    total_seconds: WholeSeconds


class _Chaos(_Table, frozen=True):
    enabled: bool


class ScenarioFile(_Table, frozen=True):
    """Every table and key that a scenario file may have; docs/scenarios.md has the same as a table."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    description: str
    arrival: Arrival
    operations: Operations
    data: Data
    seed: Annotated[int, msgspec.Meta(ge=0)] | None = None
    duration: _Duration = _Duration(total_seconds=300)
    validation: Validation = Validation()
    chaos: _Chaos | None = None
    graph: Graph | None = None
    data_set: GeneratedSet | OwnSet | None = None


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One workload. `name` is the file's stem, `title` the file's `name` key, `sha256` the hash of its bytes."""

    name: str
    title: str
    description: str
    path: Path
    sha256: str
    seed: int
    duration_s: int
    arrival: Arrival
    operations: Operations
    data: Data
    validation: Validation
    graph: Graph | None = None
    data_set: GeneratedSet | OwnSet | None = None

    @property
    def data_seed(self) -> int:
        """Return the seed of the data set, which scenarios may share, unlike that of the work."""
        return self.data_set.seed if isinstance(self.data_set, GeneratedSet) else self.seed


def mean_rate(arrival: Arrival) -> float:
    """Return the mean of the arrival pattern in requests a second."""
    match arrival:
        case Constant(rate=rate):
            return rate
        case Poisson(lambda_=rate) | Exponential(lambda_=rate):
            return rate
        case PeriodicBurst():
            burst = arrival.burst_rate * arrival.burst_duration_sec
            rest = arrival.base_rate * (arrival.burst_period_sec - arrival.burst_duration_sec)
            return (burst + rest) / arrival.burst_period_sec


def peak_rate(arrival: Arrival) -> float:
    """Return the highest rate that the arrival pattern means, in requests a second."""
    return max(arrival.base_rate, arrival.burst_rate) if isinstance(arrival, PeriodicBurst) else mean_rate(arrival)


def scaled_count(scenario: Scenario, scale: float) -> int:
    """Return how many memories of the scenario's data set that share of it is: at least one."""
    return max(1, round(scenario.data.num_nodes * scale))
