"""Server, driver and everything else kept apart, as far as this user may: the best tier that is really reached here.

The tiers, best first: a scope of systemd, control groups of version 2, of version 1, and plain affinity, which a
program may change for itself. Each is tried with a child that sleeps, and what the kernel then says of that child
decides, not what was asked for.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from compbench.config.settings import Settings
from compbench.machine import control_groups, process
from compbench.machine.control_groups import Limits
from compbench.machine.output import Output
from compbench.machine.placement import Placement
from compbench.machine.probes.cores import read_cores
from compbench.machine.probes.counters import ROOT
from compbench.machine.probes.process_tree import tree_pids
from compbench.machine.real_time import is_real_time as has_real_time
from compbench.machine.real_time import rank
from compbench.model import partition
from compbench.model.partition import Core, Partition, cpu_list, read_cpu_list
from compbench.model.texts import BYTES_A_GB

Tier = Literal["systemd scope", "cgroup v2", "cgroup v1", "affinity", "none"]
# Begins the line on why the driver does not go first.
REAL_TIME = "real time"
TIERS: tuple[Tier, ...] = ("systemd scope", "cgroup v2", "cgroup v1", "affinity")

_RT_RUNTIME, _RT_PERIOD = "proc/sys/kernel/sched_rt_runtime_us", "proc/sys/kernel/sched_rt_period_us"
_SYSTEMD = Path("run/systemd/system")


class IsolationAsked(NamedTuple):
    """What is asked for.

    Attributes:
        partition: None for none.
        memory_bytes: the server's memory limit, None for none.
        real_time: whether the driver is to go first.
        is_chosen: whether a person named the CPUs.
    """

    partition: Partition | None
    memory_bytes: int | None
    real_time: bool
    is_chosen: bool = False


class Isolation(NamedTuple):
    """What this machine and user give of it.

    Attributes:
        tier: by which the server is kept apart and limited; `none` where nothing is asked for or nothing goes.
        partition: the CPUs of each, None if they are not kept apart.
        memory_bytes: the server's limit, None if there is none.
        is_real_time: whether the driver is scheduled in real time.
        missing: why better tiers, or what is asked for, were not reached; a line each.
    """

    tier: Tier
    partition: Partition | None
    memory_bytes: int | None
    is_real_time: bool
    missing: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Return it as one text; empty if nothing is kept apart or limited."""
        parts = []
        if self.partition is not None:
            parts.append(f"server on CPUs {cpu_list(self.partition.server)}{rank(self.is_server_real_time)}")
            parts.append(self.told_of_driver)
        if self.memory_bytes is not None:
            parts.append(f"server within {self.memory_bytes / BYTES_A_GB:g} GB")
        return f"{', '.join(parts)} ({self.tier})" if parts else ""

    def of_server(self, name: str, niceness: int) -> Placement:
        """Return the place of the server; `name` is that of its control group, which no other has at the time."""
        return _placement(self.tier, self.partition, self.memory_bytes, name, niceness)

    def of_driver(self, niceness: int) -> Placement:
        """Return the place of a driver that keeps a schedule."""
        return Placement(niceness, is_real_time=self.is_real_time, cpus=self.driver_cpus)

    def of_loader(self, niceness: int) -> Placement:
        """Return the place of a driver that loads: it has no moment to miss, and may be at work for hours."""
        # A core that the server has too is no better than any, without going first there.
        is_shared = self.partition is not None and self.partition.is_shared
        return Placement(niceness, cpus=() if is_shared else self.driver_cpus)

    @property
    def told_of_driver(self) -> str:
        """Return the driver's part of it, of which nothing else is known where the server runs elsewhere."""
        if self.partition is None:
            return ""
        return f"driver on {cpu_list(self.partition.driver)}{rank(self.is_real_time)}"

    @property
    def is_server_real_time(self) -> bool:
        """Tell whether the server is scheduled in real time while it is measured: only where it has no core of its own.

        A niceness does not make a usual program's wake-ups prompt on a core that another one computes on
        (docs/noise.md has figures), and with two cores there is none that the driver leaves to the server.
        """
        return self.is_real_time and self.partition is not None and self.partition.is_shared

    @property
    def driver_cpus(self) -> tuple[int, ...]:
        """Return the CPUs of driver, runner and sampler; none if they may use all."""
        return self.partition.driver if self.partition else ()


def reached_by(settings: Settings) -> Isolation:
    """Return what is reached of what the settings ask for; each is tried once."""
    return _reach(wanted_of(settings))


def wanted_of(settings: Settings) -> IsolationAsked:
    """Return what the settings ask for on this machine."""
    divided = chosen = partition.chosen(settings.isolation)
    if settings.isolation == partition.AUTO:
        divided = partition.split(_own_cores(), settings.processes if settings.driver == "builtin" else 1)
    memory_bytes = round(settings.memory_limit_gb * BYTES_A_GB) or None
    real_time = divided is not None and settings.priority == "auto"
    return IsolationAsked(divided, memory_bytes, real_time, is_chosen=chosen is not None)


@cache
def _own_cores() -> tuple[Core, ...]:
    """Return the cores as they are before this process keeps itself to some of them."""
    return tuple(read_cores())


@cache
def _own_cpus() -> tuple[int, ...]:
    """Return the CPUs that this process may use, before it keeps itself to some of them."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


@cache
def _reach(wanted: IsolationAsked) -> Isolation:
    missing = [] if hasattr(os, "sched_setaffinity") else ["this system keeps no program to a core (macOS)"]
    if (divided := wanted.partition) is not None:
        if others := {*divided.server, *divided.driver} - {*_own_cpus()}:
            told = f"CPUs {cpu_list(others)} are not of those that may be used here ({cpu_list(_own_cpus())})"
            without = _reach(IsolationAsked(None, wanted.memory_bytes, real_time=False))
            return without._replace(missing=(told, *without.missing))
        if not wanted.is_chosen and (unused := {*_own_cpus()} - {*divided.server, *divided.driver}):
            missing.append(f"CPUs {cpu_list(unused)} are left unused: all is kept on one memory node")
    is_real_time = wanted.real_time and _has_real_time(wanted, missing)
    if divided is not None and divided.is_shared and not (is_real_time or wanted.is_chosen):
        # A driver that is kept to a core without going first there is worse off than one that may use any.
        missing.append(f"of {len(divided.server)} CPUs the driver is kept to one only in real time")
        wanted = wanted._replace(partition=None)
    if wanted.partition is None and wanted.memory_bytes is None:
        return Isolation("none", None, None, is_real_time=False, missing=tuple(missing))
    return _best_tier(wanted, missing, is_real_time=is_real_time)


def _best_tier(wanted: IsolationAsked, missing: list[str], *, is_real_time: bool) -> Isolation:
    for tier in TIERS:
        why = _why_not(tier, wanted)
        if not why:
            return Isolation(tier, wanted.partition, wanted.memory_bytes, is_real_time, tuple(missing))
        missing.append(f"{tier}: {why}")
    if wanted.memory_bytes is not None and wanted.partition is not None:
        return _reach(wanted._replace(memory_bytes=None))._replace(missing=tuple(missing))
    return Isolation("none", None, None, is_real_time=False, missing=tuple(missing))


def _why_not(tier: Tier, wanted: IsolationAsked) -> str:
    """Say why a tier is not reached, by trying it; empty if it is."""
    if tier == "affinity" and wanted.memory_bytes is not None:
        return "it limits no memory"
    name = f"{control_groups.TRIAL}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        place = _placement(tier, wanted.partition, wanted.memory_bytes, name, 0)
    except LookupError as error:
        return str(error.args[0])
    if tier != "affinity":  # which would look the same from outside
        place = replace(place, cpus=())
    deadline = time.monotonic() + (_SETTLE_S if place.wrapper else 0)
    with _sleeping(place) as (pid, said):
        if not pid:
            return said or "a program can't be started in it"
        while (why := _shortfall(wanted, place, pid)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    return why


def _shortfall(wanted: IsolationAsked, place: Placement, pid: int) -> str:
    """Say what a program in a place lacks of what is wanted; empty if nothing."""
    cpus, limit = effective_cpus(pid), control_groups.memory_limit_bytes(pid)
    if wanted.partition is not None and cpus != wanted.partition.server:
        return f"a program in it has the CPUs {cpu_list(cpus)}"
    if wanted.memory_bytes is not None and (limit is None or limit > wanted.memory_bytes):
        return "a program in it has no such memory limit"
    if place.wrapper and cpus == _own_cpus() and limit is None and not control_groups.is_in_scope(pid):
        return "systemd made no scope"  # which nothing else would show
    return ""


def _placement(tier: Tier, divided: Partition | None, memory_bytes: int | None, name: str, niceness: int) -> Placement:
    """Return the place of a server on a tier.

    Raises:
        LookupError: this machine or user has no such tier.
    """
    cpus = divided.server if divided else ()
    nodes = tuple(sorted({core.node for core in _own_cores() if set(core.cpus) & set(cpus)}))
    limits = Limits(cpus, nodes, memory_bytes)
    match tier:
        case "systemd scope":
            return Placement(niceness, cpus=cpus, wrapper=_scope(name, limits, niceness))
        case "cgroup v2":
            groups = control_groups.groups_v2(name, limits, niceness)
        case "cgroup v1":
            groups = control_groups.groups_v1(name, limits)
        case _:
            return Placement(niceness, cpus=cpus)
    if not groups:
        raise LookupError("this user can't make a group with " + " and ".join(limits.controllers))
    return Placement(niceness, cpus=cpus, groups=groups)


def _scope(name: str, limits: Limits, niceness: int) -> tuple[str, ...]:
    """Return the words that start a program in a scope of systemd, which takes the place of its caller.

    Raises:
        LookupError: systemd does not run here.
    """
    program = shutil.which("systemd-run")
    if program is None or not (ROOT / _SYSTEMD).is_dir():
        raise LookupError("systemd does not run here")
    properties = []
    if limits.cpus:
        properties.append(f"AllowedCPUs={cpu_list(limits.cpus)}")
        if limits.nodes:
            properties.append(f"AllowedMemoryNodes={cpu_list(limits.nodes)}")
    if limits.memory_bytes:
        properties += [f"MemoryMax={limits.memory_bytes}", "MemorySwapMax=0"]
    if niceness < 0:  # which counts within the scope alone
        properties.append(f"CPUWeight={control_groups.weight_of(niceness)}")
    asked = [word for text in properties for word in ("--property", text)]
    is_root = os.geteuid() == 0
    # A server's environment need not have what the user's own systemd is found by.
    before = () if is_root else ("env", f"XDG_RUNTIME_DIR=/run/user/{os.getuid()}")
    user = () if is_root else ("--user",)
    return (*before, program, "--scope", "--quiet", "--collect", *user, "--unit", name, *asked, "--")


@contextlib.contextmanager
def _sleeping(place: Placement) -> Iterator[tuple[int, str]]:
    """Run a child that sleeps in a place; yield its pid, 0 if it could not be started, and what was said then."""
    with tempfile.TemporaryDirectory(prefix="compbench-trial-") as name:
        stdout, argv = Output(Path(name) / "stdout", 10_000), ["sleep", "60"]
        with process.running(argv, environment=os.environ, folder=Path(name), stdout=stdout, placement=place) as child:
            ended = child.wait(_POLL_S)
            if ended is None:
                yield child.pid, ""
        if ended is not None:
            said = stdout.path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            yield 0, said[-1] if said else str(ended)


# So long systemd may take to make a scope, in which the program is only then.
_SETTLE_S, _POLL_S = 5.0, 0.05


def _has_real_time(wanted: IsolationAsked, missing: list[str]) -> bool:
    """Tell whether the driver may be scheduled in real time here, and the machine stays usable if it never sleeps."""
    why = _real_time_refusal(wanted)
    if why:
        missing.append(f"{REAL_TIME}: {why}")
    return not why


def _real_time_refusal(wanted: IsolationAsked) -> str:
    if sys.platform != "linux" or not hasattr(os, "sched_setscheduler"):
        return "this system has no such scheduling"
    # The kernel leaves the rest of each period to other programs, so that a shell can still end a driver that spins.
    try:
        runtime, period = (int((ROOT / name).read_text(encoding="ascii")) for name in (_RT_RUNTIME, _RT_PERIOD))
    except (OSError, ValueError):
        return "the kernel does not tell how it bounds it"
    if not 0 < runtime < period:
        return f"the kernel does not bound it (kernel.sched_rt_runtime_us = {runtime})"
    assert wanted.partition is not None  # noqa: S101 - without one it is not wanted
    place = Placement(is_real_time=True, cpus=wanted.partition.driver)
    with _sleeping(place) as (pid, said):
        if not pid:
            return said
        return "" if has_real_time(pid) else "the kernel did not grant it"


def effective_cpus(pid: int, root: Path = ROOT) -> tuple[int, ...]:
    """Return the CPUs that any thread of a process or of its descendants may use; none where that is not told."""
    found: set[int] = set()
    for one in tree_pids(pid):
        for path in (root / f"proc/{one}/task").glob("*/status"):
            with contextlib.suppress(OSError, ValueError, StopIteration):
                lines = path.read_text(encoding="utf-8").splitlines()
                told = next(line for line in lines if line.startswith("Cpus_allowed_list:"))
                found |= set(read_cpu_list(told.partition(":")[2]))
    return tuple(sorted(found))


@contextlib.contextmanager
def kept_to(cpus: Iterable[int]) -> Iterator[None]:
    """Keep this thread, and what it starts meanwhile, to some CPUs; all as before where none are given."""
    wanted = set(cpus)
    if not wanted or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
