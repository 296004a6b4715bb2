"""kill -9 of whatever takes part in load from several hosts, in each phase: a clear outcome, and nothing left."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.lab.cluster import serve_ssh, start_dask, worker_pid
from tests.lab.hosts import Lab, why_not
from tests.lab.runs import (
    DESK,
    PHASES,
    SENDERS,
    Outcome,
    Run,
    begin,
    drivers_on,
    laboratory,
    nothing_of_ours_is_left,
    requests_got,
    stores_by_sender,
)
from tests.project import eventually

pytestmark = [pytest.mark.process, pytest.mark.skipif(bool(why_not()), reason=why_not())]

VICTIM = "b"
TARGETS = ("worker", "nanny", "scheduler", "driver", "client")
TIMES = int(os.environ.get("LAB_KILLS", "5"))
# A worker that comes back at the port that the lost one had gets the lost one's task again, if the scheduler lets it.
SAME_PORT = ("--worker-port", "9000")


class Kills:
    """A cluster that a user runs, one run after the other on it, and something killed in each."""

    def __init__(self, lab: Lab, *workers: str) -> None:
        self._lab, self._workers = lab, workers
        self.dask = start_dask(lab, DESK, SENDERS, *workers)
        self.shares = self._shares()

    def kill_in(self, phase: str, target: str, draw: random.Random) -> tuple[Outcome | None, str]:
        """Run until a phase, kill something then, and return the outcome, and who the victim was; None if killed."""
        run = begin(self._lab, self.dask.address)
        assert run.reaches(phase), run.outcome().said
        time.sleep(draw.uniform(0.0, 3.0 if phase == "opening" else 0.5))
        name = self._kill(target, run)
        outcome = None if target == "client" else run.outcome()
        if target == "client":
            run.program.wait()
        assert nothing_of_ours_is_left(self._lab)
        sending = [host["name"] for host in outcome.own["hosts"]] if outcome and outcome.report else []
        if sending in ([], list(SENDERS)):  # a host that is gone before the cluster was looked at has no share
            self._judge_requests()
        return outcome, name

    def mend(self, target: str) -> None:
        """Bring back what was killed, as a user does; a nanny brings back its worker by itself."""
        if target == "worker":
            assert eventually(lambda: len(self._lab.processes(VICTIM)) >= 3)
        elif target in ("nanny", "scheduler"):
            for program in (self.dask.scheduler, *self.dask.nannies.values()):
                program.kill()
            assert eventually(lambda: not any(self._lab.processes(host) for host in (DESK, *SENDERS)))
            self.dask = start_dask(self._lab, DESK, SENDERS, *self._workers)

    def _kill(self, target: str, run: Run) -> str:
        match target:
            case "worker":
                os.kill(worker_pid(self._lab, self.dask, VICTIM), signal.SIGKILL)
            case "nanny":
                self.dask.nannies[VICTIM].kill()
            case "scheduler":
                self.dask.scheduler.kill()
                return "scheduler"
            case "client":
                run.program.kill()
            case "driver":
                for pid in drivers_on(self._lab, VICTIM):
                    os.kill(pid, signal.SIGKILL)
        return f"host {VICTIM}"

    def _shares(self) -> dict[str, set[str]]:
        """Return which stores each host sends, from a run that nobody disturbs."""
        outcome = begin(self._lab, self.dask.address).outcome()
        assert outcome.told == "", outcome.said
        return stores_by_sender(requests_got(self._lab))

    def _judge_requests(self) -> None:
        """Each host has sent of its own share only, and nothing twice: what is lost is sent by nobody else."""
        for sender, stores in stores_by_sender(requests_got(self._lab)).items():
            assert stores <= self.shares[sender], (
                f"{sender} sent {len(stores - self.shares[sender])} of another's share"
            )


@pytest.fixture(scope="module")
def kills() -> Iterator[Kills]:
    with laboratory() as lab:
        yield Kills(lab)


def judge(outcome: Outcome, victim: str, phase: str, target: str) -> str:
    """Fail unless the outcome is clear; return it in a word."""
    assert "Traceback" not in outcome.said, outcome.said[outcome.said.index("Traceback") - 300 :][:900]
    if not outcome.told:
        # All else goes over connections of our own: of the scheduler nothing is needed once the drivers run.
        assert phase in ("opening", "end") or target == "scheduler", (
            "what was killed while it was needed was not missed"
        )
        assert outcome.own["completed"] == outcome.own["due"] == outcome.own["sent"]
        return "whole"
    # Of a scheduler that does not answer its address is told.
    assert victim in outcome.told.replace("tcp://", "scheduler tcp://")
    assert outcome.code == 1
    return "invalid" if outcome.report else "error"


@pytest.mark.slow
def test_a_worker_that_is_killed_while_measuring_makes_it_invalid_and_is_named(kills: Kills) -> None:
    outcome, name = kills.kill_in("measuring", "worker", random.Random(1))
    kills.mend("worker")
    assert outcome
    assert judge(outcome, name, "measuring", "worker") == "invalid"


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("phase", PHASES)
def test_whatever_is_killed_in_whichever_phase_the_outcome_is_clear(kills: Kills, phase: str, target: str) -> None:
    draw = random.Random(f"{phase} {target}")
    words = []
    for _ in range(TIMES):
        outcome, name = kills.kill_in(phase, target, draw)
        words.append(judge(outcome, name, phase, target) if outcome else "killed")
        if outcome:
            print(phase, target, words[-1], outcome.told or "-", flush=True)
        kills.mend(target)
    print("COUNT", phase, target, {word: words.count(word) for word in sorted(set(words))}, flush=True)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("phase", ["gate", "warm-up", "measuring"])
def test_a_task_that_dask_runs_again_refuses_to_start(phase: str) -> None:
    with laboratory() as lab:
        kills = Kills(lab, *SAME_PORT)
        draw = random.Random(phase)
        for _ in range(TIMES):
            outcome, name = kills.kill_in(phase, "worker", draw)
            assert outcome
            if phase == "gate" and not outcome.told:
                continue  # it had no lease yet: the task that ran again got it, and each share was sent once
            assert judge(outcome, name, phase, "worker") == "invalid"
            kills.mend("worker")


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("phase", PHASES)
def test_nothing_is_left_on_hosts_that_were_reached_over_ssh_when_the_client_is_killed(phase: str) -> None:
    draw = random.Random(phase)
    with laboratory() as lab:
        env = serve_ssh(lab, (DESK, *SENDERS))
        before = {host: len(lab.processes(host)) for host in (DESK, *SENDERS)}
        for _ in range(TIMES):
            run = begin(lab, f"ssh:{','.join(SENDERS)}", env)
            assert run.reaches(phase)
            time.sleep(draw.uniform(0.0, 3.0 if phase == "opening" else 0.5))
            run.program.kill()
            run.program.wait()
            begun = time.monotonic()
            assert eventually(lambda: {h: len(lab.processes(h)) for h in before} == before, 60), left(lab)
            print("COUNT ssh client", phase, f"{time.monotonic() - begun:.1f} s until nothing was left", flush=True)


def left(lab: Lab) -> dict[str, list[str]]:
    return {host: [" ".join(it.argv)[-90:] for it in lab.processes(host)] for host in (DESK, *SENDERS)}
