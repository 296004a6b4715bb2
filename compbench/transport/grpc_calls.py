"""Unary gRPC calls over one channel, with a limit on those in flight and the clock read at both ends.

One channel is what the vendors' own clients open: HTTP/2 carries the calls side by side. A call waits its turn, first
come first served, while as many are in flight as there would be connections of another protocol. Requests and answers
are raw bytes; grpcio hands a call to its own thread, so that a moment is up to a turn of the event loop away from the
byte that it stands for: the time is in the service time, and never left out.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
import grpc.aio

from compbench.model.errors import UserError
from compbench.transport.exchange import Exchange
from compbench.transport.tls import tls_context

CALL_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 5.0
_MOST_ANSWER_BYTES = 16_000_000
_OPTIONS = (
    ("grpc.max_receive_message_length", _MOST_ANSWER_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class GrpcCall(NamedTuple):
    """A request: the method's full name, as `/package.Service/Method`, and the bytes of its message."""

    method: str
    message: bytes


def host_and_port(url: str) -> tuple[str, int]:
    """Return both of `http://host:port`, or with `https` or `grpc`.

    Raises:
        UserError: it is another kind of URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.scheme not in {"http", "https", "grpc"} or parts.path not in {"", "/"}:
        raise UserError(f"--endpoint {url!r}: expected http://host:port")
    return host, port


def no_refusal(_method: str, _answer: bytes) -> str:
    """Take every answer for a success."""
    return ""


class GrpcCalls:
    """Carries up to `size` calls at a time; `refusal` says why an answer to a method reports a failure."""

    def __init__(
        self,
        url: str,
        size: int,
        refusal: Callable[[str, bytes], str] = no_refusal,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take where the server is asked, and headers of every call, as one with a key."""
        self._loop = asyncio.get_running_loop()
        self._url, self._size, self._refusal = url, size, refusal
        self._headers = tuple((name.lower(), value) for name, value in (headers or {}).items())
        self._channel: Any = None
        self._methods: dict[str, Any] = {}
        self._free_at: list[float] = []
        self._waiting: deque[Exchange] = deque()
        self._under_way: dict[Exchange, asyncio.Task[None]] = {}
        self._closing: asyncio.Task[None] | None = None
        self.on_room: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Connect.

        Raises:
            UserError: the server can't be reached.
        """
        host, port = host_and_port(self._url)
        if urlsplit(self._url).scheme == "https":
            self._channel = grpc.aio.secure_channel(f"{host}:{port}", _trust(), options=_OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(f"{host}:{port}", options=_OPTIONS)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                reason = await self._connected()
        except TimeoutError:
            reason = f"no connection within {_CONNECT_TIMEOUT_S:.0f} s"
        if reason:
            await self._channel.close()
            raise UserError(f"{self._url}: can't be reached by gRPC ({reason}): is the server running there?")
        self._free_at = [time.monotonic()] * self._size

    def has_room(self) -> bool:
        """Tell whether one more call would be sent at once."""
        return bool(self._free_at)

    def submit(self, exchange: Exchange) -> None:
        """Send the call, or have it wait until there is room."""
        if self._free_at:
            self._send(exchange)
        else:
            self._waiting.append(exchange)

    async def ask(self, payload: Any) -> Exchange:
        """Send one call outside of any schedule and wait for its outcome."""
        future: asyncio.Future[Exchange] = self._loop.create_future()
        self.submit(Exchange(-1, time.monotonic(), payload, future.set_result))
        while not future.done():
            await asyncio.wait([future], timeout=1)
            self.expire()
        return future.result()

    def expire(self) -> None:
        """Give up every call that was due longer ago than the timeout; to be called about once a second."""
        limit = time.monotonic() - CALL_TIMEOUT_S
        while self._waiting and self._waiting[0].due_at < limit:
            _fail(self._waiting.popleft(), f"no connection for {CALL_TIMEOUT_S:.0f} s")
        for exchange in [exchange for exchange in self._under_way if exchange.sent_at < limit]:
            self._give_up(exchange, f"no response for {CALL_TIMEOUT_S:.0f} s")

    def close(self, problem: str = "the driver ended") -> None:
        """Give up every call that is waiting or in flight, and close the channel."""
        while self._waiting:
            _fail(self._waiting.popleft(), problem)
        for exchange in list(self._under_way):
            self._give_up(exchange, problem)
        self._free_at.clear()
        if self._channel is not None and self._closing is None:
            self._closing = self._loop.create_task(self._channel.close())

    async def _connected(self) -> str:
        """Wait for the connection; return why there is none, or an empty text."""
        while True:
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                return ""
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return "connection failed"
            await self._channel.wait_for_state_change(state)

    def _send(self, exchange: Exchange) -> None:
        exchange.free_at = self._free_at.pop()
        call, exchange.payload = exchange.payload, b""
        method = self._methods.get(call.method)
        if method is None:
            method = self._methods[call.method] = self._channel.unary_unary(call.method)
        exchange.sent_at = time.monotonic()
        self._under_way[exchange] = self._loop.create_task(
            self._carry(exchange, call.method, method(call.message, metadata=self._headers))
        )

    async def _carry(self, exchange: Exchange, method: str, call: Any) -> None:
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            done_at, answer, problem = time.monotonic(), None, _reason(error)
        else:
            done_at, problem = time.monotonic(), self._refusal(method, answer)
        if self._under_way.pop(exchange, None) is None:
            return  # given up meanwhile
        exchange.done_at, exchange.problem = done_at, problem
        if answer is not None:
            exchange.is_answered, exchange.ok, exchange.body = True, not problem, [answer]
        self._release(done_at)
        exchange.on_done(exchange)

    def _give_up(self, exchange: Exchange, problem: str) -> None:
        self._under_way.pop(exchange).cancel()
        self._release(time.monotonic())
        _fail(exchange, problem)
        self.on_room()

    def _release(self, now: float) -> None:
        """Note that there is room, which the longest waiting call gets at once."""
        self._free_at.append(now)
        if self._waiting:
            self._send(self._waiting.popleft())


def _trust() -> grpc.ChannelCredentials:
    """Return what proves a server's certificate: the same authorities as over HTTP, not those that grpcio brings."""
    known = tls_context().get_ca_certs(binary_form=True)
    return grpc.ssl_channel_credentials("".join(map(ssl.DER_cert_to_PEM_cert, known)).encode())


def _fail(exchange: Exchange, problem: str) -> None:
    exchange.done_at, exchange.problem = time.monotonic(), problem
    exchange.on_done(exchange)


def _reason(error: grpc.aio.AioRpcError) -> str:
    """Return the status in words that are the same for every failure of the kind: details may name the request."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return "connection lost or refused (gRPC UNAVAILABLE)"
    if error.code() is grpc.StatusCode.CANCELLED:
        return "the call was cancelled (gRPC CANCELLED)"
    details = " ".join((error.details() or "").split())[:200]
    return f"gRPC {error.code().name}: {details}" if details else f"gRPC {error.code().name}"
