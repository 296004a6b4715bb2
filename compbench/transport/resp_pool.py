"""RESP over a pool of connections: that of `http_pool` with connections of another protocol, which may log in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any

import hiredis

from compbench.config.credentials import Credentials
from compbench.transport.addresses import read_address
from compbench.transport.connection import KeptConnection
from compbench.transport.exchange import Exchange
from compbench.transport.http_pool import Pool
from compbench.transport.resp_connection import RespConnection, command
from compbench.transport.tls import tls_context

_PORTS = {"redis": 6379, "rediss": 6379}
_PIECE_BYTES = 65_536
_NOTHING = object()


class RespAddress:
    """Where a server that speaks RESP listens, and what it is told by each connection before anything else."""

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        """Read `redis://host:port`, or `rediss://host:port` for TLS.

        Raises:
            UserError: it is another kind of URL.
        """
        found = read_address(url, _PORTS, "redis://host:port, or rediss://host:port for TLS")
        self.url, self.host, self.port = url, found.host, found.port
        self.tls = tls_context() if found.scheme == "rediss" else None
        words = [word for word in (credentials.user, credentials.password) if word] if credentials else []
        self.login = command("AUTH", *words) if credentials and credentials.password else b""

    def ask_once(self, timeout_s: float, *words: str) -> Any:
        """Return the reply to one command, asked on a connection of its own.

        Raises:
            OSError: there is none in time, or it is an error.
        """
        reader, replies = hiredis.Reader(notEnoughData=_NOTHING), list[Any]()
        with contextlib.ExitStack() as stack:
            opened = socket.create_connection((self.host, self.port), timeout_s)
            opened = self.tls.wrap_socket(opened, server_hostname=self.host) if self.tls else opened
            stack.enter_context(opened)
            opened.sendall(self.login + command(*words))
            while len(replies) < (2 if self.login else 1):
                try:
                    reader.feed(_piece_of(opened))
                    while (reply := reader.gets()) is not _NOTHING:
                        replies.append(reply)
                except hiredis.ProtocolError as error:
                    raise OSError(f"not RESP: {error}") from None
        if failed := next((reply for reply in replies if isinstance(reply, hiredis.ReplyError)), None):
            raise OSError(str(failed))
        return replies[-1]


def _piece_of(opened: socket.socket) -> bytes:
    piece = opened.recv(_PIECE_BYTES)
    if not piece:
        raise ConnectionError("closed by the server")
    return piece


class RespPool(Pool):
    """Keeps up to `size` connections, each of which has logged in where that is asked for."""

    def __init__(self, address: RespAddress, size: int) -> None:
        super().__init__(address, size, RespConnection)
        self._login = address.login
        self._entering: set[KeptConnection] = set()

    def released(self, connection: KeptConnection) -> None:
        """Take back a connection that is free, unless it has only just logged in: then it is opened yet."""
        if connection not in self._entering:
            super().released(connection)

    async def _connected(self, host: str, port: int) -> KeptConnection:
        connection = await super()._connected(host, port)
        if self._login:
            await self._enter(connection)
        return connection

    async def _enter(self, connection: KeptConnection) -> None:
        """Log in.

        Raises:
            OSError: the server refuses.
        """
        told: asyncio.Future[Exchange] = self._loop.create_future()

        def tell(ended: Exchange) -> None:
            if not told.done():
                told.set_result(ended)

        self._entering.add(connection)
        connection.send(Exchange(-1, time.monotonic(), self._login, tell))
        try:
            exchange = await told
        except BaseException:
            connection.close()
            raise
        finally:
            self._entering.discard(connection)
        if not exchange.ok:
            connection.close()
            raise OSError(f"logging in failed: {exchange.explain()}")
