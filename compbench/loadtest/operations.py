"""What is sent: the operations of a scenario drawn by weight, each built into the bytes of an HTTP request.

Every draw that needs no vector is made before the clock starts. A request's vector is drawn, encoded and built into
bytes while the request before it is under way, so that the moment a request is due nothing is left but to send it,
and no two requests carry the same vector.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from compbench.loadtest import vectors
from compbench.loadtest.client import Endpoint
from compbench.loadtest.vectors import Vector, VectorSource
from compbench.scenarios import Operations, Scenario

# Order and labels of the operations, as in Engram's report.
LABELS = ("Store", "Recall", "Search", "PatternCompletion")
STORE, RECALL, SEARCH, COMPLETION = range(4)
PREPARED_PREFIX = "node-"
STORED_PREFIX = "load-"
RECALL_LIMITS = (1, 5)
SEARCH_LIMITS = (5, 50)
RECALL_THRESHOLDS = (0.5, 0.9)
_REMEMBER = b"/api/v1/memories/remember"


class Query(NamedTuple):
    """A vector search as it was sent, kept for checking its answer."""

    vector: Vector
    limit: int
    threshold: float
    space: int


class Draws(NamedTuple):
    """Everything about the requests that is drawn beforehand; shape (requests,) each."""

    operations: NDArray[np.uint8]
    limits: NDArray[np.uint8]
    thresholds: NDArray[np.float32]
    spaces: NDArray[np.uint16]


def draw(scenario: Scenario, count: int, seed: int) -> Draws:
    """Draw operations by weight, result limits, thresholds and memory spaces for `count` requests."""
    rng = vectors.stream(seed, vectors.DRAWS)
    operations = rng.choice(len(LABELS), size=count, p=_shares(scenario.operations)).astype(np.uint8)
    recall = operations == RECALL
    low, high = (np.where(recall, *pair) for pair in zip(RECALL_LIMITS, SEARCH_LIMITS, strict=True))
    thresholds = np.where(recall, rng.uniform(*RECALL_THRESHOLDS, size=count), 0.0)
    return Draws(
        operations,
        rng.integers(low, high, size=count, endpoint=True).astype(np.uint8),
        np.round(thresholds, 3).astype(np.float32),
        rng.integers(scenario.data.memory_spaces, size=count).astype(np.uint16),
    )


class RequestBuilder:
    """Builds the requests of a run one after the other; remembers the queries whose numbers are in `keep`."""

    def __init__(self, scenario: Scenario, draws: Draws, seed: int, endpoint: Endpoint, keep: frozenset[int]) -> None:
        self.kept: dict[int, Query] = {}
        self._draws = draws
        self._keep = keep
        self._endpoint = endpoint
        self._space_names = space_names(scenario.data.memory_spaces)
        self._source = VectorSource(scenario.data, vectors.stream(seed, vectors.QUERIES))

    def build(self, index: int) -> bytes:
        """Return the bytes of request number `index`."""
        operation = self._draws.operations[index]
        vector = self._source.draw(1)[0]
        space = int(self._draws.spaces[index])
        name = self._space_names[space]
        if operation == STORE:
            return store_request(self._endpoint, f"{STORED_PREFIX}{index}", vector, name)
        if operation == COMPLETION:
            return _completion_request(self._endpoint, vector, name)
        limit, threshold = int(self._draws.limits[index]), float(self._draws.thresholds[index])
        if index in self._keep:
            self.kept[index] = Query(vector, limit, threshold, space)
        return _recall_request(self._endpoint, vector, limit, threshold, name)


def space_names(count: int) -> list[str]:
    """Return the names of the memory spaces: only `default` if there is one, else `space_0`, `space_1` and so on."""
    return ["default"] if count == 1 else [f"space_{number}" for number in range(count)]


def store_request(endpoint: Endpoint, memory_id: str, vector: Vector, space: str) -> bytes:
    """Return the request that stores one memory with its embedding."""
    body = b'{"id":"%b","content":"Load test memory %b","confidence":0.9,"memory_space_id":"%b","embedding":%b}' % (
        memory_id.encode(),
        memory_id.encode(),
        space.encode(),
        _json(vector),
    )
    return endpoint.post(_REMEMBER, body)


def _recall_request(endpoint: Endpoint, vector: Vector, limit: int, threshold: float, space: str) -> bytes:
    # A comma needs no encoding in a query string; brackets do.
    return endpoint.get(
        b"/api/v1/memories/recall?embedding=%%5B%b%%5D&threshold=%.3f&max_results=%d&space=%b"
        % (_json(vector)[1:-1], threshold, limit, space.encode())
    )


def _completion_request(endpoint: Endpoint, vector: Vector, space: str) -> bytes:
    slots = _json(vector)[1:-1].split(b",")
    slots[1::2] = [b"null"] * len(slots[1::2])
    body = (
        b'{"memory_space_id":"%b","partial_episode":{"known_fields":{"what":"load test"},"partial_embedding":[%b],'
        b'"cue_strength":0.7},"config":{"ca1_threshold":0.3,"num_hypotheses":3,"max_iterations":10}}'
        % (space.encode(), b",".join(slots))
    )
    return endpoint.post(b"/api/v1/complete", body)


def _json(vector: Vector) -> bytes:
    """Return the shortest JSON that reads back as the same 32 bit floats."""
    return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY)


def _shares(operations: Operations) -> NDArray[np.float64]:
    weights = np.array(
        [
            operations.store_weight,
            operations.recall_weight,
            operations.embedding_search_weight,
            operations.pattern_completion_weight,
        ]
    )
    return np.asarray(weights / weights.sum())
