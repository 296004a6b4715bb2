"""The check of the hosts that are to send the load: they are there, run the same compbench, and reach the server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

import compbench
from compbench.config.hosts import HostsAsked, hosts_options
from compbench.config.settings import Settings
from compbench.model.errors import UserError
from compbench.model.records import Finding
from compbench.model.seen_hosts import HostSeen, HostsSeen
from compbench.preflight.findings import finding_of
from compbench.systems import registry

_CHECK = "hosts"
_CODE = Path(compbench.__file__).resolve().parent.parent
# Opening a cluster has limits of its own, which are shorter together.
_LIMIT_S = 180.0
_LOOPBACK = ("localhost", "127.", "::1")


def check_hosts(settings: Settings) -> Finding:
    """Open the cluster that is asked for, and look at its hosts."""
    asked = settings.asked_hosts
    if asked is None:
        return finding_of(_CHECK, "not-used", "ok", why="the load is sent from here alone")
    half = registry.server_of(settings)
    if is_out_of_reach(asked, half.endpoint):
        return finding_of(_CHECK, "hosts-apart", "critical", hosts=asked.words, endpoint=half.endpoint)
    try:
        seen = _look(settings)
    except (UserError, OSError) as error:
        return finding_of(_CHECK, "hosts-missing", "critical", problem=error)
    return judge_hosts(seen, half.endpoint, is_there=half.mode == "endpoint")


def is_out_of_reach(asked: HostsAsked, endpoint: str) -> bool:
    """Tell whether hosts other than this machine are to ask a server that listens on this machine alone."""
    server = urlsplit(endpoint).hostname or ""
    if asked.kind == "local" or not server.startswith(_LOOPBACK):
        return False
    named = asked.names or [urlsplit(asked.scheduler).hostname or ""]
    return not all(name.rpartition("@")[2].startswith(_LOOPBACK) for name in named)


def judge_hosts(seen: Sequence[HostSeen], endpoint: str, *, is_there: bool) -> Finding:
    """Judge what was seen; a server that is not started yet (`is_there`) can't be reached yet."""
    if odd := [host.name for host in seen if not host.is_same_code]:
        return finding_of(_CHECK, "hosts-unlike", "critical", names=", ".join(odd))
    if is_there and (cut_off := [f"{host.name} ({host.problem})" for host in seen if host.server_ms is None]):
        return finding_of(_CHECK, "hosts-cut-off", "critical", names=", ".join(cut_off), endpoint=endpoint)
    told = ", ".join(_in_words(host) for host in seen)
    return finding_of(_CHECK, "hosts", "ok", count=len(seen), told=told)


def _in_words(host: HostSeen) -> str:
    way = "" if host.server_ms is None else f", {host.server_ms:.2f} ms to the server"
    return f"{host.name} ({host.cores} cores{way})"


def _look(settings: Settings) -> list[HostSeen]:
    """Have the driver's program look: what Dask needs is no burden to the runner.

    Raises:
        UserError: the cluster can't be opened, or a host can't run the driver.
    """
    argv = [sys.executable, "-m", "compbench.loadtest", "check-hosts"]
    argv += ["--endpoint", registry.server_of(settings).endpoint, "--cache", settings.cache_dir]
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
