"""Scenario files: TOML in, `Scenario` out, or one line that says which file, key and value is wrong.

The schema is the one that Engram's `loadtest` reads, plus `seed`, `expected_recall` and `[graph]`, which `loadtest`
ignores as it does every key that it doesn't know. Here unknown keys are refused, because a misspelt weight would
silently measure something else. Knows nothing of settings, targets or runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from compbench.config.toml_tables import convert_table, parse_toml
from compbench.model.errors import UserError
from compbench.model.file_names import RESERVED_ENDINGS

T = TypeVar("T")
U64_MAX = 2**64 - 1
# A request's starting node is drawn as a 32 bit number.
NODES_LIMIT = 2**32 - 1
# Far above what any driver sends, each of its processes on a core of its own; `--target-rate` has the same limit.
RATE_LIMIT = 1_000_000
Weight = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
# `loadtest` truncates the mean rate to an integer; below 1 it would never send anything.
Rate = Annotated[float, msgspec.Meta(ge=1, le=RATE_LIMIT)]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]

# A file system allows 255: timestamp, system, repeat, ending, attempt and `.partial` take some 120 of them.
MOST_NAME_CHARACTERS = 120
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


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
    burst_duration_sec: Seconds
    burst_period_sec: Seconds


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
    """The data set: how many memories, of which dimension, in how many memory spaces, how distributed."""

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
    total_seconds: Seconds


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


def scenario_names(folder: Path) -> list[str]:
    """Return the stems of the TOML files directly in `folder`, sorted; empty if there is no such folder.

    Raises:
        UserError: a stem can't be a scenario's name (it would escape the output folder, or be taken for another file).
    """
    names = sorted(path.stem for path in folder.glob("*.toml"))
    for name in names:
        check_name(name, folder / f"{name}.toml")
    return names


def check_name(name: str, where: Path) -> None:
    """Refuse a name that can't safely become part of file and task names.

    Raises:
        UserError: the name has other characters than letters, digits, `_`, `-`, `.`, or a reserved ending.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise UserError(
            f"{where}: the file name {name!r} can't name a scenario:"
            " use letters, digits, '_', '-' and single dots, beginning with a letter or digit"
        )
    if len(name) > MOST_NAME_CHARACTERS:
        raise UserError(
            f"{where.parent}: the file name {name[:40]!r}... has {len(name)} characters: a scenario's name has at most"
            f" {MOST_NAME_CHARACTERS}, since result files add theirs: rename the file"
        )
    if re.search(r"_run\d+$", name):
        raise UserError(
            f"{where}: a scenario's name must not end in '_run' and a number, as repeats do: rename the file"
        )
    for ending in RESERVED_ENDINGS:
        if name == ending or name.endswith(f"_{ending}"):
            raise UserError(
                f"{where}: a scenario's name must not end in {ending!r},"
                " because result files with that ending hold something else: rename the file"
            )


def title_of(path: Path) -> str:
    """Return the file's `name` for a menu, or say that the file can't be read; never raises for a bad file."""
    try:
        title = parse_toml(path.read_bytes(), path).get("name")
    except (OSError, UserError):
        title = None
    is_harmless = isinstance(title, str) and title and title.isprintable()
    return str(title) if is_harmless else "unreadable: see `doit preflight:scenarios`"


def load_scenario(path: Path) -> Scenario:
    """Read and validate one scenario file.

    Raises:
        UserError: the file can't be read, is not TOML, or a key is missing, unknown, of a wrong type or out of range.
    """
    check_name(path.stem, path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    file = _convert(parse_toml(content, path), path)
    if not file.name.isprintable():
        raise UserError(f"{path}: name = {file.name!r}: a title is one line of printable characters")
    if file.operations.total_weight() <= 0:
        raise UserError(f"{path}: operations: all weights are 0: give at least one operation a weight above 0")
    _check_burst(file.arrival, path)
    if file.data.memory_spaces > file.data.num_nodes:
        raise UserError(
            f"{path}: data.memory_spaces = {file.data.memory_spaces}: must be at most num_nodes ({file.data.num_nodes})"
        )
    if file.graph is not None and file.data.memory_spaces > 1:
        raise UserError(
            f"{path}: data.memory_spaces = {file.data.memory_spaces}: a graph lies in one space: set it to 1"
        )
    return Scenario(
        name=path.stem,
        title=file.name,
        description=file.description,
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        seed=file.seed if file.seed is not None else 0,
        duration_s=file.duration.total_seconds,
        arrival=file.arrival,
        operations=file.operations,
        data=file.data,
        validation=file.validation,
        graph=file.graph,
    )


def load_scenarios(folder: Path, expected_count: int | None) -> list[Scenario]:
    """Read every scenario of `folder`, in the order of their names; with None any number but none is right.

    Raises:
        UserError: the folder is missing, the count is not the expected one, a file is wrong, or two titles are equal.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder: it should hold {expected_count or 'the'} scenario files (setting scenarios_dir)"
        )
    scenarios = [load_scenario(folder / f"{name}.toml") for name in scenario_names(folder)]
    if not scenarios:
        raise UserError(f"{folder}: no scenario files: a suite has at least one, <scenario>.toml")
    if expected_count is not None and len(scenarios) != expected_count:
        raise UserError(
            f"{folder}: {len(scenarios)} scenario files where {expected_count} are expected"
            f" ({', '.join(s.name for s in scenarios)}): put others into a folder beside it, which is a suite of its"
            " own (suite=<folder>), or set expected_scenarios"
        )
    _check_titles(scenarios)
    return scenarios


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


def _check_titles(scenarios: Iterable[Scenario]) -> None:
    seen: dict[str, Scenario] = {}
    for scenario in scenarios:
        if (other := seen.setdefault(scenario.title, scenario)) is not scenario:
            raise UserError(
                f"{scenario.path}: name = {scenario.title!r} is the name of {other.path.name} too:"
                " give each scenario its own"
            )


def _check_burst(arrival: Arrival, path: Path) -> None:
    if isinstance(arrival, PeriodicBurst) and arrival.burst_duration_sec > arrival.burst_period_sec:
        raise UserError(
            f"{path}: arrival.burst_duration_sec = {arrival.burst_duration_sec}:"
            f" must not be longer than burst_period_sec ({arrival.burst_period_sec})"
        )


def _convert(raw: dict[str, Any], path: Path) -> ScenarioFile:
    if isinstance(seed := raw.get("seed"), int) and seed > U64_MAX:
        raise UserError(f"{path}: seed = {seed}: must be at most {U64_MAX}")
    return convert_table(raw, ScenarioFile, str(path))
