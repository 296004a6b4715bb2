"""What several tests share: the stand-ins laid out as an Engram build."""

from __future__ import annotations

import shutil
from pathlib import Path

STAND_INS = Path(__file__).resolve().parent / "stand_ins"


def install(folder: Path) -> Path:
    """Lay out a fake Engram checkout with the stand-ins as its release binaries; return its root."""
    release = folder / "target" / "release"
    release.mkdir(parents=True)
    for name in ("engram", "loadtest"):
        shutil.copy(STAND_INS / name, release / name)
    return folder
