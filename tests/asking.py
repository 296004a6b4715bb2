"""Asks a server what a client makes of operations, over the client's own transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from compbench.systems.api import Ask, Client, Search

if TYPE_CHECKING:
    from compbench.systems.api import Vectors


def asked(made: Client, use: Callable[[Ask], Awaitable[Any]]) -> Any:
    """Return what comes of asking over the client's own transport."""

    async def run() -> Any:
        transport = made.transport(4)
        await transport.open()
        try:
            return await use(transport.ask)
        finally:
            transport.close()

    return asyncio.run(run())


async def loaded(made: Client, ask: Ask, rows: Vectors) -> None:
    """Load rows that are not there yet, as the driver does."""
    loading = await made.begin_loading(ask, len(rows))
    for first in range(loading.there[0], len(rows), loading.rows_at_once):
        exchange = await ask(made.load(first, 1, rows[first : first + loading.rows_at_once]))
        assert exchange.ok, exchange.explain()


async def found(made: Client, ask: Ask, operation: Search) -> list[int]:
    """Return what a search finds."""
    exchange = await ask(made.encode(operation))
    assert exchange.ok, exchange.explain()
    return made.ids(b"".join(exchange.body))
