"""The HTTP interface as a bare ASGI application: routes, handlers, memory spaces by name.

It keeps to Engram's interface, with these differences: `POST /api/v1/memories` honours an `embedding` and an `id`
(Engram ignores them); `POST /api/v1/complete` answers from the stored memories; a text `query` is compared by words,
never by vectors; `mode=spreading` follows loaded edges (and is a 400 without any, as in Engram); tags, times and
places as filters are refused (501) rather than ignored; nothing is deduplicated; `/api/v1/memories/bulk` and
`/api/v1/memories/edges` load in bulk; compacting writes a snapshot that the next start recovers; a space takes vectors
of any one dimension, and rows in bulk may be compared by another metric than the cosine.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from compbench.embedded import loading, state_files, wire
from compbench.embedded.memories import Match, MemorySpace
from compbench.embedded.turns import CORES
from compbench.embedded.wire import Refusal, Request, Response

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Handler = Callable[[Request], Awaitable[Response]]

BODY_LIMIT_BYTES = 2 * 1024 * 1024
LIST_LIMIT = 1000
RESULT_LIMIT = 1000
HOP_LIMIT = 5
_MEMORIES = "/api/v1/memories"
_BULK = f"{_MEMORIES}/bulk"
_EDGES = f"{_MEMORIES}/edges"
_FILTERS = ("required_tags", "excluded_tags", "from_time", "to_time", "location")


class Application:
    """The server's state and its routes.

    Args:
        version: what the health report calls the server's version.
        data_dir: where a snapshot was left, and will be.
        stop: called when a client asks for a shutdown.

    Raises:
        OSError: the snapshot can't be read.
    """

    def __init__(self, version: str, data_dir: Path, stop: Callable[[], None]) -> None:
        self._version = version
        self._data_dir = data_dir
        self._stop = stop
        self._executor = ThreadPoolExecutor(CORES, "index")
        self._spaces = {"default": MemorySpace(self._executor), **state_files.recover(data_dir, self._executor)}
        self._compacting = asyncio.Lock()
        self._answered: Counter[tuple[str, int]] = Counter()
        self._routes: dict[str, dict[str, Handler]] = {
            "/health": {"GET": self._health},
            "/health/alive": {"GET": self._alive},
            "/metrics": {"GET": self._metrics},
            "/metrics/prometheus": {"GET": self._prometheus},
            "/shutdown": {"POST": self._shutdown},
            "/api/v1/system/health": {"GET": self._system_health},
            "/api/v1/complete": {"POST": self._complete},
            "/api/v1/maintenance/compact": {"POST": self._compact},
            _MEMORIES: {"GET": self._list, "POST": self._remember},
            f"{_MEMORIES}/remember": {"POST": self._remember},
            f"{_MEMORIES}/recall": {"GET": self._recall},
            f"{_MEMORIES}/search": {"GET": self._search},
            _BULK: {"GET": self._describe_space, "POST": self._load_rows},
            _EDGES: {"POST": self._load_edges},
        }
        self._one_memory: dict[str, Handler] = {"GET": self._get}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        body = b"" if scope["method"] == "GET" else await _read_body(receive, _body_limit(scope["path"]))
        answer = await self._answer(scope, body)
        headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, body: bytes | None) -> Response:
        path = scope["path"]
        if path in self._routes:
            label, methods = path, self._routes[path]
        elif path.startswith(f"{_MEMORIES}/"):
            label, methods = f"{_MEMORIES}/{{id}}", self._one_memory
        else:
            label, methods = "other", {}
        try:
            answer = await self._handle(methods, scope, body)
        except Refusal as refusal:
            answer = wire.refusal_answer(refusal)
        self._answered[label, answer.status] += 1
        return answer

    async def _handle(self, methods: dict[str, Handler], scope: Scope, body: bytes | None) -> Response:
        if not methods:
            raise Refusal(404, "NOT_FOUND", f"no such path: {scope['path']}")
        handler = methods.get(scope["method"])
        if handler is None:
            raise Refusal(405, "METHOD_NOT_ALLOWED", f"{scope['path']} allows {', '.join(methods)}")
        if body is None:
            raise Refusal(413, "PAYLOAD_TOO_LARGE", f"the body is larger than {_body_limit(scope['path'])} bytes")
        header = next((value for name, value in scope["headers"] if name == b"x-memory-space"), None)
        query = wire.parse_query(scope["query_string"]) if scope["query_string"] else {}
        space = header.decode("latin-1") if header is not None else None
        return await handler(Request(scope["path"], query, space, body))

    def _space(self, request: Request, in_body: str | None = None) -> MemorySpace:
        """Return the space of the header, else of the query, else of the body; a new name makes a new space."""
        name = request.space_header or request.text("space") or in_body or "default"
        space = self._spaces.get(name)
        if space is None:
            space = self._spaces[wire.check_space_name(name)] = MemorySpace(self._executor)
        return space

    async def _remember(self, request: Request) -> Response:
        body = wire.decode_body(request.body, wire.RememberBody)
        if not body.content.strip():
            raise wire.bad_input("content is empty")
        if len(body.content.encode()) > wire.CONTENT_LIMIT_BYTES:
            raise wire.bad_input(f"content is longer than {wire.CONTENT_LIMIT_BYTES} bytes")
        space = self._space(request, body.memory_space_id)
        embedding = None if body.embedding is None else wire.as_vector(body.embedding, space)
        memory = await space.store(
            memory_id=body.id or f"mem_{uuid.uuid4().hex}",
            content=body.content,
            confidence=min(max(body.confidence, 0.0), 1.0),
            memory_type=body.memory_type,
            tags=body.tags,
            stored_at=_now(),
            embedding=embedding,
        )
        return wire.stored_answer(memory)

    async def _recall(self, request: Request) -> Response:
        _refuse_what_is_missing(request)
        limit = request.integer("max_results", 10, 1, RESULT_LIMIT)
        started = time.perf_counter()
        hops = 0
        space = self._space(request)
        if request.text("mode") == "spreading":
            hops = request.integer("hops", 1, 1, HOP_LIMIT)
            found, path = _spread(space, request, hops, limit), "spreading activation"
        elif query := request.text("query"):
            found, path = space.sharing_words(query, limit, request.number("threshold", 0.5)), "shared words"
        elif raw := request.query.get("embedding"):
            vector = wire.as_vector(wire.decode_floats(raw), space)
            found, path = await space.nearest(vector, limit, _threshold(space, request)), "vector similarity"
        else:
            raise wire.bad_input("give a query or an embedding")
        metadata = None
        if request.text("include_metadata") == "true":
            elapsed_ms = (time.perf_counter() - started) * 1000
            metadata = {
                "total_memories_searched": len(space),
                "activation_spread_hops": hops,
                "processing_time_ms": elapsed_ms,
                "memory_system_load": 0.0,
            }
        return wire.recall_answer(found, path, metadata)

    async def _search(self, request: Request) -> Response:
        query = request.text("query")
        if query is None:
            raise wire.bad_input("query is missing")
        limit = request.integer("limit", 10, 1, RESULT_LIMIT)
        return wire.search_answer(self._space(request).sharing_words(query, limit))

    async def _complete(self, request: Request) -> Response:
        body = wire.decode_body(request.body, wire.CompleteBody)
        given = body.partial_episode.partial_embedding
        space = self._space(request, body.memory_space_id)
        if given:
            wire.check_dimension(len(given), space)
        if body.config.num_hypotheses < 1:
            raise wire.unfit("num_hypotheses must be at least 1")
        known = np.array([value is not None for value in given], dtype=bool)
        if not known.any():
            raise wire.unfit("insufficient evidence: partial_embedding holds no number")
        partial = wire.as_vector([0.0 if value is None else value for value in given], space)
        done = await space.complete(partial, known, body.config.ca1_threshold, body.config.num_hypotheses)
        if done is None:
            raise wire.unfit(f"insufficient evidence: no memory is as similar as {body.config.ca1_threshold}")
        return wire.completion_answer(done, body.partial_episode, int(known.sum()))

    async def _compact(self, _request: Request) -> Response:
        async with self._compacting:
            try:
                folder = await state_files.save_state(self._spaces, self._data_dir)
            except OSError as error:
                raise Refusal(500, "SNAPSHOT_FAILED", f"{self._data_dir} can't be written ({error})") from None
        return wire.json_answer({"status": "completed", "snapshot": folder.name})

    async def _list(self, request: Request) -> Response:
        space = self._space(request)
        offset = request.integer("offset", 0, 0, 10**12)
        limit = request.integer("limit", 100, 1, LIST_LIMIT)
        memories = space.page(offset, limit)
        items = [wire.memory_content(memory) for memory in memories]
        if request.text("include_embeddings") == "true":
            for item, embedding in zip(items, await space.embeddings_of(memories), strict=True):
                item["embedding"] = embedding
        content = {
            "memories": items,
            "count": len(items),
            "pagination": {"offset": offset, "limit": limit, "returned": len(items)},
            "tier_counts": {"hot": len(space), "warm": 0, "cold": 0, "total": len(space)},
        }
        return wire.json_answer(content)

    async def _get(self, request: Request) -> Response:
        memory_id = request.path.removeprefix(f"{_MEMORIES}/")
        space = self._space(request)
        memory = space.get(memory_id)
        if memory is None:
            raise Refusal(404, "MEMORY_NOT_FOUND", f"no memory {memory_id!r}")
        (embedding,) = await space.embeddings_of([memory])
        return wire.json_answer({**wire.memory_content(memory), "embedding": embedding})

    async def _describe_space(self, request: Request) -> Response:
        return loading.describe_space(self._space(request))

    async def _load_rows(self, request: Request) -> Response:
        return await loading.load_rows(self._space(request), request, _now())

    async def _load_edges(self, request: Request) -> Response:
        return loading.load_edges(self._space(request), request)

    async def _alive(self, _request: Request) -> Response:
        return Response(200, b"")

    async def _health(self, _request: Request) -> Response:
        content = {"status": "healthy", "service": "compbench-embedded", "version": self._version, "timestamp": _now()}
        return wire.json_answer(content)

    async def _system_health(self, request: Request) -> Response:
        names = [name] if (name := request.text("space")) else list(self._spaces)
        spaces = [
            {
                "space": wire.check_space_name(name),
                "memories": len(self._spaces.get(name, ())),
                "pressure": 0.0,
                "wal_lag_ms": 0.0,
                "consolidation_rate": 0.0,
            }
            for name in names
        ]
        return wire.json_answer(
            {"status": "healthy", "timestamp": _now(), "checks": [], "spaces": spaces, "cluster": None}
        )

    async def _metrics(self, _request: Request) -> Response:
        answered = {f"{path} {status}": count for (path, status), count in self._answered.items()}
        stored = {name: len(space) for name, space in self._spaces.items()}
        return wire.json_answer({"snapshot": {"memories": stored, "answered": answered}, "export": {}})

    async def _prometheus(self, _request: Request) -> Response:
        lines = ["# TYPE engram_memories gauge"]
        lines += [f'engram_memories{{space="{name}"}} {len(space)}' for name, space in self._spaces.items()]
        lines += ["# TYPE engram_http_requests_total counter"]
        lines += [
            f'engram_http_requests_total{{path="{path}",status="{status}"}} {count}'
            for (path, status), count in self._answered.items()
        ]
        return Response(200, ("\n".join(lines) + "\n").encode(), wire.TEXT)

    async def _shutdown(self, _request: Request) -> Response:
        self._stop()
        return wire.json_answer({"status": "shutdown_initiated", "message": "the server is stopping"})


def _body_limit(path: str) -> int:
    return loading.BODY_LIMIT_BYTES if path in {_BULK, _EDGES} else BODY_LIMIT_BYTES


async def _read_body(receive: Receive, limit_bytes: int) -> bytes | None:
    """Return the request's body, or None if it is larger than the limit."""
    message = await receive()
    parts: list[bytes] = [message.get("body", b"")]
    size = len(parts[0])
    while message.get("more_body"):
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= limit_bytes:
            parts.append(part)
    return b"".join(parts) if size <= limit_bytes else None


def _threshold(space: MemorySpace, request: Request) -> float:
    """Return the least similarity of a recall; 0.5 unless told otherwise, which only a cosine can be sure to mean."""
    return request.number("threshold", 0.5 if space.metric in {"cosine", None} else -math.inf)


def _spread(space: MemorySpace, request: Request, hops: int, limit: int) -> list[Match]:
    cue = request.text("query")
    if cue is None:
        raise wire.bad_input("mode=spreading: give the id of a memory, or words of its content, as query")
    if not len(space.graph):
        raise wire.bad_input("mode=spreading: this space has no edges to follow; leave it out or say similarity")
    return space.spread(cue, hops, limit)


def _refuse_what_is_missing(request: Request) -> None:
    for name in _FILTERS:
        if name in request.query:
            raise Refusal(501, "NOT_IMPLEMENTED", f"{name}: this server has no such filter")
    if request.text("mode") == "hybrid":
        raise wire.bad_input("mode: this server has no hybrid recall; leave it out or say similarity")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
