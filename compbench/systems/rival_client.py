"""What the driver's halves of rivals have in common; a rival's `Client` derives from it and says what is its own.

A rival has one memory space, knows a vector by its number, and is asked as `search`, `stored` and `load` say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from compbench.config.credentials import credentials_in
from compbench.model.errors import UserError
from compbench.systems.api import AnswerError, Search, Store, Traverse

if TYPE_CHECKING:
    from compbench.config.system_tables import RivalSettings
    from compbench.systems.api import Ask, Call, Operation, Pairs, Shape, Vectors
    from compbench.transport.exchange import Exchange

# A server keeps a vector by cosine as one of length 1; another vector of the same cluster is further away than that.
_SAME_VECTOR_COSINE = 0.9999


class RivalClient:
    """The defaults of a rival's client half.

    A derived class sets these, and defines `transport`, `search_start`, `search`, `found`, `load` and all else of a
    client that is not here; one that follows edges defines `walk`, `load_edges` and `edges_held`, too.

    Attributes:
        name: of its folder, as in `system=<name>`; its credentials are known by it.
        title: its name for readers.
        has_edges: whether it follows edges.
        default_effort: the effort of a search where the settings have none; 0 for its limit, or none.
        unreadable: what reading an answer of another shape raises.
    """

    name = ""
    title = ""
    has_edges = False
    default_effort = 0
    unreadable: tuple[type[Exception], ...] = (ValueError,)

    def __init__(self, own: RivalSettings, endpoint: str, shape: Shape) -> None:
        """Take the rival's settings, where it is asked, and the data's shape.

        Raises:
            UserError: the data needs several memory spaces.
        """
        if shape.spaces > 1:
            wanted = f"the scenario wants {shape.spaces}: set data.memory_spaces = 1 in it"
            raise UserError(f"{self.title} has one memory space, {wanted}")
        self._own: Any = own
        self._url, self._shape = endpoint, shape
        self._credentials = credentials_in(own.chosen_mode, self.name)
        self._effort = own.effort or self.default_effort
        self._queries: list[Any] = []

    # While measuring.

    def take_queries(self, pool: Vectors, *, completes: bool) -> None:
        """Write each vector as a request has it, once."""
        del completes
        self._queries = [self.search_start(vector) for vector in pool]

    def encode(self, operation: Operation) -> Call:
        """Return the request.

        Raises:
            UserError: it has none for such an operation.
        """
        if isinstance(operation, Search):
            return self.search(self._queries[operation.query], operation.limit, operation.threshold)
        if isinstance(operation, Store):
            return self.stored(operation.number, operation.vector)
        if isinstance(operation, Traverse) and self.has_edges:
            return self.walk(operation.start, operation.hops, operation.limit)
        raise UserError(f"{self.title} can't do this: {type(operation).__name__}")

    def search_start(self, vector: Vectors) -> Any:
        """Return all of a search that its vector decides, as `search` takes it."""
        raise NotImplementedError

    def search(self, start: Any, limit: int, threshold: float) -> Call:
        """Return the request for the nearest vectors; a threshold that is not above 0 leaves out none."""
        raise NotImplementedError

    def stored(self, number: int, vector: Vectors) -> Call:
        """Return the request that stores one vector: as a load of one row, unless there is a way of its own."""
        return self.load(number, 1, vector[None])

    def walk(self, start: int, hops: int, limit: int) -> Call:
        """Return the request for what 1 to so many steps along edges lead to."""
        raise NotImplementedError

    # After measuring.

    def ids(self, answer: bytes) -> list[int]:
        """Return the numbers that an answer holds.

        Raises:
            AnswerError: it has another shape.
        """
        try:
            return self.found(answer)
        except self.unreadable as error:
            raise AnswerError(f"an answer has another shape than {self.title}'s: {error}") from None

    def found(self, answer: bytes) -> list[int]:
        """Return the numbers that an answer holds; what it raises for one of another shape is `unreadable`."""
        raise NotImplementedError

    # Outside of any schedule.

    async def follows_edges(self, ask: Ask) -> bool:
        """Tell whether it follows edges, which needs no asking."""
        del ask
        return self.has_edges

    def load(self, first: int, step: int, rows: Vectors) -> Call:
        """Return the request that loads the rows `first`, `first + step` and so on."""
        raise NotImplementedError

    def load_edges(self, pairs: Pairs) -> Call:
        """Refuse: it takes none."""
        raise UserError(f"{self.title} takes no edges, such as {len(pairs)}")

    async def edges_held(self, ask: Ask) -> int | None:
        """Return that it takes none."""
        del ask
        return None

    async def begin_measuring(self, ask: Ask) -> None:
        """Do nothing: each search, or each connection, says how widely it looks."""
        del ask

    def answered(self, exchange: Exchange) -> Exchange:
        """Return an exchange that was answered, if only with a failure.

        Raises:
            UserError: there is no answer at all.
        """
        if not exchange.is_answered:
            raise UserError(f"{self._url}: no answer ({exchange.problem}): is {self.title} running there?")
        return exchange

    def body_of(self, exchange: Exchange, what: str = "") -> bytes:
        """Return the answer of an exchange that succeeded; `what` was to be had stands in the message if it did not.

        Raises:
            UserError: there is no answer, or it reports a failure.
        """
        if not self.answered(exchange).ok:
            raise UserError(f"{self._url}: {f'{what}: ' if what else ''}{exchange.explain()}")
        return b"".join(exchange.body)


async def failure_of(ask: Ask, call: Call) -> str:
    """Return why a call failed, or an empty text."""
    exchange = await ask(call)
    return "" if exchange.ok else exchange.explain() or "no answer"


async def first_missing(count: int, is_there: Callable[[int], Awaitable[Any]]) -> int:
    """Return the first of so many rows that is not there, given that all before it are; `count` if none is missing."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if await is_there(middle) else (low, middle)
    return low


def numbers_json(numbers: Any, kind: Any = np.float32) -> bytes:
    """Return the shortest JSON that reads back as the same numbers of that kind."""
    return orjson.dumps(np.ascontiguousarray(numbers, kind), option=orjson.OPT_SERIALIZE_NUMPY)


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
