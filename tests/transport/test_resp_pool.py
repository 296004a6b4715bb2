"""Connections that speak RESP against a small real server of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import hiredis
import numpy as np
import pytest

from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.model.errors import UserError
from compbench.transport.exchange import Exchange
from compbench.transport.http_pool import Pool
from compbench.transport.resp_connection import NotRespError, Pipeline, command, reply_in
from compbench.transport.resp_pool import RespAddress, RespPool

# A timer may be early by a millisecond.
DELAY_S = 0.05
Handler = Callable[[list[bytes], asyncio.StreamWriter], Awaitable[None]]


async def answering(words: list[bytes], writer: asyncio.StreamWriter) -> None:
    """Do as the command's name says."""
    match words[0]:
        case b"ECHO":
            writer.write(b"$%d\r\n%b\r\n" % (len(words[1]), words[1]))
        case b"SLOW":
            await asyncio.sleep(DELAY_S)
            writer.write(b"+OK\r\n")
        case b"PIECES":
            for byte in b"*2\r\n:7\r\n$5\r\nhello\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.0005)
        case b"REFUSE":
            writer.write(b"-ERR no such thing as %b\r\n" % words[1])
        case b"LATE":
            writer.write(b"*2\r\n*1\r\n:1\r\n-Query timed out\r\n")
        case b"HANG UP":
            writer.write(b"*2\r\n:1\r\n")
            writer.close()
        case b"BABBLE":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n")


def with_pool(size: int, use: Callable[[Pool], Awaitable[Any]], handler: Handler = answering) -> Any:
    """Start a server, and let `use` ask it through a pool."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                parser.feed(data)
                while (words := parser.gets()) is not False:
                    await handler(words, writer)

    async def main() -> Any:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        pool = RespPool(RespAddress(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"), size)
        await pool.open()
        try:
            return await use(pool)
        finally:
            pool.close()
            server.close()

    return run_in_precise_loop(main())


def asked(*calls: Any) -> list[Exchange]:
    """Ask one after the other over one connection."""

    async def use(pool: Pool) -> list[Exchange]:
        return [await pool.ask(call) for call in calls]

    return list(with_pool(1, use))


def test_any_bytes_come_back_as_they_were_sent() -> None:
    rng = np.random.default_rng(7)
    texts = [rng.bytes(int(size)) for size in rng.integers(0, 300_000, 20)]
    for text, exchange in zip(texts, asked(*(command("ECHO", text) for text in texts)), strict=True):
        assert (exchange.ok, exchange.problem, reply_in(b"".join(exchange.body))) == (True, "", text)
        assert exchange.free_at <= exchange.sent_at <= exchange.done_at


def test_an_answer_in_pieces_is_read_whole() -> None:
    for exchange in asked(command("PIECES"), command("PIECES")):
        assert reply_in(b"".join(exchange.body)) == [7, b"hello"]


def test_a_pipeline_is_one_request_that_fails_if_one_of_its_commands_does() -> None:
    good = Pipeline(command("ECHO", "a") * 3, 3)
    bad = Pipeline(command("ECHO", "a") + command("REFUSE", "b") + command("ECHO", "c"), 3)
    first, second, third = asked(good, bad, command("ECHO", "d"))
    assert (first.ok, b"".join(first.body)) == (True, b"$1\r\na\r\n" * 3)
    assert (second.is_answered, second.ok, second.problem) == (True, False, "ERR")
    assert reply_in(b"".join(third.body)) == b"d"


def test_an_error_is_a_failure_whose_kind_is_the_same_for_all_of_the_kind() -> None:
    one, other, late = asked(command("REFUSE", "x"), command("REFUSE", "y"), command("LATE"))
    assert (one.is_answered, one.ok, one.problem) == (True, False, "ERR") == (True, other.ok, other.problem)
    assert one.explain() == "ERR: -ERR no such thing as x\r "
    assert (late.is_answered, late.ok, late.problem) == (True, False, "Query"), "an error that ends a list"


def test_a_lost_connection_fails_its_request_and_is_replaced() -> None:
    lost, after = asked(command("HANG UP"), command("ECHO", "there"))
    assert (lost.is_answered, lost.problem) == (False, "connection lost: closed by the server")
    assert reply_in(b"".join(after.body)) == b"there"


def test_what_is_not_resp_is_a_failure_and_the_connection_is_replaced() -> None:
    babble, after = asked(command("BABBLE"), command("ECHO", "there"))
    assert (babble.is_answered, babble.problem.partition(":")[0]) == (False, "not RESP")
    assert after.ok


def test_waiting_for_a_connection_counts_from_when_a_request_was_due() -> None:
    async def use(pool: Pool) -> list[Exchange]:
        done: list[Exchange] = []
        due = time.monotonic()
        for index in range(4):
            pool.submit(Exchange(index, due, command("SLOW"), done.append))
        assert not pool.has_room()
        while len(done) < 4:
            await asyncio.sleep(0.005)
        return done

    done = with_pool(2, use)
    assert all(exchange.ok for exchange in done)
    assert min(exchange.done_at - exchange.sent_at for exchange in done) >= 0.9 * DELAY_S
    assert sorted(exchange.done_at - exchange.due_at for exchange in done)[2] >= 1.8 * DELAY_S
    assert all(exchange.free_at <= exchange.sent_at for exchange in done)


@pytest.mark.parametrize("url", ["http://x:1", "redis://", "redis://x:0x", "redis://x/0", "redis://user@x"])
def test_only_plain_redis_addresses_are_endpoints(url: str) -> None:
    with pytest.raises(UserError, match="expected redis://host:port"):
        RespAddress(url)


def test_a_server_that_is_not_there_is_one_line() -> None:
    async def main() -> None:
        await RespPool(RespAddress("redis://127.0.0.1:9"), 1).open()

    with pytest.raises(UserError, match=r"redis://127\.0\.0\.1:9: can't be reached .*: is the server running there\?"):
        run_in_precise_loop(main())


def test_half_a_reply_is_none() -> None:
    with pytest.raises(NotRespError, match="4 bytes, and no whole reply"):
        reply_in(b"*2\r\n")
