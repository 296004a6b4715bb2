"""Signals in a real process: the first one unwinds, and what its handler can't print is no reason to raise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import sys, time
from compbench.machine import interrupts
interrupts.install()
interrupts.arm()
try:
    print("armed", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("unwinding", flush=True)
    sys.stdin.readline()  # the second signal comes here, and is only noted
    print(f"unwound after {interrupts.received()}", flush=True)
"""


def test_a_second_signal_raises_nothing_though_nobody_reads_the_errors() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        for word in ("armed", "unwinding"):
            assert process.stdout.readline() == f"{word}\n"
            process.send_signal(signal.SIGINT)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.read() == "unwound after SIGINT\n"
    assert process.returncode == 0
