"""PostgreSQL's protocol over a pool of connections: that of `http_pool`, with other connections.

asyncpg opens each connection: it knows the ways to log in. Requests are bytes that were made before, as for HTTP, for
asyncpg's own, through its pool, cost three times as much CPU time (docs/driver.md has the measurement).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from compbench.transport.addresses import read_address
from compbench.transport.exchange import Exchange
from compbench.transport.http_pool import CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S, Pool
from compbench.transport.postgres_connection import PostgresConnection
from compbench.transport.tls import encrypted, tls_context

_DATABASE = "postgres"
_OVER_TLS = "postgresql+tls"
_PORTS = {"postgresql": 5432, _OVER_TLS: 5432}
Session = Callable[["asyncpg.Connection[Any]"], Awaitable[None]]


class PostgresAddress:
    """Where a server listens, and who asks it."""

    def __init__(self, url: str, user: str = "", password: str = "") -> None:
        """Read `postgresql://host:port`, or `postgresql+tls`; the database is the one that every server has.

        Raises:
            UserError: it is another kind of URL.
        """
        found = read_address(url, _PORTS, "postgresql://host:port, or postgresql+tls://host:port for TLS")
        self.url, self.host, self.port = url, found.host, found.port
        self.tls = tls_context() if found.scheme == _OVER_TLS else None
        self._user, self._password = user or "postgres", password

    async def connect(self, timeout_s: float = CONNECT_TIMEOUT_S) -> asyncpg.Connection[Any]:
        """Log in.

        Raises:
            OSError: that fails, for whatever reason.
        """
        try:
            return await asyncpg.connect(
                host=self.host,
                port=self.port,
                user=self._user,
                # Even an empty one, or asyncpg would take one of PGPASSWORD or ~/.pgpass.
                password=self._password,
                database=_DATABASE,
                ssl=self.tls or False,
                timeout=timeout_s,
            )
        except TimeoutError:
            raise OSError(f"no connection within {timeout_s:.0f} s") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise OSError(str(error)) from None

    async def value(self, sql: str, timeout_s: float) -> Any:
        """Return the first value that a statement gives, asked on a connection of its own.

        Raises:
            OSError: it can't be had, for whatever reason.
        """
        opened = await self.connect(timeout_s)
        try:
            return await opened.fetchval(sql, timeout=timeout_s)
        except TimeoutError:
            raise OSError(f"no answer within {timeout_s:.0f} s") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise OSError(str(error)) from None
        finally:
            opened.terminate()


class PostgresPool(Pool):
    """Keeps up to `size` connections, each of which `session` has prepared for its requests."""

    def __init__(self, address: PostgresAddress, size: int, session: Session) -> None:
        super().__init__(address, size)
        self._made: Any = encrypted(PostgresConnection) if address.tls else PostgresConnection
        self._where, self._session = address, session

    async def ask(self, payload: Any) -> Exchange:
        """Send one request outside of any schedule and wait for its outcome."""
        return await super().ask(payload)

    def expire(self) -> None:
        """Give up every request that was due longer ago than the timeout, but for patient ones."""
        limit = time.monotonic() - REQUEST_TIMEOUT_S
        while self._waiting and self._waiting[0].due_at < limit:
            self._finish(self._waiting.popleft(), f"no connection for {REQUEST_TIMEOUT_S:.0f} s")
        for connection in list(self._connections):
            exchange = connection.exchange
            is_patient = isinstance(connection, PostgresConnection) and connection.is_patient
            if exchange is not None and not is_patient and exchange.sent_at < limit:
                connection.give_up(f"no response for {REQUEST_TIMEOUT_S:.0f} s")

    async def _connect(self) -> None:
        opened = await self._where.connect()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._session(opened)
        except TimeoutError:
            opened.terminate()
            raise OSError(f"no session within {CONNECT_TIMEOUT_S:.0f} s") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            opened.terminate()
            raise OSError(str(error)) from None
        connection = self._made(self, opened)
        self._connections.add(connection)
        connection.free_at = time.monotonic()
        self.released(connection)
