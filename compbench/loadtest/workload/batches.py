"""The data set as requests: one memory each as Engram takes them, or rows and edges in bulk where a server does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from compbench.config.scenarios import Scenario
from compbench.loadtest.workload.edges import edge_chunks
from compbench.loadtest.workload.operations import MEMORIES, PREPARED_PREFIX, space_names, store_request
from compbench.loadtest.workload.vectors import CHUNK, prepared_vectors
from compbench.transport.http_pool import Endpoint

# Some 1 MB a request.
EDGES_A_BATCH = 131_072


class Batch(NamedTuple):
    """One request of a load: its bytes, how many memories it brings, and what to call it in a message."""

    payload: bytes
    memories: int
    name: str


def single_batches(scenario: Scenario, seed: int, endpoint: Endpoint, first: int, count: int) -> Iterator[Batch]:
    """Yield a request for each memory from number `first` to `count`."""
    names = space_names(scenario.data.memory_spaces)
    for begin, chunk in prepared_vectors(scenario.data, count, seed, first):
        for number, vector in enumerate(chunk, begin):
            memory_id = f"{PREPARED_PREFIX}{number}"
            yield Batch(store_request(endpoint, memory_id, vector, names[number % len(names)]), 1, memory_id)


def row_batches(scenario: Scenario, seed: int, endpoint: Endpoint, loaded: list[int], count: int) -> Iterator[Batch]:
    """Yield requests of up to 1024 rows.

    Args:
        scenario: whose data set it is.
        seed: of the vectors.
        endpoint: the server.
        loaded: how many rows each space has already; the rows of space s are the numbers s, s + spaces, ...
        count: how many memories in all.
    """
    names = space_names(scenario.data.memory_spaces)
    following = [space + len(names) * rows for space, rows in enumerate(loaded)]
    for begin, chunk in prepared_vectors(scenario.data, count, seed, min(following) // CHUNK * CHUNK):
        for space, name in enumerate(names):
            first = max(following[space], begin + (space - begin) % len(names))
            rows = chunk[first - begin :: len(names)] if first < begin + len(chunk) else chunk[:0]
            if len(rows):
                query = b"prefix=%b&first=%d&step=%d&space=%b" % (
                    PREPARED_PREFIX.encode(),
                    first,
                    len(names),
                    name.encode(),
                )
                payload = _post(endpoint, b"%b/bulk?%b" % (MEMORIES, query), rows.astype("<f4").tobytes())
                yield Batch(payload, len(rows), f"the rows from {PREPARED_PREFIX}{first} on")


def edge_batches(scenario: Scenario, seed: int, endpoint: Endpoint, count: int) -> Iterator[Batch]:
    """Yield requests that load the graph's edges; none if the scenario has no graph."""
    if scenario.graph is None:
        return
    waiting = np.empty((0, 2), np.uint32)
    for chunk in edge_chunks(count, scenario.graph.average_degree, seed):
        waiting = np.concatenate([waiting, chunk])
        if len(waiting) >= EDGES_A_BATCH:
            yield Batch(_post(endpoint, MEMORIES + b"/edges", waiting.astype("<u4").tobytes()), 0, "edges")
            waiting = waiting[:0]
    if len(waiting):
        yield Batch(_post(endpoint, MEMORIES + b"/edges", waiting.astype("<u4").tobytes()), 0, "edges")


def _post(endpoint: Endpoint, target: bytes, body: bytes) -> bytes:
    return (
        b"POST %b HTTP/1.1\r\nHost: %b\r\nAccept: application/json\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (target, endpoint.host_header, len(body), body)
    )
