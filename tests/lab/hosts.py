"""The laboratory: namespaces as hosts, which a bridge connects; any of them can be slow, cut off, frozen or killed.

    with Lab(("desk", "server", "a", "b")) as lab:
        lab.start("a", [sys.executable, "-m", "http.server"])

Each host has an address of its own, a name that the others can resolve, its own processes, and a monotonic clock that
is far from that of the others (`clock_s`). Whatever runs on a host ends with the block, also if the tests are killed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

FOLDER = Path(__file__).resolve().parent
NETWORK = "10.77.0"
HUB = "hub"
# Monotonic clocks of two hosts differ by as much, so that whoever compares them is found out.
CLOCK_STEP_S = 100_000
START_LIMIT_S = 20.0
TRIAL = "ip link add tried0 type bridge && test -c /dev/net/tun"
NAMESPACES = ("--net", "--pid", "--mount", "--uts", "--time")


@cache
def why_not() -> str:
    """Return why there can be no laboratory here, nothing if there can."""
    if not all(map(importlib.util.find_spec, ("distributed", "asyncssh"))):
        return "several hosts need the extra `distributed`"
    if sys.platform != "linux":
        return "namespaces are a matter of Linux"
    if os.geteuid():
        return "only root may make namespaces and devices"
    missing = [name for name in ("unshare", "nsenter", "setpriv", "ip", "mount") if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)} here"
    tried = ["unshare", "--fork", "--pid", "--net", "--time", "sh", "-c", TRIAL]
    return "" if not subprocess.run(tried, capture_output=True, check=False).returncode else "the kernel lacks a means"


@dataclass
class Host:
    """A host: its first process, seen from here, and where it is in the network."""

    name: str
    number: int
    process: subprocess.Popen[str]
    pid: int

    @property
    def ip(self) -> str:
        """Return its address."""
        return f"{NETWORK}.{self.number}"

    @property
    def hardware_address(self) -> str:
        """Return the address of its card, which stays the same when the cable is another."""
        return f"02:00:00:00:00:{self.number:02x}"

    @property
    def plug(self) -> str:
        """Return the other end of its cable, at the hub."""
        return f"to-{self.number}"


@dataclass
class Program:
    """A program that runs on a host."""

    host: str
    entering: subprocess.Popen[str]
    pid: int

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the program, not to what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Wait for its end; return its exit code (128 and the signal, if one has ended it)."""
        return self.entering.wait(timeout_s)

    @property
    def is_running(self) -> bool:
        """Tell whether it still runs."""
        return self.entering.poll() is None


@dataclass
class Running:
    """A process of a host, as seen from here."""

    pid: int
    argv: list[str]


@dataclass
class Lab:
    """Hosts by name, from the start of the block to its end."""

    names: Sequence[str]
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="lab-")))

    def __enter__(self) -> Self:
        self._hosts: dict[str, Host] = {}
        self._links: dict[str, Program] = {}
        self._programs: list[Program] = []
        hosts_file = self.folder / "hosts"
        lines = [f"{NETWORK}.{number} {name}" for number, name in enumerate(self.names, 1)]
        hosts_file.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        try:
            for number, name in enumerate((HUB, *self.names)):
                self._hosts[name] = self._boot(name, number, hosts_file)
            self._ip(HUB, "link add hub0 type bridge")
            self._ip(HUB, "link set hub0 up")
            for name in self.names:
                self._plug_in(name)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ip(self, host: str) -> str:
        """Return a host's address."""
        return self._hosts[host].ip

    def serve(self, host: str, argv: Sequence[str | Path], **popen: Any) -> tuple[Program, str]:
        """Start a program that prints a line when it is ready; return that line too."""
        program = self.start(host, argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **popen)
        assert program.entering.stdout
        line = program.entering.stdout.readline().strip()
        assert line, f"{argv} on {host} did not start"
        return program, line

    def start(
        self, host: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, **popen: Any
    ) -> Program:
        """Start a program on a host; further words are those of `subprocess.Popen`."""
        # Who goes to another mount namespace is at its root.
        folder = ["env", "--chdir", str(popen.pop("cwd"))] if "cwd" in popen else []
        entering = [*self._way_to(host), "--", *folder, *map(str, argv)]
        process = subprocess.Popen(entering, env={**os.environ, **(env or {})}, text=True, **popen)
        program = Program(host, process, _child_of(process))
        self._programs.append(program)
        return program

    def run(self, host: str, argv: Sequence[str | Path], timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a program on a host to its end."""
        entering = [*self._way_to(host), "--", *map(str, argv)]
        return subprocess.run(entering, capture_output=True, text=True, timeout=timeout_s, check=False)

    def processes(self, host: str) -> list[Running]:
        """Return what runs on a host, without its first process and without those that only wait to be collected."""
        first = self._hosts[host].pid
        room = Path(f"/proc/{first}/ns/pid").readlink()
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and int(entry.name) != first and (entry / "ns/pid").readlink() == room:
                    argv = (entry / "cmdline").read_text(errors="replace").split("\0")[:-1]
                    if argv and (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                        found.append(Running(int(entry.name), argv))
        return found

    def slow(self, host: str, delay_ms: float, loss_pct: float = 0.0, seed: int = 1) -> None:
        """Give a host a cable that delays every frame in either direction, and loses some of them."""
        self._unplug(host)
        here = self._hosts[host]
        namespace = os.open(f"/proc/{here.pid}/ns/net", os.O_RDONLY)
        words = [str(namespace), here.hardware_address, here.plug, str(delay_ms), str(loss_pct), str(seed)]
        argv = [sys.executable, "-IS", str(FOLDER / "slow_link.py"), *words]
        try:
            self._links[host], _ = self.serve(HUB, argv, pass_fds=[namespace])
        finally:
            os.close(namespace)
        self._address(host)

    def cut(self, host: str) -> None:
        """Pull a host's cable."""
        self._ip(HUB, f"link set {self._hosts[host].plug} down")

    def mend(self, host: str) -> None:
        """Put a host's cable back."""
        self._ip(HUB, f"link set {self._hosts[host].plug} up")

    def freeze(self, host: str) -> None:
        """Stop every process of a host, as a machine that hangs does."""
        for process in self.processes(host):
            os.kill(process.pid, signal.SIGSTOP)

    def thaw(self, host: str) -> None:
        """Let them go on."""
        for process in self.processes(host):
            os.kill(process.pid, signal.SIGCONT)

    def _boot(self, name: str, number: int, hosts_file: Path) -> Host:
        clock = str(number * CLOCK_STEP_S)
        argv = ["unshare", "--fork", "--kill-child", "--mount-proc", *NAMESPACES, "--monotonic", clock]
        argv += ["--boottime", clock, sys.executable, "-IS", str(FOLDER / "first_process.py"), name, str(hosts_file)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stdout.readline() == "ready\n", f"the host {name} did not start"
        return Host(name, number, process, _child_of(process))

    def _plug_in(self, name: str) -> None:
        host, hub = self._hosts[name], self._hosts[HUB]
        near, far = f"{host.plug} netns {hub.pid}", f"eth0 address {host.hardware_address} netns {host.pid}"
        _checked(["ip", *f"link add {near} type veth peer name {far}".split()])
        self._address(name)

    def _address(self, name: str) -> None:
        host = self._hosts[name]
        self._ip(HUB, f"link set {host.plug} master hub0")
        self._ip(HUB, f"link set {host.plug} up")
        self._ip(name, f"addr add {host.ip}/24 dev eth0")
        self._ip(name, "link set eth0 up")

    def _unplug(self, host: str) -> None:
        if link := self._links.pop(host, None):
            link.kill()
            link.wait()
        else:
            self._ip(HUB, f"link del {self._hosts[host].plug}")

    def _ip(self, host: str, words: str) -> None:
        _checked([*self._way_to(host), "--", "ip", *words.split()])

    def _way_to(self, host: str) -> list[str]:
        # It waits outside of the host for what it has started, so the host's end alone would leave it.
        return ["setpriv", "--pdeathsig", "KILL", "nsenter", "--target", str(self._hosts[host].pid), *NAMESPACES]

    def _end(self) -> None:
        for program in self._programs:
            # It stops when what it waits for is stopped, and would not collect that when it is killed.
            program.entering.send_signal(signal.SIGCONT)
        for host in self._hosts.values():
            assert host.process.stdin
            host.process.stdin.close()
        for host in self._hosts.values():
            host.process.wait(START_LIMIT_S)
            assert host.process.stdout
            host.process.stdout.close()
        for program in self._programs:
            program.entering.wait(START_LIMIT_S)
            for stream in (program.entering.stdin, program.entering.stdout, program.entering.stderr):
                if stream:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        shutil.rmtree(self.folder)


def _child_of(process: subprocess.Popen[str]) -> int:
    """Return the only child of a process that enters or makes namespaces, once it is there; its own pid if it ended."""
    deadline = time.monotonic() + START_LIMIT_S
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and time.monotonic() < deadline:
        if pids := children.read_text().split():
            return int(pids[0])
        time.sleep(0.001)
    return process.pid


def _checked(argv: list[str]) -> None:
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert not ended.returncode, f"{' '.join(argv)}: {ended.stderr}"
