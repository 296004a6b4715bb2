"""The pool over TLS, against a real server with a certificate of our own authority."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.machine.ask import AskError, ask
from compbench.measuring.server import is_free
from compbench.model.errors import UserError
from compbench.transport.exchange import Exchange
from compbench.transport.http_pool import Endpoint, Pool
from tests.certificates import made_certificate
from tests.project import eventually, free_port


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1, which is its own authority, with its key beside it."""
    return made_certificate(tmp_path)


def asked(certificate: Path, payload_bytes: int) -> tuple[list[Exchange], bytes]:
    """Ask a server with this certificate several times over one connection; return what it was sent first."""
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            seen.append(head)
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            body = await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def main() -> list[Exchange]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        endpoint = Endpoint(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", {"api-key": "secret"})
        pool = Pool(endpoint, 2)
        try:
            await pool.open()
            return [await pool.ask(endpoint.post(b"/", b"x" * payload_bytes)) for _ in range(3)]
        finally:
            pool.close()
            server.close()

    return run_in_precise_loop(main()), seen[0]


def test_a_server_whose_authority_is_known_is_asked_over_tls(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    exchanges, head = asked(certificate, 3_000_000)
    assert [exchange.ok for exchange in exchanges] == [True] * 3
    assert all(len(b"".join(exchange.body)) == 3_000_000 for exchange in exchanges)
    assert all(exchange.sent_at < exchange.done_at for exchange in exchanges)
    assert b"\r\napi-key: secret\r\n" in head


def test_a_certificate_that_nobody_vouches_for_is_refused_in_one_line(certificate: Path) -> None:
    with pytest.raises(
        UserError, match="its certificate is not accepted: self-signed certificate; SSL_CERT_FILE names"
    ):
        asked(certificate, 1)


def test_the_runner_asks_over_tls_too_and_checks_as_strictly(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = ["openssl", "s_server", "-quiet", "-www", "-cert", str(certificate), "-key", "key.pem", "-accept"]
    port = free_port()
    server = subprocess.Popen([*program, f"127.0.0.1:{port}"], cwd=certificate.parent, stdout=subprocess.DEVNULL)
    try:
        assert eventually(lambda: not is_free(port))
        with pytest.raises(AskError, match="certificate verify failed"):
            ask(f"https://127.0.0.1:{port}/", 5)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert ask(f"https://127.0.0.1:{port}/", 5, headers={"api-key": "secret"}).status == 200
    finally:
        server.kill()
        server.wait()
