"""Where a child process runs and how it ranks: its CPUs, its control groups, its priority. Plain data for the guard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class ControlGroup(NamedTuple):
    """A control group that is made for one process and its descendants, and removed when they have ended.

    `writes` are the values of its files, in the order in which the kernel wants them.
    """

    folder: Path
    writes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Placement:
    """The place of a child process; the default leaves everything as it is.

    Attributes:
        niceness: of the program and its session, as far as the user may have that; below 0 goes before others, 0 leaves
            both as they are.
        is_real_time: whether it goes before all that is not (`SCHED_RR`, the lowest such priority but one).
        cpus: those that it may use; empty for all.
        groups: control groups for it alone.
        wrapper: a command line that starts the one behind it in its own place, such as systemd's.
    """

    niceness: int = 0
    is_real_time: bool = False
    cpus: tuple[int, ...] = ()
    groups: tuple[ControlGroup, ...] = ()
    wrapper: tuple[str, ...] = ()

    def words(self) -> Iterator[str]:
        """Yield the guard's words for it: niceness, scheduling, CPUs, how many words of groups follow, and these."""
        yield str(self.niceness)
        yield "real-time" if self.is_real_time else "usual"
        yield ",".join(map(str, self.cpus))
        groups = [word for group in self.groups for word in _words_of(group)]
        yield str(len(groups))
        yield from groups


ANYWHERE = Placement()


def _words_of(group: ControlGroup) -> Iterator[str]:
    yield str(group.folder)
    for file, value in group.writes:
        yield f"{file}={value}"
