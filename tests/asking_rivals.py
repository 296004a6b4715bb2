"""A program of the tests that asks a running system as a driver does: `asking_rivals.py look|remove SYSTEM ENDPOINT`.

It runs in the network namespace of the server, where the tests themselves are not.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import uvloop

from compbench.systems import clients
from compbench.systems.api import NO_THRESHOLD, STORED_FROM, Search, Shape, Store
from compbench.systems.clients import ServerAddress

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Client

DIMENSION, COUNT, LIMIT, QUERIES = 64, 2000, 10, 100
RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(COUNT, DIMENSION)).astype(np.float32)
POOL = RNG.normal(size=(QUERIES, DIMENSION)).astype(np.float32)
SIMILAR = (POOL / np.linalg.norm(POOL, axis=1)[:, None]) @ (ROWS / np.linalg.norm(ROWS, axis=1)[:, None]).T
NEAREST = np.argsort(-SIMILAR, axis=1)[:, :LIMIT]


def client_of(system: str, endpoint: str, **own: int) -> Client:
    return clients.open_client(ServerAddress(endpoint, system, None, json.dumps(own)), Shape(DIMENSION, 1))


async def found(client: Client, ask: Ask, search: Search) -> list[int]:
    exchange = await ask(client.encode(search))
    assert exchange.ok, exchange.explain()
    return client.ids(b"".join(exchange.body))


async def recall(client: Client, ask: Ask) -> float:
    client.take_queries(POOL, completes=False)
    await client.begin_measuring(ask)
    shares = [
        len({*await found(client, ask, Search(i, LIMIT, NO_THRESHOLD, 0))} & {*NEAREST[i]}) / LIMIT
        for i in range(QUERIES)
    ]
    return float(np.mean(shares))


async def look(system: str, endpoint: str) -> dict[str, Any]:
    client = client_of(system, endpoint, effort=400)
    transport = client.transport(4)
    await transport.open()
    ask, said = transport.ask, dict[str, Any]()
    loading = await client.begin_loading(ask, COUNT)
    there = loading.there
    for first in range(0, COUNT, loading.rows_at_once):
        exchange = await ask(client.load(first, 1, ROWS[first : first + loading.rows_at_once]))
        assert exchange.ok, exchange.explain()
    said["built"] = [await client.build_index(ask)]
    there += (await client.begin_loading(ask, COUNT)).there
    said["built"].append(await client.build_index(ask))
    there += (await client.begin_loading(ask, COUNT)).there
    said["there"], counts = there, [await client.count(ask)]
    said["other"] = [await client.holds_other(ask, 5, ROWS[5]), await client.holds_other(ask, 5, ROWS[6])]
    proof = await client.prove_index(ask, POOL[0])
    said["proof"] = [proof.is_used, proof.said]
    said["floor"] = (await ask(client.floor())).ok
    said["recall"] = {
        str(effort): await recall(client_of(system, endpoint, effort=effort), ask) for effort in (10, 400)
    }
    said |= await thresholds(client, ask)
    stored = await ask(client.encode(Store(STORED_FROM, 0, POOL[0])))
    assert stored.ok, stored.explain()
    deadline = time.monotonic() + 30
    while not (seen := await found(client, ask, Search(0, 1, NO_THRESHOLD, 0)) == [STORED_FROM]):
        if time.monotonic() > deadline:
            break
    said["stored_is_found"] = seen
    said["counts"] = [*counts, await client.count(ask)]
    transport.close()
    return said


async def thresholds(client: Client, ask: Ask) -> dict[str, Any]:
    client.take_queries(POOL, completes=False)
    await client.begin_measuring(ask)
    least = float(np.median(np.sort(SIMILAR, axis=1)[:, -5]))
    below, right, wanted = 0, 0, 0
    for i in range(QUERIES):
        rows = await found(client, ask, Search(i, LIMIT, least, 0))
        below += sum(bool(SIMILAR[i, row] < least - 1e-5) for row in rows)
        want = {int(row) for row in NEAREST[i] if SIMILAR[i, row] >= least + 1e-5}
        right, wanted = right + len(want & {*rows}), wanted + len(want)
    return {"below_threshold": below, "above_threshold": right / wanted}


async def remove(system: str, endpoint: str) -> list[Any]:
    client = client_of(system, endpoint)
    transport = client.transport(1)
    await transport.open()
    said = [await client.remove(transport.ask), (await client.begin_loading(transport.ask, COUNT)).there[0]]
    transport.close()
    return said


if __name__ == "__main__":
    print(json.dumps(uvloop.run({"look": look, "remove": remove}[sys.argv[1]](*sys.argv[2:]))))
