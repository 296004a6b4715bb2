"""Loading in bulk, following edges, and what a restart keeps; through real processes."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.embedded_server import Embedded, embedded, nearest, start_argv, vectors
from tests.project import free_port

PAIRS = np.array([[0, 1], [0, 2], [1, 3], [2, 3], [3, 0], [3, 4], [5, 5]], np.uint32)


def load_rows(server: Embedded, first: int, count: int, **parameters: object) -> int:
    rows = vectors(1000, seed=7)[first : first + count]
    where = {"prefix": "node-", "first": first, **parameters}
    return server.post("/api/v1/memories/bulk", data=rows.astype("<f4").tobytes(), params=where).status_code


def recalled(server: Embedded, number: int, limit: int = 1) -> list[str]:
    query = vectors(1000, seed=7)[number]
    return server.recall(embedding=json.dumps(query.tolist()), max_results=limit, threshold=-1)


def test_rows_are_memories_like_others(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        assert load_rows(server, 0, 400) == 201
        assert load_rows(server, 400, 100) == 201
        assert server.count() == 500
        loaded = server.get("/api/v1/memories/bulk").json()["rows"]
        assert loaded == {"prefix": "node-", "first": 0, "step": 1, "count": 500}
        assert recalled(server, 450) == ["node-450"]
        hits = sum(
            len(set(recalled(server, n, 10)) & {f"node-{m}" for m in nearest(vectors(1000, seed=7)[:500], row, 10)})
            for n, row in enumerate(vectors(1000, seed=7)[:20])
        )
        assert hits >= 190, f"only {hits} of 200 nearest neighbours were found"
        assert server.get("/api/v1/memories/node-450").json()["content"] == "Load test memory node-450"
        assert server.get("/api/v1/memories/node-500").status_code == 404
        assert server.get("/api/v1/memories/search", query="450").json()["memories"][0]["id"] == "node-450"
        page = server.get("/api/v1/memories", offset=499, limit=10).json()["memories"]
        assert [memory["id"] for memory in page] == ["node-499"]


def test_rows_must_continue_and_not_replace(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        server.remember("node-7", vectors(1)[0])
        assert load_rows(server, 0, 10) == 409
        assert load_rows(server, 10, 10) == 201
        assert load_rows(server, 10, 10) == 409
        assert load_rows(server, 30, 10) == 409
        assert load_rows(server, 20, 10, prefix="other-") == 409
        assert server.count() == 11


def test_a_row_can_be_replaced_by_a_memory_of_its_id(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        load_rows(server, 0, 10)
        server.remember("node-3", vectors(1, seed=8)[0], "another content")
        assert server.count() == 10
        assert server.get("/api/v1/memories/node-3").json()["content"] == "another content"
        assert "node-3" not in recalled(server, 3)


def test_a_traversal_finds_exactly_what_edges_lead_to(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        load_rows(server, 0, 10)
        assert server.post("/api/v1/memories/edges", data=PAIRS[:4].tobytes()).status_code == 201
        assert server.post("/api/v1/memories/edges", data=PAIRS[4:].tobytes()).status_code == 201
        assert server.post("/api/v1/memories/edges", data=np.array([[0, 10]], np.uint32).tobytes()).status_code == 409
        assert server.get("/api/v1/memories/bulk").json()["edges"] == len(PAIRS)

        def reached(start: str, hops: int, limit: int = 1000) -> list[str]:
            return server.recall(query=start, mode="spreading", hops=hops, threshold=0, max_results=limit)

        assert reached("node-0", 1) == ["node-1", "node-2"]
        assert reached("node-0", 2) == ["node-1", "node-2", "node-3"]
        assert reached("node-0", 3) == ["node-1", "node-2", "node-3", "node-4"]
        assert reached("node-0", 2, limit=2) == ["node-1", "node-2"]
        assert reached("node-9", 2) == []
        assert reached("node-5", 2) == []


def test_a_compacted_server_is_the_same_after_a_restart(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        load_rows(server, 0, 200)
        server.post("/api/v1/memories/edges", data=PAIRS.tobytes())
        server.remember("own", vectors(1, seed=9)[0], "a walrus")
        server.remember("node-3", None, "another content")
        assert server.post("/api/v1/maintenance/compact").status_code == 200
        assert server.post("/api/v1/maintenance/compact").status_code == 200
        assert [path.name for path in server.data.iterdir()] == ["snapshot-2"]
        server.remember("too late")
        server.process.kill()
        server.process.wait()
    with embedded(tmp_path) as server:
        assert server.count() == 201
        assert recalled(server, 150) == ["node-150"]
        assert server.recall(query="node-0", mode="spreading", hops=1, threshold=0) == ["node-1", "node-2"]
        assert server.get("/api/v1/memories/own").json()["content"] == "a walrus"
        assert server.get("/api/v1/memories/node-3").json()["content"] == "another content"
        assert server.get("/api/v1/memories/too%20late").status_code == 404
        assert load_rows(server, 200, 100) == 201
        server.remember("after", vectors(1, seed=10)[0])
        query = json.dumps(vectors(1, seed=10)[0].tolist())
        assert server.recall(embedding=query, max_results=1, threshold=0) == ["after"]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
@pytest.mark.parametrize("limit_bytes", [0, 20_000])  # neither facts nor index can be written; the index alone can't
def test_a_snapshot_that_can_not_be_written_is_one_line_and_leaves_the_older_one(
    tmp_path: Path, limit_bytes: int
) -> None:
    with embedded(tmp_path) as server:
        load_rows(server, 0, 200)
        assert server.post("/api/v1/maintenance/compact").status_code == 200
        load_rows(server, 200, 100)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
        answer = server.post("/api/v1/maintenance/compact")
        assert answer.status_code == 500
        error = answer.json()["error"]
        assert error["code"] == "SNAPSHOT_FAILED"
        assert error["message"].startswith(f"{server.data} can't be written (")
        assert "\n" not in error["message"]
        assert [path.name for path in server.data.iterdir()] == ["snapshot-1"]
        server.process.kill()
        server.process.wait()
    with embedded(tmp_path) as server:
        assert server.count() == 200
        assert recalled(server, 150) == ["node-150"]


def test_a_damaged_snapshot_is_an_error_of_one_line(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        load_rows(server, 0, 10)
        server.post("/api/v1/maintenance/compact")
        assert server.stop() == 0
    (tmp_path / "data" / "snapshot-1" / "default" / "facts.json").write_text("{")
    environment = {**os.environ, "ENGRAM_DATA_DIR": str(server.data), "ENGRAM_PID_PATH": str(tmp_path / "pid")}
    argv = start_argv(free_port())
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "snapshot-1 can't be read" in done.stderr
    assert done.stderr.count("\n") == 1
