"""The schedule that is kept without a server before the one that is measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.drive import constant, scenario_file, serving

# Runs the driver as its command line does; tells what was loaded by the dry schedule, and between it and the run's end.
WATCHED = """
import sys
from compbench.loadtest import command_line, run
from compbench.loadtest.engine import shards

dry, keep, loaded = shards.keep_dry_schedule, run.keep_schedule, []

async def watched_dry():
    loaded.append(set(sys.modules))
    await dry()
    loaded.append(set(sys.modules))

def watched(*arguments):
    ended = keep(*arguments)
    loaded.append(set(sys.modules))
    return ended

shards.keep_dry_schedule, run.keep_schedule = watched_dry, watched
sys.argv = ["loadtest", *sys.argv[1:]]
code = command_line.main()
before, dry_run, after = loaded[:3]
print(sorted(dry_run - before), sorted(after - dry_run), sep="\\n", file=sys.stderr)
"""


def test_nothing_is_loaded_for_the_first_time_while_the_clock_runs(tmp_path: Path) -> None:
    with serving() as url:
        argv = [sys.executable, "-c", WATCHED, "run", "--scenario", str(scenario_file(tmp_path, constant(600)))]
        argv += ["--endpoint", url, "--duration", "2", "--hlog", str(tmp_path / "run.hlog")]
        argv += ["--progress", str(tmp_path / "progress.jsonl"), "--cache", str(tmp_path)]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert "Load test completed" in ended.stdout, ended.stderr
    during_dry_run, afterwards = ended.stderr.splitlines()[-2:]
    print(during_dry_run)
    assert afterwards == "[]"
