"""Settings: defaults, then the profile, `compbench.toml`, the environment, and `name=value` on the command line.

The last one that names a key wins. Everything is validated before anything starts; a wrong name or value is one line
that says where it stands and what would be right. Knows nothing of scenarios' contents, processes or runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from compbench.config import system_tables
from compbench.config.folders import FOLDER_KEYS, absolute_folder, absolute_folders
from compbench.config.system_tables import MachineLimits, SystemKind
from compbench.config.toml_tables import convert_table, parse_toml
from compbench.model.errors import UserError, did_you_mean

FILE_NAME = "compbench.toml"
# Sources whose values are texts.
_UNTYPED = ("environment", "command line")
ENVIRONMENT_PREFIX = "COMPBENCH_"
# What only a single invocation can ask for; refused in the file and in the environment.
INVOCATION_KEYS = ("new", "resume", "run", "base", "head")
# Tables: no single word of the environment or the command line can be one.
FILE_KEYS = ("notify",)
# What loading finds out, and nobody can set.
FOUND_KEYS = (
    "system_tables",
    "system_reason",
    "system_is_chosen",
    "auto_choice",
    "default_scale",
    "default_limits",
    "invocation",
)
# Settings that had another name.
RENAMED = {"target": "system"}

# The suite that is specified: it has four scenarios (specification 1), any other as many as its folder has files.
SPECIFIED_SUITE, SPECIFIED_SCENARIOS = "competitive", 4

PROFILES: dict[str, dict[str, Any]] = {
    # Specification 2, 3 and 8: 60 s (each scenario's own total_seconds), 30 s cooldown, a sample every 5 s.
    "full": {"cooldown_s": 30.0, "sample_interval_s": 5.0},
    "quick": {"duration_s": 10, "cooldown_s": 1.0, "sample_interval_s": 1.0},
}

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
_Gigabytes = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Folder = Annotated[str, msgspec.Meta(min_length=1)]
_Name = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


# Specification 1 and 2.
SPECIFIED_LIMITS = MachineLimits(
    min_scenario_memory_gb=4,
    min_available_memory_gb=8,
    warn_total_memory_gb=16,
    min_free_disk_gb=5,
    warn_free_disk_gb=10,
)


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who hears of a run's end, and when. `variables` are the environment variables that hold the addresses."""

    variables: tuple[str, ...] = ()
    on: tuple[Literal["end", "failure", "regression"], ...] = ("failure", "regression")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting, as it holds for one invocation; `compbench.toml` documents each.

    Paths are relative to the project's root until `load_settings` makes them absolute. `system` and `driver` are
    never `auto` after loading; `system_reason` says why the system was chosen, `system_is_chosen` whether somebody
    named it, `auto_choice` which one `auto` means here and why, `system_tables` has the own settings of every known
    system, complete, and `invocation` has the words that ask for the same again. `scenarios_dir` is the suite's
    folder then, and `expected_scenarios` None where a suite may have any number of scenarios.
    """

    system: str = system_tables.AUTO
    systems_dir: _Folder | None = None
    driver: Literal["auto", "loadtest", "builtin"] = "auto"
    profile: Literal["full", "quick"] = "full"
    scale: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    suite: _Name = SPECIFIED_SUITE
    scenarios_dir: _Folder = "scenarios/competitive"
    expected_scenarios: Annotated[int, msgspec.Meta(ge=1)] | None = None
    output_dir: _Folder = "tmp/competitive_benchmarks"
    work_dir: _Folder = "tmp/work"
    cache_dir: _Folder = "tmp/cache"
    port: _Port = 7432

    duration_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    repeat: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    order_seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    connections: Annotated[int, msgspec.Meta(ge=1, le=900)] = 64
    processes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    warm_up_s: _Seconds = 0.0
    cooldown_s: _Seconds = 30.0
    sample_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 5.0
    ready_timeout_s: _Seconds = 60.0
    prepare_timeout_s: _Seconds = 600.0
    capacity_step_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 5
    capacity_repeats: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    capacity_precision_pct: Annotated[float, msgspec.Meta(ge=0.5, le=50)] = 5.0
    capacity_limit_s: _Seconds = 1800.0
    data_set_timeout_s: _Seconds = 7200.0
    data_set_kept_from: Annotated[int, msgspec.Meta(ge=1)] = 50_000
    data_set_save_every_s: _Seconds = 180.0
    driver_grace_s: _Seconds = 60.0
    stop_grace_s: _Seconds = 5.0
    start_retry_delay_s: _Seconds = 10.0
    invalid_retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    quiet_timeout_s: _Seconds = 120.0
    max_others_pct: Annotated[float, msgspec.Meta(gt=0, le=100)] = 10.0
    resume_max_age_h: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 24.0
    max_output_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 256
    flamegraph: bool = True
    report: bool = True
    notify: Notify = Notify()

    min_scenario_memory_gb: _Gigabytes | None = None
    min_available_memory_gb: _Gigabytes | None = None
    warn_total_memory_gb: _Gigabytes | None = None
    min_free_disk_gb: _Gigabytes | None = None
    warn_free_disk_gb: _Gigabytes | None = None
    warn_load: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 2.0
    warn_temperature_c: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 80.0
    auto_choice: tuple[str, str] = ("", "")

    new: bool = False
    resume: str = ""
    run: str = ""
    base: str = ""
    head: str = ""
    system_tables: dict[str, dict[str, Any]] = {}
    system_reason: str = ""
    system_is_chosen: bool = False
    default_scale: float = 1.0
    default_limits: MachineLimits = SPECIFIED_LIMITS
    invocation: tuple[str, ...] = ()

    @property
    def data_scale(self) -> float:
        """Return the share of each scenario's `num_nodes` that `prepare` loads: the system's default unless set."""
        return self.default_scale if self.scale is None else self.scale

    @property
    def limits(self) -> MachineLimits:
        """Return what the machine must offer, with the system's and profile's own defaults filled in."""
        own = {name: getattr(self, name) for name in MachineLimits.__struct_fields__ if getattr(self, name) is not None}
        return msgspec.structs.replace(self.default_limits, **own)


class Layer(NamedTuple):
    """One source of settings: where it is, what it says, and whether its values have types."""

    where: str
    values: dict[str, Any]
    strict: bool


def load_settings(
    root: Path,
    environment: Mapping[str, str],
    variables: Mapping[str, str],
    find_systems: Callable[[Path | None], Mapping[str, SystemKind]],
    invocation: Iterable[str] = ("doit",),
) -> Settings:
    """Read and merge all sources of settings.

    Args:
        root: the project's folder, which holds `compbench.toml` (optional) and to which paths are relative.
        environment: the process environment; only names that begin with `COMPBENCH_` are looked at.
        variables: `name=value` pairs of the command line.
        find_systems: returns the known systems by name, given the folder of those that are not compbench's own.
        invocation: the words that ask for the same again.

    Raises:
        UserError: an unknown name or a value of the wrong type or range, with the source it stands in.
    """
    sources = [
        (str(root / FILE_NAME), _read_file(root / FILE_NAME)),
        ("environment", _read_environment(environment)),
        ("command line", dict(variables)),
    ]
    known = find_systems(_systems_dir(root, sources))
    layers = [_layer(where, values, known) for where, values in sources]
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
    merged = convert_table({**PROFILES[asked.get("profile", "full")], **asked}, Settings, "settings", strict=True)
    return msgspec.structs.replace(_decide(merged, root, places, known, tables), invocation=tuple(invocation))


def variables_of(arguments: Iterable[str]) -> dict[str, str]:
    """Return the `name=value` words of a doit command line, as doit itself takes them."""
    words = (word for word in arguments if not word.startswith("-") and "=" in word)
    return dict(word.split("=", 1) for word in words)


def _layer(where: str, values: dict[str, Any], known: Mapping[str, SystemKind]) -> Layer:
    split = (
        system_tables.split_variables(values, known) if where == "environment" else system_tables.split_names(values)
    )
    return Layer(where, system_tables.expand_shorthands(split, known, where), where not in _UNTYPED)


def _systems_dir(root: Path, sources: Iterable[tuple[str, Mapping[str, Any]]]) -> Path | None:
    """Return the folder of the user's own systems: it must be known before any other setting can be judged."""
    found = [(where, values["systems_dir"]) for where, values in sources if values.get("systems_dir")]
    return absolute_folder(root, "systems_dir", str(found[-1][1]), found[-1][0]) if found else None


def _decide(
    settings: Settings,
    root: Path,
    places: Mapping[str, str],
    known: Mapping[str, SystemKind],
    tables: Mapping[str, Mapping[str, Any]],
) -> Settings:
    """Make paths absolute, `auto` and the suite's folder concrete; any trace of a system means that system."""
    settings = _with_suite(settings, root, places)
    folders = absolute_folders(root, {key: getattr(settings, key) for key in FOLDER_KEYS}, places)
    own = {name: system_tables.complete(root, name, kind, tables.get(name, {}), places) for name, kind in known.items()}
    where = places.get("system", "settings")
    name, reason = system_tables.choose(settings.system, where, known, own, tables)
    kind = known[name]
    small = kind.quick_limits if settings.profile == "quick" else None
    systems_dir = settings.systems_dir and str(absolute_folder(root, "systems_dir", settings.systems_dir, "settings"))
    return msgspec.structs.replace(
        settings,
        **{key: str(folder) for key, folder in folders.items()},
        systems_dir=systems_dir,
        system=name,
        system_reason=reason,
        auto_choice=system_tables.choose(system_tables.AUTO, where, known, own, tables),
        system_is_chosen=settings.system != system_tables.AUTO,
        system_tables={name: msgspec.to_builtins(table) for name, table in own.items()},
        driver=kind.driver if settings.driver == "auto" else settings.driver,
        default_scale=kind.default_scale,
        default_limits=small or SPECIFIED_LIMITS,
    )


def _with_suite(settings: Settings, root: Path, places: Mapping[str, str]) -> Settings:
    """Let `suite`, where it is set, choose among the folders beside `scenarios_dir`, and count what is specified.

    Raises:
        UserError: there is no such folder; names those that are.
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
        return parse_toml(path.read_bytes(), path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None


def _read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = (name for name in environment if name.startswith(ENVIRONMENT_PREFIX))
    return {name.removeprefix(ENVIRONMENT_PREFIX).lower(): environment[name] for name in sorted(names)}


def _refuse_unknown(where: str, values: Mapping[str, Any], systems: Mapping[str, SystemKind]) -> None:
    known = [name for name in Settings.__struct_fields__ if name not in FOUND_KEYS]
    known += [short for kind in systems.values() for short in kind.shorthands]
    if where != "command line":
        known = [name for name in known if name not in INVOCATION_KEYS]
    for name in values:
        if name in FILE_KEYS and where in ("environment", "command line"):
            raise UserError(f"{where}: {name}: it is a table: write it into {FILE_NAME}")
        if name not in known:
            spelt = f"{ENVIRONMENT_PREFIX}{name.upper()}" if where == "environment" else name
            hint = did_you_mean(name, known) or f"; known: {', '.join(dict.fromkeys(known))}"
            if name in RENAMED:
                hint = f": it is called {RENAMED[name]} now"
            if name in INVOCATION_KEYS:
                hint = f": it belongs on the command line, as `doit {name}=...`"
            raise UserError(f"{where}: {spelt}: unknown setting{hint}")
