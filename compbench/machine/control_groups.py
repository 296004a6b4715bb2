"""Control groups for one process: where this user may make them, what they limit, and what killed runs have left.

Of version 2 and of version 1 of the kernel's interface (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1). Only
groups below this process' own, or below one of its ancestors, are made, and only where the parent lets them: what a
machine lets its groups control is never changed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from compbench.machine.placement import ControlGroup
from compbench.machine.probes.counters import ROOT
from compbench.model.partition import cpu_list

# How the names of groups begin that are made only to see whether that goes; the maker's number follows.
TRIAL = "compbench-trial-"
_V2 = ""
_UNLIMITED_FROM_BYTES = 2**62


@dataclass(frozen=True)
class Limits:
    """What a group is to keep to: CPUs with their memory nodes (none: any), and bytes of memory (None: any)."""

    cpus: tuple[int, ...] = ()
    nodes: tuple[int, ...] = ()
    memory_bytes: int | None = None

    @property
    def controllers(self) -> list[str]:
        """Return the controllers that it takes."""
        return [*(["cpuset"] if self.cpus else []), *(["memory"] if self.memory_bytes else [])]


def weight_of(niceness: int) -> int:
    """Return the weight of a group (100 is usual) that ranks as a process of that niceness does.

    The kernel's weights of processes grow by a quarter with each step (kernel/sched/core.c, sched_prio_to_weight).
    """
    return max(1, min(10_000, round(100 * 1.25**-niceness)))


def groups_v2(name: str, limits: Limits, niceness: int = 0, root: Path = ROOT) -> tuple[ControlGroup, ...]:
    """Return the group of version 2 that keeps to the limits; none where this user can't have it.

    It is made below this process' own group, or one around it, but never outside of a group that has limits itself.
    """
    own = _own_group(_V2, root)
    for parent in _upwards(own, root) if own else ():
        try:
            offered = (parent / "cgroup.subtree_control").read_text(encoding="ascii").split()
        except OSError:
            return ()
        if set(limits.controllers) <= set(offered) and os.access(parent, os.W_OK):
            return (ControlGroup(parent / name, tuple(_writes_v2(limits, niceness))),)
        if _is_limited(parent):
            return ()
    return ()


def groups_v1(name: str, limits: Limits, root: Path = ROOT) -> tuple[ControlGroup, ...]:
    """Return the groups of version 1 that keep to the limits, one a controller; none where this user can't have all."""
    found = []
    for controller in limits.controllers:
        own = _own_group(controller, root)
        if own is None or not os.access(own, os.W_OK):
            return ()
        try:
            found.append(ControlGroup(own / name, tuple(_writes_v1(controller, own, limits))))
        except OSError:
            return ()
    return tuple(found)


def memory_limit_bytes(pid: int, root: Path = ROOT) -> int | None:
    """Return the least memory limit of a process' groups of this machine, None if there is none or it is not told."""
    found = []
    for controller, file in ((_V2, "memory.max"), ("memory", "memory.limit_in_bytes")):
        group = _group_of(pid, controller, root)
        for folder in _upwards(group, root) if group else ():
            with contextlib.suppress(OSError, ValueError):
                found.append(int((folder / file).read_text(encoding="ascii")))
    return min((limit for limit in found if limit < _UNLIMITED_FROM_BYTES), default=None)


def is_in_scope(pid: int, root: Path = ROOT) -> bool:
    """Tell whether a process is in a group, or scope of systemd, that was made to try it."""
    try:
        return f"/{TRIAL}" in (root / f"proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return False


def remove_left(prefix: str, root: Path = ROOT) -> list[Path]:
    """Remove empty groups whose names begin so, where `groups_v2` or `groups_v1` would make them; return them.

    One with a process in it stays: the kernel removes no such group. So does a trial whose maker is still there.
    """
    removed = []
    for folder in _left(prefix, root):
        with contextlib.suppress(OSError, ValueError):
            if prefix == TRIAL and psutil.pid_exists(int(folder.name.removeprefix(TRIAL).partition("-")[0])):
                continue
            folder.rmdir()
            removed.append(folder)
    return removed


def _left(prefix: str, root: Path) -> Iterator[Path]:
    owns = {controller: _own_group(controller, root) for controller in (_V2, "cpuset", "memory")}
    for controller, own in owns.items():
        for parent in (_upwards(own, root) if controller == _V2 else [own]) if own else ():
            with contextlib.suppress(OSError):
                yield from sorted(child for child in parent.iterdir() if child.name.startswith(prefix))


def _writes_v2(limits: Limits, niceness: int) -> Iterator[tuple[str, str]]:
    """Yield what is written into which file; one whose name ends in `?` need not be there."""
    if limits.cpus:
        yield "cpuset.cpus", cpu_list(limits.cpus)
        if limits.nodes:
            yield "cpuset.mems", cpu_list(limits.nodes)
    if limits.memory_bytes:
        yield "memory.max", str(limits.memory_bytes)
        yield "memory.swap.max?", "0"
    if niceness < 0:  # which counts within the group alone, if groups share the cores out
        yield "cpu.weight?", str(weight_of(niceness))


def _writes_v1(controller: str, own: Path, limits: Limits) -> Iterator[tuple[str, str]]:
    if controller == "memory":
        yield "memory.limit_in_bytes", str(limits.memory_bytes)
        yield "memory.memsw.limit_in_bytes?", str(limits.memory_bytes)
        return
    yield "cpuset.cpus", cpu_list(limits.cpus)
    nodes = cpu_list(limits.nodes) if limits.nodes else (own / "cpuset.mems").read_text(encoding="ascii").strip()
    yield "cpuset.mems", nodes


def _is_limited(group: Path) -> bool:
    """Tell whether a group of version 2 has a limit of memory or cores, which a server must not leave."""
    for name in ("memory.max", "cpu.max"):
        with contextlib.suppress(OSError):
            if not (group / name).read_text(encoding="ascii").startswith("max"):
                return True
    return False


def _own_group(controller: str, root: Path) -> Path | None:
    return _group_of("self", controller, root)


def _group_of(pid: int | str, controller: str, root: Path) -> Path | None:
    """Return the folder of a process' group of a controller of version 1, or of version 2; None if it is not there."""
    place = _mounted(controller, root)
    try:
        lines = (root / f"proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if place is not None and controller in controllers.split(","):
            mount, shown = place
            inside = os.path.relpath(path, shown)
            folder = mount if inside.startswith("..") else mount / inside
            return folder if folder.is_dir() else None
    return None


def _mounted(controller: str, root: Path) -> tuple[Path, str] | None:
    """Return where the hierarchy is mounted, and which of its groups is the root there (proc_pid_mountinfo(5))."""
    try:
        lines = (root / "proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        before, _, behind = line.partition(" - ")
        kind, _, options = behind.split(" ", 2)
        wanted = kind == "cgroup2" if controller == _V2 else kind == "cgroup" and controller in options.split(",")
        if wanted:
            shown, mount = before.split(" ")[3:5]
            return root / mount.lstrip("/"), shown
    return None


def _upwards(group: Path, root: Path) -> Iterator[Path]:
    """Yield a group and those around it, up to the root of its hierarchy."""
    while (group / "cgroup.procs").exists():
        yield group
        if group == root:
            return
        group = group.parent
