"""The command line of the embedded server, which is that of Engram: `python -m compbench.embedded start`.

Unlike Engram it never takes another port than the one asked for, and it serves no gRPC: `--grpc-port` is accepted so
that one command line fits both. `ENGRAM_DATA_DIR` is made if it is missing; a snapshot in it is recovered at start.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn

from compbench.embedded import __version__
from compbench.embedded.app import Application

LOG_LEVELS = {"error": "ERROR", "warn": "WARNING", "info": "INFO", "debug": "DEBUG", "trace": "DEBUG"}
BACKLOG = 2048
DRAIN_LIMIT_S = 3
# Longer than a driver leaves a connection idle, so that none is closed under a request on its way.
KEEP_ALIVE_S = 120


def main(arguments: Sequence[str] | None = None, application: type[Application] = Application) -> int:
    """Run the command line, with this application; return the exit code.

    Returns:
        0 after a stop by signal or request, 1 if it can't start.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stdout, level=LOG_LEVELS.get(options.log_level, "INFO"))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        listener = _bind(os.environ.get("ENGRAM_HTTP_BIND", "127.0.0.1"), options.port)
        data_dir = Path(os.environ.get("ENGRAM_DATA_DIR", "engram-data"))
        data_dir.mkdir(parents=True, exist_ok=True)
        with listener, _pid_file(listener.getsockname()[1]):
            _serve(listener, data_dir, application)
    except OSError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the contract's one line
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="compbench-embedded", description="A small server of Engram's HTTP interface")
    parser.add_argument("--version", action="version", version=f"compbench-embedded {__version__}")
    parser.add_argument("-l", "--log-level", default="info", help="error, warn, info, debug or trace")
    start = parser.add_subparsers(dest="command", required=True).add_parser("start", help="serve until stopped")
    start.add_argument("-p", "--port", type=_port, default=7432)
    start.add_argument("-g", "--grpc-port", type=_port, default=50051, help="accepted, but no gRPC is served")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:  # noqa: PLR2004 - the largest TCP port
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _leave(_number: int, _frame: object) -> None:
    """End with exit code 0; uvicorn raises the signal again, to this handler, after its graceful stop."""
    raise SystemExit(0)


def _bind(host: str, port: int) -> socket.socket:
    """Listen on exactly this address.

    Raises:
        OSError: the address is no IP literal, or the port is taken.
    """
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET  # noqa: PLR2004
    except ValueError:
        raise OSError(f"ENGRAM_HTTP_BIND = {host!r}: expected an IP address") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(f"can't listen on {host}:{port}: {error.strerror}: stop what holds it, or use --port") from None
    return listener


@contextlib.contextmanager
def _pid_file(port: int) -> Iterator[None]:
    """Keep `pid:port` at ENGRAM_PID_PATH while the server runs; another process's file there is left alone."""
    path = Path(os.environ.get("ENGRAM_PID_PATH") or Path(tempfile.gettempdir()) / "engram.pid")
    content = f"{os.getpid()}:{port}"
    path.write_text(content, encoding="ascii")
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            if path.read_text(encoding="ascii") == content:
                path.unlink()


def _serve(listener: socket.socket, data_dir: Path, application: type[Application]) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            app=application(__version__, data_dir, stop=lambda: setattr(server, "should_exit", True)),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_LIMIT_S,
        )
    )
    _announce(listener)
    # Objects made by now live as long as the server: the collector need not look at them again, and memories that
    # come later hold no cycles, so it may look seldom.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    server.run(sockets=[listener])


def _announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    lines = [
        " Engram server started successfully! (compbench's embedded server of the same interface)",
        f" HTTP API: {address}",
        " gRPC: not served",
        f" Health: {address}/health",
    ]
    print("\n".join(lines), flush=True)  # noqa: T201 - the contract's banner
