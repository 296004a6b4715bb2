"""Stores, searches and snapshots at the same time, through a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tests.embedded_server import Embedded, embedded, nearest, vectors

CLIENTS, EACH = 8, 30


def store_and_find(server: Embedded, client: int, stored: list[str]) -> None:
    """Store memories one after the other; nearly each is found by its own vector as soon as it is acknowledged.

    Parallel inserts leave a few of a small graph out of a search's reach; a lost one would not be there to be read.
    """
    missed = []
    for number, vector in enumerate(vectors(EACH, seed=100 + client)):
        memory_id = f"own-{client}-{number}"
        server.remember(memory_id, vector)
        stored.append(memory_id)
        if server.recall(embedding=json.dumps(vector.tolist()), max_results=1) != [memory_id]:
            missed.append(memory_id)
        answer = server.get(f"/api/v1/memories/{memory_id}")
        assert answer.status_code == 200
        assert np.allclose(answer.json()["embedding"], vector, rtol=0.004)
    assert len(missed) <= EACH // 10, missed


def all_together(*work: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(part) for part in work]:
            done.result()


def test_what_is_acknowledged_is_found_by_all_and_kept_by_a_snapshot(tmp_path: Path) -> None:
    rows = vectors(1000, seed=7)
    stored: list[str] = []
    kept: list[str] = []
    is_over = threading.Event()

    def load(server: Embedded) -> None:
        for first in range(0, 1000, 50):
            body = rows[first : first + 50].astype("<f4").tobytes()
            where = {"prefix": "node-", "first": first}
            assert server.post("/api/v1/memories/bulk", data=body, params=where).status_code == 201

    def compact(server: Embedded) -> None:
        while not is_over.is_set():
            before = list(stored)
            assert server.post("/api/v1/maintenance/compact").status_code == 200
            kept[:] = before

    with embedded(tmp_path) as server:
        compacting = threading.Thread(target=compact, args=(server,))
        compacting.start()
        stores = [lambda client=client: store_and_find(server, client, stored) for client in range(CLIENTS)]
        all_together(lambda: load(server), *stores)
        is_over.set()
        compacting.join()
        assert server.count() == 1000 + CLIENTS * EACH
        hits = sum(
            len(
                {f"node-{number}" for number in nearest(rows, query, 10)}
                & set(server.recall(embedding=json.dumps(query.tolist()), max_results=30, threshold=-1))
            )
            for query in rows[:20]
        )
        assert hits >= 180, f"only {hits} of 200 nearest neighbours were found"
        server.process.kill()
        server.process.wait()
    with embedded(tmp_path) as server:
        assert kept
        missed = []
        for client in range(CLIENTS):
            for number, vector in enumerate(vectors(EACH, seed=100 + client)):
                memory_id = f"own-{client}-{number}"
                if memory_id in kept:
                    assert server.get(f"/api/v1/memories/{memory_id}").status_code == 200
                    if server.recall(embedding=json.dumps(vector.tolist()), max_results=1) != [memory_id]:
                        missed.append(memory_id)
        assert len(missed) <= len(kept) // 10, missed


def test_one_memory_is_stored_by_many_at_a_time_and_is_one(tmp_path: Path) -> None:
    rows = vectors(CLIENTS, seed=3)
    query = json.dumps(rows.sum(axis=0).tolist())

    def store(server: Embedded, client: int) -> None:
        for _ in range(EACH):
            server.remember("the-same", rows[client])
            found = server.recall(embedding=query, max_results=5, threshold=-1)
            # None at all, if it was replaced while it was searched for.
            assert found in (["the-same"], [])

    with embedded(tmp_path) as server:
        all_together(*(lambda client=client: store(server, client) for client in range(CLIENTS)))
        assert server.count() == 1
        assert server.recall(embedding=query, max_results=5, threshold=-1) == ["the-same"]
