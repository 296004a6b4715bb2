"""The embedded server's HTTP interface, through a real process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from tests.embedded_server import DIMENSION, Embedded, embedded, nearest, start_argv, vectors


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(tmp_path_factory.mktemp("embedded")) as started:
        yield started


def test_it_is_healthy_and_tells_its_pid_and_port(server: Embedded) -> None:
    assert server.get("/health").json()["status"] == "healthy"
    assert server.get("/health/alive").status_code == 200
    assert server.pid_file.read_text() == f"{server.process.pid}:{server.port}"


def test_what_was_remembered_is_found_by_id_list_and_count(server: Embedded) -> None:
    before = server.count()
    server.remember("first", vectors(1)[0], "the quick brown fox")
    assert server.count() == before + 1
    found = server.get("/api/v1/memories/first").json()
    assert found["content"] == "the quick brown fox"
    assert np.allclose(found["embedding"], vectors(1)[0], rtol=4e-3)
    listed = server.get("/api/v1/memories", limit=1000).json()
    assert "first" in [memory["id"] for memory in listed["memories"]]
    assert server.get("/api/v1/memories/nothing").status_code == 404


def test_a_recall_finds_the_nearest_by_true_similarity(server: Embedded) -> None:
    rows = vectors(300, seed=2)
    for number, vector in enumerate(rows):
        body = {"id": f"near-{number}", "content": "x", "embedding": vector.tolist(), "memory_space_id": "near"}
        assert server.post("/api/v1/memories/remember", json=body).status_code == 201
    hits = 0
    for query in vectors(20, seed=3):
        ids = server.recall(embedding=json.dumps(query.tolist()), max_results=10, threshold=-1, space="near")
        hits += len(set(ids) & {f"near-{number}" for number in nearest(rows, query, 10)})
    assert hits >= 196, f"only {hits} of 200 nearest neighbours were found among 300 vectors"


def test_a_recall_leaves_out_what_is_less_similar_than_the_threshold(server: Embedded) -> None:
    same, other = vectors(2, seed=4)
    for memory_id, vector in (("same", same), ("other", other)):
        body = {"id": memory_id, "content": "x", "embedding": vector.tolist(), "memory_space_id": "threshold"}
        server.post("/api/v1/memories/remember", json=body)
    assert server.recall(embedding=json.dumps(same.tolist()), threshold=0.9, space="threshold") == ["same"]


def test_texts_are_found_by_shared_words(server: Embedded) -> None:
    server.remember("walrus", content="the walrus and the carpenter")
    found = server.get("/api/v1/memories/search", query="a walrus").json()
    assert found["memories"][0]["id"] == "walrus"
    assert "walrus" in server.recall(query="walrus carpenter", threshold=0.9)


def test_a_completion_fills_the_gaps_from_the_nearest_memory(server: Embedded) -> None:
    vector = vectors(1, seed=5)[0]
    body = {"id": "whole", "content": "x", "embedding": vector.tolist(), "memory_space_id": "complete"}
    server.post("/api/v1/memories/remember", json=body)
    partial = [float(value) if place % 2 == 0 else None for place, value in enumerate(vector)]
    episode = {"known_fields": {"what": "x"}, "partial_embedding": partial}
    answer = server.post("/api/v1/complete", json={"memory_space_id": "complete", "partial_episode": episode})
    completed = answer.json()["completed_episode"]["embedding"]
    assert np.allclose(completed, vector, rtol=4e-3)


@pytest.mark.parametrize(
    ("method", "path", "how", "status"),
    [
        ("POST", "/api/v1/memories/remember", {"data": b"{"}, 400),
        ("POST", "/api/v1/memories/remember", {"json": {"id": "x"}}, 422),
        ("POST", "/api/v1/memories/remember", {"json": {"content": " "}}, 400),
        ("POST", "/api/v1/memories/remember", {"json": {"content": "x", "embedding": [1.0]}}, 400),
        ("POST", "/api/v1/memories/remember", {"json": {"content": "x", "embedding": [0.0] * DIMENSION}}, 400),
        ("POST", "/api/v1/memories/remember", {"json": {"content": "x", "memory_space_id": "A b"}}, 422),
        ("POST", "/api/v1/memories/remember", {"data": b" " * (2 * 1024 * 1024 + 1)}, 413),
        ("GET", "/api/v1/memories/recall", {}, 400),
        ("GET", "/api/v1/memories/recall", {"params": {"embedding": "[1]"}}, 400),
        ("GET", "/api/v1/memories/recall", {"params": {"query": "x", "max_results": "0"}}, 400),
        ("GET", "/api/v1/memories/recall", {"params": {"query": "x", "mode": "spreading", "space": "none"}}, 400),
        ("GET", "/api/v1/memories/recall", {"params": {"query": "x", "mode": "hybrid"}}, 400),
        ("GET", "/api/v1/memories/recall", {"params": {"query": "x", "required_tags": "y"}}, 501),
        ("GET", "/api/v1/memories/search", {}, 400),
        ("POST", "/api/v1/complete", {"json": {}}, 422),
        ("POST", "/api/v1/complete", {"json": {"partial_episode": {"known_fields": {}}}}, 422),
        ("POST", "/api/v1/memories/bulk", {"data": b"123", "params": {"prefix": "n-"}}, 400),
        ("POST", "/api/v1/memories/bulk", {"data": b"\x00" * 4 * DIMENSION, "params": {"prefix": "n-"}}, 400),
        ("POST", "/api/v1/memories/bulk", {"data": b"\x00" * 4 * DIMENSION}, 400),
        ("POST", "/api/v1/memories/edges", {"data": b"\x00" * 8}, 409),
        ("DELETE", "/api/v1/memories/recall", {}, 405),
        ("GET", "/nowhere", {}, 404),
    ],
)
def test_bad_input_is_refused_by_status_and_reason(
    server: Embedded, method: str, path: str, how: dict[str, object], status: int
) -> None:
    answer = requests.request(method, f"{server.url}{path}", timeout=30, **how)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_a_stop_by_signal_or_request_is_graceful_and_removes_the_pid_file(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        assert server.stop() == 0
        assert not server.pid_file.exists()
    with embedded(tmp_path) as server:
        assert server.post("/shutdown").status_code == 200
        assert server.process.wait(timeout=20) == 0


def test_a_taken_port_is_an_error_of_one_line(tmp_path: Path, server: Embedded) -> None:
    environment = {**os.environ, "ENGRAM_DATA_DIR": str(tmp_path), "ENGRAM_PID_PATH": str(tmp_path / "pid")}
    done = subprocess.run(
        start_argv(server.port), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: can't listen on 127.0.0.1:{server.port}")
    assert done.stderr.count("\n") == 1
