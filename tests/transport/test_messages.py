"""Messages from a table are those of protobuf: read back as they were written, and by a full definition alike."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2

from compbench.systems.milvus import requests as milvus
from compbench.systems.weaviate import requests as weaviate
from compbench.transport.messages import message_types

# The same fields as their definitions have them, where the systems' tables have bytes in the place of numbers.
FULL = message_types(
    "full",
    """
    Floats: data=1:float*
    Vector: dim=1:int64 float_vector=2:Floats
    Ids: data=1:int64*
    Scalars: long_data=3:Ids
    Field: type=1:int32 field_name=2:string scalars=3:Scalars vectors=4:Vector
    Insert: collection_name=3:string fields_data=5:Field* num_rows=7:uint32
    Near: certainty=2:double distance=3:double vector_bytes=4:bytes
    Search: collection=1:string limit=30:uint32 offset=31:uint32 near_vector=43:Near
    Pair: key=1:string value=2:string
    MilvusSearch: collection_name=3:string dsl=5:string group=6:bytes nq=12:int64 search_params=9:Pair* bounded=15:bool
    """,
)


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_read_as_they_were_written(seed: int) -> None:
    randomly = np.random.default_rng(seed)
    rows = randomly.normal(size=(randomly.integers(1, 30), randomly.integers(1, 40))).astype(np.float32)
    numbers = [int(number) for number in randomly.integers(0, 2**62, len(rows))]
    insert = FULL["Insert"].FromString(milvus.insert(numbers, rows).message)
    ids, vectors = insert.fields_data
    assert (insert.collection_name, insert.num_rows) == ("compbench", len(rows))
    assert list(ids.scalars.long_data.data) == numbers
    assert np.array_equal(np.array(vectors.vectors.float_vector.data, np.float32).reshape(rows.shape), rows)
    batch = weaviate.TYPES["BatchObjectsRequest"].FromString(weaviate.batch(range(7, 7 + len(rows)), rows).message)
    assert [weaviate.number_of(row.uuid) for row in batch.objects] == list(range(7, 7 + len(rows)))
    assert b"".join(row.vector_bytes for row in batch.objects) == rows.tobytes()


@pytest.mark.parametrize("threshold", [None, -0.25, 0.0, 0.5, 1.0])
def test_a_search_in_two_parts_is_one_message(threshold: float | None) -> None:
    vector = np.array([0.5, -1.0], np.float32)
    found = FULL["Search"].FromString(weaviate.near_start(vector) + weaviate.near_end(10, threshold))
    assert (found.collection, found.limit, found.HasField("offset")) == ("Compbench", 10, False)
    assert found.near_vector.vector_bytes == vector.tobytes()
    assert found.near_vector.HasField("distance") == (threshold is not None)
    assert found.near_vector.distance == (0 if threshold is None else 1 - threshold)
    end = milvus.search_end(10, 4, threshold, "COSINE")
    search = FULL["MilvusSearch"].FromString(milvus.search_start(vector) + end)
    params = {pair.key: pair.value for pair in search.search_params}
    assert (search.nq, search.bounded, params["topk"], params["metric_type"]) == (1, True, "10", "COSINE")
    assert '"ef":10' in params["params"]
    assert ("radius" in params["params"]) == (threshold is not None)


def test_the_answers_of_both_are_read_and_damaged_ones_refused() -> None:
    ids = [0, 5, 2**40 + 3]
    answer = milvus.TYPES["SearchResults"](results={"ids": {"int_id": {"data": ids}}}).SerializeToString()
    assert milvus.found_ids(answer) == ids
    results = [{"metadata": {"id": weaviate.row_id(number)}} for number in ids]
    reply = weaviate.TYPES["SearchReply"](results=results).SerializeToString()
    assert weaviate.found_numbers(reply) == ids
    assert weaviate.number_of("no uuid") == weaviate.number_of("f" * 32) == -1


def test_refusals_inside_of_answers_are_told() -> None:
    status: dict[str, Any] = {"error_code": 1, "reason": "no such\ncollection"}
    refused = milvus.TYPES["BoolResponse"](status=status).SerializeToString()
    assert milvus.refusal("", refused) == "Milvus says no such collection"
    assert milvus.refusal("", milvus.TYPES["BoolResponse"](status={}, value=True).SerializeToString()) == ""
    assert milvus.refusal("", milvus.TYPES["BoolResponse"](status={"error_code": 0}).SerializeToString()) == ""
    reply = weaviate.TYPES["BatchObjectsReply"](took=0.1, errors=[{"index": 1, "error": "bad"}]).SerializeToString()
    assert weaviate.batch_refusal(weaviate.BATCH, reply) == "Weaviate refused 1 rows: bad"
    assert weaviate.batch_refusal(weaviate.SEARCH, reply) == ""


def test_fields_that_are_not_in_a_table_are_passed_over() -> None:
    randomly = random.Random(1)
    for _ in range(200):
        number, name = randomly.randrange(1, 9), randomly.choice("ab")
        field = descriptor_pb2.FieldDescriptorProto(name=name, number=number, json_name="x")
        (kind,) = message_types("part", "Part: name=1:string").values()
        assert kind.FromString(field.SerializeToString()).name == field.name


def test_a_threshold_is_below_none_that_is_exactly_as_similar() -> None:
    for threshold in (0.5, -0.5, 0.0, 0.999):
        below = milvus.below(threshold)
        assert np.float32(below) < np.float32(threshold)
        assert abs(below - threshold) < 1e-6
