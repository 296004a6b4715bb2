"""Scenario files: TOML in, `Scenario` out, or one line that says which file, key and value is wrong.

Says which files of a folder are scenarios, and which names they may have. Knows nothing of settings, systems or runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compbench.config.toml_tables import convert_table, parse_toml
from compbench.files.regular import read_regular
from compbench.model.errors import UserError
from compbench.model.file_names import RESERVED_ENDINGS
from compbench.model.scenario import U64_MAX, Arrival, GeneratedSet, PeriodicBurst, Scenario, ScenarioFile

# A file system allows 255: timestamp, system, repeat, ending, attempt and `.partial` take some 120 of them.
MOST_NAME_CHARACTERS = 120
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def scenario_names(folder: Path) -> list[str]:
    """Return the stems of the TOML files directly in `folder`, sorted; empty if there is no such folder.

    Raises:
        UserError: a stem can't be a scenario's name (it would escape the output folder, or be taken for another file).
    """
    names = sorted(path.stem for path in folder.glob("*.toml"))
    for name in names:
        check_name(name, folder / f"{name}.toml")
    return names


def check_name(name: str, where: Path) -> None:
    """Refuse a name that can't safely become part of file and task names.

    Raises:
        UserError: the name has other characters than letters, digits, `_`, `-`, `.`, or a reserved ending.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise UserError(
            f"{where}: the file name {name!r} can't name a scenario:"
            " use letters, digits, '_', '-' and single dots, beginning with a letter or digit"
        )
    if len(name) > MOST_NAME_CHARACTERS:
        raise UserError(
            f"{where.parent}: the file name {name[:40]!r}... has {len(name)} characters: a scenario's name has at most"
            f" {MOST_NAME_CHARACTERS}, since result files add theirs: rename the file"
        )
    if re.search(r"_run\d+$", name):
        raise UserError(
            f"{where}: a scenario's name must not end in '_run' and a number, as repeats do: rename the file"
        )
    for ending in RESERVED_ENDINGS:
        if name == ending or name.endswith(f"_{ending}"):
            raise UserError(
                f"{where}: a scenario's name must not end in {ending!r},"
                " because result files with that ending hold something else: rename the file"
            )


def scenario_title(path: Path) -> str:
    """Return the file's `name` for a menu, or say that the file can't be read; never raises for a bad file."""
    try:
        title = parse_toml(read_regular(path), path).get("name")
    except (OSError, UserError):
        title = None
    is_harmless = isinstance(title, str) and title and title.isprintable()
    return str(title) if is_harmless else "unreadable: see `doit preflight:scenarios`"


def load_scenario(path: Path) -> Scenario:
    """Read and validate one scenario file.

    Raises:
        UserError: the file can't be read, is not TOML, or a key is missing, unknown, of a wrong type or out of range.
    """
    check_name(path.stem, path)
    try:
        content = read_regular(path)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror})") from None
    file = _convert(parse_toml(content, path), path)
    if not file.name.isprintable():
        raise UserError(f"{path}: name = {file.name!r}: a title is one line of printable characters")
    if file.operations.total_weight() <= 0:
        raise UserError(f"{path}: operations: all weights are 0: give at least one operation a weight above 0")
    _check_burst(file.arrival, path)
    _check_spaces(file, path)
    return Scenario(
        name=path.stem,
        title=file.name,
        description=file.description,
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        seed=file.seed if file.seed is not None else 0,
        duration_s=file.duration.total_seconds,
        arrival=file.arrival,
        operations=file.operations,
        data=file.data,
        validation=file.validation,
        graph=file.graph,
        data_set=file.data_set,
    )


def load_scenarios(folder: Path, expected_count: int | None) -> list[Scenario]:
    """Read every scenario of `folder`, in the order of their names; with None any number but none is right.

    Raises:
        UserError: the folder is missing, the count is not the expected one, a file is wrong, or two titles are equal.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder: it should hold {expected_count or 'the'} scenario files (setting scenarios_dir)"
        )
    scenarios = [load_scenario(folder / f"{name}.toml") for name in scenario_names(folder)]
    if not scenarios:
        raise UserError(f"{folder}: no scenario files: a suite has at least one, <scenario>.toml")
    if expected_count is not None and len(scenarios) != expected_count:
        raise UserError(
            f"{folder}: {len(scenarios)} scenario files where {expected_count} are expected"
            f" ({', '.join(s.name for s in scenarios)}): put others into a folder beside it, which is a suite of its"
            " own (suite=<folder>), or set expected_scenarios"
        )
    _check_titles(scenarios)
    return scenarios


def _check_titles(scenarios: Iterable[Scenario]) -> None:
    seen: dict[str, Scenario] = {}
    for scenario in scenarios:
        if (other := seen.setdefault(scenario.title, scenario)) is not scenario:
            raise UserError(
                f"{scenario.path}: name = {scenario.title!r} is the name of {other.path.name} too:"
                " give each scenario its own"
            )


def _check_burst(arrival: Arrival, path: Path) -> None:
    if isinstance(arrival, PeriodicBurst) and arrival.burst_duration_sec > arrival.burst_period_sec:
        raise UserError(
            f"{path}: arrival.burst_duration_sec = {arrival.burst_duration_sec}:"
            f" must not be longer than burst_period_sec ({arrival.burst_period_sec})"
        )


def _check_spaces(file: ScenarioFile, path: Path) -> None:
    spaces = file.data.memory_spaces
    if spaces > file.data.num_nodes:
        raise UserError(f"{path}: data.memory_spaces = {spaces}: must be at most num_nodes ({file.data.num_nodes})")
    if file.graph is not None and spaces > 1:
        raise UserError(f"{path}: data.memory_spaces = {spaces}: a graph lies in one space: set it to 1")
    if spaces > 1 and isinstance(file.data_set, GeneratedSet) and file.data_set.queries == "jittered":
        raise UserError(
            f"{path}: data_set.queries = 'jittered': such a query is beside a row of any space, but only one of"
            f" data.memory_spaces = {spaces} is searched: set it to 'held-out'"
        )


def _convert(raw: dict[str, Any], path: Path) -> ScenarioFile:
    if isinstance(seed := raw.get("seed"), int) and seed > U64_MAX:
        raise UserError(f"{path}: seed = {seed}: must be at most {U64_MAX}")
    return convert_table(raw, ScenarioFile, str(path))
