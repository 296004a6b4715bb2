"""A whole project in a temporary folder, driven by stand-ins for Engram's binaries through the real `doit` command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.helpers import install

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("alpha", "beta", "gamma", "delta")
# Tells the stand-in to drive just long enough for samples of the server, where nothing is done meanwhile.
BRIEF = "lasts=0.3"
# The machine's own programs: compilers in a home take long to say which they are.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])

SCENARIO = """\
name = "Scenario {name}"
description = "A small workload for tests"
seed = {seed}

[duration]
total_seconds = 1

[arrival]
pattern = "constant"
rate = 20.0

[operations]
store_weight = 0.2
recall_weight = 0.4
embedding_search_weight = 0.4

[data]
num_nodes = 5
embedding_dim = 768
memory_spaces = 1

[validation]
expected_p99_latency_ms = 500.0
expected_throughput_ops_sec = 1.0
max_error_rate = 0.5
"""

SETTINGS = """\
profile = "quick"
system.use = "engram"
system.engram.root = "engram"
expected_scenarios = {count}
port = {port}
scale = 1.0
duration_s = 1
cooldown_s = 0.1
sample_interval_s = 0.2
start_retry_delay_s = 0.2
quiet_timeout_s = 0.0
stop_grace_s = 1.0
flamegraph = false
counters = false
report = false
min_scenario_memory_gb = 0.1
min_available_memory_gb = 0.1
warn_total_memory_gb = 0.1
min_free_disk_gb = 0.01
warn_free_disk_gb = 0.01
warn_load = 1000.0
max_others_pct = 100.0
isolation = "off"
"""


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
    """Wait until the condition holds; return whether it came to hold."""
    deadline = time.monotonic() + timeout_s
    while not (met := bool(condition())) and time.monotonic() < deadline:
        time.sleep(0.05)
    return met


def is_running(pid: int) -> bool:
    """Tell whether a process still runs; one that only waits to be collected has ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Project:
    """A copy of the product with its own scenarios, settings and fake Engram build."""

    root: Path
    names: tuple[str, ...] = NAMES
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        for name in ("dodo.py", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root)
        for name in ("compbench", "templates"):
            # `compbench/templates` stays the link that it is; what is compiled stays so, since times are copied too.
            shutil.copytree(ROOT / name, self.root / name, symlinks=True)
        scenarios = self.root / "scenarios" / "competitive"
        scenarios.mkdir(parents=True)
        shutil.copy(ROOT / "scenarios" / "baselines.toml", scenarios.parent)
        for number, name in enumerate(self.names):
            (scenarios / f"{name}.toml").write_text(SCENARIO.format(name=name, seed=42 + number))
        self.settings = SETTINGS.format(count=len(self.names), port=self.port)
        (self.root / "compbench.toml").write_text(self.settings)
        install(self.root / "engram")
        self.state.mkdir()

    @property
    def state(self) -> Path:
        """Return where the stand-ins note what they did."""
        return self.root / "state"

    @property
    def output(self) -> Path:
        """Return the folder of all runs."""
        return self.root / "tmp" / "competitive_benchmarks"

    def set(self, **settings: object) -> None:
        """Replace or add settings in compbench.toml."""
        if "system" in settings:  # the file has tables of that name
            settings["system.use"] = settings.pop("system")
        lines = [line for line in self.settings.splitlines() if line.split(" =")[0] not in settings]
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        self.settings = "\n".join(lines) + "\n"
        (self.root / "compbench.toml").write_text(self.settings)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start doit in a session of its own, as a shell would."""
        return subprocess.Popen(
            [sys.executable, "-m", "doit", *arguments],
            cwd=self.root,
            env=self.variables(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def variables(self, **environment: str) -> dict[str, str]:
        """Return the environment that doit is started in."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("COMPBENCH_", "ENGRAM_", "STAND_IN_"))}
        return {**inherited, "PATH": PATH, "STAND_IN_STATE": str(self.state), **self.environment, **environment}

    def doit(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run doit to its end; the stand-in drives for a moment only, unless it is told how long."""
        told = f"{BRIEF},{environment.pop('STAND_IN_LOADTEST', '')}"
        process = self.start(*arguments, **environment, STAND_IN_LOADTEST=told)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"doit {arguments} did not end:\n{out}\n{err}") from None
        assert "Traceback" not in err + out, f"a traceback was shown:\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def interrupt_in(self, name: str, *arguments: str, number: int = signal.SIGINT) -> subprocess.CompletedProcess[str]:
        """Run doit until it measures this scenario, and interrupt it then."""
        before = self.driven().count(name)
        process = self.start(*arguments, STAND_IN_LOADTEST=f"{BRIEF},{name}:lasts=60")
        assert eventually(lambda: self.driven().count(name) > before)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, out + err
        assert "Traceback" not in err + out, f"a traceback was shown:\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def paste(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command line that was printed, in a shell in the project's folder."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.root,
            env=self.variables(STAND_IN_LOADTEST=BRIEF),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def runs(self) -> list[Path]:
        """Return the folders of all runs, oldest first."""
        return sorted(path for path in self.output.glob("*-*-*_*") if path.is_dir())

    def run(self) -> Path:
        """Return the folder of the newest run."""
        return self.runs()[-1]

    def file(self, ending: str) -> Path:
        """Return a file of the newest run by the part of its name after the timestamp and underscore."""
        run = self.run()
        return run / f"{run.name}_{ending}"

    def capture(self, name: str) -> dict[str, Any]:
        """Return a scenario's capture in the newest run."""
        return dict(json.loads(self.file(f"{name}_capture.json").read_text()))

    def manifest(self) -> dict[str, Any]:
        """Return the newest run's manifest."""
        return dict(json.loads((self.run() / "manifest.json").read_text()))

    def started(self, program: str = "") -> list[dict[str, Any]]:
        """Return what the stand-ins noted when they were started."""
        path = self.state / "started.jsonl"
        if not path.exists():
            return []
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line for line in lines if program in ("", line["program"])]

    def driven(self) -> list[str]:
        """Return the scenarios that the stand-in was started for, in order."""
        return [line["scenario"] for line in self.started("loadtest")]

    def orphans(self) -> list[int]:
        """Return the pids of stand-ins, drivers and guards of this project that still run."""
        found = [int(line["pid"]) for line in self.started() if self._is_ours(int(line["pid"]))]
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if any(str(self.root) in word for word in command) and process.pid != os.getpid():
                found.append(process.pid)
        return sorted(set(found))

    def _is_ours(self, pid: int) -> bool:
        try:
            state = psutil.Process(pid).environ().get("STAND_IN_STATE", "")
        except psutil.Error:
            return False
        return is_running(pid) and str(self.root) in state
