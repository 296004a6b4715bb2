"""Several hosts as a setting says them: `local:3`, `ssh:a,b,c`, or the address of a Dask scheduler."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from compbench.model.errors import UserError

FORMS = (
    "local:3 (to try it on this machine), ssh:a,b,c, or the address of a Dask scheduler, such as tcp://10.0.0.1:8786"
)
# More would not be hosts but an accident; a local one costs some 60 MB.
_LOCAL_LIMIT = 64
_SCHEDULER = re.compile(r"(tcp|tls|ws|wss)://(\[[0-9A-Za-z:.%]+\]|[^\s/:\[\]]+):(\d{1,5})")
_PORT_LIMIT = 65_535
_NAME = re.compile(r"([A-Za-z0-9_.-]+@)?[A-Za-z0-9_.:-]+")


class HostsAsked(NamedTuple):
    """Which hosts are asked for: so many on this machine, those with these names, or those of a scheduler."""

    kind: Literal["local", "ssh", "scheduler"]
    workers: int = 0
    names: tuple[str, ...] = ()
    scheduler: str = ""

    @property
    def words(self) -> str:
        """Return them as a command line has them; `read_hosts` reads that."""
        match self.kind:
            case "local":
                return f"local:{self.workers}"
            case "ssh":
                return f"ssh:{','.join(self.names)}"
            case "scheduler":
                return self.scheduler


def read_hosts(words: str) -> HostsAsked:
    """Return the hosts that a text asks for.

    Raises:
        UserError: it is none of the forms; has them.
    """
    kind, _, rest = words.partition(":")
    if kind == "local" and rest.isdecimal() and 1 <= int(rest) <= _LOCAL_LIMIT:
        return HostsAsked("local", workers=int(rest))
    if kind == "ssh":
        return _by_ssh(words, [name.strip() for name in rest.split(",")])
    if _is_scheduler(words):
        return HostsAsked("scheduler", scheduler=words)
    raise UserError(f"hosts = {words!r}: expected {FORMS}")


def asked_hosts(hosts: str | Sequence[str], scheduler: str | None) -> HostsAsked | None:
    """Return the hosts that the settings `hosts` and `scheduler` ask for together; None if load comes from here alone.

    Raises:
        UserError: one is wrong, or both are set.
    """
    if scheduler and hosts:
        raise UserError(f"hosts = {hosts!r} and scheduler = {scheduler!r}: set one of the two")
    if scheduler:
        if not _is_scheduler(scheduler):
            raise UserError(f"scheduler = {scheduler!r}: expected its address, such as tcp://10.0.0.1:8786")
        return HostsAsked("scheduler", scheduler=scheduler)
    named = _listed(hosts)
    if not named:
        return None
    return read_hosts(named) if isinstance(named, str) else _by_ssh(repr(hosts), named)


def hosts_options(asked: HostsAsked | None, ready_limit_s: float) -> list[str]:
    """Return the options of a driver's command line that say which hosts send, and until when they are to be ready."""
    return ["--hosts", asked.words, "--hosts-timeout", repr(ready_limit_s)] if asked else []


def _is_scheduler(words: str) -> bool:
    found = _SCHEDULER.fullmatch(words)
    return found is not None and 1 <= int(found[3]) <= _PORT_LIMIT


def _listed(hosts: str | Sequence[str]) -> str | Sequence[str]:
    """Return the names of a list that is written as in the settings file, which a command line has as a text."""
    if isinstance(hosts, str) and hosts.startswith("["):
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.toml.decode(f"hosts = {hosts}", type=dict[str, list[str]])["hosts"]
    return hosts


def _by_ssh(words: str, names: Sequence[str]) -> HostsAsked:
    for name in names:
        if not _NAME.fullmatch(name):
            raise UserError(f"hosts = {words!r}: {name!r} is no host: expected {FORMS}")
    if len(set(names)) < len(names):
        raise UserError(f"hosts = {words!r}: a host is named twice: each sends from one place")
    return HostsAsked("ssh", names=tuple(names))
