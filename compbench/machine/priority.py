"""Children that go before the other programs that want the cores, where the user may have that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_GO_FIRST = Path(__file__).with_name("go_first.py")


def attainable(niceness: int) -> int:
    """Return the niceness that a child gets of the one asked for, found out with a child that only tells it."""
    told = subprocess.run(ranked([], niceness), capture_output=True, check=True, start_new_session=True)
    return int(told.stdout)


def ranked(argv: Sequence[str], niceness: int) -> list[str]:
    """Return the arguments that start a program with a niceness, as far as the user may have it."""
    return [sys.executable, "-I", "-S", str(_GO_FIRST), str(niceness), *argv]
