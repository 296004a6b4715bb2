"""SIGKILL at random moments of a comparison of real rivals: nothing is left running, nothing finished is lost.

PostgreSQL forks and its children leave its session, Java is slow to stop, others have threads of their own. Slow, and
only of the systems that are installed: `pytest -m soak tests/suites/test_rival_kills.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.project import ROOT, Project, eventually

INSTALLED = ROOT / "tmp" / "cache" / "systems"
# Loads of a few hundred vectors: most kills fall into start, load, measure and stop.
SCENARIO = (("num_nodes = 5\n", "num_nodes = 400\n"), ("p99_latency_ms = 500.0", "p99_latency_ms = 5000.0"))
KILLS = 34
# A busy machine spoils figures, which are no matter here.
MEASURED = ("passed", "missed", "invalid")
RIVALS = ("pgvector", "neo4j", "milvus", "falkordb", "redis", "weaviate")


def of_project(project: Project) -> list[str]:
    """Return every process that works in the project's folder or was called with a path in it, except this one."""
    found, root = [], str(project.root)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            known = [process.cwd(), process.exe(), *process.cmdline()]
            with contextlib.suppress(psutil.Error):
                known += process.environ().values()
            if process.pid != os.getpid() and any(root in word for word in known):
                found.append(f"{process.pid} {process.name()}")
    return found


def phase_of(project: Project) -> str:
    """Return the last phase that the newest run's record of events tells of."""
    events = project.run() / "events.jsonl" if project.runs() else None
    if events is None or not events.exists():
        return "before the run"
    for line in reversed(events.read_text().splitlines()):
        with contextlib.suppress(ValueError):  # the last one may be half written
            if json.loads(line).get("event") == "phase-began":
                return str(json.loads(line)["phase"])
    return "before the first phase"


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("rival", RIVALS)
def test_kills_of_a_run_of_a_real_rival_leave_nothing(rival: str, tmp_path: Path) -> None:
    if not list(INSTALLED.glob(f"{rival}-*")):
        pytest.skip(f"{rival} is not installed: doit install:{rival}")
    project = Project(tmp_path / "project", names=("alpha",))
    (project.root / "tmp" / "cache").mkdir(parents=True)
    (project.root / "tmp" / "cache" / "systems").symlink_to(INSTALLED)
    path = project.root / "scenarios" / "competitive" / "alpha.toml"
    text = path.read_text()
    for old, new in SCENARIO:
        text = text.replace(old, new)
    path.write_text(text)
    project.set(system=rival, expected_scenarios=1, invalid_retries=0, stop_grace_s=5.0)
    project.doit("run:alpha", "new=1")  # finds the effort, which takes a minute and is kept
    began = time.monotonic()
    done = project.doit("run:alpha", "new=1")
    lasts_s = time.monotonic() - began
    assert project.capture("alpha")["outcome"]["verdict"] in MEASURED, done.stdout + done.stderr
    chance, moments = random.Random(rival), Counter[str]()
    for _ in range(KILLS):
        process = project.start("run:alpha", "new=1")
        time.sleep(chance.uniform(0.5, lasts_s))
        moments[phase_of(project)] += 1
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if chance.random() < 0.5 else process.kill()
        process.communicate(timeout=60)
        assert eventually(lambda: not of_project(project), 10.0), f"left running: {of_project(project)}; {moments}"
        for record in project.output.rglob("*.json"):
            json.loads(record.read_bytes())
    print(f"{KILLS} kills of {rival} fell in:", ", ".join(f"{count} {phase}" for phase, count in moments.most_common()))
    done = project.doit("run:alpha", "new=1")
    assert project.capture("alpha")["outcome"]["verdict"] in MEASURED, done.stdout + done.stderr
    assert eventually(lambda: not of_project(project), 10.0), of_project(project)
