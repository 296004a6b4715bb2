"""The page's few paths, as a small ASGI application: it can be read, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import html
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from compbench.files.regular import read_regular
from compbench.live.board import Board
from compbench.live.following import Follower
from compbench.live.refusal import METHODS, RequestRefusal, refusal_of_request

AsgiScope = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
AsgiSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]

POLL_S = 1.0
# Each open page costs a little of the machine that measures.
MOST_READERS = 12
# A reader that is gone without a word is noticed by writing to it.
_STILL_HERE_S = 15.0
_RETRY_MS = 2000
# How long a page that is told to end waits until its readers have the report.
FAREWELL_S = 3.0
_FAREWELL_POLL_S = 0.05

_SHUT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_NOTHING = _SHUT.encode()
_OWN_SCRIPTS = f"{_SHUT}; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:".encode()
# The report brings its script within it, and Vega compiles its expressions.
_REPORT_SCRIPTS = _OWN_SCRIPTS.replace(b"script-src 'self'", b"script-src 'self' 'unsafe-inline' 'unsafe-eval'")
_FIXED = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
# Paths whose answer depends on what the run has told by now.
_OF_THE_RUN = ("/", "/report")
_HTML, _TEXT = b"text/html; charset=utf-8", b"text/plain; charset=utf-8"
_SCRIPT = b"text/javascript; charset=utf-8"
# What makes a report follow on: when its run goes on, or another one begins, the page is the living one again.
_FOLLOWING = '<script src="/following.js" data-run="{run}" defer></script>\n</body>'
# No number of changes has more digits.
_MOST_DIGITS = 15


class LivePage:
    """The application; `port` is the one that it is reached by.

    Attributes:
        told_to_end: set when it shall end, once its readers have what is new.
    """

    def __init__(self, follower: Follower, board: Board, files: dict[str, bytes], port: int) -> None:
        self.told_to_end = asyncio.Event()
        self._follower = follower
        self._board = board
        self._files = files
        self._port = port
        self._name = secrets.token_hex(4)
        self._changed = asyncio.Event()
        self._readers = 0
        self._is_ending = False
        self._watchers = 0
        self._encoded: tuple[int, int, bytes] = (-1, -1, b"")

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if refusal := refusal_of_request(method, scope["headers"], self._port):
            await _answer(send, method, refusal.status, _TEXT, f"{refusal.line}\n".encode(), _NOTHING)
        elif path == "/events":
            await self._stream(scope, receive, send)
        else:
            if path in _OF_THE_RUN:
                await self._look()
            status, kind, body, policy = self._file(path)
            await _answer(send, method, status, kind, body, policy)

    async def follow(self) -> None:
        """Look once a second while somebody reads, until it is told to end and its readers know all."""
        while not self.told_to_end.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.told_to_end.wait(), POLL_S)
            if self._readers:
                await self._look()
        await self._look()
        deadline = asyncio.get_running_loop().time() + FAREWELL_S
        while self._follower.has_report and self._watchers and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_FAREWELL_POLL_S)
        self._is_ending = True
        self._tell_readers()

    async def _look(self) -> None:
        before = self._board.revision
        for _ in self._follower.steps():
            await asyncio.sleep(0)
        if self._board.revision != before:
            self._tell_readers()

    def _tell_readers(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _file(self, path: str) -> tuple[int, bytes, bytes, bytes]:
        if path == "/":
            if self._follower.has_report and (report := self._report()) is not None:
                return 200, _HTML, self._following(report), _REPORT_SCRIPTS
            return 200, _HTML, self._files["/"], _OWN_SCRIPTS
        if path == "/report":  # as it is now, of a run that may be under way: it stays
            if (report := self._report()) is not None:
                return 200, _HTML, report, _REPORT_SCRIPTS
            return 404, _TEXT, b"there is no report of this run yet\n", _NOTHING
        if path in self._files:
            return 200, _SCRIPT, self._files[path], _NOTHING
        folder = self._follower.folder
        where = f": the run's files are in {folder}" if folder else ""
        return 404, _TEXT, f"this page has no such path{where}\n".encode(), _NOTHING

    def _report(self) -> bytes | None:
        """Return the report, None if it can't be read."""
        if self._follower.report is None:
            return None
        try:
            return read_regular(self._follower.report, is_link_followed=False)
        except OSError:
            return None

    def _following(self, report: bytes) -> bytes:
        """Return a report that gives its place to the page when its run goes on, or another one begins."""
        run = self._follower.folder.name if self._follower.folder else ""
        before, body, after = report.rpartition(b"</body>")
        return before + _FOLLOWING.format(run=html.escape(run)).encode() + after if body else report

    async def _stream(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Send what changes as server-sent events; a reader that comes back names what it has seen last."""
        if self._readers >= MOST_READERS:
            refusal = RequestRefusal(503, f"{MOST_READERS} pages are open already: close one")
            await _answer(send, scope["method"], refusal.status, _TEXT, f"{refusal.line}\n".encode(), _NOTHING)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _headers(b"text/event-stream", _NOTHING)})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        # Whoever reads the report has nothing to wait for.
        watching = int(scope["query_string"] != b"following")
        self._readers += 1
        self._watchers += watching
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await self._look()
            await send(_part(b"retry: %d\n\n" % _RETRY_MS))
            await self._send_changes(send, self._seen_by(scope), gone)
        finally:
            self._readers -= 1
            self._watchers -= watching
            gone.cancel()

    async def _send_changes(self, send: AsgiSend, seen: int, gone: asyncio.Future[None]) -> None:
        while not gone.done():
            if (revision := self._board.revision) > seen:
                await send(_part(self._patch(seen, revision)))
                seen = revision
            if self._is_ending:
                await send({"type": "http.response.body", "body": b""})
                return
            changed = asyncio.ensure_future(self._changed.wait())
            awaited: set[asyncio.Future[Any]] = {gone, changed}
            done, _ = await asyncio.wait(awaited, timeout=_STILL_HERE_S, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if not done:
                await send(_part(b": still here\n\n"))

    def _seen_by(self, scope: AsgiScope) -> int:
        """Return the revision that a reader has seen; 0 if none, or of another process."""
        told = next((value for name, value in scope["headers"] if name.lower() == b"last-event-id"), b"")
        name, _, revision = told.decode("latin-1").partition("-")
        is_number = revision.isascii() and revision.isdecimal() and len(revision) <= _MOST_DIGITS
        seen = int(revision) if name == self._name and is_number else 0
        return seen if seen <= self._board.revision else 0

    def _patch(self, seen: int, revision: int) -> bytes:
        """Return what has changed since, as one event; readers who have seen the same share its bytes."""
        if self._encoded[:2] != (seen, revision):
            changes = msgspec.json.encode({**self._board.since(seen), "whole": seen == 0})
            event = b"id: %s-%d\nevent: patch\ndata: %s\n\n" % (self._name.encode(), revision, changes)
            self._encoded = (seen, revision, event)
        return self._encoded[2]


async def _until_gone(receive: AsgiReceive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: AsgiSend, method: str, status: int, kind: bytes, body: bytes, policy: bytes) -> None:
    headers = [*_headers(kind, policy), (b"content-length", str(len(body)).encode())]
    if status == 405:  # noqa: PLR2004 - Method Not Allowed names those that are
        headers.append((b"allow", ", ".join(METHODS).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _headers(kind: bytes, policy: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", kind), (b"content-security-policy", policy), *_FIXED]


def _part(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}
