"""Numbers and vectors in PostgreSQL's binary forms, the big end first. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# PostgreSQL's own number for the type bigint.
_BIGINT = 20


def number(value: int) -> bytes:
    """Return a bigint."""
    return struct.pack(">q", value)


def small_number(value: int) -> bytes:
    """Return an integer."""
    return struct.pack(">i", value)


def real(value: float) -> bytes:
    """Return a double precision number."""
    return struct.pack(">d", value)


def numbers(items: Any) -> bytes:
    """Return an array of bigints: one dimension, no nulls, numbered from 1 on."""
    parts = np.empty(len(items), np.dtype([("bytes", ">i4"), ("value", ">i8")]))
    parts["bytes"], parts["value"] = 8, items
    return struct.pack(">iiiii", 1, 0, _BIGINT, len(items), 1) + parts.tobytes()


def vector(items: Vectors) -> bytes:
    """Return a vector: its dimension, two bytes that are 0, its numbers."""
    return struct.pack(">HH", len(items), 0) + items.astype(">f4").tobytes()


def read_vector(data: bytes) -> Vectors:
    """Return the numbers of a vector."""
    return np.frombuffer(data, ">f4", offset=4).astype(np.float32)


def copied_rows(ids: Any, rows: Vectors) -> bytes:
    """Return tuples of a number and a vector each, as a binary copy has them: columns with their lengths before."""
    dimension = rows.shape[1]
    head = [("columns", ">i2"), ("id_bytes", ">i4"), ("id", ">i8"), ("bytes", ">i4"), ("head", ">i2", 2)]
    parts = np.zeros(len(rows), np.dtype([*head, ("v", ">f4", dimension)]))
    parts["columns"], parts["id_bytes"], parts["bytes"] = 2, 8, 4 + 4 * dimension
    parts["id"], parts["head"], parts["v"] = ids, (dimension, 0), rows
    return parts.tobytes()
