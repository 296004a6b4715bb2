"""How long `doit trend` takes over a thousand runs of four scenarios; the aim is under 5 s.

The runs are made up: one real set of pages, copied under other timestamps with other figures. Prints the wall time of
the whole command and of its parts, beside `doit list` (loading alone) in the same minute.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from compbench.model import file_names
from compbench.model.records import Manifest
from compbench.report import pages
from compbench.store import runs
from compbench.store.record_files import read_record
from tests import synthetic

ROOT = Path(__file__).resolve().parent.parent
RUNS = 1000
DAY_S = 86_400


def make_history(output_dir: Path, count: int) -> None:
    """Write the `results.json` of that many closed runs, one a day, with a slowdown in the middle and two machines."""
    first = synthetic.make_run(output_dir)
    manifest = read_record(first / file_names.MANIFEST, Manifest)
    captures = runs.Run(first, manifest).captures()
    scenarios = ROOT / "scenarios" / "competitive"
    pages.write_pages(first, manifest, captures, interrupted=False, scenarios_dir=scenarios, now=manifest.opened_at)
    results = json.loads((first / "results.json").read_text())
    chance = random.Random(5)
    for number in range(1, count):
        at = manifest.opened_at + number * DAY_S
        results["run"] = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d_%H-%M-%S")
        results["opened_at"] = at
        results["fingerprint"]["machine"] = ("a" if number < count * 0.8 else "b") * 32
        for scenario in results["scenarios"]:
            level = 10.0 if number < count / 2 else 11.5
            scenario["metrics"]["p99_latency_ms"] = level * chance.gauss(1, 0.02)
        folder = output_dir / results["run"]
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(results))


def spent_s(task: str, output_dir: Path) -> tuple[float, float]:
    """Return the wall time and the CPU time of a doit command in seconds."""
    began, before = time.perf_counter(), os.times()
    argv = [sys.executable, "-m", "doit", task]
    environment = {**os.environ, "COMPBENCH_OUTPUT_DIR": str(output_dir)}
    subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, check=True)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, cpu_s


def main() -> None:
    """Make the history, draw it and print the times."""
    with tempfile.TemporaryDirectory() as name:
        output_dir = Path(name)
        make_history(output_dir, RUNS)
        size_mb = sum(path.stat().st_size for path in output_dir.glob("*/results.json")) / 1e6
        spent_s("trend", output_dir)  # makes the charts' script, once for all pages of this user
        took = {task: spent_s(task, output_dir) for task in ("trend", "list")}
        page_mb = (output_dir / "trend.html").stat().st_size / 1e6
    print(f"{RUNS} runs, {size_mb:.0f} MB of results; the aim for `doit trend` is under 5 s")
    for task, (wall_s, cpu_s) in took.items():
        print(f"doit {task}: {wall_s:.2f} s, {cpu_s:.2f} s of CPU time")
    print(f"the page has {page_mb:.1f} MB")


if __name__ == "__main__":
    main()
