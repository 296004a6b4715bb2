"""Which files a scenario's own set is made of, their hashes, and what was seen in them. Opens none, and is light."""

from __future__ import annotations

import glob
import hashlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from compbench.files.content_hashes import content_hash
from compbench.model.errors import UserError
from compbench.model.scenario import GeneratedSet, OwnSet, QueryKind, Scenario, SimilarityMetric

# In place of a file of neighbours: those that a file lists are not used, the exact ones are computed.
NO_LISTED_NEIGHBOURS = "none"
HDF5_ENDINGS = (".hdf5", ".h5")
_QUERIES: dict[QueryKind, str] = {
    "held-out": "held-out draws of the same kind",
    "jittered": "members of the set, moved a little",
    "out-of-distribution": "of another distribution",
}


class SetFiles(NamedTuple):
    """The files of an own set; `rows` are the parts of one table, in order.

    `computes_neighbours` tells that neighbours which a file of rows or queries lists are not used.
    """

    rows: tuple[Path, ...]
    queries: Path | None
    neighbours: Path | None
    computes_neighbours: bool = False


class OwnSetSeen(msgspec.Struct, frozen=True, kw_only=True):
    """An own set that can be searched in: the JSON of `loadtest check-set`.

    `described` is what it is, for readers; `repeats` of the `compared` rows are exactly equal to an earlier one: of a
    large set not all `rows` are compared.
    """

    described: str
    metric: SimilarityMetric
    rows: int
    compared: int
    repeats: int


def set_files(scenario: Scenario) -> SetFiles:
    """Return the files of a scenario's own set; `rows` may have `*`, `?` and `[...]` for a set in several parts.

    Raises:
        UserError: a file is missing, or no own set is asked for; has file, key, value and what to do.
    """
    own, folder = scenario.data_set, scenario.path.parent
    if not isinstance(own, OwnSet):
        raise UserError(f"{scenario.path}: data_set: no set of files")
    rows = [folder / own.rows]
    if not rows[0].is_file():  # a file may be called so
        pattern = str(Path(glob.escape(str(folder))) / own.rows)
        rows = [Path(name) for name in sorted(glob.glob(pattern))] or rows  # noqa: PTH207 - takes absolute ones too
    named = {"rows": own.rows, "queries": own.queries, "neighbours": own.neighbours}
    computes = own.neighbours == NO_LISTED_NEIGHBOURS
    others = {"queries": own.queries, "neighbours": None if computes else own.neighbours}
    places = {key: folder / name for key, name in others.items() if name is not None}
    for key, path in (*(("rows", path) for path in rows), *places.items()):
        if not path.is_file():
            raise UserError(
                f"{scenario.path}: data_set.{key} = {named[key]!r}: there is no file {path}: put it there, or write"
                " its path, which begins at the scenario file's folder"
            )
        if key != "rows" and path in rows:
            raise UserError(
                f"{scenario.path}: data_set.rows = {own.rows!r}: has the file of {key}, {named[key]}, too: name"
                " the rows alone"
            )
    return SetFiles(tuple(rows), places.get("queries"), places.get("neighbours"), computes)


def rows_hash(scenario: Scenario, cache: Path | None) -> str:
    """Return a hash of the content and format of the files of the rows; with no `cache` it is read in each process.

    Raises:
        UserError: a file is missing or can't be read.
    """
    return _hash_of(scenario, list(set_files(scenario).rows), cache)


def set_hashes(scenario: Scenario, cache: Path | None) -> tuple[str, ...]:
    """Return hashes of the content and format of rows, queries and neighbours; empty for one that is not there.

    In place of neighbours that are not to be used is that word.

    Raises:
        UserError: a file is missing or can't be read.
    """
    files = set_files(scenario)
    lists = (list(files.rows), *([path] if path else [] for path in (files.queries, files.neighbours)))
    rows, queries, neighbours = (_hash_of(scenario, paths, cache) if paths else "" for paths in lists)
    return rows, queries, NO_LISTED_NEIGHBOURS if files.computes_neighbours else neighbours


def describe_set(scenario: Scenario, *, with_queries: bool = True) -> str:
    """Return a few words on the vectors that the scenario is about, for readers; opens no file."""
    match scenario.data_set:
        case OwnSet(rows=rows, queries=queries):
            if queries is not None:
                return f"own set {Path(rows).name}, queries of {Path(queries).name}"
            is_hdf5 = Path(rows).suffix.lower() in HDF5_ENDINGS
            return f"own set {Path(rows).name}" + ("" if is_hdf5 else ", its last rows held back as queries")
        case GeneratedSet(seed=seed, queries=kind, near_duplicates=share):
            repeated = f", {100 * share:g} % near duplicates" if share else ""
            queries = f"; queries: {_QUERIES[kind]}" if with_queries else ""
            return f"generated embeddings, seed {seed}{repeated}{queries}"
        case None:
            name = str(scenario.data.embedding_distribution.__struct_config__.tag).replace("_", " ")
            return f"{name} random vectors, seed {scenario.data_seed}"


def _hash_of(scenario: Scenario, paths: list[Path], cache: Path | None) -> str:
    """Hash files in their order, each with the ending of its name: that says what numbers the same bytes are."""
    try:
        facts = [f"{path.suffix.lower()} {content_hash(path, cache)}" for path in paths]
    except OSError as error:
        raise UserError(f"{scenario.path}: data_set: {error.filename}: can't be read ({error.strerror})") from None
    return hashlib.sha256(" ".join(facts).encode()).hexdigest()
