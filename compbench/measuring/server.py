"""The server under test: started in isolation, proven to be ours, stopped for certain.

The proof of identity: the port was free beforehand, the child lives, `GET /health` answers 200 on the port, the pid
file names the child and the port, and the listening process is the child. Knows nothing of scenarios or drivers.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from compbench.config.credentials import credential_names, is_credential
from compbench.config.settings import Settings
from compbench.machine import interrupts, isolation, process
from compbench.machine.ask import asking_through
from compbench.machine.isolation import Isolation
from compbench.machine.output import Output
from compbench.machine.placement import Placement
from compbench.machine.probes import machine
from compbench.machine.probes.sockets import OwnSocket, own_sockets
from compbench.machine.process import Child, Exit
from compbench.machine.version_line import NOT_READABLE, version_line
from compbench.measuring.under_test import StartError
from compbench.model.notices import outcome_of
from compbench.model.texts import clean
from compbench.store import leftovers
from compbench.systems import registry
from compbench.systems.api import Launch

# A server that is ready in milliseconds is seen to be; one that takes long is asked less often.
_FIRST_POLL_S = 0.01
_POLL_S = 0.1
_REQUEST_TIMEOUT_S = 2.0
# The last look may outlast the limit by this much: one cut off by it would hide what the server had answered.
_SHORTEST_LOOK_S = 1.0
PORT_RELEASE_S = 2.0
# With less free space in its folder, that may be why a server ended.
_LITTLE_SPACE_BYTES = 100_000_000
LAST_LOG_LINES = 20
# Of Engram's loadtest: only warnings in its log, and its error as one line, not after a backtrace.
_DRIVER_ENVIRONMENT = {"RUST_LOG": "loadtest=warn", "RUST_LIB_BACKTRACE": "0"}


@dataclass
class ServerProcess:
    """A server under test that compbench has started (`under_test.UnderTest`); its facts fill up while it lives."""

    settings: Settings
    child: Child
    launch: Launch
    work: Path
    log: Output
    tier: str = ""
    ready_after_s: float | None = None
    stopped_by: str = ""
    port_freed: bool | None = None
    zombie_left: bool | None = None
    limits: str = ""
    left: str = ""
    _created_at: float | None = field(default=None)

    @property
    def argv(self) -> list[str]:
        """Return the command line that has started it."""
        return self.child.argv

    @property
    def program(self) -> str:
        """Return what is measured, as a person names it."""
        return self.launch.argv[0]

    @property
    def pid(self) -> int | None:
        """Return the server's process."""
        return self.child.pid

    @property
    def grace_s(self) -> float:
        """Return how long it may take to end in order."""
        return grace_s(self.settings, self.launch)

    @property
    def entry(self) -> list[str]:
        """Return what enters the server's network, if that is its own."""
        return registry.server_of(self.settings).entry(self.child.pid)

    @property
    def oom_kills(self) -> int:
        """Return how many of its processes the kernel has killed for its own memory limit; known when it has ended."""
        return self.child.oom_kills if self.settings.memory_limit_gb else 0

    @property
    def children(self) -> list[Child]:
        """Return the processes of ours whose end is the server's."""
        return [self.child]

    @property
    def exit(self) -> Exit | None:
        """Return how the server ended, or None while it runs."""
        return self.child.poll()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until it is ready and ours; see `wait_until_ready` below."""
        wait_until_ready(self, timeout_s)

    def await_news_of_death(self, timeout_s: float) -> None:
        """Wait for the news that it has ended, if that may be on its way."""
        if is_free(self.settings.port):
            self.child.wait(timeout_s)

    def prove_listener(self, pid: int) -> None:
        """See that the process listens on the port.

        Raises:
            StartError: another one does.
        """
        prove_listeners(self.settings.port, [pid])

    def stop(self) -> None:
        """End the server (its own signal, patience, SIGKILL) and see that process and port are gone."""
        if self.stopped_by:
            return
        self.stopped_by = self.child.stop(self.grace_s, self.launch.stop_signal)
        self.zombie_left = _is_same_process(self.child.pid, self._created_at)
        self.port_freed = wait_until_free(self.settings.port, PORT_RELEASE_S)

    def last_log_lines(self) -> list[str]:
        """Return the end of the server's log."""
        return tail(self.log.path, LAST_LOG_LINES)


@contextlib.contextmanager
def work_folder(settings: Settings, root: Path) -> Iterator[Path]:
    """Make a fresh folder for one server (data, pid file, configuration, working directory); remove it afterwards.

    Raises:
        OSError: it can't be made.
    """
    parent = Path(settings.work_dir)
    parent.mkdir(parents=True, exist_ok=True)
    prefix = leftovers.work_prefix(root)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as name:
        work = Path(name)
        for part in ("data", "config", "home", "cwd"):
            (work / part).mkdir()
        yield work


@contextlib.contextmanager
def started(settings: Settings, work: Path, log: Output, root: Path) -> Iterator[ServerProcess]:
    """Start the system's server and yield it, not yet ready; on leaving the block it has ended.

    Raises:
        StartError: the port is taken, or what has to be done before failed.
    """
    refuse_taken_port(settings)
    half, reached = registry.server_of(settings), isolation.reached_by(settings)
    place = _place_of(reached, f"{work.name}-{secrets.token_hex(3)}", settings)
    with isolation.kept_to(place.cpus):  # some size themselves by the cores of who starts them
        launch = half.launch(work)
        environment = child_environment(root, launch.environment, launch.is_foreign)
        for argv in launch.before:
            _do_before(settings, argv, environment, work, log)
    with process.running(
        [*launch.wrapper, *launch.argv],
        environment=environment,
        folder=work / "cwd",
        stdout=log,
        stop_grace_s=grace_s(settings, launch),
        placement=place,
    ) as child:
        server = ServerProcess(settings, child, launch, work, log, reached.tier, _created_at=_create_time(child.pid))
        try:
            with asking_through(half.entry(child.pid)):
                yield server
        finally:
            with interrupts.deferred():
                server.stop()


def _place_of(reached: Isolation, name: str, settings: Settings) -> Placement:
    """Return the server's place; `name` is that of its control group, another one for each start.

    Raises:
        StartError: what was to be had when the run began is not to be had any more.
    """
    try:
        return reached.of_server(name, settings.niceness)
    except LookupError as error:
        raise StartError(outcome_of("place-refused", tier=reached.tier, why=error.args[0])) from None


def refuse_taken_port(settings: Settings) -> None:
    """Refuse to start a server on a port that somebody listens on.

    Raises:
        StartError: it is taken.
    """
    if not is_free(settings.port):
        raise StartError(outcome_of("port-in-use", port=settings.port, owner=describe_listener(settings.port)))


def _do_before(settings: Settings, argv: list[str], environment: dict[str, str], work: Path, log: Output) -> None:
    """Do what has to be done before the server is started.

    Raises:
        StartError: it failed, or took longer than the server may take to become ready.
    """
    with process.running(argv, environment=environment, folder=work / "cwd", stdout=log) as child:
        ended = child.wait(settings.ready_timeout_s)
    if ended is None:
        ended_how = f"it still ran after {settings.ready_timeout_s:g} s"
    elif ended.code != 0:
        ended_how = str(ended)
    else:
        return
    said = " ".join(tail(log.path, 2))
    raise StartError(outcome_of("server-not-set-up", program=Path(argv[0]).name, ended=ended_how, said=said))


def grace_s(settings: Settings, launch: Launch) -> float:
    """Return how long a server may take to end in order."""
    return max(settings.stop_grace_s, launch.stop_grace_s)


def wait_until_ready(server: ServerProcess, timeout_s: float) -> None:
    """Wait until the server has proven to be ready and ours.

    Raises:
        StartError: it ended, took another port, is not the one that answers, or ran out of time.
    """
    settings, began = server.settings, time.monotonic()
    half, seen, poll_s = registry.server_of(settings), "nothing answered", _FIRST_POLL_S
    while (spent_s := time.monotonic() - began) < timeout_s:
        if (ended := server.child.wait(poll_s)) is not None:
            raise StartError(outcome_of("server-ended-at-start", ended=ended, disk=_why_ended(server)))
        if (pid := server.pid) is None:
            continue
        look = half.look(server.work, pid, max(timeout_s - spent_s, _SHORTEST_LOOK_S))
        if look.moved_to is not None:
            raise StartError(outcome_of("port-moved", moved_to=look.moved_to, port=settings.port))
        seen, poll_s = look.seen, min(2 * poll_s, _POLL_S)
        if look.is_ready:
            server.prove_listener(pid)
            server.ready_after_s = time.monotonic() - began
            return
    raise StartError(outcome_of("server-not-ready", timeout_s=timeout_s, seen=seen))


def answers(settings: Settings) -> bool:
    """Tell whether the server still answers, whatever it says; it is asked up to three times."""
    half = registry.server_of(settings)
    return any(half.answers() for _ in range(3))


def version_of(settings: Settings, root: Path, system: str = "") -> str:
    """Return what the programs of the measured, or another, system tell without running: its version and its parts'."""
    half = registry.server_of(settings, system)
    # Of a checkout's manifests nothing is wanted here, and reading them takes a compiler's tools.
    told = {} if half.repository else half.versions()[0]
    parts = {name: said for name, said in told.items() if said and not said.startswith(NOT_READABLE)}
    if len(parts) > 1:
        return " + ".join(f"{name} {said}" if said[:1].isdecimal() else said for name, said in parts.items())
    return version_line(half.version_argv(), child_environment(root))


def child_environment(
    root: Path, own: dict[str, str] | None = None, is_foreign: Callable[[str], bool] | None = None
) -> dict[str, str]:
    """Return the environment for a child: the caller's, without secrets or what is foreign to it, with its own."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not is_credential(name) and not (is_foreign and is_foreign(name))
    }
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    return {**inherited, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **(own or {})}


def driver_environment(settings: Settings, root: Path) -> dict[str, str]:
    """Return the environment for a driver, which alone has the credentials of a server that the user runs."""
    is_users = registry.server_of(settings).mode == "endpoint"
    secrets = {name: os.environ[name] for name in credential_names(settings.system) if is_users and name in os.environ}
    return child_environment(root, {**_DRIVER_ENVIRONMENT, **secrets})


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the loopback port: nobody accepts there and it can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(_REQUEST_TIMEOUT_S)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until_free(port: int, timeout_s: float) -> bool:
    """Return whether the port became free within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (free := is_free(port)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return free


def describe_listener(port: int) -> str:
    """Name the process that listens on a port, as far as this user may know."""
    return machine.listener(port) or "a process that is not readable here"


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a text file, reading no more than its last 64 KiB."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 65_536))
            return clean(file.read().decode(errors="replace")).splitlines()[-lines:]
    except OSError:
        return []


def prove_listeners(port: int, pids: Sequence[int]) -> None:
    """See that one of the processes, of which the first is the server's own, listens on a port of this machine.

    Raises:
        StartError: none does, or the server has ended.
    """
    try:
        sockets = {socket for pid in pids for socket in own_sockets(pid)}
    except (psutil.AccessDenied, psutil.ZombieProcess):
        return  # not readable here: pid file and health have agreed, which is all this platform gives
    except psutil.NoSuchProcess:
        raise StartError(outcome_of("server-ended-at-start", ended="as it became ready", disk="")) from None
    if OwnSocket(psutil.CONN_LISTEN, port) not in sockets:
        owner = describe_listener(port)
        raise StartError(outcome_of("foreign-server", port=port, owner=owner), transient=False)


def _why_ended(server: ServerProcess) -> str:
    """Say what may be why the server has ended, where that is known."""
    if server.oom_kills:
        limit_gb = server.settings.memory_limit_gb
        return f": the kernel killed it for its own limit, memory_limit_gb = {limit_gb:g}"
    return _little_space(server.settings)


def _little_space(settings: Settings) -> str:
    """Say how much space is free in `work_dir` if that is little, else nothing."""
    free_bytes = machine.free_disk_bytes(Path(settings.work_dir))
    if free_bytes >= _LITTLE_SPACE_BYTES:
        return ""
    return f"; only {free_bytes / 1_000_000:.1f} MB are free in work_dir {settings.work_dir}"


def _create_time(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time() if pid else None
    except psutil.Error:
        return None


def _is_same_process(pid: int, created_at: float | None) -> bool:
    return created_at is not None and _create_time(pid) == created_at
