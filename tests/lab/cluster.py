"""What makes hosts of the laboratory a Dask cluster: a scheduler and a worker each, or servers for SSH."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.lab.hosts import FOLDER, Lab, Program
from tests.project import ROOT, eventually

PORT = 8786
_START_LIMIT_S = 60.0
# As many hosts are no cluster of their own if each looks for a page to show.
_QUIET = ["--no-dashboard"]


class DaskPrograms(NamedTuple):
    """The programs of a cluster that a user runs: the scheduler, and by host the nanny that keeps a worker."""

    address: str
    scheduler: Program
    nannies: dict[str, Program]


def start_dask(lab: Lab, scheduler: str, workers: Iterable[str], *more: str) -> DaskPrograms:
    """Start a scheduler on one host and a worker on each of several, as a user does; further words are the workers'."""
    address = f"tcp://{lab.ip(scheduler)}:{PORT}"
    env = {"PYTHONPATH": str(ROOT)}
    begun = _start(lab, scheduler, env, "scheduler", "--host", lab.ip(scheduler), "--port", str(PORT))
    _await(lab, scheduler, "scheduler", "Scheduler at:")
    nannies = {}
    for host in workers:
        own = ["--name", host, "--host", lab.ip(host), "--local-directory", str(lab.folder), *more]
        nannies[host] = _start(lab, host, env, "worker", address, *own)
    for host in nannies:
        _await(lab, host, "worker", "Registered to:")
    return DaskPrograms(address, begun, nannies)


def worker_pid(lab: Lab, dask: DaskPrograms, host: str) -> int:
    """Return the process of a host's worker, which its nanny has started, as seen from here."""
    nanny = dask.nannies[host].pid
    found = [it.pid for it in lab.processes(host) if it.pid != nanny and "spawn_main" in " ".join(it.argv)]
    assert len(found) == 1, found
    return found[0]


def serve_ssh(lab: Lab, hosts: Iterable[str], installed: Path | str = ROOT) -> dict[str, str]:
    """Start an SSH server on each host, which has that installed; return the environment of one who may log in."""
    import asyncssh  # noqa: PLC0415 - of an extra, without which these tests are left out

    home = lab.folder / "home"
    (home / ".ssh").mkdir(parents=True)
    key, host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key.write_private_key(str(home / ".ssh" / "id_ed25519"))
    key.write_public_key(str(lab.folder / "authorized_keys"))
    host_key.write_private_key(str(lab.folder / "host_key"))
    public = host_key.export_public_key().decode().strip()
    named = [f"{host},{lab.ip(host)} {public}\n" for host in hosts]
    (home / ".ssh" / "known_hosts").write_text("".join(named))
    for host in hosts:
        _, said = lab.serve(host, [sys.executable, *_ssh_server(lab, home, installed)])
        assert said == "ready"
    return {"HOME": str(home)}


def _ssh_server(lab: Lab, home: Path, installed: Path | str) -> list[str]:
    files = lab.folder / "host_key", lab.folder / "authorized_keys", home
    return [str(FOLDER / "ssh_server.py"), *map(str, files), str(installed)]


def _start(lab: Lab, host: str, env: dict[str, str], command: str, *words: str) -> Program:
    argv = [sys.executable, "-m", f"distributed.cli.dask_{command}", *words, *_QUIET]
    with (lab.folder / f"{host}-{command}.log").open("w") as log:
        return lab.start(host, argv, env, stdout=log, stderr=log, cwd=lab.folder)


def _await(lab: Lab, host: str, command: str, word: str) -> None:
    assert eventually(lambda: word in _log(lab, host, command), _START_LIMIT_S), _log(lab, host, command)


def _log(lab: Lab, host: str, command: str) -> str:
    return (lab.folder / f"{host}-{command}.log").read_text()
