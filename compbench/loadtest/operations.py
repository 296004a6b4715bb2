"""What is sent: the operations of a scenario drawn by weight, and the bytes of the HTTP request of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from compbench.loadtest import vectors
from compbench.loadtest.client import Endpoint
from compbench.loadtest.vectors import Vector
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


def draw(scenario: Scenario, count: int, seed: int, chunk: int) -> Draws:
    """Draw operations by weight, result limits, thresholds and memory spaces for a chunk of `count` requests."""
    rng = vectors.stream(seed, vectors.DRAWS, chunk)
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


def recall_request(endpoint: Endpoint, vector: Vector, limit: int, threshold: float, space: str) -> bytes:
    """Return the request for the memories nearest to a vector."""
    # A comma needs no encoding in a query string; brackets do.
    return endpoint.get(
        b"/api/v1/memories/recall?embedding=%%5B%b%%5D&threshold=%.3f&max_results=%d&space=%b"
        % (_json(vector)[1:-1], threshold, limit, space.encode())
    )


def completion_request(endpoint: Endpoint, vector: Vector, space: str) -> bytes:
    """Return the request to complete a vector of which every other coordinate is missing."""
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
