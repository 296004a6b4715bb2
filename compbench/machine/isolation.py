"""Server, driver and everything else kept apart, as far as this user may: the best tier that is really reached here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from compbench.config.settings import Settings
from compbench.machine.placement import Placement
from compbench.machine.real_time import rank
from compbench.machine.tiers import TIERS, Tier, own_cores, own_cpus, place_on, real_time_refusal, refusal_of
from compbench.model import partition
from compbench.model.partition import Partition, cpu_list
from compbench.model.texts import BYTES_A_GB

# Begins the line on why the driver does not go first.
REAL_TIME = "real time"


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
        return place_on(self.tier, self.partition, self.memory_bytes, name, niceness)

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
        divided = partition.split(own_cores(), settings.processes if settings.driver == "builtin" else 1)
    memory_bytes = round(settings.memory_limit_gb * BYTES_A_GB) or None
    # One that gathers what hosts send has no moment to miss, and a server that goes before it no reason to.
    real_time = divided is not None and settings.priority == "auto" and settings.asked_hosts is None
    return IsolationAsked(divided, memory_bytes, real_time, is_chosen=chosen is not None)


@cache
def _reach(wanted: IsolationAsked) -> Isolation:
    missing = [] if hasattr(os, "sched_setaffinity") else ["this system keeps no program to a core (macOS)"]
    if (divided := wanted.partition) is not None:
        if others := {*divided.server, *divided.driver} - {*own_cpus()}:
            told = f"CPUs {cpu_list(others)} are not of those that may be used here ({cpu_list(own_cpus())})"
            without = _reach(IsolationAsked(None, wanted.memory_bytes, real_time=False))
            return without._replace(missing=(told, *without.missing))
        if not wanted.is_chosen and (unused := {*own_cpus()} - {*divided.server, *divided.driver}):
            missing.append(f"CPUs {cpu_list(unused)} are left unused: all is kept on one memory node")
    is_real_time = False
    if divided is not None and wanted.real_time:
        why = real_time_refusal(divided.driver)
        missing += [f"{REAL_TIME}: {why}"] if why else []
        is_real_time = not why
    if divided is not None and divided.is_shared and not (is_real_time or wanted.is_chosen):
        # A driver that is kept to a core without going first there is worse off than one that may use any.
        missing.append(f"of {len(divided.server)} CPUs the driver is kept to one only in real time")
        wanted = wanted._replace(partition=None)
    if wanted.partition is None and wanted.memory_bytes is None:
        return Isolation("none", None, None, is_real_time=False, missing=tuple(missing))
    return _best_tier(wanted, missing, is_real_time=is_real_time)


def _best_tier(wanted: IsolationAsked, missing: list[str], *, is_real_time: bool) -> Isolation:
    for tier in TIERS:
        why = refusal_of(tier, wanted.partition, wanted.memory_bytes)
        if not why:
            return Isolation(tier, wanted.partition, wanted.memory_bytes, is_real_time, tuple(missing))
        missing.append(f"{tier}: {why}")
    if wanted.memory_bytes is not None and wanted.partition is not None:
        return _reach(wanted._replace(memory_bytes=None))._replace(missing=tuple(missing))
    return Isolation("none", None, None, is_real_time=False, missing=tuple(missing))


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
