"""The messages of Weaviate's gRPC interface, as far as they are used, and its names for rows."""

from __future__ import annotations

import uuid
from functools import cache
from typing import TYPE_CHECKING, Any

from compbench.systems.api import UNKNOWN
from compbench.transport.grpc_calls import GrpcCall
from compbench.transport.messages import message_types

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# Names and numbers of github.com/weaviate/weaviate, grpc/proto/v1 (search_get.proto, base_search.proto, batch.proto).
_TABLE = """
MetadataRequest: uuid=1:bool
PropertiesRequest: return_all_nonref_properties=11:bool
NearVector: distance=3:double vector_bytes=4:bytes
SearchStart: collection=1:string metadata=21:MetadataRequest properties=20:PropertiesRequest near_vector=43:NearVector \
    uses_127_api=102:bool
SearchEnd: limit=30:uint32 near_vector=43:NearVector
MetadataResult: id=1:string
SearchResult: metadata=2:MetadataResult
SearchReply: results=2:SearchResult*
BatchObject: uuid=1:string collection=4:string vector_bytes=6:bytes
BatchObjectsRequest: objects=1:BatchObject*
BatchError: index=1:int32 error=2:string
BatchObjectsReply: took=1:float errors=2:BatchError*
HealthRequest: service=1:string
"""
TYPES = message_types("compbench.weaviate", _TABLE)
SEARCH, BATCH = "/weaviate.v1.Weaviate/Search", "/weaviate.v1.Weaviate/BatchObjects"
HEALTH = "/grpc.health.v1.Health/Check"
COLLECTION = "Compbench"


def row_id(number: int) -> str:
    """Return the UUID of a row: the number itself."""
    return str(uuid.UUID(int=number))


def number_of(row: str) -> int:
    """Return the number of a row's UUID, `UNKNOWN` if it is none."""
    try:
        number = int(row.replace("-", ""), 16)
    except ValueError:
        return UNKNOWN
    return number if number < 2**63 else UNKNOWN


def near_start(vector: Vectors) -> bytes:
    """Return a search's bytes up to its limit: no properties, the ids alone."""
    near = TYPES["NearVector"](vector_bytes=vector.astype("<f4").tobytes())
    names, properties = TYPES["MetadataRequest"](uuid=True), TYPES["PropertiesRequest"]()
    start = {"collection": COLLECTION, "metadata": names, "properties": properties, "uses_127_api": True}
    return bytes(TYPES["SearchStart"](near_vector=near, **start).SerializeToString())


@cache
def near_end(limit: int, threshold: float | None) -> bytes:
    """Return the rest of its bytes; what it is for comes once more, and the server merges the two."""
    near = {} if threshold is None else {"near_vector": TYPES["NearVector"](distance=1 - threshold)}
    return bytes(TYPES["SearchEnd"](limit=limit, **near).SerializeToString())


def batch(numbers: range, rows: Vectors) -> GrpcCall:
    """Return the call that stores rows under their numbers."""
    kind = TYPES["BatchObject"]
    objects: list[Any] = [
        kind(uuid=row_id(number), collection=COLLECTION, vector_bytes=row.tobytes())
        for number, row in zip(numbers, rows.astype("<f4"), strict=True)
    ]
    return GrpcCall(BATCH, TYPES["BatchObjectsRequest"](objects=objects).SerializeToString())


def batch_refusal(method: str, answer: bytes) -> str:
    """Return why rows were not stored, or an empty text; searches fail in gRPC's own way."""
    if method != BATCH:
        return ""
    errors = TYPES["BatchObjectsReply"].FromString(answer).errors
    return f"Weaviate refused {len(errors)} rows: {errors[0].error[:200]}" if errors else ""


def found_numbers(answer: bytes) -> list[int]:
    """Return the numbers of the rows in the answer to a search."""
    return [number_of(result.metadata.id) for result in TYPES["SearchReply"].FromString(answer).results]
