"""A stand-in for Qdrant's server: a part of its documented REST interface, every search exact.

It is configured by Qdrant's own variables (QDRANT__SERVICE__HTTP_PORT and so on), and misbehaves as STAND_IN_QDRANT
tells, words separated by commas: never_ready, die_after=N (points), die_at_start, hang (answers no query), move_port,
miscount (tells half of its points), refuse_inserts, other_points (finds ids that nobody gave), never_green,
index_stalls (indexes half of the points), scans (its counters say that no graph was used), not_json (its queries),
delay_ms=N (before each answer), metrics_s=N (before its metrics), no_metrics, metrics_times=N (answers them so often),
clock_s=N (its clock is off by that), end_after=N (queries; then it is gone). CERTIFICATE names a PEM file for TLS.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

from tests.stand_ins.qdrant.collection import Collection, RefusedError

VERSION = "1.18.3"
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    409: "Conflict",
    500: "Internal Server Error",
    503: "Busy",
}

# Without a key, where there is one.
OPEN_TO_ALL = ("/", "/healthz", "/readyz", "/livez")


def words() -> dict[str, str]:
    """Return how it is told to misbehave."""
    told = filter(None, os.environ.get("STAND_IN_QDRANT", "").split(","))
    return {name: value for name, _, value in (word.partition("=") for word in told)}


class Server:
    """All collections, and the answers to requests for them."""

    def __init__(self) -> None:
        self.told = words()
        self.key = os.environ.get("QDRANT__SERVICE__API_KEY", "")
        self.collections: dict[str, Collection] = {}
        self.metrics_told = self.queries = 0

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return status and JSON of the answer."""
        path, _, query = path.partition("?")
        parts = [part for part in path.split("/") if part]
        began = time.perf_counter()
        try:
            result = self.result(method, parts, query, json.loads(body) if body else {})
        except RefusedError as refused:
            return refused.status, {"status": {"error": refused.text}, "time": 0.0}
        if isinstance(result, str):
            return (503 if result == "not ready" else 200), result
        if parts:
            return 200, {"result": result, "status": "ok", "time": time.perf_counter() - began}
        return 200, result

    def result(self, method: str, parts: list[str], query: str, body: dict[str, Any]) -> Any:
        """Return what a request asks for.

        Raises:
            RefusedError: it can't be had.
        """
        match method, parts:
            case "GET", []:
                return {"title": "qdrant - vector search engine", "version": VERSION}
            case "GET", ["readyz"]:
                return "not ready" if "never_ready" in self.told else "all shards are ready"
            case "GET", ["healthz"]:
                return "healthz check passed"
            case "GET", ["metrics"]:
                return self.metrics()
            case "GET", ["telemetry"]:
                return {"collections": {"collections": [each.telemetry() for each in self.collections.values()]}}
            case _, ["collections", name, *rest]:
                return self.of_collection(method, name, rest, query, body)
        raise RefusedError(404, "")

    def metrics(self) -> str:
        """Return its process in Prometheus' text, as the libraries of most languages have it.

        Raises:
            RefusedError: there are none, or none any more.
        """
        self.metrics_told += 1
        if "no_metrics" in self.told or self.metrics_told > int(self.told.get("metrics_times", "1000000")):
            raise RefusedError(404, "")
        times, pages = os.times(), [int(word) for word in Path("/proc/self/statm").read_text().split()]
        page = os.sysconf("SC_PAGE_SIZE")
        return (
            "# TYPE process_cpu_seconds_total counter\n"
            f"process_cpu_seconds_total {times.user + times.system}\n"
            f"process_resident_memory_bytes {float(pages[1] * page)}\n"
            f'process_virtual_memory_bytes{{of="all"}} {pages[0] * page} 1700000000000\n'
            f"process_open_fds {len(list(Path('/proc/self/fd').iterdir()))}\n"
            'app_info{name="qdrant",version="1.18.3"} 1\n'
        )

    def of_collection(self, method: str, name: str, rest: list[str], query: str, body: dict[str, Any]) -> Any:
        """Make or remove a collection, or return what a request asks of it.

        Raises:
            RefusedError: it can't be had.
        """
        if method == "PUT" and not rest:
            if name in self.collections:
                raise RefusedError(409, f"Wrong input: Collection `{name}` already exists!")
            self.collections[name] = Collection(name, body, self.told)
            return True
        if name not in self.collections:
            raise RefusedError(404, f"Not found: Collection `{name}` doesn't exist!")
        if method == "DELETE" and not rest:
            del self.collections[name]
            return True
        return self.collections[name].result(method, rest, query, body)

    async def delay(self, path: str) -> None:
        """Wait before an answer as long as it is told to."""
        seconds = float(self.told.get("delay_ms", "0")) / 1000
        if path == "/metrics":
            seconds += float(self.told.get("metrics_s", "0"))
        if seconds:
            await asyncio.sleep(seconds)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, in turn."""
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            method, path, _ = head[0].split(" ")
            lengths = [line.split(":")[1] for line in head[1:] if line.lower().startswith("content-length:")]
            keys = [line.split(":")[1].strip() for line in head[1:] if line.lower().startswith("api-key:")]
            body = await reader.readexactly(int(lengths[0])) if lengths else b""
            is_query = path.endswith("/query")
            if "hang" in self.told and is_query:
                await asyncio.sleep(3600)
            self.queries += is_query
            if self.queries > int(self.told.get("end_after", "1000000000")):
                os._exit(3)
            await self.delay(path)
            status, said = self.answer(method, path, body)
            if self.key and path not in OPEN_TO_ALL and keys != [self.key]:
                status, said = 401, "Must provide an API key or an Authorization bearer token"
            text = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            if "not_json" in self.told and path.endswith("/query"):
                text = b"<html>"
            writer.write(b"HTTP/1.1 %d %b\r\ncontent-length: %d\r\n" % (status, REASONS[status].encode(), len(text)))
            date = formatdate(time.time() + float(self.told.get("clock_s", "0")), usegmt=True)
            writer.write(b"date: %b\r\ncontent-type: application/json\r\n\r\n" % date.encode() + text)
            await writer.drain()


async def main() -> None:
    """Listen until a signal comes."""
    server = Server()
    if "die_at_start" in server.told:
        sys.exit("Panic occurred: no storage")
    port = int(os.environ.get("QDRANT__SERVICE__HTTP_PORT", "6333")) + ("move_port" in server.told)
    host = os.environ.get("QDRANT__SERVICE__HOST", "0.0.0.0")
    tls = None
    if certificate := os.environ.get("CERTIFICATE"):
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, Path(certificate).with_name("key.pem"))
    listener = await asyncio.start_server(server.serve, host, port, limit=64_000_000, ssl=tls)
    async with listener:
        await listener.serve_forever()


if __name__ == "__main__":
    if "--version" in sys.argv:
        print(f"qdrant {VERSION}")
    else:
        asyncio.run(main())
