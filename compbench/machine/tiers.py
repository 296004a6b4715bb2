"""The tiers by which a server is put into a place of its own, each tried with a child that sleeps.

Best first: a scope of systemd, control groups of version 2, of version 1, and plain affinity, which a program may
change for itself. What the kernel then says of the child decides, not what was asked for.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from compbench.machine import control_groups, process
from compbench.machine.control_groups import Limits
from compbench.machine.output import Output
from compbench.machine.placement import Placement
from compbench.machine.probes.cores import read_cores
from compbench.machine.probes.counters import ROOT
from compbench.machine.probes.process_tree import tree_pids
from compbench.machine.real_time import is_real_time
from compbench.model.partition import Core, Partition, cpu_list, read_cpu_list

Tier = Literal["systemd scope", "cgroup v2", "cgroup v1", "affinity", "none"]
TIERS: tuple[Tier, ...] = ("systemd scope", "cgroup v2", "cgroup v1", "affinity")

_RT_RUNTIME, _RT_PERIOD = "proc/sys/kernel/sched_rt_runtime_us", "proc/sys/kernel/sched_rt_period_us"
_SYSTEMD = Path("run/systemd/system")
# So long systemd may take to make a scope, in which the program is only then.
_SETTLE_S, _POLL_S = 5.0, 0.05


@cache
def own_cores() -> tuple[Core, ...]:
    """Return the cores as they are before this process keeps itself to some of them."""
    return tuple(read_cores())


@cache
def own_cpus() -> tuple[int, ...]:
    """Return the CPUs that this process may use, before it keeps itself to some of them."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def refusal_of(tier: Tier, divided: Partition | None, memory_bytes: int | None) -> str:
    """Say why a tier is not reached, by trying it; empty if it is."""
    if tier == "affinity" and memory_bytes is not None:
        return "it limits no memory"
    name = f"{control_groups.TRIAL}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        place = place_on(tier, divided, memory_bytes, name, 0)
    except LookupError as error:
        return str(error.args[0])
    if tier != "affinity":  # which would look the same from outside
        place = replace(place, cpus=())
    deadline = time.monotonic() + (_SETTLE_S if place.wrapper else 0)
    with _sleeping(place) as (pid, said):
        if not pid:
            return said or "a program can't be started in it"
        while (why := _shortfall(place, pid, divided, memory_bytes)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    return why


def _shortfall(place: Placement, pid: int, divided: Partition | None, memory_bytes: int | None) -> str:
    """Say what a program in a place lacks of what is wanted; empty if nothing."""
    cpus, limit = effective_cpus(pid), control_groups.memory_limit_bytes(pid)
    if divided is not None and cpus != divided.server:
        return f"a program in it has the CPUs {cpu_list(cpus)}"
    if memory_bytes is not None and (limit is None or limit > memory_bytes):
        return "a program in it has no such memory limit"
    if place.wrapper and cpus == own_cpus() and limit is None and not control_groups.is_in_scope(pid):
        return "systemd made no scope"  # which nothing else would show
    return ""


def place_on(tier: Tier, divided: Partition | None, memory_bytes: int | None, name: str, niceness: int) -> Placement:
    """Return the place of a server on a tier.

    Raises:
        LookupError: this machine or user has no such tier.
    """
    cpus = divided.server if divided else ()
    nodes = tuple(sorted({core.node for core in own_cores() if set(core.cpus) & set(cpus)}))
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


def real_time_refusal(cpus: tuple[int, ...]) -> str:
    """Say why a driver on these CPUs can't be scheduled in real time, or must not be; empty if it can."""
    if sys.platform != "linux" or not hasattr(os, "sched_setscheduler"):
        return "this system has no such scheduling"
    # The kernel leaves the rest of each period to other programs, so that a shell can still end a driver that spins.
    try:
        runtime, period = (int((ROOT / name).read_text(encoding="ascii")) for name in (_RT_RUNTIME, _RT_PERIOD))
    except (OSError, ValueError):
        return "the kernel does not tell how it bounds it"
    if not 0 < runtime < period:
        return f"the kernel does not bound it (kernel.sched_rt_runtime_us = {runtime})"
    place = Placement(is_real_time=True, cpus=cpus)
    with _sleeping(place) as (pid, said):
        if not pid:
            return said
        return "" if is_real_time(pid) else "the kernel did not grant it"


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
