"""The pool's endpoint and connections against real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Awaitable, Callable

import pytest

from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.model.errors import UserError
from compbench.transport.connection import MOST_ANSWER_BYTES
from compbench.transport.exchange import Exchange
from compbench.transport.http_pool import Endpoint, Pool

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(*pieces: bytes, keep: bool = True) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.005)
            if not keep:
                writer.close()
                return

    return handle


def asked(handler: Handler, times: int = 1) -> list[Exchange]:
    """Ask a server of this handler over one connection."""

    async def main() -> list[Exchange]:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        endpoint = Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        pool = Pool(endpoint, 1)
        await pool.open()
        exchanges = [await pool.ask(endpoint.get(b"/")) for _ in range(times)]
        pool.close()
        server.close()
        return exchanges

    return run_in_precise_loop(main())


@pytest.mark.parametrize("url", ["ftp://x", "http://", "x", "http://x:0x", "http://x:99999", "http://x/path"])
def test_only_addresses_of_http_are_endpoints(url: str) -> None:
    with pytest.raises(UserError, match="expected http://host:port"):
        Endpoint(url)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n", b"0\r\n\r\n"),
        tuple(bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ],
)
def test_an_answer_is_read_however_it_is_sent(pieces: tuple[bytes, ...]) -> None:
    for exchange in asked(answering(*pieces), times=2):
        assert (exchange.ok, exchange.problem, b"".join(exchange.body)) == (True, "", b"hello")
        assert exchange.free_at <= exchange.sent_at <= exchange.done_at


def test_a_connection_that_the_server_closes_after_its_answer_is_replaced() -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    assert all(exchange.ok for exchange in asked(answering(last, keep=False), times=3))


def test_a_failure_says_why() -> None:
    (refused,) = asked(answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\ntry\nlate"))
    assert (refused.ok, refused.problem, refused.explain()) == (False, "HTTP 503", "HTTP 503: try late")
    (lost,) = asked(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf", keep=False))
    assert (lost.is_answered, lost.explain()) == (False, "connection lost: closed by the server")


def test_an_answer_without_end_is_given_up_and_costs_no_more_than_the_limit() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"100000\r\n" + bytes(0x100000) + b"\r\n")
                await writer.drain()

    for exchange in asked(endless, times=2):
        assert (exchange.ok, exchange.problem) == (False, f"the answer is larger than {MOST_ANSWER_BYTES} bytes")
        assert sum(map(len, exchange.body)) <= MOST_ANSWER_BYTES


@pytest.mark.parametrize(
    ("status", "is_success"), [("100 Continue", False), ("201 Created", True), ("204 None", True), ("302 Found", False)]
)
def test_only_a_status_of_success_is_one(status: str, is_success: bool) -> None:
    (exchange,) = asked(answering(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()))
    assert (exchange.is_answered, exchange.ok) == (True, is_success)
    assert exchange.problem == ("" if is_success else f"HTTP {status[:3]}")


@pytest.mark.parametrize("rest", [b"", b"\x81\x05hello"])
def test_a_protocol_that_nobody_asked_for_is_a_failure_and_no_traceback(
    rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    for exchange in asked(answering(upgrade + rest), times=2):
        assert (exchange.is_answered, exchange.ok) == (False, False)
        assert exchange.explain() == "not an HTTP response: another protocol follows a 101"
    assert "data_received" not in caplog.text, "asyncio tells of an exception that nobody caught"


def test_a_limit_of_open_files_is_told_with_what_raises_it() -> None:
    async def main() -> None:
        server = await asyncio.start_server(answering(b""), "127.0.0.1", 0)
        endpoint = Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, limits[1]))
        try:
            await Pool(endpoint, 64).open()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            server.close()

    with pytest.raises(UserError, match=r"Too many open files\): allow more than the 64 files .*\(`ulimit -n`\)$"):
        run_in_precise_loop(main())
