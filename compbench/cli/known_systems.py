"""The page of `doit systems`: every known system, whether it is here, what it can do, and which one `auto` means."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from compbench.cli import installing
from compbench.config.settings import Settings
from compbench.measuring.server import version_of
from compbench.model.errors import UserError
from compbench.systems import discovery, registry

if TYPE_CHECKING:
    from compbench.systems.api import Capabilities, Server

_EDGES = "following edges"
_WIDTH = 80
_INDENT = 12


class KnownSystem(NamedTuple):
    """A system as a person is told of it; `problem` says why its half can't be loaded, and the rest is empty then."""

    name: str
    title: str
    missing: tuple[str, ...] = ()
    version: str = ""
    mode: str = ""
    abilities: str = ""
    how_to_get: str = ""
    problem: str = ""
    place: str = ""

    @property
    def lines(self) -> list[str]:
        """Return what there is to say, in lines of at most `_WIDTH` characters where no word is longer."""
        if self.problem:
            return _wrapped("found", f"no: {self.problem}")
        found = f"no, missing: {', '.join(self.missing)}" if self.missing else f"yes{self.place and f', {self.place}'}"
        told = {
            "found": found,
            "version": self.version or "not known",
            "mode": self.mode,
            "can do": self.abilities,
            "get it": self.how_to_get,
        }
        return [line for label, text in told.items() for line in _wrapped(label, text)]


def known_systems(settings: Settings, root: Path) -> list[KnownSystem]:
    """Return each known system with its facts; those that are here are asked for their version by their programs."""
    return [_describe(settings, root, name) for name in settings.system_tables]


def describe_abilities(can: Capabilities) -> str:
    """Return in words what a system can do, and what scenarios may ask for that it can't."""
    dimensions = f"vectors of {can.dimension} dimensions" if can.dimension else "vectors of any dimension"
    if can.most_dimensions:
        dimensions += f" up to {can.most_dimensions}"
    abilities = {
        "a least similarity": can.thresholds,
        "storing while it searches": can.inserts,
        _EDGES: can.edges,
        "completing vectors": can.completion,
        "removing": can.deletes,
        "filters": can.filters,
    }
    able = [what for what, is_there in abilities.items() if is_there]
    unable = [
        f"{what} (unless it tells so when it runs)" if what == _EDGES and can.tells_edges else what
        for what, is_there in abilities.items()
        if not is_there
    ]
    effort = [f"recall for speed by {can.effort}"] if can.effort else []
    said = ", ".join([dimensions, f"by {' or '.join(can.metrics)}", *able, *effort])
    return f"{said}; not: {', '.join(unable)}" if unable else said


def _describe(settings: Settings, root: Path, name: str) -> KnownSystem:
    title = registry.title_of(name)
    try:
        server = registry.server_of(settings, name)
    except UserError as error:
        return KnownSystem(name, title, problem=str(error))
    missing, is_managed = tuple(server.missing()), server.mode == "managed"
    is_users = server.mode == "endpoint" and server.mode in server.modes
    if is_users and not server.answers():
        missing = (f"an answer from {server.endpoint}",)
    installation = discovery.installation(name)
    how = f"doit install:{name}: {installing.describe(name, installation)}" if installation else server.how_to_get
    return KnownSystem(
        name,
        title,
        missing=missing,
        version=_version(settings, root, name, server) if not missing else "",
        mode=_describe_mode(server),
        abilities=describe_abilities(server.capabilities),
        how_to_get=how,
        place=f"in {registry.installed_folder(settings, name)}" if installation and is_managed else "",
    )


def _version(settings: Settings, root: Path, name: str, server: Server) -> str:
    """Return what its programs print, or the running server tells; an image's is known when it runs."""
    if server.mode == "managed":
        return version_of(settings, root, name)
    return server.version_told() if server.mode == "endpoint" and server.mode in server.modes else ""


def _describe_mode(server: Server) -> str:
    """Return the mode with what is configured for it, and the modes that could be set."""
    others = [mode for mode in server.modes if mode != server.mode]
    configured: str = server.mode
    if server.mode == "endpoint":
        configured = f"endpoint: {server.endpoint or 'no address is set'}"
    elif server.mode == "container":
        configured = f"container: {server.image or 'no image is set'}"
    return f"{configured} (or {', '.join(others)})" if others else configured


def _wrapped(label: str, text: str) -> list[str]:
    head = f"  {label:<{_INDENT - 2}}"
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]
