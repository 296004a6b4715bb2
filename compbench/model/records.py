"""The plain data that compbench keeps on disk: findings, captures, manifests.

Knows nothing of processes, clocks or files: `compbench.store` reads and writes these, `compbench.measuring` and
`compbench.preflight` fill them, `compbench.report` renders them. Units are in the names; times of day are Unix
seconds (`_at`); a reading that the machine does not give is None, never a guess.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from compbench.model.measurement import Kind, Measurement, RunKind
from compbench.model.notices import Notice, Outcome, Phase
from compbench.model.result import Capacity, Frontier, IndexProof, Result
from compbench.model.sample import Sample

CAPTURE_SCHEMA = 2
MANIFEST_SCHEMA = 1
RESULTS_SCHEMA = 3
# The mode of a server that was there before, anywhere.
ELSEWHERE = "endpoint"

Level = Literal["ok", "note", "warning", "critical"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The finding of one preflight check: the state, the wanted one, and how to mend it, a line each."""

    check: str
    code: str = ""
    level: Level
    found: str
    wanted: str = ""
    mend: str = ""


class PhaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of a scenario: when it began (Unix seconds), how long it took; `note` says what was waited for."""

    name: Phase
    started_at: float
    duration_s: float
    note: str = ""


class ProcessCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What a process, with all that came of it, cost the machine in the `counted_s` seconds of a load; None: unknown.

    `why_not` has the reason for each figure that is None, by its name. `cycles` and `instructions` are the processor's
    own, of user space alone where `is_user_only`; `share_pct` is the part of the time in which its counters were free
    to count them, and they are scaled up by it. `voluntary_switches` (the thread waited) and `involuntary_switches` (it
    was pushed aside) are /proc's, without those of the `ended_threads`; so is what `source` says comes from there.
    """

    counted_s: float | None = None
    cycles: int | None = None
    instructions: int | None = None
    context_switches: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    migrations: int | None = None
    page_faults: int | None = None
    is_user_only: bool = False
    share_pct: float | None = None
    source: str = ""
    ended_threads: int = 0
    why_not: dict[str, str] = {}


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of the server process of one scenario."""

    argv: list[str] = []
    executable: str = ""  # or the container's image, or the address of a server that compbench did not start
    limits: str = ""  # of a container
    metrics_from: str = ""  # where a server that runs elsewhere tells the CPU and memory that its samples have
    metrics_problem: str = ""  # why it tells none
    metrics_remark: str = ""  # what its figures mean, where they have names of its own
    version: str = ""
    pid: int | None = None
    port: int | None = None
    start_attempts: int = 0
    ready_after_s: float | None = None
    niceness: int | None = None  # among all sessions: below 0 goes before others
    tier: str = ""  # by which it was kept to its CPUs and memory limit (`compbench.machine.isolation`)
    cpus: str = ""  # that it and its descendants could really use, as `0-2,4`
    memory_limit_bytes: int | None = None  # the effective one
    oom_kills: int = 0  # of its processes, for that limit
    is_real_time: bool | None = None  # while it was measured
    exit_code: int | None = None
    signal: str | None = None
    stopped_by: str = ""  # "SIGTERM", "SIGKILL", or "itself"
    crashed: bool = False
    oom_killed: bool | None = None
    zombie_left: bool | None = None
    port_freed: bool | None = None
    open_files_before: int | None = None
    open_files_after: int | None = None
    leaked_runner_files: int | None = None
    memories_before: int | None = None
    memories_after: int | None = None
    last_log_lines: list[str] = []
    costs: ProcessCosts | None = None


class DriverFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of the driver process: how it was called and how it ended."""

    argv: list[str] = []
    name: str = ""
    niceness: int | None = None  # as the server's
    cpus: str = ""  # as the server's
    is_real_time: bool | None = None
    exit_code: int | None = None
    signal: str | None = None
    timed_out: bool = False
    output_bytes: int = 0
    left_out_bytes: int = 0
    costs: ProcessCosts | None = None


class DataSet(msgspec.Struct, frozen=True, kw_only=True):
    """The data set as it was meant and as it was loaded.

    `scale` is `wanted` as a share of what the scenario means, and `reason` why that is not all. `stored` is the
    server's own count, None if it gives none. `what` says which set it is.

    `load_s` and `index_s` are the seconds that the rows took to load and the index to build after that, by the server
    that did it: the measured one, or the one whose data was kept (`is_kept`). `memory_bytes` is what the server's
    processes held together when it had been measured, with the driver's connections still open, each shared page
    counted once; None where some requests were never answered, or a capacity was searched for. `disk_bytes` is its data
    folder when all was loaded.
    """

    nodes_in_scenario: int
    scale: float
    wanted: int
    stored: int | None = None
    prepared: bool = False
    note: str = ""
    reason: str = ""
    what: str = ""
    is_kept: bool = False
    load_s: float | None = None
    index_s: float | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    index_proof: IndexProof | None = None

    @property
    def share(self) -> str:
        """Return how much of the scenario's data is loaded: `20,000 of 1,000,000 memories`, and why no more."""
        return f"{self.share_alone}: {self.reason}" if self.reason else self.share_alone

    @property
    def share_alone(self) -> str:
        """Return how much of the scenario's data is loaded: `20,000 of 1,000,000 memories`."""
        of = "" if self.wanted >= self.nodes_in_scenario else f" of {self.nodes_in_scenario:,}"
        return f"{self.wanted:,}{of} memories"

    @property
    def held(self) -> str:
        """Return how many memories the server says that it holds, for a text."""
        return "an unknown number" if self.stored is None else str(self.stored)


class SystemFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ between systems that are compared, in a few words each (`compbench.systems.api.Facts`)."""

    title: str = ""
    mode: str = ""
    protocol: str = ""
    index_definition: str = ""
    durability: str = ""
    inserts: str = ""
    caches: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether it was a server that compbench did not start, of whose machine nothing is known."""
        return self.mode == ELSEWHERE


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """The raw record of one scenario, written whole and last; its presence alone means that the scenario is done.

    `snapshot` holds what was asked of the live server and machine at the end of `measure`, as named texts (health,
    metrics, process maps, limits, sockets, kernel messages ...), each text as it came or `not readable here: why`.
    `result` is None if the driver left no report; `capacity` is there where `is_capacity` and a search has ended.
    `is_compared` tells that the run measures several systems, so that the measurement's name has this one's; `variant`
    names the variant of its settings where the run measures several of one system, as a study does; `frontier` is the
    record by which the effort of its searches was chosen.
    """

    schema: int = CAPTURE_SCHEMA
    run: str
    scenario: str
    repeat: int | None = None  # 1, 2, ... where each scenario is measured several times in one run
    is_capacity: bool = False
    is_compared: bool = False
    variant: str = ""
    title: str
    attempt: int = 1
    spoiled_attempts: int = 0  # how many earlier ones were invalid; they are kept as `.attemptN.invalid`
    system: str
    driver: str
    profile: str
    seed: int
    duration_s: int
    sample_interval_s: float
    started_at: float
    ended_at: float
    outcome: Outcome
    phases: list[PhaseRecord] = []
    data_set: DataSet | None = None
    server: ServerFacts = ServerFacts()
    driver_process: DriverFacts = DriverFacts()
    result: Result | None = None
    capacity: Capacity | None = None
    frontier: Frontier | None = None
    system_facts: SystemFacts = SystemFacts()
    samples: list[Sample] = []
    notices: list[Notice] = []
    machine_before: dict[str, Any] = {}
    machine_after: dict[str, Any] = {}
    snapshot: dict[str, str] = {}
    files: dict[str, str] = {}

    @property
    def contender(self) -> str:
        """Return what tells it from others of its scenario in a run: the system, or the variant; empty if nothing."""
        return self.variant or (self.system if self.is_compared else "")

    @property
    def measurement(self) -> str:
        """Return the stem of its files: the scenario, with system and `_run2` or the like where there are several."""
        kind: Kind = "capacity" if self.is_capacity else "load"
        return Measurement(self.scenario, self.repeat, kind, self.contender).name


class Git(msgspec.Struct, frozen=True, kw_only=True):
    """A repository when the run opened; `dirty` has a line for each uncommitted change."""

    commit: str | None = None
    branch: str | None = None
    dirty: list[str] | None = None
    message: str | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that measured."""

    os: str | None = None
    cpu_model: str | None = None
    physical_cores: int | None = None
    logical_cores: int | None = None
    ram_bytes: int | None = None
    disk_type: str | None = None
    governor: list[str] | None = None
    virtualization: str | None = None
    boot_at: float | None = None


class BinaryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A program that took part."""

    path: str
    sha256: str
    kind: str = ""
    size_bytes: int | None = None
    has_debug_assertions: bool | None = None
    has_debug_info: bool | None = None
    has_symbols: bool | None = None


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run's figures come from; None is what could not be read.

    `git` is the repository of what was measured, which `repository` names; `compbench_git` is our own. `builds` are
    those of the builds that are compared, where a run measures several variants of one system.
    """

    git: Git | None = None
    compbench_git: Git | None = None
    repository: str | None = None
    system: Machine | None = None
    builds: dict[str, Git | None] = {}
    versions: dict[str, str | None] = {}
    binaries: dict[str, BinaryFacts] = {}


class MachineAtRest(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine was like when a run was opened, before anything was measured, over about a second.

    `busy_pct` and `steal_pct` are shares of all cores' time. The load average is recorded and judges nothing: it still
    holds what was at work minutes before.
    """

    read_at: float
    cores: int
    busy_pct: float
    steal_pct: float | None = None
    temperature_c: float | None = None
    load_1min: float | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is: its selection in order, its fingerprint, and whether it is open, closed or abandoned.

    `selection` holds the names of its measurements in order. `fingerprint` maps names of inputs to values or hashes;
    two invocations may share a run only if theirs are equal. `systems` are those that are compared, the subject first;
    none where a run measures one. `boot_id` is the kernel's name for the machine's boot.
    `provenance` is what was read when the run opened (git, machine, versions); `at_rest` is what the machine is to be
    like again before each measurement, None where nothing is waited for. `spent_s` has the seconds that each
    invocation has been at work on the run.
    """

    schema: int = MANIFEST_SCHEMA
    run: str
    kind: RunKind = "suite"
    state: Literal["open", "closed", "abandoned"]
    opened_at: float
    boot_id: str = ""
    closed_at: float | None = None
    note: str = ""
    selection: list[str]
    systems: list[str] = []
    fingerprint: dict[str, str]
    settings: dict[str, Any] = {}
    provenance: Provenance = Provenance()
    at_rest: MachineAtRest | None = None
    findings: list[Finding] = []
    spent_s: list[float] = []
