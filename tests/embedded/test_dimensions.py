"""Spaces of other dimensions and metrics than Engram's, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from compbench.embedded.vector_index import METRICS, Vector, VectorMetric
from tests.embedded_server import Embedded, embedded

BULK = "/api/v1/memories/bulk"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("dimensions")) as started:
        yield started


def rows_of(dimension: int, count: int = 300) -> Vector:
    return np.random.default_rng(dimension).standard_normal((count, dimension), dtype=np.float32)


def load(server: Embedded, space: str, rows: Vector, first: int = 0, **told: object) -> tuple[int, str]:
    """Load rows; return the status, and why it was refused or an empty text."""
    where = {"prefix": "node-", "first": first, "space": space, "dimension": rows.shape[1], **told}
    answer = server.post(BULK, data=rows.astype("<f4").tobytes(), params=where)
    return answer.status_code, "" if answer.ok else answer.json()["error"]["message"]


def store(server: Embedded, space: str, vector: Vector) -> tuple[int, str]:
    """Store a memory; return the status, and why it was refused or an empty text."""
    body = {"content": "x", "embedding": vector.tolist(), "memory_space_id": space}
    answer = server.post("/api/v1/memories/remember", json=body)
    return answer.status_code, "" if answer.ok else answer.json()["error"]["message"]


def state(server: Embedded, space: str) -> tuple[int | None, str | None]:
    """Return dimension and metric of a space."""
    told = server.get(BULK, space=space).json()
    return told["dimension"], told["metric"]


def similarities(server: Embedded, space: str, query: Vector, **parameters: object) -> dict[str, float]:
    """Return the similarities of a recall by id, best first."""
    # The shortest digits: a request's line has room for 64 KiB, which 4096 numbers in double precision exceed.
    numbers = orjson.dumps(query, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    where = {"embedding": numbers, "space": space, "max_results": 20, **parameters}
    found = server.get("/api/v1/memories/recall", **where).json()["memories"]
    return {item["id"]: item["similarity_score"] for item in (*found["vivid"], *found["associated"])}


@pytest.mark.parametrize("dimension", [2, 17, 1536, 4096])
def test_the_first_vector_of_a_space_fixes_its_dimension(server: Embedded, dimension: int) -> None:
    loaded, stored = f"loaded-{dimension}", f"stored-{dimension}"
    rows = rows_of(dimension)
    assert state(server, loaded) == (None, None)
    assert load(server, loaded, rows) == (201, "")
    assert store(server, stored, rows[0]) == (201, "")
    for space in (loaded, stored):
        assert state(server, space) == (dimension, "cosine")
        assert store(server, space, rows[1]) == (201, "")
        other = f"embedding has {dimension + 1} dimensions, expected {dimension}"
        assert store(server, space, rows_of(dimension + 1)[0]) == (400, other)
        recall = server.get("/api/v1/memories/recall", embedding=json.dumps([1.0] * (dimension + 1)), space=space)
        assert (recall.status_code, recall.json()["error"]["message"]) == (400, other)
    wrong = f"rows of 768 dimensions, expected {dimension}"
    assert load(server, loaded, rows_of(768), first=300) == (400, wrong)
    assert next(iter(similarities(server, loaded, rows[7], threshold=-1))) == "node-7"


def test_a_dimension_that_no_space_can_have_is_refused(server: Embedded) -> None:
    for dimension in (1, 4097):
        assert store(server, "no-such", rows_of(dimension)[0])[0] == 400
        assert load(server, "no-such", rows_of(dimension, count=3))[0] == 400
    assert state(server, "no-such") == (None, None)


def test_a_search_does_not_fix_anything(server: Embedded) -> None:
    assert similarities(server, "searched", rows_of(5)[0]) == {}
    episode = {"known_fields": {}, "partial_embedding": [1.0, None, 2.0]}
    answer = server.post("/api/v1/complete", json={"memory_space_id": "searched", "partial_episode": episode})
    assert answer.status_code == 422
    assert state(server, "searched") == (None, None)


@pytest.mark.parametrize("metric", METRICS)
def test_a_space_is_searched_by_the_metric_that_its_first_rows_came_with(
    server: Embedded, metric: VectorMetric
) -> None:
    rows, space = rows_of(24), f"by-{metric}"
    rows *= np.linspace(0.5, 2, len(rows), dtype=np.float32)[:, None]
    assert load(server, space, rows[:200], metric=metric) == (201, "")
    assert load(server, space, rows[200:], first=200) == (201, "")
    assert state(server, space) == (24, metric)
    query = rows_of(24, count=301)[300]
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    exact = {
        "cosine": rows @ query / lengths,
        "dot": rows @ query,
        "euclidean": -np.linalg.norm(rows - query, axis=1),
    }[metric]
    best = [int(number) for number in np.argsort(-exact)[:20]]
    found = similarities(server, space, query, threshold=-100)
    numbers = [int(name.removeprefix("node-")) for name in found]
    assert len(set(numbers) & set(best)) >= 17, "a graph finds most, not all"
    assert np.allclose(list(found.values()), exact[numbers], rtol=1e-4, atol=1e-4)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    limit = float(exact[best[9]] + exact[best[10]]) / 2
    limited = similarities(server, space, query, threshold=limit)
    assert len(limited) >= 7
    assert set(limited) <= {f"node-{number}" for number in best[:10]}


def test_without_a_threshold_only_a_cosine_is_limited(server: Embedded) -> None:
    rows = rows_of(24)
    for metric in METRICS:
        load(server, f"all-{metric}", rows, metric=metric)
    found = {metric: len(similarities(server, f"all-{metric}", -rows[0])) for metric in METRICS}
    assert found["cosine"] < 20
    assert (found["dot"], found["euclidean"]) == (20, 20)


def test_another_metric_is_refused(server: Embedded) -> None:
    rows = rows_of(8)
    assert load(server, "metrics", rows, metric="dot")[0] == 201
    refused = load(server, "metrics", rows, first=300, metric="cosine")
    assert refused == (409, "vectors are compared by dot here, not by cosine")
    assert load(server, "none-such", rows, metric="manhattan")[0] == 400


def test_only_a_direction_needs_a_length(server: Embedded) -> None:
    rows = rows_of(8)
    rows[3] = 0
    assert load(server, "directions", rows)[0] == 400
    for metric in ("dot", "euclidean"):
        assert load(server, f"zero-{metric}", rows, metric=metric)[0] == 201
        assert store(server, f"zero-{metric}", rows[3])[0] == 201
        assert len(similarities(server, f"zero-{metric}", rows[3], threshold=-100)) == 20


def test_dimensions_and_metrics_outlive_a_restart(tmp_path: Path) -> None:
    rows = rows_of(30)
    with embedded(tmp_path) as server:
        load(server, "euclid", rows, metric="euclidean")
        store(server, "small", rows_of(3)[0])
        server.remember("words only")
        assert server.post("/api/v1/maintenance/compact").status_code == 200
        assert server.stop() == 0
    with embedded(tmp_path) as server:
        assert state(server, "euclid") == (30, "euclidean")
        assert state(server, "small") == (3, "cosine")
        assert state(server, "default") == (None, None)
        assert similarities(server, "euclid", rows[7], threshold=-100)["node-7"] == pytest.approx(0, abs=1e-4)
        assert server.count() == len(rows) + 2
