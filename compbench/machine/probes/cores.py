"""The cores of this machine that this process may use, with their hardware threads and memory nodes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from compbench.machine.probes.counters import ROOT
from compbench.model.partition import Core, read_cpu_list

_CPU = "sys/devices/system/cpu"
_NODE = "sys/devices/system/node"


def read_cores(root: Path = ROOT, allowed: Iterable[int] | None = None) -> list[Core]:
    """Return the cores with those of their threads that may be used; none where the platform does not tell (macOS).

    Args:
        root: where `/sys` is looked for.
        allowed: the CPUs that may be used; those of this process by default.
    """
    if allowed is None:
        if not hasattr(os, "sched_getaffinity"):
            return []
        allowed = os.sched_getaffinity(0)
    usable, nodes = set(allowed), _nodes(root)
    cores = {_threads_of(root, cpu) for cpu in usable}
    own = sorted(tuple(cpu for cpu in threads if cpu in usable) for threads in cores)
    return [Core(cpus, nodes.get(cpus[0], 0)) for cpus in own]


def _threads_of(root: Path, cpu: int) -> tuple[int, ...]:
    """Return the CPUs of the core that a CPU belongs to; itself alone where that is not told."""
    for name in ("core_cpus_list", "thread_siblings_list"):
        try:
            return read_cpu_list((root / _CPU / f"cpu{cpu}" / "topology" / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
    return (cpu,)


def _nodes(root: Path) -> dict[int, int]:
    """Return the memory node of each CPU, as far as that is told."""
    found: dict[int, int] = {}
    for path in sorted((root / _NODE).glob("node[0-9]*/cpulist")):
        try:
            cpus = read_cpu_list(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        found |= dict.fromkeys(cpus, int(path.parent.name.removeprefix("node")))
    return found
