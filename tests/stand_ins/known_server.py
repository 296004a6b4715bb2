"""A server of known delay and stalls, in each transport's protocol. Prints its port; ends with its stdin.

It keeps to each protocol as far as a transport needs that: whatever is asked, the answer is the same bytes, in their
frame, `--delay-ms` after the request was there whole. In a stall, which begins `--stall-every-s` after the first
request and again and again, no answer is given for `--stall-for-s`.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import struct
import sys
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import hiredis

SERVER_VERSION = b"server_version\x0016.0\x00"
BOOLEAN_OID = 16


class Behaviour:
    """When a request that has just come is answered."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._delay_s: float = options.delay_ms / 1000
        self._every_s: float = options.stall_every_s
        self._for_s: float = options.stall_for_s
        self._first = 0.0

    def moment(self) -> float:
        """Return it, in the loop's seconds."""
        now = asyncio.get_running_loop().time()
        self._first = self._first or now
        at = now + self._delay_s
        into = (at - self._first) % self._every_s if self._every_s else self._for_s
        is_stalled = self._every_s and at - self._first >= self._every_s and into < self._for_s
        return at + self._for_s - into if is_stalled else at


class Connection(asyncio.Protocol):
    """One connection; what has come and is not a whole request yet is kept."""

    def __init__(self, behaviour: Behaviour, answer: bytes) -> None:
        self._behaviour, self._answer, self._buffer = behaviour, answer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport: Any = transport

    def _reply(self, framed: bytes) -> None:
        """Answer in time."""
        asyncio.get_running_loop().call_at(self._behaviour.moment(), self._transport.write, framed)


class Http(Connection):
    """HTTP/1.1 with a body of known length."""

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n") + 4) > 3:
            head = self._buffer[:end].lower()
            _, named, after = head.partition(b"content-length:")
            size = end + (int(after.partition(b"\r\n")[0]) if named else 0)
            if len(self._buffer) < size:
                return
            self._buffer = self._buffer[size:]
            kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(self._answer)
            self._reply(b"HTTP/1.1 200 OK\r\n%b%b" % (kind, self._answer))


class Resp(Connection):
    """RESP: the answer is one reply, or several."""

    def __init__(self, behaviour: Behaviour, answer: bytes) -> None:
        super().__init__(behaviour, answer)
        self._reader = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        """Answer each command."""
        self._reader.feed(data)
        while self._reader.gets() is not False:
            self._reply(self._answer)


class Postgres(Connection):
    """PostgreSQL's protocol, version 3: a log-in without password, simple queries, and prepared statements.

    A statement that a Parse message has prepared is one of the session's own questions: it gives one truth, at once.
    One that a simple query has prepared is what is measured: it gives the answer, whole rows, in time.
    """

    def __init__(self, behaviour: Behaviour, answer: bytes) -> None:
        super().__init__(behaviour, answer)
        self._is_in = self._is_measured = False
        self._parsed: set[bytes] = set()
        self._out: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        """Take each whole message; only the first has no kind."""
        self._buffer += data
        while True:
            kind_bytes = int(self._is_in)
            if len(self._buffer) < kind_bytes + 4:
                return
            end = kind_bytes + struct.unpack_from(">I", self._buffer, kind_bytes)[0]
            if len(self._buffer) < end:
                return
            kind, body = self._buffer[:kind_bytes], self._buffer[kind_bytes + 4 : end]
            self._buffer = self._buffer[end:]
            self._take(kind, body)

    def _take(self, kind: bytes, body: bytes) -> None:
        match kind:
            case b"":
                self._is_in = True
                self._write(b"R", bytes(4), b"S", SERVER_VERSION, b"K", bytes(8), b"Z", b"I")
            case b"Q":
                self._write(b"C", b"SET\x00", b"Z", b"I")
            case b"P":
                self._parsed.add(body.partition(b"\x00")[0])
                self._out.append(_message(b"1", b""))
            case b"D":
                column = b"found\x00" + struct.pack(">IHIhih", 0, 0, BOOLEAN_OID, 1, -1, 0)
                self._out += [_message(b"t", b"\x00\x00"), _message(b"T", b"\x00\x01" + column)]
            case b"B":
                self._is_measured = body.split(b"\x00", 2)[1] not in self._parsed
                self._out.append(_message(b"2", b""))
            case b"E":
                truth = _message(b"D", b"\x00\x01\x00\x00\x00\x01\x01")
                self._out += [self._answer if self._is_measured else truth, _message(b"C", b"SELECT 1\x00")]
            case b"H":
                self._write()
            case b"S" if self._is_measured:
                self._out.append(_message(b"Z", b"I"))
                self._reply(b"".join(self._out))
                self._out.clear()
            case b"S":
                self._write(b"Z", b"I")

    def _write(self, *kinds_and_bodies: bytes) -> None:
        """Write at once what there is, and these messages behind it."""
        pairs = zip(kinds_and_bodies[::2], kinds_and_bodies[1::2], strict=True)
        self._transport.write(b"".join([*self._out, *(_message(*pair) for pair in pairs)]))
        self._out.clear()


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


class Grpc(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """gRPC: every method takes one message and gives one."""

    def __init__(self, behaviour: Behaviour, answer: bytes) -> None:
        self._behaviour, self._answer = behaviour, answer

    def service(self, handler_call_details: Any) -> Any:
        """Return what answers, whatever the method."""
        del handler_call_details
        return grpc.unary_unary_rpc_method_handler(self._carry)

    async def _carry(self, request: bytes, context: Any) -> bytes:
        del request, context
        at = self._behaviour.moment()
        await asyncio.sleep(at - asyncio.get_running_loop().time())
        return self._answer


PROTOCOLS: dict[str, Callable[[Behaviour, bytes], Any]] = {
    "http": Http,
    "resp": Resp,
    "postgresql": Postgres,
    "grpc": Grpc,
}


async def serve(options: argparse.Namespace) -> None:
    """Serve until the standard input ends."""
    loop, behaviour = asyncio.get_running_loop(), Behaviour(options)
    make, answer = PROTOCOLS[options.protocol], bytes.fromhex(options.answer)
    if make is Grpc:
        called = grpc.aio.server()
        called.add_generic_rpc_handlers((make(behaviour, answer),))
        port = called.add_insecure_port("127.0.0.1:0")
        await called.start()
    else:
        server = await loop.create_server(lambda: make(behaviour, answer), "127.0.0.1", 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
    print(port, flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    if make is Grpc:
        await called.stop(None)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("--answer", default="", help="in hexadecimal, without the protocol's frame")
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--stall-every-s", type=float, default=0.0)
    parser.add_argument("--stall-for-s", type=float, default=0.0)
    return parser.parse_args()


def main() -> None:
    """Run in a loop whose timers are exact to microseconds, as those of `epoll` are not."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(parsed()))


if __name__ == "__main__":
    main()
