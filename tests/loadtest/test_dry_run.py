"""The schedule that is kept without a server before the one that is measured."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from compbench.loadtest.engine import shards
from compbench.loadtest.engine.dry_run import keep_dry_schedule
from compbench.model.errors import UserError
from tests.drive import constant, scenario_file, serving

# Runs the driver as its command line does; tells what was loaded between the last moment before the load and its end.
WATCHED = """
import sys
from compbench.loadtest import command_line, run

keep, loaded = run.keep_schedule, []

def watched(plan, workload, started, *others):
    def noted(in_s):
        started(in_s)
        loaded.append(set(sys.modules))

    ended = keep(plan, workload, noted, *others)
    loaded.append(set(sys.modules))
    return ended

run.keep_schedule = watched
sys.argv = ["loadtest", *sys.argv[1:]]
code = command_line.main()
began, ended = loaded[:2]
print(sorted(ended - began), file=sys.stderr)
"""


def test_nothing_is_loaded_for_the_first_time_while_the_clock_runs(tmp_path: Path) -> None:
    with serving() as url:
        argv = [sys.executable, "-c", WATCHED, "run", "--scenario", str(scenario_file(tmp_path, constant(600)))]
        argv += ["--endpoint", url, "--duration", "2", "--hlog", str(tmp_path / "run.hlog")]
        argv += ["--progress", str(tmp_path / "progress.jsonl"), "--cache", str(tmp_path)]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert "Load test completed" in ended.stdout, ended.stderr
    assert ended.stderr.splitlines()[-1] == "[]"


def test_no_connection_is_open_while_it_is_kept_and_it_leaves_the_loop_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[object] = []

    async def watched_dry() -> None:
        await keep_dry_schedule()
        noted.append("dry")

    class Refusing:
        async def open(self) -> None:
            noted.append(asyncio.get_running_loop().get_exception_handler())
            raise UserError("the server can't be reached")

    monkeypatch.setattr(shards, "keep_dry_schedule", watched_dry)
    nothing = cast("Any", None)
    plan = shards.Plan(lambda _: cast("Any", Refusing()), nothing, connections=1, processes=1, make_workload=nothing)
    with pytest.raises(UserError, match="can't be reached"):
        shards.keep_schedule(plan, cast("Any", SimpleNamespace(answered=None)), nothing, nothing)
    assert noted == ["dry", None]
