"""A cluster over SSH of which a host freezes: closing it takes no longer than what compbench waits for."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.lab.cluster import serve_ssh
from tests.lab.hosts import Lab, why_not
from tests.project import ROOT, eventually

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]

OPEN_AND_WAIT = """
import sys
from pathlib import Path
from compbench.config.hosts import read_hosts
from compbench.loadtest.cluster.opening import opened_cluster

with opened_cluster(read_hosts("ssh:a,b"), Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.readline()
print("closed", flush=True)
"""
# Far more than closing takes, and far less than SSH waits for what is frozen.
HANG_S = 30.0


def test_a_host_that_freezes_keeps_nobody_from_closing_and_nothing_is_left() -> None:
    with Lab(("desk", "a", "b")) as lab:
        env = {**serve_ssh(lab, ("a", "b")), "PYTHONPATH": str(ROOT)}
        before = {host: len(lab.processes(host)) for host in ("a", "b")}
        argv = [sys.executable, "-c", OPEN_AND_WAIT, str(lab.folder)]
        program, said = lab.serve("desk", argv, env=env, stderr=subprocess.PIPE)
        assert said == "open"
        lab.freeze("a")
        began_s = time.monotonic()
        told, errors = program.entering.communicate("\n", timeout=HANG_S)
        took_s = time.monotonic() - began_s
        lab.thaw("a")
        assert eventually(lambda: {host: len(lab.processes(host)) for host in before} == before, 60)
    assert (told, program.entering.returncode) == ("closed\n", 0), errors
    assert "Traceback" not in errors
    assert took_s < HANG_S
