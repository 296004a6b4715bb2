"""The cores of this machine that this process may use, with their hardware threads and memory nodes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from compbench.machine.probes.counters import ROOT

_CPU = "sys/devices/system/cpu"
_NODE = "sys/devices/system/node"
_PART = re.compile(r"(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?")
_MOST_CPUS = 65_536


class Core(NamedTuple):
    """A physical core: the CPUs that are its hardware threads, ascending, and its memory node."""

    cpus: tuple[int, ...]
    node: int


def read_cores(root: Path = ROOT, allowed: Iterable[int] | None = None) -> list[Core]:
    """Return the cores of which all threads may be used; none where the platform does not tell (macOS).

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
    return [Core(cpus, nodes.get(cpus[0], 0)) for cpus in sorted(cores) if usable.issuperset(cpus)]


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


def read_cpu_list(text: str) -> tuple[int, ...]:
    """Return the CPUs of a list as the kernel writes it (`0-2,4`), ascending.

    Raises:
        ValueError: it is none.
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        if (match := _PART.fullmatch(part)) is None:
            raise ValueError(part)
        first = int(match["first"])
        last = int(match["last"] or first)
        if not first <= last < _MOST_CPUS:
            raise ValueError(part)
        found |= set(range(first, last + 1))
    return tuple(sorted(found))


def cpu_list(cpus: Iterable[int]) -> str:
    """Return CPUs as the kernel writes them: `0-2,4`."""
    runs: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if runs and cpu == runs[-1][-1] + 1:
            runs[-1].append(cpu)
        else:
            runs.append([cpu])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
