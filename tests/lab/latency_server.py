"""A server of known latency for hosts of the laboratory, of unlimited capacity. Prints `ready`; ends with its stdin.

It answers as Engram does, as far as the driver needs that: each request so long after it came whole as `--delay-ms`
says, and a time of an exponential distribution of the mean `--exponential-ms` more, drawn from the seed. `--got` names
a file to which each request is appended, a line each: who sent it, its path, and a hash of it all.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import re
import selectors
import sys
from pathlib import Path
from typing import Any, BinaryIO

BODY = b'{"memories":{"vivid":[],"associated":[],"reconstructed":[]},"spaces":[{"memories":0}]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
# What the driver asks beside the schedule: how many rows there are, and how long the smallest request takes.
BESIDE = b"GET /api/v1/system/health "


class Latency:
    """How long each answer takes."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._delay_s: float = options.delay_ms / 1000
        self._mean_s: float = options.exponential_ms / 1000
        self._random = random.Random(options.seed)

    def next_s(self) -> float:
        """Return it for the next request."""
        return self._delay_s + (self._random.expovariate(1 / self._mean_s) if self._mean_s else 0.0)


class Connection(asyncio.Protocol):
    """One connection; what has come and is not a whole request yet is kept."""

    def __init__(self, latency: Latency, got: BinaryIO | None) -> None:
        self._latency, self._got, self._buffer = latency, got, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n") + 4) > 3:
            length = LENGTH.search(self._buffer[:end])
            size = end + (int(length[1]) if length else 0)
            if len(self._buffer) < size:
                return
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if request.startswith(BESIDE):
            self._transport.write(ANSWER)
            return
        asyncio.get_running_loop().call_later(self._latency.next_s(), self._transport.write, ANSWER)
        if self._got:
            sender, path = self._transport.get_extra_info("peername")[0], request.split(b" ", 2)[1]
            self._got.write(f"{sender} {path.decode()} {hashlib.sha256(request).hexdigest()}\n".encode())


async def serve(options: argparse.Namespace) -> None:
    """Serve until the standard input ends."""
    loop, latency = asyncio.get_running_loop(), Latency(options)
    got = options.got.open("ab", buffering=0) if options.got else None
    server = await loop.create_server(lambda: Connection(latency, got), options.bind, options.port, backlog=1024)
    print("ready", flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()
    server.close()


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bind", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=7432)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--exponential-ms", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--got", type=Path)
    return parser.parse_args()


def main() -> None:
    """Run in a loop whose timers are exact to microseconds, as those of `epoll` are not."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(parsed()))


if __name__ == "__main__":
    main()
