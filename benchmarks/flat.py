"""Whether `doit list`, `plan` and `preflight` take as long with a thousand runs in the folder as with none.

Both folders are asked in turn, in rounds, so that whatever else the machine does falls on both. Prints, for each
command, the median of CPU time and of wall time in either folder, and the ratio of CPU times, which is to be at most
1.2; ends with 1 if one is not.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compbench.model import file_names
from compbench.model.records import Manifest
from compbench.model.times import timestamp
from compbench.store import runs

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("list", "plan", "preflight")
RUNS, ROUNDS, MOST = 1000, 9, 1.2
BEGAN_AT, HOUR_S = 1_700_000_000.0, 3600.0


def make_runs(output_dir: Path, count: int) -> None:
    """Make that many closed runs, one an hour, each with what a reader might look into."""
    output_dir.mkdir()
    for number in range(count):
        at = BEGAN_AT + number * HOUR_S
        prints = {f"scenario:{name}": "0" * 64 for name in "abcd"}
        record = Manifest(run=timestamp(at), state="open", opened_at=at, selection=list("abcd"), fingerprint=prints)
        run = runs.create_run(output_dir, record.run, record)
        for name in record.selection:
            run.path(name, "capture").write_text("{}")
        (run.folder / file_names.RESULTS).write_text('{"state": "closed"}')
        runs.change_manifest(runs.closed(run, at + HOUR_S))


def spent_s(command: str, output_dir: Path) -> tuple[float, float]:
    """Return CPU time and wall time of a doit command in seconds."""
    began, before = time.perf_counter(), os.times()
    environment = {**os.environ, "COMPBENCH_OUTPUT_DIR": str(output_dir), "COMPBENCH_SYSTEM": "embedded"}
    argv = [sys.executable, "-m", "doit", command]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if "compbench: " in done.stderr or not done.stdout:
        raise SystemExit(f"doit {command} refused its work, which takes no time: {done.stderr}")
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu_s, time.perf_counter() - began


def main() -> int:
    """Ask both folders in turn and print how they compare."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        folders = {count: Path(name) / str(count) for count in (0, RUNS)}
        for count, folder in folders.items():
            make_runs(folder, count)
        for command in COMMANDS:
            took: dict[int, list[tuple[float, float]]] = {count: [] for count in folders}
            for turn in range(ROUNDS):
                for count in sorted(folders, reverse=turn % 2 == 1):
                    took[count].append(spent_s(command, folders[count]))
            cpu = {count: statistics.median(cpu_s for cpu_s, _ in times) for count, times in took.items()}
            wall = {count: statistics.median(wall_s for _, wall_s in times) for count, times in took.items()}
            ratio = cpu[RUNS] / cpu[0]
            worst = max(worst, ratio)
            print(
                f"doit {command}: without runs {cpu[0]:.3f} s of CPU time, {wall[0]:.3f} s; with {RUNS} runs"
                f" {cpu[RUNS]:.3f} s, {wall[RUNS]:.3f} s; ratio {ratio:.2f}"
            )
    print(f"at most {MOST} is wanted: {'met' if worst <= MOST else 'not met'}")
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
