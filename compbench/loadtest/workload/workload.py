"""The work of a run, fixed by the seed: which operation request number i is, with which parameters and vector.

Numbers are drawn in chunks of 1024 requests, each from a separate random stream, so any process can take any share of
the requests and the whole is the same; memory does not grow with the run. Searches and completions use a pool of
up to 1000 vectors, which the system's client takes beforehand, so that building a request costs microseconds; a stored
vector is always a new one.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.workload import operations, streams
from compbench.loadtest.workload.operations import COMPLETION, LABELS, RECALL, SEARCH, STORE
from compbench.loadtest.workload.set_identity import rows_identity
from compbench.loadtest.workload.streams import CHUNK
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.model.result import Traversals
from compbench.model.scenario import Operations, Scenario
from compbench.systems.api import NO_THRESHOLD, STORED_FROM, Client, Complete, Search, Store, Traverse

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

POOL_SIZE = 1000
# About so many answers of measured searches are kept for checking: some 20 kB each.
SAMPLE_SIZE = 1000
# A request may be answered half a minute after it was built: chunks are remembered for a while.
_CHUNKS_REMEMBERED = 256


class Draws(NamedTuple):
    """The numbers drawn for a chunk of requests; shape (1024,) each. `chances` decide which answers are kept."""

    operations: NDArray[np.uint8]
    limits: NDArray[np.uint8]
    thresholds: NDArray[np.float32]
    queries: NDArray[np.uint16]
    starts: NDArray[np.uint32]
    chances: NDArray[np.float32]


class Query(NamedTuple):
    """A vector search as it was sent: the number of its vector in the pool, result limit, least similarity if any."""

    number: int
    limit: int
    threshold: float


class Traversal(NamedTuple):
    """A traversal as it was sent: from which prepared memory, how many steps."""

    start: int
    hops: int


class Workload:
    """Requests 0 to `count` - 1, of which the first `warm_up` are not measured.

    Args:
        scenario: operations, data set and graph.
        seed: the same seed makes the same work.
        client: makes the requests, and reads the answers.
        data_seed: of the data set and the vectors that are searched for, whose exact neighbours are kept with it;
            None if it is the scenario's.
        prepared: how many memories of the data set the server was given.
        count: how many requests.
        warm_up: how many of them come before measuring.
        traverses: whether the server can follow edges; if not, similarity recalls take the traversals' place.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        client: Client,
        *,
        data_seed: int | None = None,
        prepared: int,
        count: int,
        warm_up: int = 0,
        traverses: bool = True,
    ) -> None:
        self.scenario, self.seed, self.client, self.prepared = scenario, seed, client, prepared
        self.data_seed = scenario.data_seed if data_seed is None else data_seed
        self.kept: dict[int, bytes] = {}
        self._count, self._warm_up = count, warm_up
        self._hops = {RECALL: scenario.graph.recall_hops, SEARCH: scenario.graph.search_hops} if scenario.graph else {}
        self.traverses = traverses and bool(self._hops)
        shares = _shares(scenario.operations)
        self._bounds = np.cumsum(shares)[:-1]
        checked = (count - warm_up) * float(shares[RECALL] + shares[SEARCH])
        self._keep_chance = min(1.0, SAMPLE_SIZE / max(checked, 1.0))
        self._spaces = scenario.data.memory_spaces
        self._vectors = open_vectors(scenario, self.data_seed)
        self.pool = self._vectors.queries(POOL_SIZE, prepared)
        client.take_queries(self.pool, completes=bool(shares[COMPLETION]))
        self._draws = lru_cache(_CHUNKS_REMEMBERED)(self._draw)

    def operation(self, index: int) -> int:
        """Return which of `LABELS` request number `index` is."""
        return int(self._draws(index // CHUNK).operations[index % CHUNK])

    def build(self, index: int) -> Any:
        """Return request number `index` as the client makes it."""
        draws, place = self._draws(index // CHUNK), index % CHUNK
        operation, number = int(draws.operations[place]), int(draws.queries[place])
        if operation == STORE:
            return self.client.encode(Store(STORED_FROM + index, index % self._spaces, self._stored_vector(index)))
        if self.traverses and operation in self._hops:
            start, hops = int(draws.starts[place]), self._hops[operation]
            return self.client.encode(Traverse(start, hops, operations.TRAVERSAL_LIMIT))
        space = number % self._spaces
        if operation == COMPLETION:
            return self.client.encode(Complete(number, space))
        limit, threshold = int(draws.limits[place]), float(draws.thresholds[place])
        return self.client.encode(Search(number, limit, threshold, space))

    def keeps(self, index: int) -> bool:
        """Tell whether the answer to this request is wanted by `answered`: of a random sample of measured searches."""
        draws, place = self._draws(index // CHUNK), index % CHUNK
        return (
            index >= self._warm_up
            and int(draws.operations[place]) in (RECALL, SEARCH)
            and float(draws.chances[place]) < self._keep_chance
        )

    def answered(self, index: int, body: bytes) -> None:
        """Keep the good answer to a request of the sample; judged after measuring."""
        self.kept[index] = body

    def query(self, index: int) -> Query:
        """Return the vector search that request number `index` is."""
        draws, place = self._draws(index // CHUNK), index % CHUNK
        return Query(int(draws.queries[place]), int(draws.limits[place]), float(draws.thresholds[place]))

    def traversal(self, index: int) -> Traversal:
        """Return the traversal that request number `index` is."""
        draws, place = self._draws(index // CHUNK), index % CHUNK
        return Traversal(int(draws.starts[place]), self._hops[int(draws.operations[place])])

    def traversal_facts(self) -> Traversals:
        """Return, for the report, whether the scenario has traversals and whether they are sent."""
        note = ""
        if self._hops and not self.traverses:
            note = "the server can't follow edges: similarity recalls were measured in place of traversals"
        return Traversals(asked=bool(self._hops), measured=self.traverses, note=note)

    def digest(self) -> str:
        """Return the SHA-256 of the whole work: every operation and parameter, and the vectors.

        Of the stored vectors the first of each 1024 requests is hashed: all come from the same generator, and drawing
        millions once more would take minutes.
        """
        data = rows_identity(self.scenario, self.data_seed)
        facts = (data, self.scenario.graph, self.prepared, self._count, self._warm_up, self.traverses)
        content = hashlib.sha256(msgspec.json.encode(facts))
        content.update(self.pool.tobytes())
        for chunk in range(-(-self._count // CHUNK)):
            draws = self._draw(chunk)
            length = min(CHUNK, self._count - chunk * CHUNK)
            for column in draws:
                content.update(column[:length].tobytes())
            stores = np.flatnonzero(draws.operations[:length] == STORE)
            if len(stores):
                content.update(self._stored_vector(chunk * CHUNK + int(stores[0])).tobytes())
        return content.hexdigest()

    def _draw(self, chunk: int) -> Draws:
        rng = streams.stream(self.seed, streams.DRAWS, chunk)
        kinds = np.searchsorted(self._bounds, rng.random(CHUNK), side="right").astype(np.uint8)
        recall = kinds == RECALL
        limits = zip(operations.RECALL_LIMITS, operations.SEARCH_LIMITS, strict=True)
        low, high = (np.where(recall, *pair) for pair in limits)
        thresholds = np.where(recall, rng.uniform(*operations.RECALL_THRESHOLDS, size=CHUNK), 0.0)
        if self._vectors.metric != "cosine":
            # They mean cosines, and no other number excludes as much of every data set.
            thresholds[:] = NO_THRESHOLD
        return Draws(
            kinds,
            rng.integers(low, high, size=CHUNK, endpoint=True).astype(np.uint8),
            np.round(thresholds, 3).astype(np.float32),
            rng.integers(len(self.pool), size=CHUNK).astype(np.uint16),
            rng.integers(self.prepared, size=CHUNK).astype(np.uint32),
            rng.random(CHUNK, dtype=np.float32),
        )

    def _stored_vector(self, index: int) -> Vectors:
        vector: Vectors = self._vectors.unseen(streams.stream(self.seed, streams.STORED, index), 1, self.prepared)[0]
        return vector


def _shares(weights: Operations) -> NDArray[np.float64]:
    values = np.array(
        [
            weights.store_weight,
            weights.recall_weight,
            weights.embedding_search_weight,
            weights.pattern_completion_weight,
        ]
    )
    assert len(values) == len(LABELS)  # noqa: S101 - one weight for each label
    return np.asarray(values / values.sum())
