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
from typing import IO

import compbench
from compbench.loadtest.cluster.leases import Lease, Order
from compbench.model.errors import UserError

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


def run_drivers(order: Order) -> None:
    """Start the drivers of this host, and wait until all have ended.

    Raises:
        UserError: one has failed; has its last words.
    """
    with tempfile.TemporaryFile() as log:
        drivers = [_start(order, lease, log) for lease in order.leases]
        codes = [driver.wait() for driver in drivers]
        if failed := [code for code in codes if code]:
            raise UserError(_last_words(log) or f"its driver ended with {failed[0]}")


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
