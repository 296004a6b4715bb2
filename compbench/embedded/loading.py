"""Loading in bulk over HTTP: rows of 32 bit floats, and edges between them. An addition to Engram's interface.

`GET .../bulk` tells the formats and limits, and how far a load has come; Engram, which has no such path, answers 404.
Bodies are little-endian arrays: rows of float32, as many as the space has dimensions, or pairs (from, to) of uint32
numbers. The first rows of a space fix its dimension, which `dimension=` then tells, and its metric, `metric=`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compbench.embedded import LEAST_DIMENSION, MOST_DIMENSION, wire
from compbench.embedded.memories import FIRST_OWN_KEY, ConflictError, MemorySpace
from compbench.embedded.vector_index import METRICS, VectorMetric
from compbench.embedded.wire import Refusal, Request, Response

# A body of 16 MiB is 5461 rows of 768 dimensions.
BODY_LIMIT_BYTES = 16 * 1024 * 1024
# The dimension of the first rows if they don't tell: that of Engram.
_USUAL_DIMENSION = 768


def describe_space(space: MemorySpace) -> Response:
    """Say which rows are there, and how much one request may bring."""
    rows = space.rows
    loaded = None
    if rows is not None:
        loaded = {"prefix": rows.prefix, "first": rows.first, "step": rows.step, "count": rows.count}
    content = {
        "rows": loaded,
        "edges": len(space.graph),
        "dimension": space.dimension,
        "metric": space.metric,
        "row_type": "float32",
        "edge_type": "uint32",
        "limit_bytes": BODY_LIMIT_BYTES,
    }
    return wire.json_answer(content)


async def load_rows(space: MemorySpace, request: Request, now: str) -> Response:
    """Take the rows of a request; in the query: `prefix`, `first` (the first one's number), `step` (1).

    `dimension` (768) and `metric` (cosine, dot, euclidean) may be told, and are fixed by a space's first vectors.

    Raises:
        Refusal: 400 the body is no such array, 409 the rows don't continue those that are there, or another metric.
    """
    prefix = request.text("prefix")
    if prefix is None:
        raise wire.bad_input("prefix is missing")
    first = request.integer("first", 0, 0, FIRST_OWN_KEY)
    step = request.integer("step", 1, 1, FIRST_OWN_KEY)
    metric = _metric(request)
    vectors = _array(request.body, "<f4", _dimension(space, request))
    is_zero_allowed = (metric or space.metric or "cosine") != "cosine"
    if not np.isfinite(vectors).all() or not (is_zero_allowed or vectors.any(axis=1).all()):
        raise wire.bad_input("expected finite 32 bit floats, no row of nothing but zeros")
    try:
        rows = await space.load_rows(prefix, first, step, vectors, metric, now)
    except ConflictError as error:
        raise Refusal(409, "BULK_CONFLICT", str(error)) from None
    return wire.json_answer({"stored": len(vectors), "count": rows.count}, 201)


def load_edges(space: MemorySpace, request: Request) -> Response:
    """Take edges between rows.

    Raises:
        Refusal: 400 the body is no array of pairs, 409 an edge leads to a row that is not there.
    """
    pairs = _array(request.body, "<u4", 2)
    try:
        space.load_edges(pairs)
    except ConflictError as error:
        raise Refusal(409, "BULK_CONFLICT", str(error)) from None
    return wire.json_answer({"stored": len(pairs), "count": len(space.graph)}, 201)


def _dimension(space: MemorySpace, request: Request) -> int:
    expected = space.dimension
    told = request.integer("dimension", expected or _USUAL_DIMENSION, LEAST_DIMENSION, MOST_DIMENSION)
    if expected is not None and told != expected:
        raise wire.bad_input(f"rows of {told} dimensions, expected {expected}")
    return told


def _metric(request: Request) -> VectorMetric | None:
    text = request.text("metric")
    for metric in METRICS:
        if text == metric:
            return metric
    if text is not None:
        raise wire.bad_input(f"metric = {text!r}: expected one of {', '.join(METRICS)}")
    return None


def _array(body: bytes, kind: str, width: int) -> NDArray[Any]:
    size = np.dtype(kind).itemsize * width
    if not body or len(body) % size:
        raise wire.bad_input(f"the body has {len(body)} bytes, expected a multiple of {size} ({width} x {kind})")
    return np.frombuffer(body, dtype=kind).reshape(-1, width)
