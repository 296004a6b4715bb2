"""The page of `doit systems`: every known system, whether it is here, what it can do, and which one `auto` means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from compbench.config.settings import Settings
from compbench.measuring.server import version_of
from compbench.model.errors import UserError
from compbench.systems import registry

if TYPE_CHECKING:
    from compbench.systems.api import Capabilities

_EDGES = "following edges"


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
    # A server may tell only when it runs whether it follows edges; the client asks it then.
    unable = [
        f"{what} (unless it tells so when it runs)" if what == _EDGES else what
        for what, is_there in abilities.items()
        if not is_there
    ]
    said = ", ".join([dimensions, f"by {' or '.join(can.metrics)}", *able])
    return f"{said}; not: {', '.join(unable)}" if unable else said


def _describe(settings: Settings, root: Path, name: str) -> KnownSystem:
    title = registry.title_of(name)
    try:
        server = registry.server_of(settings, name)
    except UserError as error:
        return KnownSystem(name, title, problem=str(error))
    missing = tuple(server.missing())
    return KnownSystem(
        name,
        title,
        missing=missing,
        version="" if missing else version_of(settings, root, name),
        mode=server.mode,
        abilities=describe_abilities(server.capabilities),
        how_to_get=server.how_to_get,
    )
