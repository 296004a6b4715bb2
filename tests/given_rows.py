"""Sets whose rows are given, as a file's are, for tests of exact neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.workload.streams import CHUNK
from compbench.model.scenario import SimilarityMetric

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

DIMENSION = 24


class PlainSet:
    """Rows that are given, as a file's are; the queries are near some of them."""

    described = "given rows"

    def __init__(self, rows: Vectors, metric: SimilarityMetric, listed: NDArray[np.int64] | None = None) -> None:
        self.size, self.dimension = rows.shape
        self.metric, self._rows, self._listed = metric, rows, listed

    def rows(self, part: int) -> Vectors:
        return self._rows[part * CHUNK : (part + 1) * CHUNK]

    def queries(self, count: int, among: int) -> Vectors:
        rng = np.random.default_rng(5)
        near = self._rows[rng.choice(among, min(count, among), replace=False)]
        return np.asarray(near + rng.normal(0, 0.3, near.shape) * near.std(), np.float32)

    def unseen(self, rng: np.random.Generator, count: int, among: int) -> Vectors:
        return self._rows[rng.integers(among, size=count)]

    def known_neighbours(self, count: int, among: int) -> NDArray[np.int64] | None:
        del among
        return None if self._listed is None else self._listed[:count]


def spread_rows(count: int = 20_000) -> Vectors:
    """Return rows of very different lengths, far from the origin, some of them repeated, in no space of their own."""
    rng = np.random.default_rng(3)
    rows = rng.normal(5, 1, (count, DIMENSION)) * rng.lognormal(0, 1, (count, 1))
    rows[rng.choice(count, count // 10)] = rows[0]
    return rows.astype(np.float32)
