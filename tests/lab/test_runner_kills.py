"""kill -9 of doit while several hosts send for it: nothing is left on the machine that it ran on."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

from tests.lab.hosts import Lab, why_not
from tests.project import Project, eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900), pytest.mark.skipif(bool(why_not()), reason=why_not())]

TIMES = int(os.environ.get("LAB_KILLS", "5"))
DESK = "desk"
# What runs when a phase has begun, by the end of its command line's beginning.
BEGUN_BY = {"opening": ("compbench.loadtest", "run"), "gate": ("compbench.loadtest", "host")}
AFTER_S = {"opening": (0.0, 2.0), "gate": (0.0, 0.5), "measuring": (1.5, 5.0)}


def begun(lab: Lab, phase: str) -> bool:
    words = BEGUN_BY.get(phase, BEGUN_BY["gate"])
    return any(words in zip(it.argv, it.argv[1:], strict=False) for it in lab.processes(DESK))


@pytest.mark.parametrize("phase", AFTER_S)
def test_nothing_is_left_when_the_runner_is_killed(phase: str, tmp_path: Path) -> None:
    project = Project(tmp_path / "project", names=("alpha",))
    project.set(system="embedded", driver="builtin", hosts="local:3", duration_s=6, expected_scenarios=1)
    draw = random.Random(phase)
    with Lab((DESK,)) as lab:
        for number in range(TIMES):
            with (tmp_path / f"log-{number}").open("w") as log:
                argv = [sys.executable, "-m", "doit"]
                runner = lab.start(DESK, argv, project.variables(), cwd=project.root, stdout=log, stderr=log)
            assert eventually(lambda: begun(lab, phase), 60), (tmp_path / f"log-{number}").read_text()
            time.sleep(draw.uniform(*AFTER_S[phase]))
            assert runner.is_running
            runner.kill()
            runner.wait()
            killed = time.monotonic()
            assert eventually(lambda: not lab.processes(DESK), 30), [it.argv for it in lab.processes(DESK)]
            print("COUNT runner", phase, f"{time.monotonic() - killed:.1f} s until nothing was left", flush=True)
