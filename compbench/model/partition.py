"""Which CPUs the server gets and which the driver, so that neither takes time from the other. Pure.

Whole cores with all their hardware threads, on one memory node, as BenchExec allocates them (Beyer, Loewe, Wendler:
Reliable benchmarking, STTT 2019, section 4.2): threads of one core share its units and caches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from compbench.model.errors import UserError

AUTO, OFF = "auto", "off"
_PART = re.compile(r"(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?")
_MOST_CPUS = 65_536
_CHOSEN = re.compile(r"cpus=(?P<server>[\d,-]+)/(?P<driver>[\d,-]+)")
# A server that gets one of two cores loses half of what it could do, which is what is measured (docs/noise.md has
# figures). It keeps both, and the driver goes first on the one that it has.
SERVER_ALONE_FROM_CORES = 3


class Core(NamedTuple):
    """A physical core: the CPUs that are its hardware threads, ascending, and its memory node."""

    cpus: tuple[int, ...]
    node: int


class Partition(NamedTuple):
    """The CPUs of the server, and those of driver, runner and sampler; ascending."""

    server: tuple[int, ...]
    driver: tuple[int, ...]

    @property
    def is_shared(self) -> bool:
        """Tell whether there are CPUs that both may use."""
        return bool(set(self.server) & set(self.driver))


def split(cores: Sequence[Core], driver_cores: int) -> Partition | None:
    """Return the partition of a machine, None if it has but one core.

    Args:
        cores: those that this process may use.
        driver_cores: how many the driver can keep busy; it gets no more than leave one to the server.
    """
    nodes = sorted({core.node for core in cores})
    of_each = [sorted(core for core in cores if core.node == node) for node in nodes]
    if not of_each or len(own := max(of_each, key=len)) == 1:
        return None
    # The first core has most of the machine's own work (timers, interrupts), which the driver's priority keeps off it.
    drivers = own[: max(1, min(driver_cores, len(own) - 1))]
    servers = own[len(drivers) :] if len(own) >= SERVER_ALONE_FROM_CORES else own
    return Partition(_cpus_of(servers), _cpus_of(drivers))


def chosen(isolation: str) -> Partition | None:
    """Return the partition that the setting `isolation` names, None for `auto` and `off`.

    Raises:
        UserError: it is none of these.
    """
    if isolation in (AUTO, OFF):
        return None
    match = _CHOSEN.fullmatch(isolation)
    if match is None:
        raise UserError(
            f"isolation = {isolation!r}: must be auto, off, or cpus=<server>/<driver> as in cpus=1-3,5/0 (which may"
            " overlap)"
        )
    return Partition(*(_read_cpus(match[part], isolation) for part in ("server", "driver")))


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


def _read_cpus(text: str, isolation: str) -> tuple[int, ...]:
    try:
        return read_cpu_list(text)
    except ValueError:
        raise UserError(f"isolation = {isolation!r}: {text!r} is no list of CPUs such as 1-3,5") from None


def _cpus_of(cores: Iterable[Core]) -> tuple[int, ...]:
    return tuple(sorted(cpu for core in cores for cpu in core.cpus))
