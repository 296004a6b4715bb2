"""What the driver's halves of vector servers have in common: one space, no edges.

A derived client says how rows, searches and counts are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compbench.model.errors import UserError
from compbench.systems.api import Search, Store

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Call, Operation, Pairs, Shape, Vectors

# A server keeps a vector by cosine as one of length 1; another vector of the same cluster is further away than that.
_SAME_VECTOR_COSINE = 0.9999


class PlainClient:
    """The part of a client that is the same for them; `title` is the system's name for readers."""

    title = ""

    def __init__(self, shape: Shape) -> None:
        """Take the data's shape.

        Raises:
            UserError: the data needs several spaces.
        """
        if shape.spaces > 1:
            raise UserError(f"{self.title} has one space, the scenario wants {shape.spaces}: set spaces = 1 in it")
        self._shape = shape
        self._queries: list[Any] = []

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each vector as a request has it, once."""
        del completes
        self._queries = [self.search_start(vector) for vector in pool]

    def encode(self, operation: Operation) -> Call:
        """Return the bytes of the request."""
        if isinstance(operation, Search):
            return self.search(self._queries[operation.query], operation.limit, operation.threshold)
        if isinstance(operation, Store):
            return self.load(operation.number, 1, operation.vector[None])
        raise UserError(f"{self.title} can't do this: {type(operation).__name__}")

    def search_start(self, vector: Vectors) -> Any:
        """Return all of a search that its vector decides, as `search` takes it."""
        raise NotImplementedError

    def search(self, start: Any, limit: int, threshold: float) -> Call:
        """Return the request for the nearest vectors."""
        raise NotImplementedError

    def load(self, first: int, step: int, rows: Vectors) -> Call:
        """Return the request that loads the rows `first`, `first + step` and so on."""
        raise NotImplementedError

    async def follows_edges(self, ask: Ask) -> bool:
        """Return that it does not."""
        del ask
        return False

    def load_edges(self, pairs: Pairs) -> Call:
        """Refuse: it takes none."""
        raise UserError(f"{self.title} takes no edges, such as {len(pairs)}")

    async def edges_held(self, ask: Ask) -> int | None:
        """Return that it takes none."""
        del ask
        return None

    async def begin_measuring(self, ask: Ask) -> None:
        """Do nothing: each search says how widely it looks."""
        del ask


def is_other(held: Any, vector: Vectors) -> bool:
    """Tell whether a vector that a server holds, a list of numbers, has another direction than this one."""
    try:
        found = np.asarray(held, np.float32)
    except (TypeError, ValueError):
        return True
    if found.shape != vector.shape:
        return True
    lengths = float(np.linalg.norm(found) * np.linalg.norm(vector))
    return float(found @ vector) < _SAME_VECTOR_COSINE * lengths
