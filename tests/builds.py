"""Builds of Engram that a duet can set against each other: the embedded server, one of them with slower searches."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.helpers import STAND_INS

ROOT = Path(__file__).resolve().parent.parent


def lay_out(folder: Path, share: float = 0.0, comment: str = "") -> Path:
    """Lay out a checkout whose server takes a share longer for each search; return its root.

    A comment makes it another file, and so another build, of the same speed.
    """
    release = folder / "target" / "release"
    release.mkdir(parents=True)
    text = (STAND_INS / "slowed_server.py").read_text(encoding="utf-8")
    text = text.replace("SHARE = 0.0", f"SHARE = {share!r}  # {comment}", 1).replace('"ROOT"', repr(str(ROOT)), 1)
    program = release / "engram"
    program.write_text(f"#!{sys.executable} -P\n{text}", encoding="utf-8")
    program.chmod(0o755)
    return folder
