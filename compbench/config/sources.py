"""The sources of settings: `compbench.toml`, the environment, and `name=value` on the command line.

They are merged to one `Settings`: the last source that sets a key wins; a key that none sets has the profile's value or
its default. A wrong name or value is refused, before anything starts, by one line that names the source and the values
that are right. Knows nothing of scenarios' contents, processes or runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from compbench.config import system_tables
from compbench.config.credentials import is_credential
from compbench.config.folders import FOLDER_KEYS, absolute_folder, absolute_folders
from compbench.config.settings import (
    FOUND_KEYS,
    INVOCATION_KEYS,
    PROFILES,
    SPECIFIED_LIMITS,
    SPECIFIED_SCENARIOS,
    SPECIFIED_SUITE,
    Settings,
)
from compbench.config.studies import STUDY_DEFAULTS, refuse_isolation_in_noise, study_system, variants_of
from compbench.config.system_tables import SystemKind
from compbench.config.toml_tables import convert_table, parse_toml
from compbench.files.regular import read_regular
from compbench.model import partition
from compbench.model.errors import UserError, did_you_mean
from compbench.model.measurement import RunKind

FILE_NAME = "compbench.toml"
ENVIRONMENT_PREFIX = "COMPBENCH_"
# Sources whose values are texts.
_UNTYPED = ("environment", "command line")
# Tables: no single word of the environment or the command line can be one.
_FILE_KEYS = ("notify",)
# How often each scenario is measured on each of several systems, unless that is set: fewer show no noise.
_COMPARED_REPEAT = 3
# How long each of several systems is warmed up, unless that is set: one that starts on kept data has cold caches.
_COMPARED_WARM_UP_S = {"full": 5.0, "quick": 2.0}
# Settings that had another name.
_RENAMED = {"target": "system"}


class Layer(NamedTuple):
    """One source of settings: its name, its values, and whether these have types (`strict`) or are texts."""

    where: str
    values: dict[str, Any]
    strict: bool


def merge_settings(
    root: Path,
    environment: Mapping[str, str],
    variables: Mapping[str, str],
    find_systems: Callable[[Path | None, Mapping[str, tuple[str, str]]], Mapping[str, SystemKind]],
    invocation: Iterable[str] = ("doit",),
    *,
    with_rivals: bool = False,
    run_kind: RunKind = "suite",
) -> Settings:
    """Read and merge all sources of settings.

    Args:
        root: the project's folder, which holds `compbench.toml` (optional) and to which paths are relative.
        environment: the process environment; only names that begin with `COMPBENCH_` are looked at.
        variables: `name=value` pairs of the command line.
        find_systems: returns the known systems by name, given the folder of those that are not compbench's own, and
            those that tables make, each with its kind and the source of that.
        invocation: the words of the command that resumes this one; settings of the environment are added to them,
            since a shell may have set them for a single call.
        with_rivals: whether the system is compared with the rivals that are set.
        run_kind: what is asked for: a suite, or a study, which has defaults of its own and variants of the system.

    Raises:
        UserError: an unknown name or a value of the wrong type or range, with the source it stands in.
    """
    sources = [
        (str(root / FILE_NAME), _read_file(root / FILE_NAME)),
        ("environment", _read_environment(environment)),
        ("command line", dict(variables)),
    ]
    known = find_systems(_systems_dir(root, sources), system_tables.declared_systems(sources))
    layers = [_layer(where, values, known) for where, values in sources]
    words = (*invocation, *_words_of_environment(layers))
    asked: dict[str, Any] = {}
    places: dict[str, str] = {}
    tables: dict[str, dict[str, Any]] = {}
    for where, values, strict in layers:
        _refuse_unknown(where, values, known)
        table = values.pop("system", {})
        for name, own in system_tables.check_tables(table, known, where, strict=strict).items():
            tables.setdefault(name, {}).update(own)
            places[name] = where
        if system_tables.CHOICE in table:
            values["system"] = table[system_tables.CHOICE]
        checked = convert_table(values, Settings, where, strict=strict)
        asked |= {key: getattr(checked, key) for key in values}
        places |= dict.fromkeys(values, where)
    usual = PROFILES[asked.get("profile", "full")] | STUDY_DEFAULTS.get(run_kind, {})
    merged = convert_table({**usual, **asked}, Settings, "settings", strict=True)
    meant = msgspec.structs.replace(study_system(merged, run_kind, known), run_kind=run_kind)
    decided = _decide(meant, root, places, known, tables, with_rivals=with_rivals)
    return msgspec.structs.replace(_with_variants(decided, root, known), invocation=words)


def _with_variants(settings: Settings, root: Path, known: Mapping[str, SystemKind]) -> Settings:
    """Add the variants that a study measures; where none is meant, the last one is, such as the newer of two builds."""
    variants = variants_of(settings.run_kind, settings, root, known[settings.system])
    if not variants:
        return settings
    of_last = msgspec.structs.replace(settings, variants=variants).of([*variants][-1])
    return msgspec.structs.replace(of_last, variant="")


def variables_of(arguments: Iterable[str]) -> dict[str, str]:
    """Return the `name=value` words of a doit command line, as doit itself takes them."""
    words = (word for word in arguments if not word.startswith("-") and "=" in word)
    return dict(word.split("=", 1) for word in words)


def _layer(where: str, values: dict[str, Any], known: Mapping[str, SystemKind]) -> Layer:
    split = (
        system_tables.split_variables(values, known) if where == "environment" else system_tables.split_names(values)
    )
    return Layer(where, system_tables.expand_shorthands(split, known, where), where not in _UNTYPED)


def _words_of_environment(layers: Iterable[Layer]) -> list[str]:
    """Return the settings of the environment that the command line does not set, as words of a command line."""
    words = {layer.where: system_tables.dotted(layer.values) for layer in layers if not layer.strict}
    named = words["command line"]
    return [f"{name}={value}" for name, value in words["environment"].items() if name not in named]


def _systems_dir(root: Path, sources: Iterable[tuple[str, Mapping[str, Any]]]) -> Path | None:
    """Return the folder of the user's own systems, which decides what other settings there are."""
    found = [(where, values["systems_dir"]) for where, values in sources if values.get("systems_dir")]
    return absolute_folder(root, "systems_dir", str(found[-1][1]), found[-1][0]) if found else None


def _decide(
    settings: Settings,
    root: Path,
    places: Mapping[str, str],
    known: Mapping[str, SystemKind],
    tables: Mapping[str, Mapping[str, Any]],
    *,
    with_rivals: bool,
) -> Settings:
    """Make paths absolute, and replace `auto` and the suite by the system, driver and folder that they mean."""
    settings = _with_suite(settings, root, places)
    _refuse_isolation(settings.isolation, places.get("isolation", "settings"))
    _refuse_hosts(settings, places)
    refuse_isolation_in_noise(settings.run_kind, settings.isolation, places.get("isolation", "settings"))
    folders = absolute_folders(root, {key: getattr(settings, key) for key in FOLDER_KEYS}, places)
    own = {name: system_tables.complete(root, name, kind, tables.get(name, {}), places) for name, kind in known.items()}
    where = places.get("system", "settings")
    names, reason = system_tables.choose_several(settings.system, where, known, own, tables)
    if with_rivals and len(names) == 1:
        names += system_tables.rivals_of(names[0], settings.rivals, places.get("rivals", "settings"), known)
    several, name, kind = len(names) > 1, names[0], known[names[0]]
    small = kind.quick_limits if settings.profile == "quick" else None
    systems_dir = settings.systems_dir and str(absolute_folder(root, "systems_dir", settings.systems_dir, "settings"))
    return msgspec.structs.replace(
        settings,
        **{key: str(folder) for key, folder in folders.items()},
        systems_dir=systems_dir,
        system=name,
        systems=tuple(names) if several else (),
        repeat=_COMPARED_REPEAT if several and "repeat" not in places else settings.repeat,
        warm_up_s=_warm_up_s(settings, places, several=several),
        system_reason=reason,
        auto_choice=system_tables.choose(system_tables.AUTO, where, known, own, tables),
        system_is_chosen=settings.system != system_tables.AUTO,
        system_tables={name: msgspec.to_builtins(table) for name, table in own.items()},
        driver=_driver(
            settings.driver,
            kind,
            where=places.get("driver", "settings"),
            is_own=several or settings.run_kind == "duet" or settings.asked_hosts is not None,
        ),
        default_limits=small or SPECIFIED_LIMITS,
    )


def _refuse_isolation(isolation: str, where: str) -> None:
    """Refuse an isolation that says nothing.

    Raises:
        UserError: it is neither `auto` nor `off`, and names no CPUs.
    """
    try:
        partition.chosen(isolation)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _refuse_hosts(settings: Settings, places: Mapping[str, str]) -> None:
    """Refuse hosts that are none, or that the driver can't send from.

    Raises:
        UserError: they are wrong, or another driver is set.
    """
    where = places.get("scheduler" if settings.scheduler else "hosts", "settings")
    try:
        asked = settings.asked_hosts
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if asked is not None and settings.driver == "loadtest":
        raise UserError(f"{where}: several hosts send by driver=builtin alone, not by driver=loadtest")


def _warm_up_s(settings: Settings, places: Mapping[str, str], *, several: bool) -> float:
    is_default = several and "warm_up_s" not in places
    return _COMPARED_WARM_UP_S[settings.profile] if is_default else settings.warm_up_s


def _driver(asked: str, kind: SystemKind, *, where: str, is_own: bool) -> str:
    """Return the driver, which is compbench's own where several hosts send, or systems or builds are compared.

    That one can ask all of them, and checks their answers.

    Raises:
        UserError: several are to be measured by another driver.
    """
    if not is_own:
        return kind.driver if asked == "auto" else asked
    if asked not in ("auto", "builtin"):
        raise UserError(f"{where}: driver = {asked!r}: several systems or builds are compared by driver=builtin alone")
    return "builtin"


def _with_suite(settings: Settings, root: Path, places: Mapping[str, str]) -> Settings:
    """Let `suite`, where it is set, choose among the folders beside `scenarios_dir`; fill in the specified count.

    Raises:
        UserError: there is no such folder; the folders that exist are named.
    """
    folder = Path(settings.scenarios_dir)
    if "suite" in places:
        known = sorted(path.name for path in (root / folder.parent).expanduser().glob("*") if path.is_dir())
        if settings.suite not in known:
            hint = did_you_mean(settings.suite, known) or f"; known: {', '.join(known) or 'none'}"
            raise UserError(
                f"{places['suite']}: suite = {settings.suite!r}: no such folder in {root / folder.parent}{hint}"
            )
        folder = folder.parent / settings.suite
    suite = settings.suite if "suite" in places else folder.name
    count = settings.expected_scenarios
    if count is None and suite == SPECIFIED_SUITE:
        count = SPECIFIED_SCENARIOS
    return msgspec.structs.replace(settings, suite=suite, scenarios_dir=str(folder), expected_scenarios=count)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_regular(path), path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None


def _read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = (name for name in environment if name.startswith(ENVIRONMENT_PREFIX) and not is_credential(name))
    return {name.removeprefix(ENVIRONMENT_PREFIX).lower(): environment[name] for name in sorted(names)}


def _refuse_unknown(where: str, values: Mapping[str, Any], systems: Mapping[str, SystemKind]) -> None:
    known = [name for name in Settings.__struct_fields__ if name not in FOUND_KEYS]
    known += [short for kind in systems.values() for short in kind.shorthands]
    if where != "command line":
        known = [name for name in known if name not in INVOCATION_KEYS]
    for name in values:
        if name in _FILE_KEYS and where in ("environment", "command line"):
            raise UserError(f"{where}: {name}: it is a table: write it into {FILE_NAME}")
        if name not in known:
            spelt = f"{ENVIRONMENT_PREFIX}{name.upper()}" if where == "environment" else name
            hint = did_you_mean(name, known) or f"; known: {', '.join(dict.fromkeys(known))}"
            if name in _RENAMED:
                hint = f": it is called {_RENAMED[name]} now"
            if name in INVOCATION_KEYS:
                hint = f": it belongs on the command line, as `doit {name}=...`"
            raise UserError(f"{where}: {spelt}: unknown setting{hint}")
