"""The right to send: a share of a schedule is granted once, so that a task that Dask runs again refuses to start."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import compbench


class Lease(NamedTuple):
    """The right to keep one share of one schedule.

    `attempt` is drawn by the driver that gathers, of which each attempt at a measurement has its own; `schedule` counts
    those that it keeps.
    """

    attempt: str
    schedule: int
    shard: int


class Order(NamedTuple):
    """What the task on a host is to start: a driver for each lease; where they find who gathers, and the key."""

    address: tuple[str, int]
    key: str
    leases: tuple[Lease, ...]


class Register:
    """The leases of one schedule, and which of them are granted."""

    def __init__(self, leases: tuple[Lease, ...]) -> None:
        self._free = set(leases)
        self._known = frozenset(leases)

    def refusal(self, lease: Lease) -> str:
        """Grant a lease, or return why it is refused."""
        if lease not in self._known:
            return f"{lease} belongs to another measurement"
        if lease not in self._free:
            return f"share {lease.shard} has been granted before: it is sent once"
        self._free.remove(lease)
        return ""


@cache
def code_digest() -> str:
    """Return a hash of compbench's own code, by which hosts are seen to run the same."""
    return code_in(Path(compbench.__file__).parent)


def code_in(folder: Path) -> str:
    """Return a hash of the Python files in a folder and below."""
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content.update(f"{path.relative_to(folder)}\n".encode())
        content.update(path.read_bytes())
    return content.hexdigest()[:16]
