"""The task that Dask runs on a host: it starts the drivers there, each a process of its own, and waits for their end.

A driver lives no longer than the pipe to its task's process, so that nothing is left when a worker is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, NamedTuple

import compbench
from compbench.loadtest.cluster.leases import Lease, Order

_LAST_LINES = 2
# What Dask sets for its workers: with it a host would draw rows, and use memory, otherwise than a driver without Dask.
_OF_DASK = (
    "MALLOC_TRIM_THRESHOLD_",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "DASK_INTERNAL_INHERIT_CONFIG",
    "__DASK_PARENT_PID",
)


class DriverEnd(NamedTuple):
    """How the drivers of a host have ended: the first exit code that is not 0, and the last words to it."""

    code: int
    said: str

    @property
    def is_told(self) -> bool:
        """Tell whether a driver itself has said what is wrong; a signal's victim says nothing."""
        return self.code == 1 and bool(self.said)


def run_drivers(order: Order) -> DriverEnd:
    """Start the drivers of this host, wait until all have ended, and return how.

    What is wrong is returned, not raised: Dask would log its traceback.
    """
    with tempfile.TemporaryFile() as log:
        drivers = [_start(order, lease, log) for lease in order.leases]
        codes = [driver.wait() for driver in drivers]
        code = next(filter(None, codes), 0)
        return DriverEnd(code, _last_words(log) if code else "")


def _start(order: Order, lease: Lease, log: IO[bytes]) -> subprocess.Popen[bytes]:
    checkout = str(Path(compbench.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [checkout, os.environ.get("PYTHONPATH", "")]))
    driver = subprocess.Popen(
        [sys.executable, "-m", "compbench.loadtest", "host"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=log,
        env={name: value for name, value in os.environ.items() if name not in _OF_DASK} | {"PYTHONPATH": path},
    )
    assert driver.stdin is not None  # noqa: S101 - asked for above
    # Not on the command line, which everybody on the host can read; and it stays open, see above.
    driver.stdin.write(json.dumps([order.address, order.key, lease]).encode() + b"\n")
    driver.stdin.flush()
    return driver


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").split("\n")
    return " ".join([line.strip() for line in lines if line.strip()][-_LAST_LINES:]).removeprefix("Error: ")
