"""How fast `doit preflight` is, as a ratio against importing doit and psutil in the same run.

Prints the medians of alternating runs and their ratio; the aim is a ratio of at most 4.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 7


def spent_s(argv: list[str]) -> float:
    """Return the wall time of a command in seconds."""
    began = time.perf_counter()
    subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    return time.perf_counter() - began


def main() -> None:
    """Measure both commands in turn and print the ratio."""
    reference = [sys.executable, "-c", "import doit, psutil"]
    preflight = [sys.executable, "-m", "doit", "preflight"]
    pairs = [(spent_s(preflight), spent_s(reference)) for _ in range(REPEATS)]
    checks_s, imports_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"doit preflight: {checks_s:.3f} s; import doit, psutil: {imports_s:.3f} s")
    print(f"ratio: {statistics.median(a / b for a, b in pairs):.2f} (aim: at most 4)")


if __name__ == "__main__":
    main()
