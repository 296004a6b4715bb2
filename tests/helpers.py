"""What several tests share: the stand-ins laid out as an Engram build."""

from __future__ import annotations

import sys
from pathlib import Path

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
