"""The messages of Milvus' gRPC interface, as far as they are used."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from compbench.transport.grpc_calls import GrpcCall
from compbench.transport.messages import message_types

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

# Names and numbers of github.com/milvus-io/milvus-proto at v2.3.5 (milvus.proto, schema.proto, common.proto).
_TABLE = """
Status: error_code=1:int32 reason=2:string code=3:int32
KeyValuePair: key=1:string value=2:string
Collection: collection_name=3:string
CreateCollectionRequest: collection_name=3:string schema=4:bytes shards_num=5:int32 consistency_level=6:int32
CollectionSchema: name=1:string autoID=3:bool fields=4:FieldSchema*
FieldSchema: fieldID=1:int64 name=2:string is_primary_key=3:bool data_type=5:int32 type_params=6:KeyValuePair*
BoolResponse: status=1:Status value=2:bool
LongArray: data=1:int64*
FloatArray: data=1:bytes
ScalarField: long_data=3:LongArray
VectorField: dim=1:int64 float_vector=2:FloatArray
FieldData: type=1:int32 field_name=2:string scalars=3:ScalarField vectors=4:VectorField
InsertRequest: collection_name=3:string fields_data=5:FieldData* num_rows=7:uint32
FlushRequest: collection_names=3:string*
FlushResponse: status=1:Status segments=3:SegmentsEntry* flushed=4:SegmentsEntry* times=6:TimeEntry*
SegmentsEntry: key=1:string value=2:LongArray
TimeEntry: key=1:string value=2:uint64
GetFlushStateRequest: segmentIDs=1:int64* flush_ts=2:uint64 collection_name=4:string
CreateIndexRequest: collection_name=3:string field_name=4:string extra_params=5:KeyValuePair* index_name=6:string
IndexDescription: indexed_rows=5:int64 total_rows=6:int64 state=7:int32 reason=8:string pending_index_rows=9:int64
DescribeIndexResponse: status=1:Status index_descriptions=2:IndexDescription*
LoadCollectionRequest: collection_name=3:string replica_number=4:int32
LoadState: collection_name=2:string
GetLoadStateResponse: status=1:Status state=2:int32
StatisticsResponse: status=1:Status stats=2:KeyValuePair*
QuerySegmentInfo: num_rows=5:int64 index_name=6:string indexID=7:int64 state=9:int32
SegmentInfoRequest: collection_name=3:string
SegmentInfoResponse: status=1:Status infos=2:QuerySegmentInfo*
PlaceholderValue: tag=1:string type=2:int32 values=3:bytes*
PlaceholderGroup: placeholders=1:PlaceholderValue*
SearchStart: collection_name=3:string dsl=5:string placeholder_group=6:bytes dsl_type=7:int32 nq=12:int64
SearchEnd: search_params=9:KeyValuePair* use_default_consistency=15:bool
IDs: int_id=1:LongArray
SearchResultData: ids=5:IDs
SearchResults: status=1:Status results=2:SearchResultData
QueryRequest: collection_name=3:string expr=4:string output_fields=5:string* consistency_level=11:int32
QueryResults: status=1:Status fields_data=2:FieldData*
Empty:
"""
TYPES = message_types("compbench.milvus", _TABLE)
_SERVICE = "/milvus.proto.milvus.MilvusService"
SEARCH = f"{_SERVICE}/Search"
COLLECTION, ID_FIELD, VECTOR_FIELD = "compbench", "id", "v"
_INT64, _FLOAT_VECTOR, _BOOLEAN_EXPRESSION = 5, 101, 1
BOUNDED, STRONG = 2, 0
# A status of success has nothing in it; so has one that is left out.
_STATUS_OF_SUCCESS, _STATUS_TAG = b"\x0a\x00", b"\x0a"
_StatusOf = TYPES["BoolResponse"]


def call(method: str, kind: str, **fields: Any) -> GrpcCall:
    """Return the call of a method with a message of that kind."""
    return GrpcCall(f"{_SERVICE}/{method}", TYPES[kind](**fields).SerializeToString())


def on_collection(method: str, kind: str = "Collection", **fields: Any) -> GrpcCall:
    """Return the call of a method that concerns the one collection."""
    return call(method, kind, collection_name=COLLECTION, **fields)


def pairs(values: dict[str, str]) -> list[Any]:
    """Return a message for each key with its value."""
    return [TYPES["KeyValuePair"](key=key, value=value) for key, value in values.items()]


def refusal(_method: str, answer: bytes) -> str:
    """Return why an answer reports a failure, or an empty text; a success is told without reading the message."""
    if answer.startswith(_STATUS_OF_SUCCESS) or not answer.startswith(_STATUS_TAG):
        return ""
    status = _StatusOf.FromString(answer).status
    if not (status.error_code or status.code):
        return ""
    return f"Milvus says {' '.join(status.reason.split())[:200] or f'code {status.code}'}"


def create_collection(dimension: int) -> GrpcCall:
    """Return the call that defines the collection: a number as the key, and a vector."""
    field = TYPES["FieldSchema"]
    vector = {"name": VECTOR_FIELD, "data_type": _FLOAT_VECTOR, "type_params": pairs({"dim": str(dimension)})}
    fields = [field(name=ID_FIELD, data_type=_INT64, is_primary_key=True), field(**vector)]
    schema = TYPES["CollectionSchema"](name=COLLECTION, fields=fields).SerializeToString()
    return on_collection(
        "CreateCollection", "CreateCollectionRequest", schema=schema, shards_num=1, consistency_level=BOUNDED
    )


def insert(numbers: list[int], rows: Vectors) -> GrpcCall:
    """Return the call that stores rows under their numbers."""
    field = TYPES["FieldData"]
    ids = field(type=_INT64, field_name=ID_FIELD, scalars={"long_data": {"data": numbers}})
    floats = {"dim": rows.shape[1], "float_vector": {"data": rows.astype("<f4").tobytes()}}
    vectors = field(type=_FLOAT_VECTOR, field_name=VECTOR_FIELD, vectors=floats)
    return on_collection("Insert", "InsertRequest", fields_data=[ids, vectors], num_rows=len(rows))


def search_start(vector: Vectors) -> bytes:
    """Return a search's bytes but for its parameters."""
    value = TYPES["PlaceholderValue"](tag="$0", type=_FLOAT_VECTOR, values=[vector.astype("<f4").tobytes()])
    group = TYPES["PlaceholderGroup"](placeholders=[value]).SerializeToString()
    start = {"dsl": "", "dsl_type": _BOOLEAN_EXPRESSION, "nq": 1, "placeholder_group": group}
    return bytes(TYPES["SearchStart"](collection_name=COLLECTION, **start).SerializeToString())


@cache
def search_end(limit: int, effort: int, threshold: float | None, metric: str) -> bytes:
    """Return the rest of its bytes; a message's fields may come in any order.

    A threshold makes it a search by range, which looks at all that is as similar: at half of everything with the 0 of a
    plain search. That wants no negative similarity, and who checks the answers sees one.
    """
    params: dict[str, float] = {"ef": max(effort, limit)}
    if threshold is not None:
        params["radius"] = below(threshold)
    values = {
        "anns_field": VECTOR_FIELD,
        "topk": str(limit),
        "metric_type": metric,
        "params": msgspec.json.encode(params).decode(),
        "round_decimal": "-1",
    }
    return bytes(TYPES["SearchEnd"](search_params=pairs(values), use_default_consistency=True).SerializeToString())


def found_ids(answer: bytes) -> list[int]:
    """Return the numbers in the answer to a search."""
    return list(TYPES["SearchResults"].FromString(answer).results.ids.int_id.data)


def below(threshold: float) -> float:
    """Return the next smaller number of 32 bits: a radius leaves out what is exactly as similar."""
    (bits,) = struct.unpack("<i", struct.pack("<f", threshold))
    step = -1 if bits > 0 else 1
    return float(struct.unpack("<f", struct.pack("<i", bits + step))[0]) if bits else -1e-30
