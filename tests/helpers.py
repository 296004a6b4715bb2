"""What several tests share: the stand-ins laid out as an Engram build, and a run's events as they were told."""

from __future__ import annotations

import contextlib
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec

from compbench.model.events import Event

STAND_INS = Path(__file__).resolve().parent / "stand_ins"


def install(folder: Path) -> Path:
    """Lay out a fake Engram checkout with the stand-ins as its release binaries; return its root.

    They name this interpreter, without packages: what `env` finds may be a script that takes longer than they do.
    """
    release = folder / "target" / "release"
    release.mkdir(parents=True)
    for name in ("engram", "loadtest"):
        _, newline, program = (STAND_INS / name).read_text().partition("\n")
        (release / name).write_text(f"#!{sys.executable} -IS{newline}{program}")
        (release / name).chmod(0o755)
    return folder


@contextlib.contextmanager
def bounded_memory(most_bytes: int) -> Iterator[None]:
    """Fail if Python held more than this at any moment of the block, beside what it held before.

    The process' own peak would not tell: it is that of all its life, so one large test would hide the next.
    """
    tracemalloc.start()
    try:
        yield
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < most_bytes, f"{peak_bytes} bytes were held at once"


def read_events(path: Path) -> list[Event]:
    """Return the events of a file in order; a last line that is torn, or still being written, is left out."""
    *lines, _torn = path.read_bytes().split(b"\n")
    return [_EVENT.decode(line) for line in lines]


_EVENT = msgspec.json.Decoder(Event)
