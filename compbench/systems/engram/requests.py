"""The bytes of the HTTP requests that Engram knows, and those in bulk that the embedded server knows besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from compbench.systems.api import STORED_FROM

if TYPE_CHECKING:
    from compbench.model.scenario import SimilarityMetric
    from compbench.systems.api import Pairs, Vectors
    from compbench.transport.http_pool import Endpoint

PREPARED_PREFIX = "node-"
STORED_PREFIX = "load-"
HEALTH = b"/api/v1/system/health"
_MEMORIES = b"/api/v1/memories"
_REMEMBER = b"/api/v1/memories/remember"
_RECALL = b"/api/v1/memories/recall"


def space_names(count: int) -> list[str]:
    """Return the names of the memory spaces: only `default` if there is one, else `space_0`, `space_1` and so on."""
    return ["default"] if count == 1 else [f"space_{number}" for number in range(count)]


def memory_id(number: int) -> str:
    """Return Engram's id of a row of the data set, or of a memory that a run stores."""
    return f"{PREPARED_PREFIX}{number}" if number < STORED_FROM else f"{STORED_PREFIX}{number - STORED_FROM}"


def vector_json(vector: Vectors) -> bytes:
    """Return the shortest JSON that reads back as the same 32 bit floats."""
    return orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY)


def partial_slots(vector: Vectors) -> bytes:
    """Return the vector as the slots of a partial embedding, every other one null."""
    slots = vector_json(vector)[1:-1].split(b",")
    slots[1::2] = [b"null"] * len(slots[1::2])
    return b",".join(slots)


def store_request(endpoint: Endpoint, number: int, vector: Vectors, space: str) -> bytes:
    """Return the request that stores one memory with its embedding."""
    name = memory_id(number).encode()
    body = b'{"id":"%b","content":"Load test memory %b","confidence":0.9,"memory_space_id":"%b","embedding":%b}' % (
        name,
        name,
        space.encode(),
        vector_json(vector),
    )
    return endpoint.post(_REMEMBER, body)


def recall_start(endpoint: Endpoint, vector: Vectors) -> bytes:
    """Return the request for the nearest memories up to the vector's end: all but a few bytes, made once.

    A comma needs no encoding in a URL, brackets do.
    """
    return _around(endpoint)[0] + b"%b?embedding=%%5B%b%%5D" % (_RECALL, vector_json(vector)[1:-1])


def recall_end(endpoint: Endpoint, space: str) -> bytes:
    """Return the same request from behind the limit on."""
    return b"&space=%b" % space.encode() + _around(endpoint)[1]


def recall_request(start: bytes, threshold: float, limit: int, end: bytes) -> bytes:
    """Return the request for the nearest memories from its parts."""
    return b"%b&threshold=%.3f&max_results=%d%b" % (start, threshold, limit, end)


def unlimited_recall_request(start: bytes, _threshold: float, limit: int, end: bytes) -> bytes:
    """Return the same request for the nearest memories however far they are."""
    return b"%b&max_results=%d%b" % (start, limit, end)


def traversal_request(endpoint: Endpoint, start: int, hops: int, limit: int) -> bytes:
    """Return the request for all memories within so many steps of the prepared memory number `start`."""
    return endpoint.get(
        b"%b?query=%b%d&mode=spreading&hops=%d&threshold=0&max_results=%d"
        % (_RECALL, PREPARED_PREFIX.encode(), start, hops, limit)
    )


def completion_request(endpoint: Endpoint, slots: bytes, space: str) -> bytes:
    """Return the request to complete an embedding; `slots` are its numbers and nulls, separated by commas."""
    body = (
        b'{"memory_space_id":"%b","partial_episode":{"known_fields":{"what":"load test"},"partial_embedding":[%b],'
        b'"cue_strength":0.7},"config":{"ca1_threshold":0.3,"num_hypotheses":3,"max_iterations":10}}'
        % (space.encode(), slots)
    )
    return endpoint.post(b"/api/v1/complete", body)


def memory_request(endpoint: Endpoint, number: int, space: str) -> bytes:
    """Return the request for one memory."""
    return endpoint.get(b"%b/%b?space=%b" % (_MEMORIES, memory_id(number).encode(), space.encode()))


def bulk_state_request(endpoint: Endpoint, space: str) -> bytes:
    """Return the request for how a space takes rows in bulk, and how many it has."""
    return endpoint.get(_MEMORIES + b"/bulk?space=" + space.encode())


def rows_request(
    endpoint: Endpoint, first: int, step: int, rows: Vectors, space: str, metric: SimilarityMetric
) -> bytes:
    """Return the request that loads the rows `first`, `first + step` and so on, to be compared by the metric."""
    query = b"prefix=%b&first=%d&step=%d&space=%b&dimension=%d&metric=%b" % (
        PREPARED_PREFIX.encode(),
        first,
        step,
        space.encode(),
        rows.shape[1],
        metric.encode(),
    )
    return _post_bytes(endpoint, b"%b/bulk?%b" % (_MEMORIES, query), rows.astype("<f4").tobytes())


def edges_request(endpoint: Endpoint, pairs: Pairs) -> bytes:
    """Return the request that loads edges."""
    return _post_bytes(endpoint, _MEMORIES + b"/edges", pairs.astype("<u4").tobytes())


def _around(endpoint: Endpoint) -> tuple[bytes, bytes]:
    before, _, after = endpoint.get(b"?").partition(b"?")
    return before, after


def _post_bytes(endpoint: Endpoint, target: bytes, body: bytes) -> bytes:
    return (
        b"POST %b HTTP/1.1\r\nHost: %b\r\nAccept: application/json\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (target, endpoint.host_header, len(body), body)
    )
