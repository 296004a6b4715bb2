"""The connection between the driver that gathers and those on other hosts: TCP, with a key that both prove to have.

Words are pickled, as between processes of one machine; nothing is read from who has not proven the key. Nothing is
encrypted: hosts and the network between them are trusted, as Dask trusts them too.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
import time
from collections.abc import Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import NamedTuple, Self

from compbench.loadtest.cluster.leases import Lease
from compbench.loadtest.engine.shards import Plan

_DIAL_LIMIT_S = 10.0
_PAUSE_S = 0.05
# How long the network may be gone before a connection is: a host that vanished has no other end to say so.
_GONE_AFTER_S = 5
_OPTIONS = {
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": 2,
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 1000 * _GONE_AFTER_S,
}


class Greeting(NamedTuple):
    """The first word of a driver on a host: its lease, the code that it runs, and what its host has."""

    lease: Lease
    code: str
    cores: int


class Welcome(NamedTuple):
    """The answer to it: what is to be sent, and the credentials of the server."""

    plan: Plan
    environment: Mapping[str, str]


class Listener:
    """Takes connections on a free port of an address; those that prove the key come out of `connections`.

    Raises:
        OSError: there is no such address here.
    """

    def __init__(self, address: str, key: bytes) -> None:
        self.connections: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._key, self._is_closing = key, False
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, 0), family=family)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name="hosts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closing = True
        # To close a socket does not wake who waits for a connection to it.
        with contextlib.suppress(OSError):
            socket.create_connection(self.address, timeout=_DIAL_LIMIT_S).close()
        self._thread.join(_DIAL_LIMIT_S)
        self._socket.close()

    def _accept(self) -> None:
        while not self._is_closing:
            try:
                accepted, _ = self._socket.accept()
            except OSError:  # of one connection, or of too many files for now
                time.sleep(_PAUSE_S)
                continue
            # Somebody who says nothing must not keep the others waiting.
            threading.Thread(target=self._prove, args=(accepted,), daemon=True).start()

    def _prove(self, accepted: socket.socket) -> None:
        # Whoever speaks here is never silent for so long while something is expected of it; a host that is frozen is.
        for way in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            accepted.setsockopt(socket.SOL_SOCKET, way, struct.pack("ll", _GONE_AFTER_S, 0))
        connection = _connection(accepted)
        try:
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
        except (AuthenticationError, EOFError, OSError):
            connection.close()
            return
        self.connections.put(connection)


def dial(address: tuple[str, int], key: bytes) -> Connection:
    """Return a connection to a listener.

    Raises:
        OSError: it can't be reached.
        EOFError, AuthenticationError: it has another key.
    """
    connection = _connection(socket.create_connection(address, timeout=_DIAL_LIMIT_S))
    answer_challenge(connection, key)
    deliver_challenge(connection, key)
    return connection


def _connection(plain: socket.socket) -> Connection:
    plain.settimeout(None)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if hasattr(socket, name):  # not all systems have all of them
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return Connection(plain.detach())
