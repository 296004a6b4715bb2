"""Pressure stall information (PSI): for how long tasks stood still for lack of CPU, memory or I/O.

The kernel counts it since 4.20, in `/proc/pressure`; where it does not, every reading is None. "some" is the time in
which at least one task waited, "full" that in which all that were not idle did.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class PressureTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds of pressure since the start of the machine.

    Of the CPU only "some" is told: for a whole machine "full" has no meaning, and the kernel writes 0.
    """

    cpu_some_us: int | None = None
    memory_some_us: int | None = None
    memory_full_us: int | None = None
    io_some_us: int | None = None
    io_full_us: int | None = None


def read_pressure(root: Path) -> PressureTotals:
    """Return the machine's totals; `root` is where `/proc` is looked for."""
    folder = root / "proc/pressure"
    of_memory, of_io = _lines(folder / "memory"), _lines(folder / "io")
    return PressureTotals(
        cpu_some_us=_lines(folder / "cpu").get("some"),
        memory_some_us=of_memory.get("some"),
        memory_full_us=of_memory.get("full"),
        io_some_us=of_io.get("some"),
        io_full_us=of_io.get("full"),
    )


def _lines(path: Path) -> dict[str, int]:
    """Return the totals of a file of lines `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, by the first word."""
    try:
        text = path.read_text(encoding="ascii")
    except OSError:  # an old kernel, or one that was started with psi=0: then even reading fails
        return {}
    found = {}
    for line in text.splitlines():
        kind, _, fields = line.partition(" ")
        _, is_told, total = fields.rpartition("total=")
        if is_told and total.isdigit():
            found[kind] = int(total)
    return found
