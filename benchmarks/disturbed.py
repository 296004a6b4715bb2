"""Whether a suite comes out right on a machine that is busy otherwise: quick suites beside processes that disturb.

`python -m benchmarks.disturbed steady 20` runs quick suites of the embedded server beside one endless loop and two
niced shells that start programs all the time; `crowded 20` beside two endless loops and one such shell, which is more
than two cores can do; `short 20` beside three busy processes for 15 s from a random moment on.
Prints of each suite its exit code, how many of its scenarios passed and how many attempts were spoiled, and in the end
the counts (aim: every suite 4/4). Each takes a minute or two; what it starts is ended by its process. Further words are
settings: beside a steady disturbance no machine becomes quiet, and `quiet_timeout_s=5` spares the waiting for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOOP = [sys.executable, "-c", "while True: pass"]
STARTING = ["nice", "-n", "19", "sh", "-c", "while :; do /bin/true; done"]
SHORT_S = 15.0
# A quick suite takes about a minute; the disturbance begins somewhere in its first 50 s.
WITHIN_S = 50.0


@contextlib.contextmanager
def at_work(commands: list[list[str]]) -> Iterator[None]:
    """Run the commands, each in a group of its own, until the block is left.

    They stay in this session: Linux shares the cores out by session (autogroup), and niceness counts within one only.
    """
    started = [subprocess.Popen(argv, process_group=0) for argv in commands]
    try:
        yield
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def steady() -> Iterator[None]:
    """Disturb all the time."""
    with at_work([LOOP, STARTING, STARTING]):
        yield


@contextlib.contextmanager
def crowded() -> Iterator[None]:
    """Disturb all the time, by more than two cores can do."""
    with at_work([LOOP, LOOP, STARTING]):
        yield


@contextlib.contextmanager
def short() -> Iterator[None]:
    """Disturb once, from a random moment on."""
    ended = threading.Event()

    def disturb() -> None:
        moment_s = random.uniform(0, WITHIN_S)
        if ended.wait(moment_s):
            return
        with at_work([LOOP] * 3):
            ended.wait(SHORT_S)
        print(f"  disturbed from {moment_s:.0f} s on", flush=True)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


DISTURBANCES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "steady": steady,
    "crowded": crowded,
    "short": short,
}


def run_suite(folder: Path, settings: list[str]) -> tuple[int, list[tuple[str, int]]]:
    """Run a quick suite, print what did not pass, return its exit code and each verdict with the attempts spoiled."""
    argv = [sys.executable, "-m", "doit", "system=embedded", "profile=quick", "new=1", "report=0", *settings]
    argv += [f"output_dir={folder / 'runs'}", f"work_dir={folder / 'work'}"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    captures = [json.loads(path.read_bytes()) for path in sorted((folder / "runs").glob("*/*_capture.json"))]
    if len(captures) == 0:
        print(done.stdout + done.stderr)
    for capture in captures:
        if capture["outcome"]["verdict"] != "passed":
            print(f"  {capture['scenario']}: {capture['outcome']}", flush=True)
    return done.returncode, [(c["outcome"]["verdict"], c["spoiled_attempts"]) for c in captures]


def main() -> None:
    """Run as many suites as the command line says, and print how they came out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that what disturbs ends too
    kind, count, *settings = [*sys.argv[1:], *("steady", "1")[len(sys.argv) - 1 :]]
    right = 0
    for number in range(1, int(count) + 1):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="compbench-disturbed-") as folder, DISTURBANCES[kind]():
            code, outcomes = run_suite(Path(folder), ["port=7433", *settings])
        passed = sum(verdict == "passed" for verdict, _ in outcomes)
        spoiled = sum(attempts for _, attempts in outcomes)
        right += code == 0
        took_s = time.monotonic() - began
        told = f"exit {code}, {passed}/{len(outcomes)} passed, {spoiled} attempts spoiled"
        print(f"{kind} {number}: {told}, {took_s:.0f} s", flush=True)
    print(f"{kind}: {right} of {count} suites came out right")


if __name__ == "__main__":
    main()
