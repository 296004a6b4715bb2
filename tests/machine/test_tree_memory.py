"""The memory of a process and its descendants."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from compbench.machine import tree_memory
from compbench.machine.probes.process_counters import read_process_counters
from compbench.machine.tree_memory import tree_memory_bytes

pytestmark = pytest.mark.process

SHARED_BYTES = 64_000_000
# As a server of several processes does: one makes memory for all, and each of four touches all of it.
SHARING = f"""
import mmap, os, time
shared = mmap.mmap(-1, {SHARED_BYTES})
ready, told = os.pipe()
for _ in range(4):
    if not os.fork():
        shared.seek(0)
        shared.write(bytes({SHARED_BYTES}))
        os.write(told, b"x")
        time.sleep(300)
for _ in range(4):
    os.read(ready, 1)
print("ready", flush=True)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", SHARING], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        children = psutil.Process(process.pid).children()
        yield process.pid
        for child in children:
            child.kill()
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what processes share")
def test_what_processes_share_counts_once(server: int) -> None:
    occupied = tree_memory_bytes(server)
    assert occupied is not None
    assert SHARED_BYTES < occupied < 2 * SHARED_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what processes share")
def test_samples_of_a_server_count_what_its_processes_share_once_too(server: int) -> None:
    counters = read_process_counters(psutil.Process(server))
    assert counters is not None
    assert counters.processes == 5
    assert SHARED_BYTES < counters.resident_bytes < 2 * SHARED_BYTES


def test_where_the_shares_are_not_told_it_is_what_is_resident(server: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_memory, "_PROC", Path("/nowhere"))
    occupied = tree_memory_bytes(server)
    assert occupied is not None
    assert occupied > 4 * SHARED_BYTES


def test_a_process_that_has_ended_has_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert tree_memory_bytes(process.pid) is None
