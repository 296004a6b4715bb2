"""The check of the hosts that are to send the load: they are there, run the same compbench, and reach the servers."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import psutil

import compbench
from compbench.config.hosts import hosts_options
from compbench.config.settings import Settings
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.model.seen_hosts import HostSeen, HostsSeen, WaySeen
from compbench.preflight.findings import finding_of, joined
from compbench.systems import registry

if TYPE_CHECKING:
    from compbench.systems.api import Server

_CHECK = "hosts"
_CODE = Path(compbench.__file__).resolve().parent.parent
# Opening a cluster has limits of its own, which are shorter together.
_LIMIT_S = 180.0
_LOOPBACK = ("localhost", "127.", "::1")


def check_hosts(settings: Settings) -> Finding:
    """Open the cluster that is asked for, once, and judge its hosts for each system that is measured."""
    if settings.asked_hosts is None:
        return finding_of(_CHECK, "not-used", "ok", why="the load is sent from here alone")
    halves = {each.contender: registry.server_of(each) for each in settings.of_each}
    try:
        seen = _look(settings, sorted({server for half in halves.values() for server in servers_of(half)}))
    except (UserError, OSError) as error:
        return finding_of(_CHECK, "hosts-missing", "critical", problem=error)
    if odd := [host.name for host in seen if not host.is_same_code]:
        return finding_of(_CHECK, "hosts-unlike", "critical", names=", ".join(odd))
    return judge_reach(seen, halves, of_rivals=bool(settings.systems))


def servers_of(half: Server) -> list[tuple[str, int]]:
    """Return host and ports of a server that is there already; none of one that is not started yet."""
    host = urlsplit(half.endpoint).hostname
    return [(host, port) for port in half.ports()] if half.mode == "endpoint" and host else []


def judge_reach(seen: Sequence[HostSeen], halves: Mapping[str, Server], *, of_rivals: bool) -> Finding:
    """Judge whether the hosts reach each of the systems, by name; what is critical for a rival alone is a warning."""
    findings = {name: _judge_one(seen, half) for name, half in halves.items()}
    return joined(findings, of_rivals=of_rivals) if len(findings) > 1 else next(iter(findings.values()))


def _judge_one(seen: Sequence[HostSeen], half: Server) -> Finding:
    elsewhere = [host.name for host in seen if not is_here(host.address)]
    if elsewhere and (urlsplit(half.endpoint).hostname or "").startswith(_LOOPBACK):
        return finding_of(_CHECK, "hosts-apart", "critical", hosts=", ".join(elsewhere), endpoint=half.endpoint)
    asked = set(servers_of(half))
    ways = {host.name: [way for way in host.ways if (way.host, way.port) in asked] for host in seen}
    if cut_off := [_obstacle(name, way) for name, tried in ways.items() for way in tried if way.connect_ms is None]:
        return finding_of(_CHECK, "hosts-cut-off", "critical", names=", ".join(cut_off), endpoint=half.endpoint)
    told = ", ".join(_in_words(host, ways[host.name]) for host in seen)
    return finding_of(_CHECK, "hosts", "ok", count=len(seen), told=told)


def is_here(address: str) -> bool:
    """Tell whether an address of a host is one of this very machine's, whose loopback it then shares."""
    try:
        if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            return True
    except ValueError:
        return address.startswith(_LOOPBACK)
    return any(address == one.address for all_of in psutil.net_if_addrs().values() for one in all_of)


def _obstacle(name: str, way: WaySeen) -> str:
    return f"{name} (port {way.port}: {way.problem})"


def _in_words(host: HostSeen, ways: Sequence[WaySeen]) -> str:
    times_ms = [way.connect_ms for way in ways if way.connect_ms is not None]
    way = f", {times_ms[0]:.2f} ms to the server" if times_ms else ""
    return f"{host.name} ({host.cores} cores{way})"


def _look(settings: Settings, servers: Sequence[tuple[str, int]]) -> list[HostSeen]:
    """Have the driver's program look: what Dask needs is no burden to the runner.

    Raises:
        UserError: the cluster can't be opened, or a host can't run the driver.
    """
    argv = [sys.executable, "-m", "compbench.loadtest", "check-hosts", "--cache", settings.cache_dir]
    for host, port in servers:
        argv += ["--server", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    argv += hosts_options(settings.asked_hosts, settings.hosts_timeout_s)
    path = os.pathsep.join(filter(None, [str(_CODE), os.environ.get("PYTHONPATH", "")]))
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"they were not there within {_LIMIT_S:g} s") from None
    if done.returncode != 0:
        raise UserError(done.stderr.strip().rpartition("\n")[2].removeprefix("Error: ") or "the check ended early")
    return msgspec.json.decode(done.stdout, type=HostsSeen).hosts
