"""The page's real process on a port of its own, and a reader of its stream of events."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 20.0


@dataclass
class ServedHere:
    """A page's process and its port."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer; `Host` is the page's own unless it is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@contextlib.contextmanager
def page_of(folder: Path, run: str = "") -> Iterator[ServedHere]:
    """Serve the page of the runs in a folder, until the block is left."""
    places = ["--output-dir", str(folder), "--lock", str(folder / "lock"), "--cache-dir", str(ROOT / "tmp" / "cache")]
    argv = [sys.executable, "-m", "compbench.live", *places, "--mark", str(folder / "mark"), "--run", run]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield ServedHere(process, int(process.stdout.readline().strip().rstrip("/").rpartition(":")[2]))
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, said) == (0, "")


@dataclass
class Reader:
    """What a browser makes of the stream: parts, rows, and the last id."""

    answer: http.client.HTTPResponse
    parts: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    patches: list[dict[str, Any]] = field(default_factory=list)
    last_id: str = ""

    def read_until(self, is_met: Callable[[Reader], bool]) -> None:
        """Take patches until a condition is met."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (self.patches and is_met(self)):
            assert time.monotonic() < deadline, self.parts
            line = self.answer.readline().decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "data":
                self._take(json.loads(value))

    def _take(self, patch: dict[str, Any]) -> None:
        self.patches.append(patch)
        self.parts |= patch["parts"]
        seconds = patch["series"].get("seconds")
        if seconds:
            self.rows = ([] if seconds["fresh"] else self.rows) + seconds["rows"]


@contextlib.contextmanager
def reading(page: ServedHere, last_id: str = "", path: str = "/events") -> Iterator[Reader]:
    """Read the page's stream, as a browser does that has seen everything up to an id."""
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Last-Event-ID": last_id} if last_id else {})
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("content-type") == "text/event-stream"
        yield Reader(answer)
    finally:
        connection.close()
