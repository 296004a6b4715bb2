"""The laboratory itself: its hosts reach each other, keep their processes and clocks apart, and leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.lab.hosts import CLOCK_STEP_S, Lab, why_not
from tests.project import ROOT, eventually

pytestmark = [pytest.mark.process, pytest.mark.skipif(bool(why_not()), reason=why_not())]

ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7))
print("ready", flush=True)
while True:
    s.sendto(*s.recvfrom(64))
"""
# Prints how many of a hundred packets came back, and how long the quickest took, in ms.
ASK = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.2)
times = []
for number in range(int(sys.argv[2])):
    begun = time.perf_counter()
    s.sendto(b"%d" % number, (sys.argv[1], 7))
    try:
        s.recv(64)
    except TimeoutError:
        continue
    times.append(1000 * (time.perf_counter() - begun))
print(len(times), min(times, default=0.0))
"""
HOLDER = """
import sys
from tests.lab.hosts import Lab
with Lab(("a", "b")) as lab:
    lab.slow("b", 1)
    lab.start("a", ["sleep", "1000"])
    lab.start("b", ["sh", "-c", "sleep 1000 & kill -STOP $$"])
    print(lab.folder, flush=True)
    sys.stdin.read()
"""


def asked(lab: Lab, host: str, count: int) -> tuple[int, float]:
    came, quickest_ms = lab.run("desk", [sys.executable, "-c", ASK, host, str(count)]).stdout.split()
    return int(came), float(quickest_ms)


def test_hosts_reach_each_other_by_name_and_one_can_be_slow_or_cut_off() -> None:
    with Lab(("desk", "a", "b")) as lab:
        for host in "ab":
            lab.serve(host, [sys.executable, "-c", ECHO])
        near, quick_ms = asked(lab, "a", 100)
        lab.slow("b", delay_ms=20, loss_pct=5, seed=3)
        far, slow_ms = asked(lab, "b", 100)
        lab.cut("b")
        gone, _ = asked(lab, "b", 3)
        lab.mend("b")
        back, _ = asked(lab, "b", 10)
    assert near == 100
    assert slow_ms > quick_ms + 40
    assert 80 <= far < 100, "each way 5 % are lost"
    assert (gone, back > 0) == (0, True)


def test_each_host_has_its_own_name_clock_and_processes() -> None:
    says = "import socket, time; print(socket.gethostname(), time.monotonic())"
    with Lab(("a", "b")) as lab:
        (a, at_a), (b, at_b) = (lab.run(host, [sys.executable, "-c", says]).stdout.split() for host in "ab")
        program = lab.start("a", ["sleep", "1000"])
        assert eventually(lambda: [it.argv for it in lab.processes("a")] == [["sleep", "1000"]])
        elsewhere = lab.processes("b")
        program.kill()
        program.wait()
        after = lab.processes("a")
    assert (a, b) == ("a", "b")
    assert abs(float(at_b) - float(at_a) - CLOCK_STEP_S) < 60
    assert elsewhere == after == []


def test_nothing_is_left_of_hosts_whose_tests_were_killed(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline()
        family = psutil.Process(holder.pid).children(recursive=True)
        assert len(family) > 8
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        _, left = psutil.wait_procs(family, timeout=10)
    assert left == []


def test_a_frozen_host_answers_nobody_until_it_is_thawed() -> None:
    with Lab(("desk", "a")) as lab:
        lab.serve("a", [sys.executable, "-c", ECHO])
        lab.freeze("a")
        frozen, _ = asked(lab, "a", 3)
        lab.thaw("a")
        assert frozen == 0
        assert eventually(lambda: asked(lab, "a", 3)[0] == 3)
