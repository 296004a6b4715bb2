"""Calls by gRPC against a real server: moments, order, failures, timeouts, a connection that is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import uvloop

from compbench.model.errors import UserError
from compbench.transport import grpc_calls
from compbench.transport.exchange import Exchange
from compbench.transport.grpc_calls import GrpcCall, GrpcCalls
from tests.certificates import made_certificate

ECHO = "/test.Test/Echo"


class Service(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Answers with the request after as many milliseconds as it says; `fail` is refused, `hang` never answered."""

    def __init__(self, seen: list[Any] | None = None) -> None:
        self._seen = seen
        self.most_at_once = self._at_once = 0

    def service(self, details: Any) -> Any:
        if self._seen is not None:
            self._seen += [tuple(each) for each in details.invocation_metadata]
        return grpc.unary_unary_rpc_method_handler(self._answer) if details.method == ECHO else None

    async def _answer(self, request: bytes, context: Any) -> bytes:
        if request == b"fail":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not\nso")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(3600 if request == b"hang" else int(request or b"0") / 1000)
        finally:
            self._at_once -= 1
        return request


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[tuple[Service, str, Any]]:
    service, server = Service(), grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield service, f"http://127.0.0.1:{bound}", server
    finally:
        await server.stop(None)


def test_a_key_goes_over_tls_to_a_server_whose_authority_is_known_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = made_certificate(tmp_path)

    async def use() -> None:
        seen: list[Any] = []
        server = grpc.aio.server()
        service = Service(seen)
        server.add_generic_rpc_handlers((service,))
        pair = (certificate.with_name("key.pem").read_bytes(), certificate.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        await server.start()
        try:
            for is_known in (False, True):
                monkeypatch.setenv("SSL_CERT_FILE", str(certificate) if is_known else "/dev/null")
                calls = GrpcCalls(f"https://127.0.0.1:{port}", 2, headers={"Authorization": "Bearer k3y"})
                if not is_known:
                    with pytest.raises(UserError, match="can't be reached by gRPC"):
                        await calls.open()
                    continue
                await calls.open()
                assert (await calls.ask(GrpcCall(ECHO, b"0"))).ok
                calls.close()
            assert ("authorization", "Bearer k3y") in seen
        finally:
            await server.stop(None)

    run(use)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    uvloop.run(test())


def echo(message: bytes) -> GrpcCall:
    return GrpcCall(ECHO, message)


async def ended(exchanges: list[Exchange], count: int) -> None:
    async with asyncio.timeout(20):
        while len(exchanges) < count:
            await asyncio.sleep(0.005)


def test_the_service_time_holds_the_delay_and_waiting_for_room_does_not_count_to_it() -> None:
    async def test() -> None:
        async with serving() as (service, url, _):
            calls = GrpcCalls(url, 2)
            await calls.open()
            done: list[Exchange] = []
            due_at = time.monotonic()
            for index in range(6):
                assert calls.has_room() == (index < 2)
                calls.submit(Exchange(index, due_at, echo(b"50"), done.append))
            await ended(done, 6)
            assert sorted(exchange.index for exchange in done) == list(range(6))
            assert all(exchange.ok and exchange.body == [b"50"] for exchange in done)
            # The server's timer has a resolution of a millisecond, and may be early by one.
            assert all(exchange.done_at - exchange.sent_at >= 0.048 for exchange in done)
            assert all(exchange.free_at <= exchange.sent_at for exchange in done)
            last = max(done, key=lambda exchange: exchange.done_at)
            assert last.done_at - last.due_at >= 0.144
            assert last.free_at - due_at >= 0.096
            assert service.most_at_once == 2
            calls.close()

    run(test)


def test_failures_say_why_and_leave_room() -> None:
    async def test() -> None:
        async with serving() as (_, url, _server):
            calls = GrpcCalls(url, 1, lambda method, answer: f"{method} says {len(answer)}" if answer == b"7" else "")
            await calls.open()
            failed = await calls.ask(echo(b"fail"))
            assert (failed.ok, failed.is_answered, failed.problem) == (False, False, "gRPC INVALID_ARGUMENT: not so")
            unknown = await calls.ask(GrpcCall("/test.Test/None", b""))
            assert unknown.problem.startswith("gRPC UNIMPLEMENTED")
            refused = await calls.ask(echo(b"7"))
            assert (refused.ok, refused.is_answered, refused.problem) == (False, True, f"{ECHO} says 1")
            assert (await calls.ask(echo(b"1"))).ok
            calls.close()

    run(test)


def test_what_takes_too_long_is_given_up_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving() as (_, url, _server):
            calls, room = GrpcCalls(url, 1), []
            await calls.open()
            calls.on_room = lambda: room.append(True)
            done: list[Exchange] = []
            now = time.monotonic()
            calls.submit(Exchange(0, now, echo(b"hang"), done.append))
            calls.submit(Exchange(1, now, echo(b"1"), done.append))
            calls.submit(Exchange(2, now + 60, echo(b"1"), done.append))
            calls.expire()
            assert done == []
            monkeypatch.setattr(grpc_calls, "CALL_TIMEOUT_S", 0.1)
            await asyncio.sleep(0.15)
            calls.expire()
            await ended(done, 3)
            assert [exchange.problem for exchange in done] == ["no connection for 0 s", "no response for 0 s", ""]
            assert room
            calls.close()

    run(test)


def test_a_lost_server_fails_calls_and_one_that_comes_back_is_found() -> None:
    async def test() -> None:
        async with serving() as (_, url, server):
            calls, done = GrpcCalls(url, 4), list[Exchange]()
            await calls.open()
            calls.submit(Exchange(0, time.monotonic(), echo(b"hang"), done.append))
            await asyncio.sleep(0.05)
            await server.stop(None)
            await ended(done, 1)
            assert not done[0].is_answered
            assert done[0].problem
            assert "UNAVAILABLE" in (await calls.ask(echo(b"1"))).problem
            async with serving(int(url.rpartition(":")[2])), asyncio.timeout(20):
                while not (await calls.ask(echo(b"1"))).ok:
                    await asyncio.sleep(0.05)
            calls.close()

    run(test)


def test_closing_gives_up_what_waits_and_what_is_under_way() -> None:
    async def test() -> None:
        async with serving() as (_, url, _server):
            calls, done = GrpcCalls(url, 1), list[Exchange]()
            await calls.open()
            for index in range(2):
                calls.submit(Exchange(index, time.monotonic(), echo(b"hang"), done.append))
            calls.close("over")
            assert [(exchange.index, exchange.problem) for exchange in done] == [(1, "over"), (0, "over")]
            assert not calls.has_room()

    run(test)


def test_a_server_that_is_not_there_and_a_wrong_address_are_one_line() -> None:
    async def test() -> None:
        async with serving() as (_, url, server):
            await server.stop(None)
            with pytest.raises(UserError, match=r"can't be reached by gRPC .*: is the server running there"):
                await GrpcCalls(url, 1).open()

    run(test)
    for wrong in ("http://x", "ftp://x:1", "http://x:99999", "http://x:1/path"):
        with pytest.raises(UserError, match="expected http://host:port"):
            grpc_calls.host_and_port(wrong)
