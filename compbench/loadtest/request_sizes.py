"""`sizes`: how large the requests of a scenario are as the system's client encodes them; asks no server."""

from __future__ import annotations

from typing import Any

import numpy as np

from compbench.loadtest.workload.operations import RECALL, SEARCH
from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.loadtest.workload.workload import Workload
from compbench.model.result import RequestSizes
from compbench.model.scenario import Scenario
from compbench.systems.clients import ServerAddress, open_client

# Drawn from the scenario's own mix: enough for a mean within a few per cent.
REQUESTS = 400
_NUMBER_BYTES = 8


def sizes_of(scenario: Scenario, seed: int, data_seed: int, address: ServerAddress, memories: int) -> RequestSizes:
    """Return the sizes of the first requests of the workload, similarity searches in the place of traversals.

    Raises:
        UserError: the system can't be asked at such an endpoint, or a file of vectors can't be read.
    """
    client = open_client(address, shape_of(scenario, open_vectors(scenario, data_seed)))
    made = Workload(scenario, seed, client, data_seed=data_seed, prepared=memories, count=REQUESTS, traverses=False)
    sizes = [payload_bytes(made.build(index)) for index in range(REQUESTS)]
    limits = [made.query(i).limit if made.operation(i) in (RECALL, SEARCH) else 0 for i in range(REQUESTS)]
    return RequestSizes(mean_bytes=sum(sizes) / REQUESTS, largest_bytes=max(sizes), mean_limit=sum(limits) / REQUESTS)


def payload_bytes(call: Any) -> int:
    """Return how many bytes a call carries, as a transport takes it: a text of bytes, or a tuple with such in it."""
    match call:
        case bytes() | bytearray() | memoryview():
            return len(call)
        case str():
            return len(call.encode())
        case np.ndarray():
            return int(call.nbytes)
        case tuple() | list():
            return sum(map(payload_bytes, call))
        case int() | float():
            return _NUMBER_BYTES
        case _:
            return 0
