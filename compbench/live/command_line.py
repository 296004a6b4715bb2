"""The command line of the page: `python -m compbench.live --output-dir DIR --lock FILE`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from compbench.live.board import MOST_ROWS, Board
from compbench.live.drawn import charts
from compbench.live.following import Follower, Places
from compbench.live.page_app import MOST_READERS, LivePage
from compbench.report import render
from compbench.report.charts import drawing
from compbench.store import page_mark

HOST = "127.0.0.1"
_BACKLOG = 32
_SCRIPT_LIMIT_S = 120.0


class PageServer(uvicorn.Server):
    """uvicorn with this page's own end: it wakes up for requests and once a second, and no oftener."""

    def __init__(self, config: uvicorn.Config, page: LivePage) -> None:
        super().__init__(config)
        self._page = page
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Follow the run until a signal comes."""
        self._loop = asyncio.get_running_loop()
        if not self.should_exit:
            await self._page.follow()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Let the page tell its readers the end, then end with exit code 0."""
        del sig, frame
        if self._loop is None:
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._page.told_to_end.set)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until a signal comes; return the exit code, 1 if the port can't be had."""
    asked = _parser().parse_args(arguments)
    try:
        listener = listen(asked.port)
    except OSError as error:
        sys.stderr.write(f"Error: {HOST}:{asked.port} can't be listened on: {error.strerror}\n")
        return 1
    port = int(listener.getsockname()[1])
    if asked.mark is not None and (why := page_mark.leave_mark(asked.mark)):
        sys.stderr.write(f"{asked.mark}: measurements can't tell that this page is open ({why})\n")
    sys.stdout.write(f"http://{HOST}:{port}/\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(listener, port, asked))
    return 0


def listen(port: int) -> socket.socket:
    """Return a socket that listens on loopback, on that port or with 0 on any.

    Raises:
        OSError: the port is taken.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


async def _serve(listener: socket.socket, port: int, asked: argparse.Namespace) -> None:
    board = Board()
    follower = Follower(Places(asked.output_dir, asked.lock, asked.run), board)
    page = LivePage(follower, board, _files(asked.cache_dir), port)
    config = uvicorn.Config(
        app=page,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=1,
    )
    await PageServer(config, page).serve(sockets=[listener])


def _files(cache_dir: Path) -> dict[str, bytes]:
    """Return what is served as it is, by its path: made once, before anybody asks."""
    script = vega_script(cache_dir)
    page = render("live.html.j2", light=drawing.LIGHT, charts=charts(), can_draw=bool(script))
    script_of_page = render("live.js.j2", most_rows=MOST_ROWS, most_readers=MOST_READERS)
    files = {"/": page, "/live.js": script_of_page, "/following.js": render("following.js.j2")}
    return {path: text.encode() for path, text in files.items()} | {"/vega.js": script}


def vega_script(cache_dir: Path) -> bytes:
    """Return the charting library's script; empty if the library is not here, or can't be asked.

    Where it is not kept yet a child makes it: the library takes more memory than the page.
    """
    if not drawing.can_draw():
        return b""
    if kept := drawing.kept_script(cache_dir):
        return kept.read_bytes()
    making = [sys.executable, "-c", _MAKING, str(cache_dir)]
    try:
        made = subprocess.run(
            making, cwd=Path(__file__).parents[2], capture_output=True, timeout=_SCRIPT_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"the charting library can't be asked for its script ({error}): the page has tables only\n")
        return b""
    return made.stdout


_MAKING = (
    "import pathlib, sys; from compbench.report.charts import drawing;"
    " sys.stdout.write(drawing.script(pathlib.Path(sys.argv[1])))"
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m compbench.live", description="Serves the page of a run, on loopback"
    )
    parser.add_argument("--output-dir", type=Path, required=True, help="the folder of all runs")
    parser.add_argument("--lock", type=Path, required=True, help="the suite's lock, which is only looked at")
    parser.add_argument("--cache-dir", type=Path, default=Path(os.devnull), help="where the script of charts is kept")
    parser.add_argument("--mark", type=Path, help="a file whose lock tells measurements that a page is open")
    parser.add_argument("--run", default="", help="the run to follow; the newest if not given")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    return parser
