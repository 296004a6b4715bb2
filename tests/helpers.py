"""What several tests share: the stand-ins laid out as an Engram build, and a run's events as they were told."""

from __future__ import annotations

import sys
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


def read_events(path: Path) -> list[Event]:
    """Return the events of a file in order; a last line that is torn, or still being written, is left out."""
    *lines, _torn = path.read_bytes().split(b"\n")
    return [_EVENT.decode(line) for line in lines]


_EVENT = msgspec.json.Decoder(Event)
