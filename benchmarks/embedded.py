"""How fast the embedded server is against the index inside it, and what more effort finds: `rows=100000`.

The same vectors go, in turn, into a bare index in this process and over HTTP in bulk into a server; then the same
queries are asked of both. What the index alone does on all cores is the limit of this machine, whatever else it is busy
with: printed are both rates and their ratio, and recall@k (k = 5 to 50) against the candidates that a search looks at.
The vectors are of the shipped scenarios' kind (docs/data.md), the queries held out. The client that asks over HTTP is
compbench's own and takes a share of the same cores.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import uvloop
from numpy.typing import NDArray

from compbench.embedded.turns import AT_ONCE, CORES
from compbench.embedded.vector_index import SEARCH_CANDIDATES, Vector, VectorIndex
from compbench.loadtest.workload.embeddings import Embeddings
from compbench.loadtest.workload.streams import CHUNK
from compbench.machine.ask import AskError, ask
from compbench.systems.api import Search, Shape
from compbench.systems.engram.client import Client
from compbench.transport.http_pool import Pool

DIMENSION, SEED = 768, 1
ROWS_AT_ONCE, QUERIES, CONNECTIONS = 1024, 1000, 32
LEAST_K, MOST_K = 5, 50
CANDIDATES = (48, 64, 96, 128, 192, 256)
REPEATS = 3


class Both(NamedTuple):
    """Seconds, or rates a second, of the bare index and of the server."""

    bare: float
    server: float


def main() -> int:
    """Print the rates and recalls."""
    options = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    count = int(options.pop("rows", "100000"))
    if options:
        sys.exit(f"{', '.join(options)}: unknown; usage: python -m benchmarks.embedded rows=100000")
    rows, queries = draw(count)
    exact = nearest(rows, queries)
    index = VectorIndex(DIMENSION, "cosine")
    print(f"{count} rows of {DIMENSION} dimensions, {QUERIES} queries, {CORES} cores")
    with server() as url:
        uvloop.run(compare(Client(None, url, Shape(DIMENSION, 1)), index, rows, queries, exact))
    return 0


async def compare(client: Client, index: VectorIndex, rows: Vector, queries: Vector, exact: NDArray[np.int64]) -> None:
    """Load and ask both, and print how they compare."""
    client.take_queries(queries, completes=False)
    pool = client.transport(CONNECTIONS)
    await pool.open()
    loading = await load_both(client, pool, index, rows)
    print_pair("added a second", Both(len(rows) / loading.bare, len(rows) / loading.server))
    answers: list[list[int]] = [[] for _ in queries]
    pairs = [Both(searched_s(index, queries), await asked_s(client, pool, answers)) for _ in range(REPEATS)]
    best = Both(min(pair.bare for pair in pairs), min(pair.server for pair in pairs))
    print_pair("searches a second", Both(QUERIES / best.bare, QUERIES / best.server))
    pool.close()
    print(f"recall@5..50 over HTTP: {recall(answers, exact, limits()):.4f}")
    print(f"\n{'candidates':>10} {'searches/s, bare':>17} {'recall@10':>10} {'recall@5..50':>13}")
    for candidates in CANDIDATES:
        index.search_candidates = candidates
        took_s = min(searched_s(index, queries) for _ in range(REPEATS))
        found = [one.keys for one in index.search(queries, MOST_K, CORES)]
        ten, mixed = recall(found, exact, [10] * QUERIES), recall(found, exact, limits())
        mark = " (as the server)" if candidates == SEARCH_CANDIDATES else ""
        print(f"{candidates:10} {QUERIES / took_s:17.0f} {ten:10.4f} {mixed:13.4f}{mark}")


async def load_both(client: Client, pool: Pool, index: VectorIndex, rows: Vector) -> Both:
    """Add the same rows to both in turn; return the seconds that each took."""
    await client.begin_loading(pool.ask, len(rows))
    bare_s = server_s = 0.0
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[first : first + ROWS_AT_ONCE]
        began = time.perf_counter()
        index.add(np.arange(first, first + len(part), dtype=np.uint64), part, CORES)
        bare_s += time.perf_counter() - began
        began = time.perf_counter()
        exchange = await pool.ask(client.load(first, 1, part))
        server_s += time.perf_counter() - began
        assert exchange.ok, exchange.explain()
    return Both(bare_s, server_s)


def searched_s(index: VectorIndex, queries: Vector) -> float:
    """Return the seconds that the bare index takes for all queries, as many at once as the server asks it."""
    began = time.perf_counter()
    for first in range(0, len(queries), AT_ONCE):
        index.search(queries[first : first + AT_ONCE], MOST_K, CORES)
    return time.perf_counter() - began


async def asked_s(client: Client, pool: Pool, answers: list[list[int]]) -> float:
    """Return the seconds that the server takes for all queries, asked over all connections; fill in its answers."""
    waiting = list(enumerate(limits()))

    async def ask_on() -> None:
        while waiting:
            query, k = waiting.pop()
            exchange = await pool.ask(client.encode(Search(query, k, -1.0, 0)))
            assert exchange.ok, exchange.explain()
            answers[query] = client.ids(b"".join(exchange.body))

    began = time.perf_counter()
    await asyncio.gather(*(ask_on() for _ in range(CONNECTIONS)))
    return time.perf_counter() - began


def limits() -> list[int]:
    """Return how many neighbours each query asks for."""
    return [LEAST_K + number % (MOST_K + 1 - LEAST_K) for number in range(QUERIES)]


def recall(found: list[list[int]], exact: NDArray[np.int64], wanted: list[int]) -> float:
    """Return the mean share of the k exact neighbours, shape (queries, 50), among the first k found."""
    shares = [
        len(set(some[:k]) & set(best[:k].tolist())) / k for some, best, k in zip(found, exact, wanted, strict=True)
    ]
    return float(np.mean(shares))


def draw(count: int) -> tuple[Vector, Vector]:
    """Return the first rows of a set of embeddings, shape (count, dimension), and queries, shape (1000, dimension)."""
    embeddings = Embeddings(DIMENSION, SEED)
    rows = np.empty((count, DIMENSION), np.float32)
    for first in range(0, count, CHUNK):
        part = rows[first : first + CHUNK]
        part[:] = embeddings.rows(first // CHUNK)[: len(part)]
    return rows, embeddings.queries("held-out", QUERIES, count)


def nearest(rows: Vector, queries: Vector) -> NDArray[np.int64]:
    """Return the numbers of the 50 nearest rows of each query, best first, shape (queries, 50)."""
    best = np.empty((len(queries), MOST_K), np.int64)
    for number, query in enumerate(queries):
        similarity = rows @ query
        top = np.argpartition(-similarity, MOST_K)[:MOST_K]
        best[number] = top[np.argsort(-similarity[top])]
    return best


def print_pair(what: str, rates: Both) -> None:
    """Print both rates and their ratio."""
    print(f"{what}: index alone {rates.bare:.0f}, server over HTTP {rates.server:.0f}: {rates.server / rates.bare:.2f}")


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run the embedded server on a free port; yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "compbench.embedded", "--log-level", "warn", "start", "--port", str(port)]
        environment = {**os.environ, "ENGRAM_DATA_DIR": f"{folder}/data", "ENGRAM_PID_PATH": f"{folder}/pid"}
        with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL) as process:
            try:
                while process.poll() is None:
                    with contextlib.suppress(AskError):
                        ask(f"{url}/health", 1.0)
                        break
                    time.sleep(0.05)
                yield url
            finally:
                process.terminate()


if __name__ == "__main__":
    sys.exit(main())
