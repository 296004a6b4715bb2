"""What compbench itself costs: wall time around the measuring, CPU and memory of the runner, and `doit preflight`.

Runs the quick profile on the embedded server with results in a temporary folder. Prints how long a suite takes beyond
its durations and cooldowns, which share of a core and how much memory the runner takes while a scenario is measured
(aims: below 1 % and 80 MB), and `doit preflight` as a ratio against importing doit and psutil in the same run (aim: at
most 4).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 7
# So much of the beginning and end of a measurement belongs to its phases' changes, not to watching it.
EDGE_S = 1.0


@dataclass(frozen=True)
class Watched:
    """The runner over the middle of one measurement."""

    cpu_pct: float
    memory_mb: float


def spent_s(argv: list[str]) -> float:
    """Return the wall time of a command in seconds."""
    began = time.perf_counter()
    subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
    return time.perf_counter() - began


def compare_preflight() -> None:
    """Run preflight and the bare imports in turn, and print both medians and the median of the pairs' ratios."""
    reference = [sys.executable, "-c", "import doit, psutil"]
    preflight = [sys.executable, "-m", "doit", "preflight"]
    pairs = [(spent_s(preflight), spent_s(reference)) for _ in range(REPEATS)]
    checks_s, imports_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"doit preflight: {checks_s:.3f} s; import doit, psutil: {imports_s:.3f} s")
    print(f"ratio: {statistics.median(a / b for a, b in pairs):.2f} (aim: at most 4)")


def watch(runner: subprocess.Popen[str], duration_s: float) -> Watched:
    """Measure the runner alone, without server and driver, between the edges of a measurement that has just begun."""
    process = psutil.Process(runner.pid)
    time.sleep(EDGE_S)
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(duration_s - 2 * EDGE_S)
    after, elapsed_s = process.cpu_times(), time.monotonic() - began
    busy_s = after.user + after.system - before.user - before.system
    return Watched(100 * busy_s / elapsed_s, process.memory_info().rss / 1e6)


def measure_suite(output: Path) -> None:
    """Run a suite, watch its runner in every measurement, and print what it took beyond measuring and resting."""
    argv = [sys.executable, "-m", "doit", "system=embedded", "profile=quick", "new=1"]
    argv += [f"output_dir={output / 'runs'}", f"work_dir={output / 'work'}"]
    began = time.monotonic()
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as runner:
        watched = []
        for line in runner.stdout or ():
            if line.startswith("      measure: ") and line.endswith(" s\n") and "elapsed" not in line:
                watched.append(watch(runner, float(line.split()[1])))
    took_s = time.monotonic() - began
    captures = [json.loads(path.read_bytes()) for path in sorted((output / "runs").glob("*/*_capture.json"))]
    phases = [phase for capture in captures for phase in capture["phases"]]
    spent = {name: sum(p["duration_s"] for p in phases if p["name"] == name) for name in {p["name"] for p in phases}}
    beyond_s = took_s - sum(capture["duration_s"] for capture in captures) - spent.get("cooldown", 0.0)
    print(f"suite of {len(captures)}: {took_s:.1f} s, {beyond_s:.1f} s beyond durations and cooldowns, of that:")
    for name in ("start", "prepare", "snapshot", "stop"):
        print(f"  {name}: {spent.get(name, 0.0):.1f} s")
    print(f"runner while measuring: {max(w.cpu_pct for w in watched):.2f} % of a core (aim: below 1 %)")
    print(f"runner's memory: {max(w.memory_mb for w in watched):.0f} MB (aim: below 80 MB)")


def main() -> None:
    """Print every figure."""
    compare_preflight()
    with tempfile.TemporaryDirectory(prefix="compbench-overhead-") as folder:
        measure_suite(Path(folder))


if __name__ == "__main__":
    main()
