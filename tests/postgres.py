"""A real PostgreSQL with pgvector for tests, started as a measurement starts it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from compbench.config.settings import Settings
from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.machine.output import Output
from compbench.measuring import server
from compbench.measuring.server import ServerProcess
from compbench.systems import registry
from compbench.systems.api import Ask, Server, Shape
from compbench.systems.pgvector.client import Client
from compbench.systems.pgvector.settings import PgvectorSettings
from compbench.systems.registry import load_settings
from compbench.transport.postgres_pool import PostgresAddress
from tests.installed import cache_with
from tests.project import free_port

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

T = TypeVar("T")


@dataclass
class Postgres:
    """A running server."""

    settings: Settings
    process: ServerProcess
    half: Server

    def client(self, dimension: int, metric: Any = "cosine", **own: Any) -> Client:
        """Return a client."""
        return Client(PgvectorSettings(**own), self.half.endpoint, Shape(dimension, 1, metric))

    def sql(self, *statements: str) -> Any:
        """Run statements beside all that is tested; return the last one's first value."""

        async def run() -> Any:
            opened = await PostgresAddress(self.half.endpoint).connect()
            for statement in statements:
                value = await opened.fetchval(statement)
            await opened.close()
            return value

        return run_in_precise_loop(run())


def postgres_settings(folder: Path, **own: str) -> Settings:
    """Return settings of a project that measures it."""
    # Small, since several of them may run at once.
    given = {"shared_buffers_pct": "1", "maintenance_work_mem_pct": "1", **own}
    variables = {f"system.pgvector.{name}": value for name, value in given.items()}
    base = {"system": "pgvector", "port": str(free_port()), "cache_dir": str(cache_with("pgvector"))}
    return load_settings(folder, {}, {**base, "work_dir": str(folder / "work"), **variables})


@contextlib.contextmanager
def postgres_running(folder: Path, work: Path | None = None, ready_s: float = 30, **own: str) -> Iterator[Postgres]:
    """Run a server, with its data in a fresh work folder or in one that is given."""
    settings = postgres_settings(folder, **own)
    with contextlib.ExitStack() as stack:
        place = work or stack.enter_context(server.work_folder(settings, folder))
        log = Output(folder / "server.log", 10_000_000)
        process = stack.enter_context(server.started(settings, place, log, folder))
        server.wait_until_ready(process, ready_s)
        yield Postgres(settings, process, registry.server_of(settings))


def asking(client: Client, do: Callable[[Ask], Awaitable[T]], size: int = 2) -> T:
    """Open a transport, do something with it, close it."""

    async def main() -> T:
        pool = client.transport(size)
        await pool.open()
        try:
            return await do(pool.ask)
        finally:
            pool.close()

    return run_in_precise_loop(main())


def load(client: Client, rows: Vectors, pairs: Any = ()) -> str:
    """Load rows and edges, and build the index; return why that failed."""

    async def do(ask: Ask) -> str:
        loading = await client.begin_loading(ask, len(rows))
        for first in range(loading.there[0], len(rows), loading.rows_at_once):
            exchange = await ask(client.load(first, 1, rows[first : first + loading.rows_at_once]))
            if not exchange.ok:
                return exchange.explain()
        if len(pairs):
            exchange = await ask(client.load_edges(np.asarray(pairs, np.uint32)))
            if not exchange.ok:
                return exchange.explain()
        return await client.build_index(ask)

    return asking(client, do)
