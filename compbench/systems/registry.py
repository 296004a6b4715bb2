"""The known systems: every folder in `compbench.systems` and in the setting `systems_dir` is one.

`api` is the interface of these folders. Each process loads only the half that it uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from compbench.config import sources
from compbench.config.settings import Settings
from compbench.config.system_tables import UNMEASURED_OF_ALL, SystemKind, SystemSettings
from compbench.machine.probes.machine import Recognise
from compbench.model.errors import UserError
from compbench.model.measurement import RunKind
from compbench.model.scenario import OwnSet, Scenario
from compbench.systems import discovery
from compbench.systems.api import Place

if TYPE_CHECKING:
    from compbench.systems.api import Server


def load_settings(
    root: Path,
    environment: Mapping[str, str],
    variables: Mapping[str, str],
    invocation: Iterable[str] = ("doit",),
    *,
    with_rivals: bool = False,
    run_kind: RunKind = "suite",
) -> Settings:
    """Read and merge all sources of settings (`compbench.config.sources.merge_settings`), and leave absent rivals out.

    Raises:
        UserError: a setting is wrong, or none of the rivals that are asked for is here.
    """
    settings = sources.merge_settings(
        root, environment, variables, find_kinds, invocation, with_rivals=with_rivals, run_kind=run_kind
    )
    return _with_those_here(settings) if settings.systems or with_rivals else settings


def _with_those_here(settings: Settings) -> Settings:
    """Leave out rivals that are not installed: they cost a line, never the run.

    Raises:
        UserError: no rival is left.
    """
    halves = {name: server_of(settings, name) for name in settings.systems[1:]}
    absent = tuple((name, half.how_to_get) for name, half in halves.items() if half.missing())
    here = [name for name in settings.systems if name not in dict(absent)]
    if len(here) < 2:  # noqa: PLR2004 - one alone is no comparison
        known = "; ".join(f"{name}: {how}" for name, how in absent) or "none is known but the subject"
        raise UserError(f"no rival of {title_of(settings.system)} is here to compare it with: {known}")
    return msgspec.structs.replace(settings, systems=tuple(here), absent=absent)


def find_kinds(folder: Path | None, made: Mapping[str, tuple[str, str]] | None = None) -> dict[str, SystemKind]:
    """Return every system by name: those here, those in a folder of the user's, and those that tables make.

    Raises:
        UserError: a folder can't be loaded, two have the same name, or a table names no kind that there is.
    """
    discovery.look_into(folder)
    for name, (kind, where) in (made or {}).items():
        discovery.make(name, kind, where)
    return {name: discovery.kind(name) for name in discovery.names()}


def server_of(settings: Settings, name: str = "") -> Server:
    """Return the server half of the system that is measured, or of another one."""
    system = name or settings.system
    kind = discovery.kind(system)
    own = msgspec.convert(settings.system_tables[system], kind.settings)
    place = Place(settings.port, installed_folder(settings, system))
    return cast("Server", discovery.module(system, "server").Server(own, place))


def installed_folder(settings: Settings, name: str) -> Path:
    """Return the folder that `doit install:<name>` has filled; one that is not whole is as good as none."""
    folder = folder_to_install(settings, name)
    return folder / "half-made" if begun_mark(folder).exists() else folder


def folder_to_install(settings: Settings, name: str) -> Path:
    """Return the folder that `doit install:<name>` fills, of the version that is pinned."""
    installation = discovery.installation(name)
    return Path(settings.cache_dir) / "systems" / (f"{name}-{installation.version}" if installation else name)


def begun_mark(folder: Path) -> Path:
    """Return the file that is there as long as a system's folder is not whole."""
    return folder.with_name(f"{folder.name}.begun")


def recognisers(settings: Settings, *, rivals: bool = False) -> list[Recognise]:
    """Return for each known system, or else each rival, the function that recognises its running servers.

    A server of a rival may well be at other work on a machine, as PostgreSQL often is. In mode `endpoint` what the
    measured system recognises may be the server that is asked, so it is nobody's.
    """
    asked = {each.system: half for each in settings.of_each if (half := server_of(each)).mode == "endpoint"}
    names = [name for name in settings.system_tables if discovery.kind(name).is_rival == rivals and name not in asked]
    known: list[Recognise] = [server_of(settings, name).recognise for name in names]
    if not asked:
        return known
    own: list[Recognise] = [half.recognise for half in asked.values()]
    return [partial(_unless, own, each) for each in known]


def _unless(own: list[Recognise], other: Recognise, executable: str | None, argv: list[str], name: str) -> str:
    return "" if any(recognise(executable, argv, name) for recognise in own) else other(executable, argv, name)


def own_settings(settings: Settings) -> SystemSettings:
    """Return the settings of the system that is measured, of the type in its folder."""
    return msgspec.convert(settings.system_tables[settings.system], discovery.kind(settings.system).settings)


def kind_of(name: str) -> SystemKind:
    """Return a system's description of itself.

    A run may outlive the folder of its system: then it is not known whether its figures may be compared.
    """
    if name in discovery.names():
        return discovery.kind(name)
    unknown = "its folder is not here any more (systems_dir=), so that nobody can tell what they may be compared with"
    return SystemKind(settings=SystemSettings, title=name, not_comparable=unknown)


def title_of(name: str) -> str:
    """Return a system's name for readers."""
    return kind_of(name).title


def not_comparable(names: Iterable[str]) -> list[SystemKind]:
    """Return those of the named systems whose figures are never set beside published ones as better or worse."""
    return [kind for name in dict.fromkeys(names) if (kind := kind_of(name)).not_comparable]


def looked_for(settings: Settings) -> list[str]:
    """Return the systems of which `auto` looks for a trace on this machine."""
    return [name for name in settings.system_tables if discovery.kind(name).trace]


def is_makeshift(settings: Settings) -> bool:
    """Tell whether a system is measured only because there is no trace of any other."""
    return discovery.kind(settings.system).is_fallback and not settings.system_is_chosen


def system_inputs(settings: Settings) -> dict[str, str]:
    """Return the settings of a system that affect a measurement: every field that its `KIND` does not except."""
    found = _inputs(settings, discovery.kind(settings.system).unmeasured)
    among = f"{settings.contender}." if settings.contender else ""
    return {f"system.{among}{name}": value for name, value in found.items()}


def data_inputs(settings: Settings) -> dict[str, str]:
    """Return the settings of a system that affect its data: those that affect a measurement, but for searches' own."""
    kind = discovery.kind(settings.system)
    return {f"system.{name}": value for name, value in _inputs(settings, kind.unmeasured | kind.of_searches).items()}


def _inputs(settings: Settings, but: frozenset[str]) -> dict[str, str]:
    own = own_settings(settings)
    names = [name for name in own.__struct_fields__ if name not in but | UNMEASURED_OF_ALL]
    return {name: str(msgspec.to_builtins(getattr(own, name))) for name in names}


def not_offered(settings: Settings, scenario: Scenario) -> str:
    """Say what a scenario asks for that the system can't do, among several that are compared; empty if it can all."""
    can, data, weights = server_of(settings).capabilities, scenario.data, scenario.operations
    metric = (scenario.data_set.metric if isinstance(scenario.data_set, OwnSet) else None) or "cosine"
    lacks = {
        f"vectors of {data.embedding_dim} dimensions": can.dimension not in (None, data.embedding_dim)
        or data.embedding_dim > (can.most_dimensions or data.embedding_dim),
        f"the similarity {metric}": metric not in can.metrics,
        "traversals along edges": scenario.graph is not None and not can.edges,
        "the completion of partial vectors": weights.pattern_completion_weight > 0 and not can.completion,
        "inserts while searches go on": weights.store_weight > 0 and not can.inserts,
        # Only a recall has one, and by another metric than cosine that has none, too.
        "searches with a least similarity": weights.recall_weight > 0 and metric == "cosine" and not can.thresholds,
    }
    return next((what for what, lacking in lacks.items() if lacking), "")


def driver_program(settings: Settings) -> Path:
    """Return the load generator that comes with a system.

    Raises:
        UserError: no known system brings one.
    """
    return driver_owner(settings)[1]


def driver_owner(settings: Settings) -> tuple[Server, Path]:
    """Return the system that brings a load generator, and that program.

    Raises:
        UserError: there is none.
    """
    for name in settings.system_tables:
        half = server_of(settings, name)
        if half.driver_program:
            return half, half.driver_program
    raise UserError(f"driver={settings.driver}: no system here brings that driver: set driver=builtin")
