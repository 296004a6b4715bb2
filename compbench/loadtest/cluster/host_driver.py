"""The driver on a host, `python -m compbench.loadtest host`: it keeps its share of a schedule for the one that gathers.

It is started by `agent`, which tells it where to find that one, and sends nothing without a lease.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading

from compbench.loadtest.cluster.connections import Greeting, Welcome, dial
from compbench.loadtest.cluster.leases import Lease, code_digest
from compbench.loadtest.engine.offsets import answer_pings
from compbench.loadtest.engine.shards import serve_shard
from compbench.model.errors import UserError

_STDIN = 0
_ORPHANED = 3
_PR_SET_PDEATHSIG = 1


def serve() -> int:
    """Ask for the lease that standard input names, keep the share, and return 0; 1 if the one that gathers has gone.

    Raises:
        UserError: that can't be reached, or has refused the lease.
    """
    _die_with_parent()
    (host, port), key, lease = json.loads(_first_line())
    threading.Thread(target=_end_with_agent, daemon=True).start()
    # Read before the one that gathers waits for it.
    greeting = Greeting(Lease(*lease), code_digest(), os.cpu_count() or 1)
    try:
        connection = dial((host, port), bytes.fromhex(key))
    except (OSError, EOFError) as error:
        raise UserError(f"the driver that gathers can't be reached at {host}:{port} ({error})") from None
    try:
        connection.send(greeting)
        answer = connection.recv()
        if not isinstance(answer, Welcome):
            raise UserError(f"refused: {answer}")
        os.environ.update(answer.environment)
        serve_shard(connection, answer.plan, Lease(*lease).shard, is_strict=True)
        answer_pings(connection)
    except (EOFError, OSError):
        return 1
    return 0


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(_STDIN, 1)
        if not byte:
            raise UserError("no order on standard input: this command is for drivers that are started on other hosts")
        line += byte
    return line


def _die_with_parent() -> None:
    """Have the kernel kill this process when the thread that has started it ends, even while it is frozen (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_agent() -> None:
    """End this process with the one that has started it, whose end of the pipe is closed then, whatever is going on."""
    os.read(_STDIN, 1)
    os._exit(_ORPHANED)
