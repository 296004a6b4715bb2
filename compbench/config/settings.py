"""The settings of an invocation: every key with its type, range and default, and those of the profiles.

Knows nothing of where values come from; `config.sources` reads and merges them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from compbench.config import system_tables
from compbench.config.hosts import HostsAsked, asked_hosts
from compbench.config.system_tables import MachineLimits
from compbench.model.measurement import RunKind

# Keys of the command line alone; refused in the file and in the environment.
INVOCATION_KEYS = ("new", "resume", "run", "base", "head")
# Fields that loading fills in; setting them is refused.
FOUND_KEYS = (
    "systems",
    "run_kind",
    "variants",
    "variant",
    "absent",
    "sizes",
    "system_tables",
    "system_reason",
    "system_is_chosen",
    "auto_choice",
    "default_limits",
    "invocation",
)

# The suite that is specified: it has four scenarios (specification 1), any other as many as its folder has files.
SPECIFIED_SUITE, SPECIFIED_SCENARIOS = "competitive", 4

PROFILES: dict[str, dict[str, Any]] = {
    # Specification 2, 3 and 8: 60 s (each scenario's own total_seconds), 30 s cooldown, a sample every 5 s.
    "full": {"cooldown_s": 30.0, "sample_interval_s": 5.0},
    "quick": {
        "duration_s": 10,
        "cooldown_s": 1.0,
        "sample_interval_s": 1.0,
        "loading_s": 10.0,
        "frontier_step_s": 2,
        "frontier_capacity": False,
    },
}

# Chosen beside the steady work of `benchmarks.disturbed`: of six measurements each, -10 left two invalid, -15 one.
RAISED_NICENESS = -15

_DAY_S = 86_400.0
_SLOWER_THAN_BEFORE = 1.5

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
_Gigabytes = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Folder = Annotated[str, msgspec.Meta(min_length=1)]
_Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


# Specification 1 and 2.
SPECIFIED_LIMITS = MachineLimits(
    min_scenario_memory_gb=4,
    min_available_memory_gb=8,
    warn_total_memory_gb=16,
    min_free_disk_gb=5,
    warn_free_disk_gb=10,
)


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The receivers of messages about a run's end, and its occasions.

    `variables` are the names of the environment variables that hold the addresses.
    """

    variables: tuple[str, ...] = ()
    on: tuple[Literal["end", "failure", "regression"], ...] = ("failure", "regression")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting, as it holds for one invocation; `compbench.toml` documents each.

    Paths are relative to the project's root until they are loaded, then absolute. `system` and `driver` are never
    `auto` after loading; `systems` are those that are compared, the subject first, and `system` the one of them
    that is meant at the moment (none are compared where there is but one). A study (`run_kind`) measures `variants` of
    one system, each with the settings in which it differs (those of the system's own table as `system.<name>.<key>`);
    `variant` is the one that is meant at the moment. `absent` are rivals that were asked for
    and are not here, each with how to get it. `sizes` are how many memories of a scenario a run has measured
    before, and why no more: all that is measured later in the same run gets as many. `system_reason` says why the
    system was chosen, `system_is_chosen` whether it was named explicitly, `auto_choice` which one `auto` means here
    and why, `system_tables` the settings of every known system with their defaults, and `invocation` the words of a
    command that resumes this one. `scenarios_dir` is then the suite's folder, and `expected_scenarios` None where a
    suite may have any number of scenarios.
    """

    system: str = system_tables.AUTO
    rivals: str = system_tables.AUTO
    systems_dir: _Folder | None = None
    driver: Literal["auto", "loadtest", "builtin"] = "auto"
    profile: Literal["full", "quick"] = "full"
    scale: Annotated[float, msgspec.Meta(gt=0, le=1)] | Literal["auto"] = "auto"
    suite: _Name = SPECIFIED_SUITE
    scenarios_dir: _Folder = "scenarios/competitive"
    expected_scenarios: Annotated[int, msgspec.Meta(ge=1)] | None = None
    output_dir: _Folder = "tmp/competitive_benchmarks"
    work_dir: _Folder = "tmp/work"
    cache_dir: _Folder = "tmp/cache"
    port: _Port = 7432

    duration_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    repeat: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    order_seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    connections: Annotated[int, msgspec.Meta(ge=1, le=900)] = 64
    processes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    hosts: str | tuple[str, ...] = ()
    scheduler: str | None = None
    hosts_timeout_s: _Seconds = 60.0
    warm_up_s: _Seconds = 0.0
    cooldown_s: _Seconds = 30.0
    sample_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 5.0
    ready_timeout_s: _Seconds = 60.0
    prepare_timeout_s: _Seconds = 600.0
    loading_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] | None = None
    capacity_step_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 5
    capacity_repeats: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    capacity_precision_pct: Annotated[float, msgspec.Meta(ge=0.5, le=50)] = 5.0
    capacity_limit_s: _Seconds = 1800.0
    frontier_step_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 5
    frontier_capacity: bool = True
    frontier_limit_s: _Seconds = 3600.0
    data_set_timeout_s: _Seconds = 7200.0
    data_set_kept_from: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    data_set_save_every_s: _Seconds = 180.0
    driver_grace_s: _Seconds = 60.0
    stop_grace_s: _Seconds = 5.0
    start_retry_delay_s: _Seconds = 10.0
    invalid_retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    quiet_timeout_s: _Seconds = 120.0
    max_others_pct: Annotated[float, msgspec.Meta(gt=0, le=100)] = 10.0
    resume_max_age_h: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 24.0
    max_output_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 256
    priority: Literal["auto", "off"] = "auto"
    isolation: str = "auto"
    memory_limit_gb: _Gigabytes = 0.0
    flamegraph: bool = True
    counters: bool = True
    report: bool = True
    notify: Notify = Notify()

    min_scenario_memory_gb: _Gigabytes | None = None
    min_available_memory_gb: _Gigabytes | None = None
    warn_total_memory_gb: _Gigabytes | None = None
    min_free_disk_gb: _Gigabytes | None = None
    warn_free_disk_gb: _Gigabytes | None = None
    warn_load: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 2.0
    warn_temperature_c: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 80.0

    new: bool = False
    resume: str = ""
    run: str = ""
    base: str = ""
    head: str = ""
    systems: tuple[str, ...] = ()
    run_kind: RunKind = "suite"
    variants: dict[str, dict[str, Any]] = {}
    variant: str = ""
    absent: tuple[tuple[str, str], ...] = ()
    sizes: dict[str, tuple[int, str]] = {}
    system_tables: dict[str, dict[str, Any]] = {}
    system_reason: str = ""
    system_is_chosen: bool = False
    auto_choice: tuple[str, str] = ("", "")
    default_limits: MachineLimits = SPECIFIED_LIMITS
    invocation: tuple[str, ...] = ()

    def of(self, name: str) -> Settings:
        """Return the settings as they hold for one of the systems, or variants, that are compared; none: as it is."""
        if name not in self.variants:
            return msgspec.structs.replace(self, system=name) if name else self
        prefix = f"system.{self.system}."
        given = self.variants[name].items()
        own = {key.removeprefix(prefix): value for key, value in given if key.startswith(prefix)}
        tables = {**self.system_tables, self.system: {**self.system_tables[self.system], **own}}
        others = {key: value for key, value in given if not key.startswith(prefix)}
        return msgspec.structs.replace(self, variant=name, system_tables=tables, **others)

    @property
    def compared(self) -> tuple[str, ...]:
        """Return the names of the systems, or variants, that are compared; none where one is measured."""
        return tuple(self.variants) or self.systems

    @property
    def of_each(self) -> list[Settings]:
        """Return the settings as they hold for each system, or variant, that is measured, the subject's first."""
        return [self.of(name) for name in self.compared] or [self]

    @property
    def contender(self) -> str:
        """Return the name of the one that is meant at the moment, of several that are compared; empty if it is one."""
        return self.variant or (self.system if self.systems else "")

    @property
    def alone(self) -> Settings:
        """Return the settings as they would hold if the one that is meant at the moment were all that is measured."""
        return msgspec.structs.replace(self, systems=(), variants={}, variant="")

    @property
    def loading_limit_s(self) -> float:
        """Return how long loading may take where the scale is `auto`: the data set's size is found by that."""
        return self.prepare_timeout_s if self.loading_s is None else self.loading_s

    @property
    def prepare_limit_s(self) -> float:
        """Return how long a server that is measured may take to be loaded.

        With the scale `auto` that is more than it took when the size was found: this time may be a slower one.
        """
        if self.scale != "auto":
            return self.prepare_timeout_s
        return min(_DAY_S, max(self.prepare_timeout_s, _SLOWER_THAN_BEFORE * self.loading_limit_s))

    @property
    def asked_scale(self) -> str:
        """Return the scale as one word: a share, or `auto` with the time that loading may take."""
        return f"auto/{self.loading_limit_s:g}s" if self.scale == "auto" else repr(self.scale)

    @property
    def asked_hosts(self) -> HostsAsked | None:
        """Return the hosts that send the load; None if it comes from here alone."""
        return asked_hosts(self.hosts, self.scheduler)

    @property
    def niceness(self) -> int:
        """Return the niceness that server and driver are to have: below 0, they go before other programs."""
        return RAISED_NICENESS if self.priority == "auto" else 0

    @property
    def limits(self) -> MachineLimits:
        """Return what the machine must offer, with the system's and profile's own defaults filled in."""
        own = {name: getattr(self, name) for name in MachineLimits.__struct_fields__ if getattr(self, name) is not None}
        return msgspec.structs.replace(self.default_limits, **own)
