"""Sets of the user's own: every format, every mistake in one, and a run against the real server."""

from __future__ import annotations

import json
import mmap
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from compbench.config.scenarios import load_scenario
from compbench.config.set_files import describe_set, set_hashes
from compbench.config.settings import Settings
from compbench.files import content_hashes
from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.nearest import Truth
from compbench.loadtest.workload import own_sets, set_scan, vector_files
from compbench.loadtest.workload.own_sets import FileSet
from compbench.loadtest.workload.set_identity import queries_identity, rows_identity
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.workload import POOL_SIZE
from compbench.model.errors import UserError
from compbench.model.scenario import Scenario
from compbench.preflight import checks
from compbench.store import leftovers, provenance, resume_rules
from compbench.systems.registry import load_settings
from tests.embedded_server import embedded
from tests.project import ROOT

Numbers = NDArray[Any]
COUNT, QUERIES, DIMENSION, DEPTH = 2100, 40, 6, 70


def integers(count: int, dimension: int = DIMENSION, seed: int = 1) -> Numbers:
    """Return rows that every format can hold exactly."""
    return np.random.default_rng(seed).integers(1, 100, (count, dimension)).astype(np.float32)


ROWS, ASKED = integers(COUNT), integers(QUERIES, seed=2)


def nearest(rows: Numbers, queries: Numbers, depth: int = DEPTH, metric: str = "cosine") -> Numbers:
    """Return the nearest rows for each query, best first."""
    lengths = np.linalg.norm(rows, axis=1)
    similarity = queries @ rows.T
    if metric == "cosine":
        similarity /= lengths
    elif metric == "euclidean":  # the nearer the greater; a query's own length changes no order
        similarity -= lengths**2 / 2
    return np.argsort(-similarity, axis=1, kind="stable")[:, :depth].astype(np.int64)


NEAREST = nearest(ROWS, ASKED)


def by_distance(rows: Numbers, queries: Numbers) -> Numbers:
    """Return the nearest rows of each query, best first."""
    distances = np.linalg.norm(rows - queries[:, None], axis=2)
    return np.argsort(distances, axis=1, kind="stable")[:, :DEPTH].astype(np.int64)


def big_ann(path: Path, table: Numbers, kind: str, tail: bytes = b"") -> None:
    path.write_bytes(np.array(table.shape, "<u4").tobytes() + table.astype(kind).tobytes() + tail)


def texmex(path: Path, table: Numbers, kind: str) -> None:
    length = np.array([table.shape[1]], "<i4").tobytes()
    path.write_bytes(b"".join(length + row.astype(kind).tobytes() for row in table))


def parquet(path: Path, column: str, table: Any, identifiers: Any = None, **how: Any) -> None:
    columns = {"id": np.arange(len(table)) if identifiers is None else identifiers, column: list(table)}
    pq.write_table(pa.table(columns), path, **how)


def hdf5(path: Path, distance: Any = "angular", **tables: Numbers) -> None:
    with h5py.File(path, "w") as file:
        for name, table in tables.items():
            file[name] = table
        if distance is not None:
            file.attrs["distance"] = distance


def write_hdf5(folder: Path) -> dict[str, str]:
    hdf5(folder / "set.hdf5", train=ROWS, test=ASKED, neighbors=NEAREST)
    return {"rows": "set.hdf5"}


def write_split_hdf5(folder: Path) -> dict[str, str]:
    hdf5(folder / "rows.h5", train=ROWS)
    hdf5(folder / "asked.h5", None, test=ASKED, neighbors=NEAREST)
    return {"rows": "rows.h5", "queries": "asked.h5"}


def write_fbin(folder: Path) -> dict[str, str]:
    big_ann(folder / "base.fbin", ROWS, "<f4")
    big_ann(folder / "query.fbin", ASKED, "<f4")
    big_ann(folder / "truth.ibin", NEAREST, "<u4", np.zeros(NEAREST.shape, "<f4").tobytes())
    return {"rows": "base.fbin", "queries": "query.fbin", "neighbours": "truth.ibin"}


def write_u8bin(folder: Path) -> dict[str, str]:
    big_ann(folder / "base.u8bin", ROWS, "u1")
    big_ann(folder / "query.i8bin", ASKED, "i1")
    big_ann(folder / "truth.bin", NEAREST, "<u4")
    return {"rows": "base.u8bin", "queries": "query.i8bin", "neighbours": "truth.bin"}


def write_fvecs(folder: Path) -> dict[str, str]:
    texmex(folder / "base.fvecs", ROWS, "<f4")
    texmex(folder / "query.bvecs", ASKED, "u1")
    texmex(folder / "truth.ivecs", NEAREST, "<i4")
    return {"rows": "base.fvecs", "queries": "query.bvecs", "neighbours": "truth.ivecs"}


def write_npy(folder: Path) -> dict[str, str]:
    np.save(folder / "base.npy", np.asfortranarray(ROWS.astype(np.float64)))
    np.save(folder / "query.npy", ASKED.astype(np.float16))
    np.save(folder / "truth.npy", NEAREST)
    return {"rows": "base.npy", "queries": "query.npy", "neighbours": "truth.npy"}


def write_parquet(folder: Path) -> dict[str, str]:
    parquet(folder / "train.parquet", "emb", ROWS, row_group_size=700)
    parquet(folder / "test.parquet", "emb", ASKED)
    parquet(folder / "neighbors.parquet", "neighbors_id", NEAREST)
    return {"rows": "train.parquet", "queries": "test.parquet", "neighbours": "neighbors.parquet"}


def write_shuffled_parts(folder: Path) -> dict[str, str]:
    """Write rows whose ids are not their places, in parts, as VectorDBBench's shuffled sets are."""
    identifiers = np.random.default_rng(3).permutation(COUNT) + 5
    parquet(folder / "shuffle_train-00-of-02.parquet", "emb", ROWS[:1300], identifiers[:1300], row_group_size=500)
    parquet(folder / "shuffle_train-01-of-02.parquet", "emb", ROWS[1300:].astype(np.float64), identifiers[1300:])
    parquet(folder / "test.parquet", "vector", ASKED)
    parquet(folder / "neighbors.parquet", "neighbors_id", identifiers[NEAREST])
    return {"rows": "shuffle_train-*.parquet", "queries": "test.parquet", "neighbours": "neighbors.parquet"}


WRITERS = (
    *(write_hdf5, write_split_hdf5, write_fbin, write_u8bin, write_fvecs),
    *(write_npy, write_parquet, write_shuffled_parts),
)


def told(folder: Path, files: Mapping[str, str], nodes: int = 1000, dimension: int = DIMENSION, **data: int) -> Path:
    """Write a scenario file over an own set, as others write theirs; return its path."""
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in files.items())
    path = folder / "own.toml"
    path.write_text(
        f"""\
name = "Own"
description = "for tests"
arrival = {{ pattern = "constant", rate = 30 }}
operations = {{ store_weight = 1, recall_weight = 0, embedding_search_weight = 3 }}
data = {{ num_nodes = {nodes}, embedding_dim = {dimension}, memory_spaces = {data.get("spaces", 1)} }}
[data_set]
kind = "files"
{lines}"""
    )
    return path


def made(
    folder: Path, files: Mapping[str, str], nodes: int = 1000, dimension: int = DIMENSION, **data: int
) -> Scenario:
    return load_scenario(told(folder, files, nodes, dimension, **data))


def plain(folder: Path, table: Numbers = ROWS, nodes: int = 1000, **keys: str) -> Scenario:
    """Write rows alone; return a scenario about them."""
    np.save(folder / "rows.npy", table)
    return made(folder, {"rows": "rows.npy", **keys}, nodes, table.shape[1])


@pytest.mark.parametrize("write", WRITERS)
def test_each_format_has_its_rows_queries_and_neighbours(
    tmp_path: Path, write: Callable[[Path], dict[str, str]]
) -> None:
    vectors = FileSet(made(tmp_path, write(tmp_path), COUNT))
    assert (vectors.dimension, vectors.size, vectors.metric) == (DIMENSION, COUNT, "cosine")
    for part in (2, 0, 1, 1, 0, 2):  # any part, in any order
        rows = vectors.rows(part)
        assert rows.dtype == np.float32
        assert np.array_equal(rows, ROWS[part * 1024 : (part + 1) * 1024])
    assert np.array_equal(vectors.queries(25, COUNT), ASKED[:25])
    known = vectors.known_neighbours(25, COUNT)
    assert known is not None
    assert known.dtype == np.int64
    assert np.array_equal(known, NEAREST[:25])
    vectors.check_queries()


def test_without_queries_the_last_rows_are_held_back_and_said_to_be(tmp_path: Path) -> None:
    asked = plain(tmp_path)
    vectors = open_vectors(asked, 0)
    assert (vectors.size, FileSet(asked).described) == (
        1890,
        "own set rows.npy, its last 210 rows held back as queries",
    )
    assert np.array_equal(vectors.rows(1), ROWS[1024:1890])
    assert np.array_equal(vectors.queries(1000, 1890), ROWS[1890:])
    assert FileSet(asked).known_neighbours(10, 1890) is None
    assert describe_set(asked) == "own set rows.npy, its last rows held back as queries"


def test_own_queries_are_said_with_the_file_that_has_them(tmp_path: Path) -> None:
    asked = made(tmp_path, write_hdf5(tmp_path))
    assert (FileSet(asked).described, describe_set(asked)) == ("own set set.hdf5, its own queries", "own set set.hdf5")
    asked = made(tmp_path, write_shuffled_parts(tmp_path))
    words = "own set shuffle_train-00-of-02.parquet and 1 more, queries of test.parquet"
    assert FileSet(asked).described == words
    assert describe_set(asked) == "own set shuffle_train-*.parquet, queries of test.parquet"


def test_known_neighbours_serve_only_where_they_are_about_what_is_searched(tmp_path: Path) -> None:
    files = write_hdf5(tmp_path)
    assert FileSet(made(tmp_path, files, COUNT)).known_neighbours(9, COUNT - 1) is None
    assert FileSet(made(tmp_path, files, COUNT, spaces=2)).known_neighbours(9, COUNT) is None
    assert FileSet(made(tmp_path, {**files, "metric": "dot"}, COUNT)).known_neighbours(9, COUNT) is None
    assert FileSet(made(tmp_path, {**files, "metric": "cosine"}, COUNT)).known_neighbours(9, COUNT) is not None
    # Who names a file of neighbours and a metric says that they are of that metric.
    files = write_npy(tmp_path)
    assert FileSet(made(tmp_path, {**files, "metric": "dot"}, COUNT)).known_neighbours(9, COUNT) is not None


@pytest.mark.parametrize("write", [write_hdf5, write_split_hdf5])
def test_neighbours_inside_a_file_can_be_left_out(tmp_path: Path, write: Callable[[Path], dict[str, str]]) -> None:
    files = write(tmp_path)
    listed, computed = made(tmp_path, files, COUNT), made(tmp_path, {**files, "neighbours": "none"}, COUNT)
    assert FileSet(listed).known_neighbours(9, COUNT) is not None
    assert FileSet(computed).known_neighbours(9, COUNT) is None
    FileSet(computed).check_queries()
    assert queries_identity(listed, 1) != queries_identity(computed, 1)
    assert rows_identity(listed, 1) == rows_identity(computed, 1)


def test_wrong_neighbours_inside_a_file_are_refused_with_what_can_be_done(tmp_path: Path) -> None:
    hdf5(tmp_path / "set.hdf5", "euclidean", train=ROWS, test=ASKED, neighbors=NEAREST)

    def truth(**keys: str) -> Truth:
        asked = made(tmp_path, {"rows": "set.hdf5", **keys}, COUNT)
        return ground_truth.compute(asked, COUNT, 1, lambda _elapsed_s, _done: None)

    line = refusal(truth)
    assert line.startswith(f"{tmp_path}/own.toml: data_set.neighbours: those of ")
    assert "are wrong by euclidean" in line
    assert 'set data_set.neighbours = "none"' in line
    found, one = truth(neighbours="none"), np.linalg.norm(ROWS - ASKED[3], axis=1)
    assert np.allclose(-found.similarities[3], np.sort(one)[:64])


@pytest.mark.parametrize(("real", "serves"), [(64, True), (63, False)])
def test_lists_that_are_shorter_than_what_is_checked_are_computed_anew(tmp_path: Path, real: int, serves: bool) -> None:
    files, padded = write_npy(tmp_path), NEAREST.copy()
    padded[3, real:] = -1
    np.save(tmp_path / "truth.npy", padded)
    vectors = FileSet(made(tmp_path, files, COUNT))
    vectors.check_queries()
    known = vectors.known_neighbours(QUERIES, COUNT)
    assert (known is not None and known.shape == (QUERIES, real)) is serves


def test_lists_of_neighbours_may_have_different_lengths_in_parquet(tmp_path: Path) -> None:
    files = write_parquet(tmp_path)
    parquet(tmp_path / "neighbors.parquet", "neighbors_id", [row[: 66 + i % 4] for i, row in enumerate(NEAREST)])
    known = FileSet(made(tmp_path, files, COUNT)).known_neighbours(QUERIES, COUNT)
    assert known is not None
    assert np.array_equal(known, NEAREST[:, :66])


def test_what_the_driver_takes_for_known_is_what_answers_are_checked_with() -> None:
    assert (vars(ground_truth)["DEPTH"], POOL_SIZE) == (own_sets.NEIGHBOURS_NEEDED, own_sets.HELD_BACK)


@pytest.mark.parametrize("among", [1000, COUNT])
def test_stores_are_near_rows_behind_the_loaded_ones_and_never_equal(tmp_path: Path, among: int) -> None:
    vectors = FileSet(made(tmp_path, write_fbin(tmp_path)))
    stored = vectors.unseen(np.random.default_rng(1), 300, among)
    assert stored.shape == (300, DIMENSION)
    assert len(np.unique(stored, axis=0)) == 300
    source = ROWS[among:] if among < COUNT else ROWS
    distance = np.linalg.norm(stored[:, None] - source[None], axis=2).min(axis=1)
    assert distance.min() > 0
    assert (distance / np.linalg.norm(stored, axis=1)).max() < 0.04
    again = vectors.unseen(np.random.default_rng(1), 300, among)
    assert np.array_equal(again, stored)


@pytest.mark.parametrize("size", [1e-24, 1e20])
def test_stores_of_very_small_and_large_rows_are_near_them_too(tmp_path: Path, size: float) -> None:
    vectors = FileSet(plain(tmp_path, ROWS * np.float32(size)))
    stored = vectors.unseen(np.random.default_rng(1), 50, 1890).astype(np.float64) / size
    distances = np.linalg.norm(stored[:, None] - ROWS[None], axis=2).min(axis=1)
    assert distances.min() > 0
    assert (distances / np.linalg.norm(stored, axis=1)).max() < 0.04


@pytest.mark.parametrize("write", [write_fbin, write_fvecs, write_npy])
def test_what_is_sent_while_measuring_is_in_memory_and_not_only_mapped(
    tmp_path: Path, write: Callable[[Path], dict[str, str]]
) -> None:
    files = write(tmp_path)
    if write is write_npy:
        np.save(tmp_path / "base.npy", ROWS)
    vectors = FileSet(made(tmp_path, files))
    for table in (vectors.queries(1000, 1000), vectors._rows_for_stores(1000), vectors.rows(0)):
        base: Any = table
        while base is not None:
            assert not isinstance(base, np.memmap | mmap.mmap)
            base = getattr(base, "base", None)


@pytest.mark.parametrize(
    ("distance", "metric"),
    [(b"angular", "cosine"), ("normalized", "cosine"), ("euclidean", "euclidean"), ("ip", "dot"), (None, "cosine")],
)
def test_the_metric_is_what_the_file_tells_in_either_projects_words(tmp_path: Path, distance: Any, metric: str) -> None:
    hdf5(tmp_path / "set.hdf5", distance, train=ROWS, test=ASKED)
    assert FileSet(made(tmp_path, {"rows": "set.hdf5"})).metric == metric
    assert FileSet(made(tmp_path, {"rows": "set.hdf5", "metric": "dot"})).metric == "dot"


def test_the_metric_may_be_told_by_the_file_of_the_queries(tmp_path: Path) -> None:
    files = write_split_hdf5(tmp_path)
    np.save(tmp_path / "rows.npy", ROWS)
    hdf5(tmp_path / "asked.h5", "l2", test=ASKED, neighbors=NEAREST)
    vectors = FileSet(made(tmp_path, {**files, "rows": "rows.npy"}, COUNT))
    assert vectors.metric == "euclidean"
    assert vectors.known_neighbours(9, COUNT) is not None
    line = refused_set(tmp_path, files, COUNT)
    words = f"{tmp_path}/rows.h5 'cosine' and {tmp_path}/asked.h5 'euclidean': set it to one"
    assert line == f"{tmp_path}/own.toml: data_set.metric: the files tell different distances, {words}"
    by_cosine, by_distance = (FileSet(made(tmp_path, {**files, "metric": m}, COUNT)) for m in ("cosine", "euclidean"))
    assert by_cosine.known_neighbours(9, COUNT) is None, "those beside the queries are by distance"
    assert by_distance.known_neighbours(9, COUNT) is not None


EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```toml\n(.*?)```", (ROOT / "docs/own-sets.md").read_text(), re.DOTALL)


@pytest.mark.parametrize(("code", "table"), EXAMPLES)
def test_the_examples_of_the_documentation_are_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, table: str
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = by_distance(ROWS, ASKED) if "euclidean" in table else NEAREST
    exec(code, {"rows": ROWS, "queries": ASKED, "nearest": listed, "np": np, "h5py": h5py, "pa": pa, "pq": pq})
    path = told(tmp_path, {})
    path.write_text(path.read_text().partition("[data_set]")[0] + table)
    vectors, facts = set_scan.examine(load_scenario(path), tmp_path / "cache")
    assert (facts.count, np.array_equal(vectors.rows(0), ROWS[:1024])) == (COUNT, True)
    known = vectors.known_neighbours(QUERIES, COUNT)
    assert (known is None) is ("neighbours" not in table and "hdf5" not in table)
    ground_truth.compute(load_scenario(whole(path)), vectors.size or 0, 1, lambda _elapsed_s, _done: None)


def whole(path: Path) -> Path:
    """Let the scenario load all rows, as it has to where listed neighbours are used."""
    held_back = 0 if "queries" in path.read_text() or "hdf5" in path.read_text() else COUNT // 10
    path.write_text(path.read_text().replace("num_nodes = 1000", f"num_nodes = {COUNT - held_back}"))
    return path


def test_the_documentation_has_an_example_of_each_kind_of_format() -> None:
    tables = "".join(table for _, table in EXAMPLES)
    assert [ending for ending in ("hdf5", "fbin", "fvecs", "npy", "parquet") if f".{ending}" not in tables] == []
    page = (ROOT / "docs/own-sets.md").read_text()
    assert [ending for ending in vector_files.ENDINGS if f"`{ending}`" not in page] == []


# -- mistakes ---------------------------------------------------------------------------------------------------------


def refusal(act: Callable[[], object]) -> str:
    """Return the one line that something is refused with."""
    with pytest.raises(UserError) as refused:
        act()
    line = str(refused.value)
    assert "\n" not in line
    return line


def refused_set(folder: Path, files: Mapping[str, str], nodes: int = 1000, dimension: int = DIMENSION) -> str:
    return refusal(lambda: FileSet(made(folder, files, nodes, dimension)).check_queries())


def test_a_set_that_does_not_fit_its_scenario_is_refused_with_key_and_value(tmp_path: Path) -> None:
    files = write_npy(tmp_path)
    line = refused_set(tmp_path, files, dimension=7)
    assert line == (
        f"{tmp_path}/own.toml: data.embedding_dim = 7: the vectors of base.npy have 6 dimensions: set it to 6"
    )
    line = refused_set(tmp_path, files, COUNT + 1)
    assert line.endswith("data.num_nodes = 2101: base.npy has 2100 rows: set it to at most 2100")
    line = refused_set(tmp_path, {"rows": "base.npy"}, COUNT)
    assert "has 1890 rows, besides 210 that are held back as queries: set it to at most 1890" in line
    line = refused_set(tmp_path, {**files, "queries": "none.npy"})
    assert f"data_set.queries = 'none.npy': there is no file {tmp_path}/none.npy" in line
    assert "data_set.rows = '*.hdf5': there is no file" in refused_set(tmp_path, {"rows": "*.hdf5"})
    assert "data_set.neighbours: whose" in refused_set(tmp_path, {"rows": "base.npy", "neighbours": "truth.npy"})
    line = refused_set(tmp_path, {"rows": "*.npy", "queries": "query.npy"})
    assert "data_set.rows = '*.npy': has the file of queries, query.npy, too: name the rows alone" in line
    np.save(tmp_path / "few.npy", ROWS[:5])
    assert "few.npy has 5 rows, which leaves none to search for" in refused_set(tmp_path, {"rows": "few.npy"}, 5)


@pytest.mark.parametrize(
    ("key", "table", "said"),
    [
        ("queries", ASKED[:, :5], "queries: odd.npy has 5 dimensions, the rows have 6"),
        ("queries", ASKED[:39], "neighbours: truth.npy has those of 40 queries, there are 39"),
        ("neighbours", NEAREST + 100, r"neighbours: neighbour \d+ of query \d+ is none of the 2100 rows"),
        ("neighbours", NEAREST - 5, r"neighbours: neighbour \d+ of query \d+ is none of the 2100 rows"),
        ("neighbours", NEAREST + 0.5, "neighbours: values of type float64, no whole numbers"),
        ("neighbours", np.insert(NEAREST, 2, -1, axis=1), "query 0 has -1 in front of a neighbour"),
        (
            "queries",
            np.where(np.arange(40)[:, None] == 7, np.inf, ASKED),
            "query 7 of odd.npy has a value that is no finite",
        ),
        ("queries", np.where(np.arange(40)[:, None] == 8, 0, ASKED), "query 8 of odd.npy has no direction"),
        ("rows", ROWS[0], r"odd.npy: has shape \(6,\): vectors are a table"),
        ("rows", ROWS > 1, "odd.npy: has values of type bool"),
        ("rows", ROWS[:0], "odd.npy: has no rows"),
        ("rows", np.array([[{}]]), "odd.npy: can't be read as .npy"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path: Path, key: str, table: Numbers, said: str) -> None:
    np.save(tmp_path / "odd.npy", table)
    assert re.search(said, refused_set(tmp_path, {**write_npy(tmp_path), key: "odd.npy"}))


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    for name in ("x.hdf5", "x.npy", "x.parquet", "x.fvecs", "x.fbin"):
        (tmp_path / name).write_bytes(b"\x05\0\0\0 no such file")
        assert f"{tmp_path}/{name}: " in refused_set(tmp_path, {"rows": name})
    (tmp_path / "x.csv").write_text("1,2\n")
    assert "unknown ending '.csv': known are .hdf5" in refused_set(tmp_path, {"rows": "x.csv"})
    big_ann(tmp_path / "cut.fbin", ROWS, "<f2")
    assert "where its head, 2100 rows of 6 numbers, takes 50408" in refused_set(tmp_path, {"rows": "cut.fbin"})
    texmex(tmp_path / "uneven.fvecs", ROWS, "<f4")
    content = bytearray((tmp_path / "uneven.fvecs").read_bytes())
    content[28 * 9] = 5
    (tmp_path / "uneven.fvecs").write_bytes(content)
    vectors = FileSet(made(tmp_path, {"rows": "uneven.fvecs"}))
    assert "row 9 has another length than the first (6)" in refusal(lambda: vectors.rows(0))


@pytest.mark.parametrize("key", ["rows", "queries"])
@pytest.mark.parametrize("ending", [".bin", ".ibin", ".BIN"])
def test_vectors_under_a_name_of_neighbours_are_refused(tmp_path: Path, key: str, ending: str) -> None:
    files = write_fbin(tmp_path)
    (tmp_path / files[key]).rename(tmp_path / f"vectors{ending}")
    line = refused_set(tmp_path, {**files, key: f"vectors{ending}"})
    assert f"vectors{ending}: {ending} is read as neighbours, not as {key}: rename it .fbin if" in line


def test_hdf5_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    hdf5(tmp_path / "asked.hdf5", test=ASKED)
    assert "has no dataset 'train', only test" in refused_set(tmp_path, {"rows": "asked.hdf5"})
    hdf5(tmp_path / "x.hdf5", "hamming", train=ROWS, test=ASKED)
    assert "x.hdf5 tells the distance 'hamming', by which nothing" in refused_set(tmp_path, {"rows": "x.hdf5"})
    hdf5(tmp_path / "bits.hdf5", train=ROWS > 5)
    assert "train has values of type bool" in refused_set(tmp_path, {"rows": "bits.hdf5"})
    with h5py.File(tmp_path / "group.hdf5", "w") as file:
        file.create_group("train")
    assert "'train' is a group" in refused_set(tmp_path, {"rows": "group.hdf5"})


def test_parquet_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    files = write_parquet(tmp_path)

    def said(name: str, column: str, table: Any, identifiers: Any = None) -> str:
        parquet(tmp_path / name, column, table, identifiers)
        return refused_set(tmp_path, files)

    uneven = [row[: 5 if number == 9 else 6] for number, row in enumerate(ASKED)]
    assert "test.parquet: row 9 has another length than the first (6)" in said("test.parquet", "emb", uneven)
    assert "no column 'emb' of lists of numbers among id, emb" in said("test.parquet", "emb", ASKED[:, 0])
    assert "values that are no numbers (string)" in said("test.parquet", "emb", [["a"] * 6] * QUERIES)
    assert "row 0 of column 'emb' is empty" in said("test.parquet", "emb", [[]])
    write_parquet(tmp_path)
    assert "two rows of train.parquet have the id 4" in said("train.parquet", "emb", ROWS, np.arange(COUNT) // 2 + 4)
    assert "column 'id' has no whole numbers" in said("train.parquet", "emb", ROWS, np.arange(COUNT) / 2)
    odd = "neighbour 0 of query 0 is none of the 2100 rows"
    assert odd in said("train.parquet", "emb", ROWS, np.arange(COUNT) + 10_000)
    np.save(tmp_path / "part-2.npy", ROWS[:, :5])
    np.save(tmp_path / "part-1.npy", ROWS)
    assert "part-2.npy: has 5 numbers a row, part-1.npy has 6" in refused_set(tmp_path, {"rows": "part-*.npy"})


@pytest.mark.parametrize(("package", "write"), [("h5py", write_hdf5), ("pyarrow", write_parquet)])
def test_a_missing_package_is_named_with_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, write: Callable[[Path], dict[str, str]]
) -> None:
    files = write(tmp_path)
    for name in (package, "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    line = refused_set(tmp_path, files)
    assert f"read by {package}, which is not installed: `python -m pip install {package}`" in line


# -- the look at all rows ---------------------------------------------------------------------------------------------


def test_every_row_is_looked_at_once_for_each_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ROWS.copy()
    table[[40, 2000]] = table[7]
    table[50], table[51] = 0.0, -0.0
    asked, cache = plain(tmp_path, table, metric="dot"), tmp_path / "cache"
    facts = set_scan.examine(asked, cache)[1]
    assert (facts.count, facts.compared, facts.repeats) == (COUNT, COUNT, 3)
    assert (facts.not_finite, facts.zero) == (None, 50)
    with monkeypatch.context() as changed:
        changed.setattr(set_scan, "scan_rows", None)
        assert set_scan.examine(asked, cache)[1] == facts
    assert "row 50 of rows.npy has no direction" in refusal(lambda: set_scan.examine(plain(tmp_path, table), cache))
    table[1500, 3], table[1700, 2] = np.nan, np.inf
    asked = plain(tmp_path, table, metric="dot")
    assert "row 1500 of rows.npy has a value that is no finite" in refusal(lambda: set_scan.examine(asked, cache))
    assert {path.parent.name for path in leftovers.in_cache(cache)} == {"own_sets"}


def test_numbers_that_are_too_large_for_float32_are_infinite(tmp_path: Path) -> None:
    table = ROWS.astype(np.float64)
    table[3] = 1e300
    asked = plain(tmp_path, table)
    assert "row 3 of rows.npy has a value that is no finite" in refusal(lambda: set_scan.examine(asked, tmp_path))


def test_of_a_large_table_a_part_is_compared_in_which_no_repetition_is_lost(tmp_path: Path) -> None:
    vectors = FileSet(plain(tmp_path, np.repeat(ROWS[:300], 7, axis=0)))
    facts = set_scan.scan_rows(vectors.table, compared_at_most=400)
    assert 0 < facts.compared < COUNT
    assert facts.repeats == facts.compared * 6 // 7


# -- identity ---------------------------------------------------------------------------------------------------------


def test_what_is_kept_depends_on_the_content_and_not_on_names_or_times(tmp_path: Path) -> None:
    files = write_npy(tmp_path)
    asked = made(tmp_path, files)
    rows, queries = rows_identity(asked, 1), queries_identity(asked, 1)
    os.utime(tmp_path / "base.npy", ns=(1, 1))
    (tmp_path / "base.npy").rename(tmp_path / "renamed.npy")
    renamed = made(tmp_path, {**files, "rows": "renamed.npy"})
    assert (rows_identity(renamed, 2), queries_identity(renamed, 2)) == (rows, queries)
    np.save(tmp_path / "truth.npy", NEAREST[:, ::-1])
    assert rows_identity(renamed, 1) == rows
    assert queries_identity(renamed, 1) != queries
    np.save(tmp_path / "renamed.npy", ROWS + 1)
    assert rows_identity(renamed, 1) != rows
    assert rows_identity(made(tmp_path, {**files, "rows": "renamed.npy", "metric": "dot"}), 1) != rows_identity(
        renamed, 1
    )


def test_the_same_bytes_in_another_format_are_another_set(tmp_path: Path) -> None:
    big_ann(tmp_path / "x.u8bin", ROWS * 2, "u1")
    shutil.copy(tmp_path / "x.u8bin", tmp_path / "x.i8bin")
    one, other = (made(tmp_path, {"rows": f"x.{kind}"}) for kind in ("u8bin", "i8bin"))
    assert not np.array_equal(FileSet(one).rows(0), FileSet(other).rows(0))
    assert rows_identity(one, 1) != rows_identity(other, 1)
    before, after = (provenance.fingerprint(suite_settings(tmp_path), [asked]) for asked in (one, other))
    assert before["set:own"] != after["set:own"]


def test_a_file_is_hashed_once_while_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_hashes, "SETTLED_NS", 0)
    path, cache = tmp_path / "x.bin", tmp_path / "cache"
    path.write_bytes(b"one")
    first = content_hashes.content_hash(path, cache)
    for known in (content_hashes._known, {}):  # of this process, and of an earlier one
        monkeypatch.setattr(content_hashes, "_known", known)
        with monkeypatch.context() as changed:
            changed.setattr("hashlib.file_digest", None)
            assert content_hashes.content_hash(path, cache) == first
    before = path.stat()
    path.write_bytes(b"two")  # of the same size, and with the time set back
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = content_hashes.content_hash(path, cache)
    assert second != first
    (kept,) = (cache / "own_sets").iterdir()
    kept.write_text("damaged")
    monkeypatch.setattr(content_hashes, "_known", {})
    assert content_hashes.content_hash(path, cache) == second
    with pytest.raises(FileNotFoundError):
        content_hashes.content_hash(tmp_path / "none", cache)


def test_a_hash_of_a_file_that_may_still_be_written_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"one")
    first = content_hashes.content_hash(path, tmp_path)
    assert not (tmp_path / "own_sets").exists()
    path.write_bytes(b"two")
    assert content_hashes.content_hash(path, tmp_path) != first


def test_a_file_that_is_dated_in_the_future_is_hashed_once_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"one")
    os.utime(path, ns=(2**62, 2**62))
    monkeypatch.setattr(content_hashes, "_known", {})
    written = path.stat().st_ctime_ns
    with monkeypatch.context() as later:
        later.setattr("time.time_ns", lambda: written + content_hashes.SETTLED_NS)
        first = content_hashes.content_hash(path, tmp_path)
    monkeypatch.setattr("hashlib.file_digest", None)
    assert content_hashes.content_hash(path, tmp_path) == first


def test_another_content_is_another_run(tmp_path: Path) -> None:
    asked, settings = plain(tmp_path), suite_settings(tmp_path)
    before = provenance.fingerprint(settings, [asked])
    np.save(tmp_path / "rows.npy", ROWS + 1)
    after = provenance.fingerprint(settings, [asked])
    (change,) = resume_rules.fingerprint_changes(before, after)
    assert change.startswith("set:own: ")
    now = provenance.inputs_now(settings, asked)
    assert resume_rules.input_changes(before, "own", now)[0] == change
    assert resume_rules.input_changes(after, "own", now) == []
    (tmp_path / "rows.npy").unlink()
    gone = provenance.fingerprint(settings, [asked])
    assert gone["set:own"] == "unreadable"
    (change,) = resume_rules.fingerprint_changes(after, gone)
    assert change.startswith("set:own: ")
    assert resume_rules.input_changes(after, "own", provenance.inputs_now(settings, asked))[0] == change
    assert "can't be read" in refusal(lambda: unreadable(tmp_path))


def unreadable(folder: Path) -> object:
    """Ask for the hash of a file that vanishes meanwhile."""
    asked = plain(folder)

    def gone(path: Path, cache: Path | None) -> str:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr("compbench.config.set_files.content_hash", gone)
        return set_hashes(asked, None)


# -- preflight --------------------------------------------------------------------------------------------------------


def suite_settings(folder: Path, **more: str) -> Settings:
    variables = {"scenarios_dir": str(folder), "cache_dir": str(folder / "cache"), "expected_scenarios": "1"}
    variables |= {"system": "embedded", **more}
    return load_settings(folder, {}, variables)


@pytest.mark.process
@pytest.mark.parametrize(
    ("table", "keys", "level", "code", "found"),
    [
        (ROWS, {}, "ok", "own-sets", "own: own set rows.npy, its last 210 rows held back as queries"),
        (np.vstack([ROWS, ROWS[:2]]), {}, "note", "own-sets-repeat", "own: 2 of 2,102 rows repeat another one exactly"),
        (np.vstack([ROWS, ROWS[:2] * 0]), {}, "critical", "own-sets-refused", "row 2100 of rows.npy, held back as"),
        (ROWS, {"metric": "dot"}, "critical", "metric-refused", "own: dot"),
        (ROWS, {"queries": "x"}, "critical", "own-sets-refused", "own.toml: data_set.queries = 'x': there is no file"),
    ],
)
def test_preflight_says_what_the_vectors_are_or_what_is_wrong_with_them(
    tmp_path: Path, table: Numbers, keys: dict[str, str], level: str, code: str, found: str
) -> None:
    np.save(tmp_path / "rows.npy", table)
    told(tmp_path, {"rows": "rows.npy", **keys})
    finding = checks.run_check("own_sets", suite_settings(tmp_path, system="engram"), tmp_path)
    assert (finding.level, finding.code) == (level, code), finding
    assert found in finding.found
    assert checks.run_check("data_set", suite_settings(tmp_path), tmp_path).level == "ok"


def test_preflight_survives_a_file_that_ends_the_program_which_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(tmp_path)
    monkeypatch.setattr(sys, "executable", "false")
    finding = checks.run_check("own_sets", suite_settings(tmp_path), tmp_path)
    assert finding.found == f"{tmp_path}/own.toml: data_set: reading it ended the program that reads: 1"


def test_preflight_is_quick_and_says_so_where_no_scenario_has_its_own_vectors() -> None:
    finding = checks.run_check("own_sets", load_settings(ROOT, {}, {"system": "embedded"}), ROOT)
    assert (finding.level, finding.found) == ("ok", "not used: no scenario has vectors of its own")


# -- the real driver and server ---------------------------------------------------------------------------------------


def driver(*arguments: str) -> str:
    """Run the driver; return what it said, whatever it judged: a crowded machine makes a measurement invalid."""
    argv = [sys.executable, "-m", "compbench.loadtest", *arguments]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.process
@pytest.mark.parametrize(("distance", "metric"), [("angular", "cosine"), ("ip", "dot"), ("euclidean", "euclidean")])
def test_an_own_set_is_loaded_searched_and_checked(tmp_path: Path, distance: str, metric: str) -> None:
    rng = np.random.default_rng(5)
    rows, asked = (rng.standard_normal((count, 24), dtype=np.float32) for count in (2000, 50))
    rows *= np.linspace(0.5, 2, len(rows), dtype=np.float32)[:, None]  # so that each metric has other neighbours
    hdf5(tmp_path / "set.hdf5", distance, train=rows, test=asked, neighbors=nearest(rows, asked, 100, metric))
    path = told(tmp_path, {"rows": "set.hdf5"}, 2000, 24)
    output, cache = tmp_path / "report.json", str(tmp_path / "cache")
    with embedded(tmp_path) as server:
        common = ("--scenario", str(path), "--endpoint", server.url)
        said = driver("prepare", *common)
        assert "Loaded 2000 memories" in said, said
        said = driver("run", *common, "--duration", "2", "--cache", cache, "--output", str(output))
    found = json.loads(output.read_text())["compbench"]["recall"]
    assert found["answers"] == "ok", said
    assert found["mean"] > 0.97
    assert found["checked"] > 10
