"""The page of a run while it runs: `doit live`, and the one that a suite brings with it (`live = true`).

It is another program, in a process of its own: niced, on the driver's CPUs, and ended with this one.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from compbench.cli.project import Project
from compbench.config.settings import Settings
from compbench.machine import isolation, process
from compbench.machine.output import Output
from compbench.machine.placement import Placement
from compbench.machine.process import Child
from compbench.model.errors import UserError
from compbench.store import page_mark, runs

HOST = "127.0.0.1"
NICENESS = 10
_EXTRA = ("uvicorn", "httptools")
# Where a child finds the same compbench as this process, in a checkout and in a wheel.
_IMPORT_FOLDER = Path(__file__).resolve().parents[2]
# The script of its charts, where it is not kept yet, may take most of that; it is not to be made beside a measurement.
_READY_LIMIT_S = 150.0
_POLL_S = 0.1
# Its readers may take some seconds for the report.
_GRACE_S = 5.0
_OUTPUT_BYTES = 1_000_000


class ServedPage(NamedTuple):
    """A page that answers: its process, and its address."""

    child: Child
    address: str


@dataclass
class SuitePage:
    """The page that a suite brings with it; `remark` takes a line on where it is, or why there is none."""

    project: Project
    remark: Callable[[str], None]
    _held: contextlib.ExitStack | None = field(default=None)

    def begin(self) -> None:
        """Serve the page, if the settings say so and it is not served yet; a suite goes on without one."""
        if self._held is not None or not self.project.settings.live:
            return
        self._held = contextlib.ExitStack()
        try:
            page = self._held.enter_context(served(self.project))
        except (UserError, OSError) as error:
            self.remark(f"no page of this run: {error}")
        else:
            self.remark(f"a page of this run: {page.address}")

    def end(self) -> None:
        """End the page; its readers get the end of the run first."""
        if self._held is not None:
            self._held.close()


def serve_until_told(project: Project, say: Callable[[str], None]) -> None:
    """Serve the page of the newest run, or of the one that is named, until a signal comes.

    Raises:
        UserError: there is no such run, the port is taken, what serves it is not installed, or it ended by itself.
    """
    run = project.settings.run
    if run:
        runs.find_run(project.output_dir, run)
    with contextlib.suppress(KeyboardInterrupt), served(project, run) as page:
        say(f"live: {page.address} shows {f'run {run}' if run else 'the newest run'}; Ctrl-C ends it")
        while page.child.wait(_READY_LIMIT_S) is None:
            pass
        raise UserError(f"the page's process has ended by itself ({page.child.exit})")


@contextlib.contextmanager
def served(project: Project, run: str = "") -> Iterator[ServedPage]:
    """Start the page's process and yield it once it answers; it has ended when the block is left.

    Raises:
        UserError: the port is taken, what serves it is not installed, or it could not start.
    """
    if missing := [name for name in _EXTRA if find_spec(name) is None]:
        raise UserError(f"`python -m pip install '.[live]'`, in the checkout, brings what is missing: {missing[0]}")
    port = _free_port(project.settings.live_port)
    with tempfile.TemporaryDirectory(prefix="compbench-live-") as folder:
        output = Output(Path(folder) / "output.txt", _OUTPUT_BYTES)
        with process.running(
            _argv(project, port, run),
            environment=os.environ,
            folder=_IMPORT_FOLDER,
            stdout=output,
            stop_grace_s=_GRACE_S,
            placement=place_of_page(project.settings),
        ) as child:
            _wait_until_it_answers(child, port, output)
            yield ServedPage(child, f"http://{HOST}:{port}/")


def place_of_page(settings: Settings) -> Placement:
    """Return where the page runs: niced, on the CPUs that are meant for the driver.

    Whether they are reached is not tried here: trying takes a while, and another suite may be measuring.
    """
    wanted = isolation.wanted_of(settings).partition
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    cpus = tuple(cpu for cpu in (wanted.driver if wanted else ()) if cpu in own)
    return Placement(NICENESS, cpus=cpus)


def _argv(project: Project, port: int, run: str) -> list[str]:
    places = ["--output-dir", str(project.output_dir), "--cache-dir", project.settings.cache_dir]
    locks = ["--lock", str(project.lock_path), "--mark", str(page_mark.mark_path(project.root))]
    named = ["--run", run] if run else []
    return [sys.executable, "-m", "compbench.live", *places, *locks, *named, "--port", str(port)]


def _free_port(wanted: int) -> int:
    """Return the port to serve on; with 0 one that is free at the moment.

    Raises:
        UserError: it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
            probe.listen()
        except OSError as error:
            who = "perhaps another page, which follows the newest run by itself; live_port=0 takes any free port"
            raise UserError(f"live_port = {wanted}: can't be listened on ({error.strerror}): {who}") from None
        return int(probe.getsockname()[1])


def _wait_until_it_answers(child: Child, port: int, output: Output) -> None:
    deadline = time.monotonic() + _READY_LIMIT_S
    while time.monotonic() < deadline:
        if (ended := child.wait(_POLL_S)) is not None:
            raise UserError(f"the page could not be served ({ended}): {_last_line(output) or 'it said nothing'}")
        if _answers(port, deadline - time.monotonic()):
            return
    raise UserError(f"the page did not answer within {_READY_LIMIT_S:g} s")


def _answers(port: int, limit_s: float) -> bool:
    """Tell whether the page answers: it listens some time before, and what it lacks may still be in the making."""
    connection = http.client.HTTPConnection(HOST, port, timeout=max(limit_s, _POLL_S))
    try:
        connection.request("HEAD", "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(output: Output) -> str:
    with contextlib.suppress(OSError):
        return (output.path.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""])[-1]
    return ""
