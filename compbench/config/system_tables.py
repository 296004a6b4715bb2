"""The systems' tables in the settings: the type of each, and how `system=auto` chooses one.

Each system's folder describes itself in its `KIND`. Knows no system by name, starts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from compbench.config.folders import absolute_folder
from compbench.config.toml_tables import convert_table
from compbench.model.errors import UserError, did_you_mean

ENVIRONMENT_PREFIX = "SYSTEM_"
# What chooses the system, in the table that also holds the systems' own tables; so no system can have that name.
CHOICE = "use"
AUTO = "auto"
# In a system's table: the folder that makes a system of a table alone.
KIND_KEY = "kind"


_BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
# Without a name or password before the host, which would be shown wherever the address is.
_PAGE = re.compile(r"https?://[^\s@?#]+")
_ADDRESS = re.compile(r"[a-z][a-z0-9+]*://[^\s/@?#]+/?")

# managed: compbench starts a program that it finds; container: an image by its digest; endpoint: the user runs it.
Mode = Literal["managed", "container", "endpoint"]
# vendor: as the system comes; acknowledged on disk: an insert is answered when it survives a loss of power; memory: it
# need not survive anything.
Durability = Literal["vendor", "acknowledged on disk", "memory"]


class SystemSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of every system's own settings: a key that is not a field of it is refused."""


# What no system's figures depend on: it is looked at, and asked for nothing else.
UNMEASURED_OF_ALL = frozenset({"metrics_url"})


class RivalSettings(SystemSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be set of every rival.

    Attributes:
        mode: how the server comes to run; an `endpoint` that is set means the mode of that name.
        endpoint: where a server that the user runs is asked.
        image: the container image, by its digest; empty for the one that the system's folder names.
        container_cpus: the cores that a container may use, as `0-3` or `0,2`; empty for all.
        container_memory: how much memory a container may use, as `8g`; empty for all.
        metrics_url: where a server that the user runs tells of its own process, as Prometheus' text; None for where
            the system has it, empty for nowhere.
        effort: the value of its search knob; None for the least that reaches the scenario's recall.
        durability: what an acknowledged insert is to survive.
    """

    mode: Mode = "managed"
    endpoint: str = ""
    image: str = ""
    container_cpus: Annotated[str, msgspec.Meta(pattern=r"^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$")] = ""
    container_memory: Annotated[str, msgspec.Meta(pattern=r"^([0-9]+[bkmg]?)?$")] = ""
    metrics_url: str | None = None
    effort: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    durability: Durability = "vendor"

    def __post_init__(self) -> None:
        """Refuse what would be no measurement of one known server, or would show a secret.

        Raises:
            ValueError: the image has no digest, or an address is none, or holds a password.
        """
        if self.image and not _BY_DIGEST.fullmatch(self.image):
            how = f"`docker pull {self.image}`, then `docker image inspect {self.image}` tells it (RepoDigests)"
            raise ValueError(f"image = {self.image!r}: a tag may be another image tomorrow: give its digest: {how}")
        if self.endpoint and not _is_address(self.endpoint):
            raise ValueError(
                "endpoint: expected an address as http://host:port; a key or password goes into the environment"
                " (COMPBENCH_<SYSTEM>_API_KEY, or _USER and _PASSWORD)"
            )

        if self.metrics_url and not _PAGE.fullmatch(self.metrics_url):
            raise ValueError(
                "metrics_url: expected where the server itself tells its metrics, as http://host:port/metrics"
                " (nothing that is secret can stand there), or nothing for none"
            )

    @property
    def chosen_mode(self) -> Mode:
        """Return how the server comes to run."""
        return "endpoint" if self.endpoint else self.mode


class MachineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Memory and disk limits in GB (10^9 bytes): below `min_*` nothing starts, below `warn_*` a warning is given."""

    min_scenario_memory_gb: float
    min_available_memory_gb: float
    warn_total_memory_gb: float
    min_free_disk_gb: float
    warn_free_disk_gb: float


# Why `auto` means a system, and whether it does.
Trace = tuple[bool, str]


@dataclass(frozen=True)
class SystemKind:
    """A system as its folder describes it to the settings.

    Attributes:
        settings: the type of its table `system.<name>`.
        title: its name for readers.
        is_rival: whether `doit versus` sets it beside the subject where it is found.
        is_pattern: whether it is no system by itself, but makes one of every table that names it by the key `kind`.
        check: refuses a table's values as a whole, given the words that it begins its message with.
        unmeasured: keys that do not affect a measurement; every other one is part of a run's fingerprint.
        of_searches: keys that affect searches alone, so that data which is kept serves all of their values.
        build: the key that says which build of it is measured, a folder; empty where it has none.
        folders: keys that hold a folder, relative to the project's.
        shorthands: names outside of the table that mean a key in it.
        trace: tells whether this machine shows a trace of it, given its settings and which of them were set; None if
            `auto` does not look for it.
        is_fallback: whether `auto` means it where there is no trace of any other.
        quick_limits: what the machine must offer in the quick profile, where that is less than usual.
        driver: the driver that `driver=auto` means.
        not_comparable: why its figures are never set beside published ones as better or worse, as the end of a sentence
            that begins with "These are figures of <title>:"; empty if they may be.
        script_tools: the programs on the PATH that its scripts need, and what for.
    """

    settings: type[SystemSettings]
    title: str
    is_rival: bool = False
    is_pattern: bool = False
    check: Callable[[Any, str], None] | None = None
    unmeasured: frozenset[str] = frozenset()
    of_searches: frozenset[str] = frozenset({"effort"})
    build: str = ""
    folders: tuple[str, ...] = ()
    shorthands: Mapping[str, str] = field(default_factory=dict)
    trace: Callable[[Any, Collection[str]], Trace] | None = None
    is_fallback: bool = False
    quick_limits: MachineLimits | None = None
    driver: Literal["loadtest", "builtin"] = "builtin"
    not_comparable: str = ""
    script_tools: Mapping[str, str] = field(default_factory=dict)


def split_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a command line with `system.x.y=value` as nested tables, and all others as they are."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        if first != "system" or isinstance(value, dict):
            found[name] = value
            continue
        table = found.setdefault("system", {})
        *parents, last = rest.split(".") if rest else [CHOICE]
        for parent in parents:
            table = table.setdefault(parent, {})
            if not isinstance(table, dict):
                raise UserError(f"{name}: {parent} is no table")
        table[last] = value
    return found


def dotted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the keys of the tables of systems as a command line has them: the reverse of `split_names`."""
    table = values.get("system", {})
    found = {"system": table[CHOICE]} if CHOICE in table else {}
    for name, own in table.items():
        if isinstance(own, dict):
            found |= {f"system.{name}.{key}": value for key, value in own.items()}
    return {**{name: value for name, value in values.items() if name != "system"}, **found}


def split_variables(values: Mapping[str, Any], known: Mapping[str, SystemKind]) -> dict[str, Any]:
    """Return variables of the environment (prefix taken off, lower case) with `system_<name>_<key>` as tables."""
    dotted = {}
    for name, value in values.items():
        prefix = ENVIRONMENT_PREFIX.lower()
        system = next((s for s in known if name.startswith(f"{prefix}{s}_")), "")
        dotted[f"system.{system}.{name.removeprefix(f'{prefix}{system}_')}" if system else name] = value
    return split_names(dotted)


def declared_systems(sources: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, tuple[str, str]]:
    """Return the systems that sources make by the key `kind` of a table: by name the kind, and the source it stands in.

    The environment can't make one: there a name and a key are not told apart before the names are known.
    """
    found = {}
    for where, values in sources:
        table = split_names(values).get("system") if where != "environment" else None
        for name, own in (table or {}).items() if isinstance(table, dict) else ():
            if isinstance(own, dict) and KIND_KEY in own:
                found[name] = (str(own[KIND_KEY]), where)
    return found


def expand_shorthands(values: Mapping[str, Any], known: Mapping[str, SystemKind], where: str) -> dict[str, Any]:
    """Return the values with shorthands moved into the tables of the systems that declare them.

    Raises:
        UserError: `system` is neither a name nor a table.
    """
    found = dict(values)
    asked = found.pop("system", {})
    table: dict[str, Any] = {CHOICE: asked} if isinstance(asked, str) else asked
    if not isinstance(table, dict):
        raise UserError(f"{where}: system = {asked!r}: expected the name of a system: {', '.join(known)}")
    table = {name: dict(own) if isinstance(own, dict) else own for name, own in table.items()}
    for name, kind in known.items():
        for short, key in kind.shorthands.items():
            own = table.setdefault(name, {}) if short in values else None
            if isinstance(own, dict):
                own.setdefault(key, values[short])
                found.pop(short, None)
    return {**found, "system": table} if table else found


def check_tables(
    table: Mapping[str, Any], known: Mapping[str, SystemKind], where: str, *, strict: bool
) -> dict[str, dict[str, Any]]:
    """Return the values that a source sets, by system, each of its key's type.

    Raises:
        UserError: there is no such system, or a wrong key or value, with the source it stands in.
    """
    found = {}
    for name, values in table.items():
        if name == CHOICE:
            continue
        if name in known and not isinstance(values, dict):
            keys = ", ".join(f"system.{name}.{key}" for key in known[name].settings.__struct_fields__)
            raise UserError(f"{where}: system.{name} = {values!r}: it is a table: set its keys: {keys}")
        if name not in known:
            hint = did_you_mean(name, [*known, CHOICE])
            raise UserError(f"{where}: system.{name}: no such system{hint}; known: {', '.join(known)}")
        own = convert_table(values, known[name].settings, f"{where}: system.{name}", strict=strict)
        found[name] = {key: getattr(own, key) for key in values}
    return found


def choose(
    asked: str,
    where: str,
    known: Mapping[str, SystemKind],
    tables: Mapping[str, SystemSettings],
    set_keys: Mapping[str, Collection[str]],
) -> tuple[str, str]:
    """Return which system is measured and why; `auto` means one of which the machine shows a trace.

    Raises:
        UserError: there is no such system.
    """
    if asked != AUTO:
        if asked not in known:
            hint = did_you_mean(asked, list(known))
            raise UserError(f"{where}: system = {asked!r}: no such system{hint}; known: {', '.join([AUTO, *known])}")
        return asked, f"system={asked} is set"
    missing = []
    for name, kind in known.items():
        if kind.trace is not None:
            found, reason = kind.trace(tables[name], set_keys.get(name, ()))
            if found:
                return name, reason
            missing.append(reason)
    return next(name for name, kind in known.items() if kind.is_fallback), "; ".join(missing)


def choose_several(
    asked: str,
    where: str,
    known: Mapping[str, SystemKind],
    tables: Mapping[str, SystemSettings],
    set_keys: Mapping[str, Collection[str]],
) -> tuple[list[str], str]:
    """Return which systems are measured, the subject first, and why; `asked` names one, or several with commas.

    Raises:
        UserError: there is no such system, one is named twice, or one can't be a rival.
    """
    words = [word.strip() for word in asked.split(",")]
    chosen = [choose(word, where, known, tables, set_keys) for word in words]
    names = [name for name, _ in chosen]
    _refuse_odd(names, names[1:], f"{where}: system = {asked!r}", known)
    return names, f"system={asked} is set" if len(names) > 1 else chosen[0][1]


def rivals_of(subject: str, asked: str, where: str, known: Mapping[str, SystemKind]) -> list[str]:
    """Return the rivals of a subject: those that `asked` names with commas, or with `auto` every known one.

    Raises:
        UserError: there is no such system.
    """
    if asked == AUTO:
        return [name for name, kind in known.items() if kind.is_rival and name != subject]
    names = [word.strip() for word in asked.split(",")]
    if unknown := next((name for name in names if name not in known), None):
        hint = did_you_mean(unknown, list(known))
        raise UserError(f"{where}: rivals = {asked!r}: no system {unknown!r}{hint}; known: {', '.join(known)}")
    _refuse_odd(names, names, f"{where}: rivals = {asked!r}", known)
    return [name for name in names if name != subject]


def _refuse_odd(names: Sequence[str], rivals: Iterable[str], where: str, known: Mapping[str, SystemKind]) -> None:
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UserError(f"{where}: {twice} stands there twice")
    if fallback := next((name for name in rivals if known[name].is_fallback), ""):
        raise UserError(
            f"{where}: {known[fallback].title} is no rival: put it first in system=, to try compbench with it"
        )


def complete(
    root: Path, name: str, kind: SystemKind, values: Mapping[str, Any], places: Mapping[str, str]
) -> SystemSettings:
    """Return a system's settings with its defaults, its folders absolute.

    Raises:
        UserError: a folder is no path.
    """
    own = convert_table(dict(values), kind.settings, f"settings: system.{name}")
    if kind.check is not None:
        kind.check(own, f"{places.get(name, 'settings')}: system.{name}")
    folders = {
        key: str(absolute_folder(root, f"system.{name}.{key}", getattr(own, key), places.get(name, "settings")))
        for key in kind.folders
    }
    return msgspec.structs.replace(own, **folders)


def _is_address(text: str) -> bool:
    try:
        return bool(_ADDRESS.fullmatch(text)) and urlsplit(text).port != 0
    except ValueError:  # a port that there is none of, or a bracket that is not closed
        return False
