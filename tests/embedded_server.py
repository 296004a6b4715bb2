"""The embedded server as a real process on a port of its own, and how tests talk to it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray

from tests.project import eventually, free_port

ROOT = Path(__file__).resolve().parent.parent
DIMENSION = 768
SERVER = (sys.executable, "-m", "compbench.embedded")
CONTRARY = (sys.executable, str(ROOT / "tests" / "stand_ins" / "contrary_server.py"))


@dataclass
class Embedded:
    """A running server: its process, its address, where it keeps its data and its pid file."""

    process: subprocess.Popen[bytes]
    port: int
    data: Path
    pid_file: Path

    @property
    def url(self) -> str:
        """Return the server's address."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **parameters: Any) -> requests.Response:
        """Send a GET request."""
        return requests.get(f"{self.url}{path}", params=parameters, timeout=30)

    def post(self, path: str, **how: Any) -> requests.Response:
        """Send a POST request; `json=` or `data=`, `params=`."""
        return requests.post(f"{self.url}{path}", timeout=30, **how)

    def remember(self, memory_id: str, vector: NDArray[np.float32] | None = None, content: str = "") -> None:
        """Store one memory."""
        body: dict[str, Any] = {"id": memory_id, "content": content or f"memory {memory_id}"}
        if vector is not None:
            body["embedding"] = vector.tolist()
        answer = self.post("/api/v1/memories/remember", json=body)
        assert answer.status_code == 201, answer.text

    def recall(self, **parameters: Any) -> list[str]:
        """Return the ids of a recall, best first."""
        answer = self.get("/api/v1/memories/recall", **parameters)
        assert answer.status_code == 200, answer.text
        found = answer.json()["memories"]
        return [item["id"] for item in (*found["vivid"], *found["associated"], *found["reconstructed"])]

    def count(self) -> int:
        """Return the server's own count of its memories."""
        spaces = self.get("/api/v1/system/health").json()["spaces"]
        return sum(int(space["memories"]) for space in spaces)

    def stop(self) -> int:
        """End the server by SIGTERM; return its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=20)


@contextlib.contextmanager
def embedded(folder: Path, port: int | None = None, told: str = "") -> Iterator[Embedded]:
    """Start a server whose files are in `folder`, wait until it is ready, and end it after the block.

    One that is told to answer wrongly is the stand-in `contrary_server.py`, which has the words.
    """
    chosen = port or free_port()
    data, pid_file = folder / "data", folder / "engram.pid"
    environment = {
        **os.environ,
        "ENGRAM_DATA_DIR": str(data),
        "ENGRAM_PID_PATH": str(pid_file),
        "PYTHONPATH": str(ROOT),
        "STAND_IN_EMBEDDED": told,
    }
    process = subprocess.Popen(
        start_argv(chosen, CONTRARY if told else SERVER), cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    server = Embedded(process, chosen, data, pid_file)
    try:
        assert eventually(lambda: _is_ready(server)), "the server did not become ready"
        yield server
    finally:
        # Asked first, so that what it reached is measured by `make coverage`.
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def start_argv(port: int, program: Sequence[str] = SERVER) -> list[str]:
    """Return the command line that starts the server."""
    return [*program, "--log-level", "warn", "start", "--port", str(port)]


def vectors(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Return random vectors, shape (count, 768)."""
    return np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)


def nearest(rows: NDArray[np.float32], query: NDArray[np.float32], k: int) -> list[int]:
    """Return the numbers of the k rows of the greatest cosine similarity, best first, by comparing all."""
    similarity = rows @ query / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    return [int(number) for number in np.argsort(-similarity)[:k]]


@contextlib.contextmanager
def wrong_answers(kind: str) -> Iterator[str]:
    """Run the stand-in whose answers are wrong in the way that `kind` names; yield its URL."""
    port = free_port()
    program = ROOT / "tests" / "stand_ins" / "wrong_answers.py"
    process = subprocess.Popen([sys.executable, str(program), str(port), kind])
    url = f"http://127.0.0.1:{port}"
    try:
        assert eventually(lambda: _answers(url))
        yield url
    finally:
        process.kill()
        process.wait()


def _is_ready(server: Embedded) -> bool:
    assert server.process.poll() is None, "the server ended at start"
    with contextlib.suppress(requests.ConnectionError):
        return server.get("/health").status_code == 200
    return False


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/api/v1/system/health", timeout=5).ok
    except requests.ConnectionError:
        return False
