"""The operations of Engram's `loadtest`, and the bytes of the HTTP request of each."""

from __future__ import annotations

import orjson

from compbench.loadtest.workload.vectors import Vector
from compbench.transport.http_pool import Endpoint

# Order and labels of the operations, as in Engram's report.
LABELS = ("Store", "Recall", "Search", "PatternCompletion")
STORE, RECALL, SEARCH, COMPLETION = range(4)
PREPARED_PREFIX = "node-"
STORED_PREFIX = "load-"
RECALL_LIMITS = (1, 5)
SEARCH_LIMITS = (5, 50)
RECALL_THRESHOLDS = (0.5, 0.9)
# More than two steps along the edges of any graph that a scenario may have lead to.
TRAVERSAL_LIMIT = 1000
MEMORIES = b"/api/v1/memories"
_REMEMBER = b"/api/v1/memories/remember"
_RECALL = b"/api/v1/memories/recall"


def space_names(count: int) -> list[str]:
    """Return the names of the memory spaces: only `default` if there is one, else `space_0`, `space_1` and so on."""
    return ["default"] if count == 1 else [f"space_{number}" for number in range(count)]


def vector_json(vector: Vector) -> bytes:
    """Return the shortest JSON that reads back as the same 32 bit floats."""
    return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY)


def query_parameter(vector: Vector) -> bytes:
    """Return the vector as the value of a URL's parameter; a comma needs no encoding there, brackets do."""
    return b"%%5B%b%%5D" % vector_json(vector)[1:-1]


def partial_slots(vector: Vector) -> bytes:
    """Return the vector as the slots of a partial embedding, every other one null."""
    slots = vector_json(vector)[1:-1].split(b",")
    slots[1::2] = [b"null"] * len(slots[1::2])
    return b",".join(slots)


def store_request(endpoint: Endpoint, memory_id: str, vector: Vector, space: str) -> bytes:
    """Return the request that stores one memory with its embedding."""
    body = b'{"id":"%b","content":"Load test memory %b","confidence":0.9,"memory_space_id":"%b","embedding":%b}' % (
        memory_id.encode(),
        memory_id.encode(),
        space.encode(),
        vector_json(vector),
    )
    return endpoint.post(_REMEMBER, body)


def recall_request(endpoint: Endpoint, embedding: bytes, limit: int, threshold: float, space: str) -> bytes:
    """Return the request for the nearest memories; `embedding` is the value of that parameter."""
    return endpoint.get(
        b"%b?embedding=%b&threshold=%.3f&max_results=%d&space=%b"
        % (_RECALL, embedding, threshold, limit, space.encode())
    )


def traversal_request(endpoint: Endpoint, start: int, hops: int) -> bytes:
    """Return the request for all memories within so many steps of the prepared memory number `start`."""
    return endpoint.get(
        b"%b?query=%b%d&mode=spreading&hops=%d&threshold=0&max_results=%d"
        % (_RECALL, PREPARED_PREFIX.encode(), start, hops, TRAVERSAL_LIMIT)
    )


def completion_request(endpoint: Endpoint, slots: bytes, space: str) -> bytes:
    """Return the request to complete an embedding; `slots` are its numbers and nulls, separated by commas."""
    body = (
        b'{"memory_space_id":"%b","partial_episode":{"known_fields":{"what":"load test"},"partial_embedding":[%b],'
        b'"cue_strength":0.7},"config":{"ca1_threshold":0.3,"num_hypotheses":3,"max_iterations":10}}'
        % (space.encode(), slots)
    )
    return endpoint.post(b"/api/v1/complete", body)
