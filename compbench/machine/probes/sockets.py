"""A process' own TCP sockets, wherever it is: one in another network namespace has its sockets listed apart."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

# The kernel's numbers (include/net/tcp_states.h) in psutil's words.
_STATES = {
    1: psutil.CONN_ESTABLISHED,
    2: psutil.CONN_SYN_SENT,
    3: psutil.CONN_SYN_RECV,
    4: psutil.CONN_FIN_WAIT1,
    5: psutil.CONN_FIN_WAIT2,
    6: psutil.CONN_TIME_WAIT,
    7: psutil.CONN_CLOSE,
    8: psutil.CONN_CLOSE_WAIT,
    9: psutil.CONN_LAST_ACK,
    10: psutil.CONN_LISTEN,
    11: psutil.CONN_CLOSING,
}


class OwnSocket(NamedTuple):
    """One TCP socket: psutil's word for its state, and its own port."""

    state: str
    port: int


def own_sockets(pid: int) -> list[OwnSocket]:
    """Return the TCP sockets of a process.

    Raises:
        psutil.Error: the process has ended, or may not be read by this user.
    """
    folder = Path(f"/proc/{pid}")
    if not sys.platform.startswith("linux"):
        connections = psutil.Process(pid).net_connections("tcp")
        return [OwnSocket(c.status, c.laddr.port) for c in connections if c.laddr]
    try:
        held = set(_held_sockets(folder / "fd"))
        lines = [line for name in ("tcp", "tcp6") for line in _lines(folder / "net" / name)]
    except PermissionError:
        raise psutil.AccessDenied(pid) from None
    except OSError:
        raise psutil.NoSuchProcess(pid) from None
    return [socket for number, socket in map(_parsed, lines) if number in held]


def _held_sockets(folder: Path) -> Iterator[str]:
    """Yield the numbers of the sockets among a process' open files."""
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            link = str(path.readlink())
            if link.startswith("socket:["):
                yield link[8:-1]


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        return path.read_text(encoding="ascii").splitlines()[1:]
    return []


def _parsed(line: str) -> tuple[str, OwnSocket]:
    words = line.split()
    return words[9], OwnSocket(_STATES.get(int(words[3], 16), psutil.CONN_NONE), int(words[1].rpartition(":")[2], 16))
