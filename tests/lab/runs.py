"""Load from several hosts of the laboratory as a user starts it, watched from outside: phases, outcome, remains."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.drive import constant, scenario_file
from tests.lab.hosts import FOLDER, Lab, Program
from tests.project import ROOT, eventually

DESK, SERVER = "desk", "server"
SENDERS = ("a", "b", "c")
WARM_UP_S, MEASURED_S, RATE = 1, 3, 150
# Where a run can be when something is killed, in their order.
PHASES = ("opening", "gate", "warm-up", "measuring", "end")
STORES = "/api/v1/memories/remember"
LACKED_CPU = "lacked CPU time"
# How long hosts may take to be ready, and how long a run may take to end once one is lost, on a busy machine.
GATE_LIMIT_S = 15
CLEAR_WITHIN_S = 60.0
_NUMBERS = itertools.count()


class Outcome(NamedTuple):
    """How a run has ended: its exit code, its report if it left one, and what it has said."""

    code: int
    report: dict[str, Any]
    said: str

    @property
    def own(self) -> dict[str, Any]:
        """Return what only compbench's driver reports."""
        return dict(self.report["compbench"])

    @property
    def is_disturbed(self) -> bool:
        """Tell whether the machine that the tests run on had no time for the driver."""
        return LACKED_CPU in str(self.report and self.own["invalid_reason"])

    @property
    def told(self) -> str:
        """Return the one line that says why there is no measurement; empty if all was sent and answered.

        That the driver lacked processor time says something of the machine that the tests run on alone.
        """
        if self.report:
            return "" if self.is_disturbed else str(self.own["invalid_reason"] or "")
        lines = [line for line in self.said.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, self.said
        return lines[0]


class Got(NamedTuple):
    """A request that the server got."""

    sender: str
    path: str
    digest: str


@dataclass
class Run:
    """A run under way."""

    lab: Lab
    folder: Path
    program: Program

    def reaches(self, phase: str, limit_s: float = 60.0) -> bool:
        """Wait until the run is in a phase; return whether it came there before it ended."""
        deadline = time.monotonic() + limit_s
        while self.program.is_running and time.monotonic() < deadline:
            if self._is_in(phase):
                return True
            time.sleep(0.005)
        return False

    def outcome(self, limit_s: float = CLEAR_WITHIN_S) -> Outcome:
        """Wait for the run's end."""
        code = self.program.wait(limit_s)
        report = self.folder / "report.json"
        return Outcome(code, json.loads(report.read_text()) if report.exists() else {}, self._said())

    def _is_in(self, phase: str) -> bool:
        match phase:
            case "opening":
                return True
            case "gate":
                return any(drivers_on(self.lab, host) for host in SENDERS)
            case "warm-up":
                return any(told.get("phase") == "warm-up" for told in self._told())
            case "measuring":
                return any(told.get("phase") == "measure" and told["elapsed_s"] >= 1 for told in self._told())
            case "end":
                return any(told.get("phase") == "measure" and told["elapsed_s"] >= MEASURED_S for told in self._told())
        raise ValueError(phase)

    def _told(self) -> Iterator[dict[str, Any]]:
        progress = self.folder / "progress"
        if progress.exists():
            *lines, _torn = progress.read_text().split("\n")
            yield from map(json.loads, lines)

    def _said(self) -> str:
        return (self.folder / "log").read_text()


@contextlib.contextmanager
def laboratory(*options: str) -> Iterator[Lab]:
    """Start hosts that send, a desk, and a server of known latency."""
    with Lab((DESK, SERVER, *SENDERS)) as lab:
        argv = [sys.executable, str(FOLDER / "latency_server.py"), "--delay-ms", "2", "--exponential-ms", "5"]
        lab.serve(SERVER, [*argv, "--got", str(lab.folder / "got"), *options])
        yield lab


def begin(lab: Lab, hosts: str, env: Mapping[str, str] | None = None, *more: str) -> Run:
    """Start a run at the desk that sends from these hosts, from the desk itself if that is empty."""
    folder = lab.folder / f"run-{next(_NUMBERS)}"
    folder.mkdir()
    (lab.folder / "got").write_text("")
    argv = [sys.executable, "-m", "compbench.loadtest", "run", "--endpoint", f"http://{SERVER}:7432"]
    argv += ["--scenario", str(scenario_file(folder, constant(RATE), store=0.5))]
    argv += ["--warm-up", str(WARM_UP_S), "--duration", str(MEASURED_S), "--cache", str(lab.folder / "cache")]
    argv += ["--output", str(folder / "report.json"), "--progress", str(folder / "progress"), *more]
    argv += ["--hosts", hosts, "--hosts-timeout", str(GATE_LIMIT_S)] if hosts else []
    with (folder / "log").open("w") as log:
        path = {"PYTHONPATH": str(ROOT), **(env or {})}
        return Run(lab, folder, lab.start(DESK, argv, path, cwd=folder, stdout=log, stderr=log))


def undisturbed(lab: Lab, hosts: str, *more: str) -> Outcome:
    """Run until the machine had time for it, three times at most."""
    for _ in range(3):
        outcome = begin(lab, hosts, None, *more).outcome(90)
        if not outcome.is_disturbed:
            return outcome
    pytest.skip("this machine is too busy for figures to be compared")


def drivers_on(lab: Lab, host: str) -> list[int]:
    """Return the processes of compbench on a host."""
    return [it.pid for it in lab.processes(host) if "compbench.loadtest" in it.argv]


def nothing_of_ours_is_left(lab: Lab, limit_s: float = 15.0) -> bool:
    """Wait until no host runs anything of compbench."""
    return eventually(lambda: not any(drivers_on(lab, host) for host in (DESK, *SENDERS)), limit_s)


def requests_got(lab: Lab) -> list[Got]:
    """Return what the server got since the run began, in order."""
    return [Got(*line.split()) for line in (lab.folder / "got").read_text().splitlines()]


def stores_by_sender(got: list[Got]) -> dict[str, set[str]]:
    """Return the stores that each address sent, each of which has to come once."""
    stores = [it for it in got if it.path == STORES]
    twice = [digest for digest, count in Counter(it.digest for it in stores).items() if count > 1]
    assert not twice, f"{len(twice)} stores came more than once"
    return {sender: {it.digest for it in stores if it.sender == sender} for sender in {it.sender for it in stores}}
