"""Questions over HTTP that end in time and within bounds, whatever a server does, asked of real servers on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compbench.machine import ask, snapshot
from compbench.machine.ask import AskError
from compbench.systems.engram import server
from compbench.systems.registry import load_settings, server_of
from tests.helpers import bounded_memory

Talk = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\n"


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[int]:
    """Serve loopback, each connection by `talk`, which begins when the request is read; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            talk(connection)

    def accept() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        listener.close()


def trickle(begin: bytes, drop: bytes) -> Talk:
    """Send the beginning at once, then a drop each tenth of a second for a minute: no single read waits for long."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(begin)
        for _ in range(600):
            connection.sendall(drop)
            time.sleep(0.1)

    return talk


def endless(begin: bytes, part: bytes) -> Talk:
    """Send the beginning, then the same part without end, as fast as it is read."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(part)

    return talk


def whole(answer: bytes) -> Talk:
    return lambda connection: connection.sendall(answer)


def bomb() -> bytes:
    """Return an answer of some 300 KB that is 64 MB once it is decompressed."""
    compressor = zlib.compressobj(1, wbits=31)
    body = b"".join([*(compressor.compress(bytes(1_000_000)) for _ in range(64)), compressor.flush()])
    return OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
# The others must have time to be told for what they are.
TOO_SLOW = "no whole answer within 0.3 s"
HOSTILE = {
    "trickled body": (trickle(OK + b"Content-Length: 100000\r\n\r\n", b"x"), TOO_SLOW),
    "trickled chunks": (trickle(CHUNKED, b"1\r\nx\r\n"), TOO_SLOW),
    "trickled header": (trickle(OK + b"X: ", b"x"), TOO_SLOW),
    "trickled headers": (trickle(OK, b"X: y\r\n"), TOO_SLOW),
    "trickled status": (trickle(b"HTTP/1.1 200 ", b"O"), TOO_SLOW),
    "endless continues": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), TOO_SLOW),
    "silence": (trickle(b"", b""), TOO_SLOW),
    "endless chunks": (endless(CHUNKED, CHUNK), "the answer is larger than 1000000 bytes"),
    "endless body": (endless(OK + b"\r\n", b"x" * 65536), "the answer is larger than 1000000 bytes"),
    "endless headers": (endless(OK, b"X: y\r\n"), "got more than 100 headers"),
    "endless header": (endless(OK + b"X: ", b"x" * 65536), "got more than 65536 bytes when reading header line"),
    "bomb": (whole(bomb()), "the answer is compressed (gzip), though nobody asked for that"),
    "cut": (whole(OK + b"Content-Length: 10\r\n\r\n123"), "IncompleteRead(3 bytes read, 7 more expected)"),
    "cut chunk": (whole(CHUNKED + b"a\r\n123"), "IncompleteRead(3 bytes read, 7 more expected)"),
    "no HTTP": (whole(b"220 smtp.example.org ready\r\n\r\n"), "220 smtp.example.org ready"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_answer_that_does_not_end_or_is_too_large_is_told_in_time(name: str) -> None:
    talk, said = HOSTILE[name]
    timeout_s = 0.3 if said == TOO_SLOW else 10.0
    with serving(talk) as port:
        began = time.monotonic()
        with pytest.raises(AskError) as refused:
            ask.ask(f"http://127.0.0.1:{port}/health", timeout_s)
    assert time.monotonic() - began < timeout_s + 4.7, "the deadline does not hold for the whole exchange"
    assert str(refused.value) == said


def test_the_largest_answer_comes_whole_and_one_byte_more_does_not() -> None:
    for size in (1000, 1001):
        body = b"x" * size
        with serving(whole(OK + f"Content-Length: {size}\r\n\r\n".encode() + body)) as port:
            url = f"http://127.0.0.1:{port}/"
            if size == 1000:
                assert ask.ask(url, 5.0, most_bytes=1000) == ask.Answer(200, body)
                continue
            with pytest.raises(AskError, match="larger than 1000 bytes"):
                ask.ask(url, 5.0, most_bytes=1000)


def test_a_redirect_is_an_answer_and_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    followed = threading.Event()

    def elsewhere(connection: socket.socket) -> None:
        followed.set()
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

    with serving(elsewhere) as other:
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n".encode()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{other}")
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{other}")
        with serving(whole(moved)) as port:
            answer = ask.ask(f"http://127.0.0.1:{port}/health", 5.0)
    assert (answer.status, answer.is_ok) == (302, False)
    assert not followed.is_set(), "a redirect, or a proxy of the environment, was followed"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(AskError, match="refused"):
        ask.ask(f"http://127.0.0.1:{port}/", 1.0)


@pytest.mark.parametrize("name", ["trickled body", "trickled header", "endless chunks", "bomb"])
def test_whoever_asks_a_server_goes_on_in_time_and_in_little_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (server, snapshot):
        monkeypatch.setattr(module, "_REQUEST_TIMEOUT_S", 0.3)
    began = time.monotonic()
    with bounded_memory(10_000_000), serving(HOSTILE[name][0]) as port:
        settings = load_settings(Path("/"), {}, {"port": str(port)})
        half = server_of(settings, "embedded")
        assert not half.answers()
        assert half.count() is None
        assert half.save(1.0)
        assert snapshot._page(f"http://127.0.0.1:{port}/metrics/prometheus").startswith("not readable here: ")
    assert time.monotonic() - began < 30
