"""Whether the generated embeddings have the shape of real ones, how hard they are to search, and how fast they come.

    python -m benchmarks.data_set shape  [rows=20000] [dimension=768] [seed=1] [real=path.npy]
    python -m benchmarks.data_set recall [rows=20000] [dimension=768] [seed=1] [real=path.npy] [queries=held-out]
    python -m benchmarks.data_set speed  [rows=200000] [dimension=768] [seed=1]

`shape` prints each figure with the range that is wanted, and ends with 1 if one is outside of it; `real=` puts the same
figures of an array of one's own beside it, shape (rows, dimension). `recall` builds an index with usearch (connectivity
16, expansion_add 128, float16) and prints recall@10 against the effort of a search; an array of one's own is searched
with the rows that follow the first `rows`. `speed` prints rows a second by one and by two processes, and what the
machine needs for as many normal random numbers and for a product with a square matrix, measured in turn with it; where
others use the cores, the figures of processor time count. Rows are made when they are needed: memory does not grow with
`rows`, except for the index.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from compbench.loadtest.workload.embeddings import Embeddings
from compbench.loadtest.workload.streams import CHUNK
from compbench.model.scenario import QueryKind

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

BLOCK = 8 * CHUNK
SAMPLE, NEIGHBOURS = 1000, 100
SHARES = (5, 25, 75, 95)
COVARIANCE_ROWS = 100_000
NEAR = 0.95
EFFORTS = (16, 32, 64, 128, 256, 512)
QUERIES, ANSWERS = 1000, 10
THREADS = 2
ROUNDS = 5


class Set(NamedTuple):
    """A set of vectors of length 1: how many, and a function that yields all in order, in blocks of 8192 or fewer."""

    name: str
    rows: int
    blocks: Callable[[], Iterator[Vectors]]


class Wanted(NamedTuple):
    """The range that a figure is to be in."""

    least: float
    most: float


# What sets of real models have; sources in docs/data.md.
WANTED = {
    "local intrinsic dimension, median": Wanted(15, 30),
    "participation ratio of the covariance": Wanted(80, 250),
    "cosine of random pairs, mean": Wanted(0.0, 0.47),
    "cosine of nearest neighbours, mean": Wanted(0.5, 0.9),
    "share of rows with a neighbour at 0.95 or nearer": Wanted(0, 0),
}


def generated(embeddings: Embeddings, rows: int) -> Set:
    """Return the first rows of a generated set."""

    def blocks() -> Iterator[Vectors]:
        for begin in range(0, rows, BLOCK):
            parts = range(begin // CHUNK, -(-min(rows, begin + BLOCK) // CHUNK))
            yield np.concatenate([embeddings.rows(part) for part in parts])[: rows - begin]

    return Set("generated", rows, blocks)


def stored(path: Path, rows: int) -> Set:
    """Return the first rows of an array in a file, scaled to length 1."""
    array = np.load(path, mmap_mode="r")[:rows]

    def blocks() -> Iterator[Vectors]:
        for begin in range(0, len(array), BLOCK):
            block = np.asarray(array[begin : begin + BLOCK], np.float32)
            yield block / np.linalg.norm(block, axis=1, keepdims=True)

    return Set("real", len(array), blocks)


def held_out(path: Path, rows: int) -> Vectors:
    """Return up to 1000 rows of an array in a file that come after the first `rows`, scaled to length 1."""
    after = np.asarray(np.load(path, mmap_mode="r")[rows : rows + QUERIES], np.float32)
    if not len(after):
        raise SystemExit(f"{path} has no more than {rows} rows: none is left to search with")
    queries: Vectors = after / np.linalg.norm(after, axis=1, keepdims=True)
    return queries


def chosen_rows(data: Set, numbers: NDArray[np.int64]) -> Vectors:
    """Return the rows of those numbers, which ascend; shape (numbers, dimension)."""
    blocks = (block[numbers[numbers // BLOCK == place] % BLOCK] for place, block in enumerate(data.blocks()))
    return np.concatenate(list(blocks))


class Nearest:
    """The nearest of all rows so far to each query: `cosines` and `numbers`, shape (queries, count), best first."""

    def __init__(self, queries: Vectors, count: int, own: NDArray[np.int64] | None = None) -> None:
        self._queries, self._own, self._seen = queries, own, 0
        self.cosines = np.full((len(queries), count), -2, np.float32)
        self.numbers = np.full((len(queries), count), -1, np.int64)

    def see(self, block: Vectors) -> None:
        """Compare all queries with more rows; a query that is one of the rows itself is not its own neighbour."""
        found = self._queries @ block.T
        if self._own is not None:
            here = np.flatnonzero((self._own >= self._seen) & (self._own < self._seen + len(block)))
            found[here, self._own[here] - self._seen] = -2
        count = self.cosines.shape[1]
        best = np.argpartition(-found, min(count, len(block)) - 1, axis=1)[:, :count]
        cosines = np.concatenate([self.cosines, np.take_along_axis(found, best, axis=1)], axis=1)
        numbers = np.concatenate([self.numbers, best + self._seen], axis=1)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        self.cosines = np.take_along_axis(cosines, order, axis=1)
        self.numbers = np.take_along_axis(numbers, order, axis=1)
        self._seen += len(block)


def local_dimensions(cosines: Vectors) -> NDArray[np.float64]:
    """Return the maximum likelihood estimate of the dimension around each row from its neighbours' cosines, best first.

    From the Euclidean distances of vectors of length 1 (Levina and Bickel 2004; Amsaleg et al. 2015).
    """
    distances = np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), 1e-12))
    estimates: NDArray[np.float64] = -1 / np.log(distances[:, :-1] / distances[:, -1:]).mean(axis=1)
    return estimates


def spread(data: Set) -> tuple[float, float]:
    """Return participation ratio of the covariance and mean cosine of pairs, of the first 100,000 rows."""
    total: NDArray[np.float64] | float = 0.0
    products: NDArray[np.float64] | float = 0.0
    count = 0
    for block in islice(data.blocks(), -(-COVARIANCE_ROWS // BLOCK)):
        total = total + block.sum(axis=0, dtype=np.float64)
        products = products + (block.T @ block).astype(np.float64)
        count += len(block)
    mean = np.asarray(total) / count
    covariance = np.asarray(products) / count - np.outer(mean, mean)
    pairs = (count * mean @ mean - 1) / (count - 1)
    # The squares of all entries sum up to those of the eigenvalues.
    return float(np.trace(covariance) ** 2 / (covariance**2).sum()), float(pairs)


def figures(data: Set) -> dict[str, float]:
    """Return all figures of a set by their names."""
    numbers = np.sort(np.random.default_rng(0).choice(data.rows, min(SAMPLE, data.rows), replace=False))
    nearest = Nearest(chosen_rows(data, numbers), NEIGHBOURS, numbers)
    for block in data.blocks():
        nearest.see(block)
    dimensions, cosines = local_dimensions(nearest.cosines), nearest.cosines[:, 0]
    ratio, pairs = spread(data)
    return {
        "local intrinsic dimension, median": float(np.median(dimensions)),
        **{
            f"local intrinsic dimension, P{share}": float(np.percentile(dimensions, share)) for share in (5, 25, 75, 95)
        },
        "participation ratio of the covariance": ratio,
        "cosine of random pairs, mean": pairs,
        "cosine of nearest neighbours, mean": float(cosines.mean()),
        **{f"cosine of nearest neighbours, P{share}": float(np.percentile(cosines, share)) for share in SHARES},
        "cosine of 10th neighbours, median": float(np.median(nearest.cosines[:, 9])),
        "cosine of 100th neighbours, median": float(np.median(nearest.cosines[:, -1])),
        "share of rows with a neighbour at 0.95 or nearer": float((cosines >= NEAR).mean()),
    }


def shape(sets: list[Set]) -> bool:
    """Print the figures of the sets beside each other; tell whether those of the first are as wanted."""
    columns = [figures(data) for data in sets]
    print(f"{'figure':50}" + "".join(f"{data.name:>12}" for data in sets) + f"{'wanted':>16}  met")
    good = True
    for name in columns[0]:
        values = "".join(f"{column[name]:12.3f}" for column in columns)
        wanted = WANTED.get(name)
        met = wanted is None or wanted.least <= columns[0][name] <= wanted.most
        good = good and met
        stated = f"{wanted.least:g} to {wanted.most:g}" if wanted else ""
        print(f"{name:50}{values}{stated:>16}  {('ok' if met else 'NOT') if wanted else ''}".rstrip())
    print(f"{sets[0].rows} rows; neighbours of {SAMPLE} of them among all")
    return good


def recall(data: Set, queries: Vectors) -> None:
    """Build an index of a set and print recall@10 of the queries against the effort."""
    index = Index(ndim=queries.shape[1], metric="ip", dtype="f16", connectivity=16, expansion_add=128)
    nearest = Nearest(queries, ANSWERS)
    number, spent_s = 0, 0.0
    for block in data.blocks():
        nearest.see(block)
        began = time.perf_counter()
        index.add(np.arange(number, number + len(block)), block, threads=THREADS)
        spent_s += time.perf_counter() - began
        number += len(block)
    print(
        f"{data.name}: {data.rows} rows, index built in {spent_s:.0f} s, nearest at {nearest.cosines[:, 0].mean():.3f}"
    )
    for effort in EFFORTS:
        index.expansion_search = effort  # type: ignore[misc]  # it has a setter
        found = index.search(queries, ANSWERS, threads=THREADS).keys.astype(np.int64)
        shares = [len(np.intersect1d(a, b)) / ANSWERS for a, b in zip(found, nearest.numbers, strict=True)]
        print(f"  effort {effort:4}: recall@{ANSWERS} {statistics.fmean(shares):.4f}", flush=True)


class Rate(NamedTuple):
    """Rows a second, of processor time and as the clock has it."""

    processor: float
    clock: float


def rate(make_chunk: Callable[[int], object], parts: range) -> Rate:
    """Make chunks of 1024 rows and return how many rows a second that was."""
    make_chunk(parts[0])
    began, began_s = time.process_time(), time.perf_counter()
    for part in parts:
        make_chunk(part)
    rows = len(parts) * CHUNK
    return Rate(rows / (time.process_time() - began), rows / (time.perf_counter() - began_s))


def generating(dimension: int, seed: int, parts: range) -> Rate:
    """Return how fast rows are generated."""
    return rate(Embeddings(dimension, seed).rows, parts)


def limits(dimension: int, parts: range) -> dict[str, Rate]:
    """Return how fast one core makes as many normal random numbers, and products of the rows with a square matrix."""
    rng, shape = np.random.default_rng(0), (CHUNK, dimension)
    rows = rng.standard_normal(shape, np.float32)
    matrix = rng.standard_normal((dimension, dimension), np.float32)
    return {
        "normal numbers": rate(lambda _: rng.standard_normal(shape, np.float32), parts),
        "one product": rate(lambda _: rows @ matrix, parts),
    }


def speed(rows: int, dimension: int, seed: int) -> None:
    """Print rows a second of one process, of two at once, and the machine's own rates, in rounds."""
    count = max(2, rows // CHUNK // ROUNDS)
    found: dict[str, list[Rate]] = {}
    with ProcessPoolExecutor(THREADS, mp_context=get_context("spawn")) as workers:
        for turn in range(ROUNDS):
            first = turn * count
            halves = [range(first, first + count // 2), range(first + count // 2, first + count)]
            measured = {"one process": generating(dimension, seed, range(first, first + count))}
            measured |= limits(dimension, range(count))
            both = list(workers.map(partial(generating, dimension, seed), halves))
            measured["two processes"] = Rate(*(sum(rates) for rates in zip(*both, strict=True)))
            for name, reached in measured.items():
                found.setdefault(name, []).append(reached)
    for name, rates in found.items():
        processor, clock = (statistics.median(column) for column in zip(*rates, strict=True))
        print(f"{name:16}{processor:10.0f} rows a second of processor time, {clock:8.0f} by the clock")
    for name in ("normal numbers", "one product"):
        ratios = [
            ours.processor / limit.processor for ours, limit in zip(found["one process"], found[name], strict=True)
        ]
        print(f"rows of {dimension} dimensions come {statistics.median(ratios):.2f} times as fast as {name} for them")


def one_thread_each() -> None:
    """Start this program anew with one thread for matrix products, unless it is so already: cores are counted."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.data_set", *sys.argv[1:]])


def main() -> int:
    """Do what the first argument says."""
    what = sys.argv[1] if len(sys.argv) > 1 else "shape"
    given = dict(word.split("=", 1) for word in sys.argv[2:])
    rows, dimension, seed = (
        int(given.get(key, default)) for key, default in (("rows", 20_000), ("dimension", 768), ("seed", 1))
    )
    if what == "speed":
        one_thread_each()
        speed(int(given.get("rows", 200_000)), dimension, seed)
        return 0
    embeddings = Embeddings(dimension, seed)
    real = Path(given["real"]) if "real" in given else None
    sets = [generated(embeddings, rows)] + ([stored(real, rows)] if real else [])
    if what == "shape":
        return 0 if shape(sets) else 1
    kind = next(kind for kind in get_args(QueryKind) if kind == given.get("queries", "held-out"))
    recall(sets[0], embeddings.queries(kind, QUERIES, rows))
    if real:
        recall(sets[1], held_out(real, rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
