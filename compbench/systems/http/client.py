"""A system from a table as the driver sees it: each request is a template that is filled."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import orjson

from compbench.model.errors import UserError
from compbench.model.result import IndexProof
from compbench.systems.api import NO_THRESHOLD, STORED_FROM, UNKNOWN, AnswerError, Loading
from compbench.systems.http.templates import Pieces, filled_in, pieces_of, steps_of, values_at, whole
from compbench.systems.rest_client import NOT_FOUND, RestClient, decoded
from compbench.systems.rival_client import failure_of, numbers_json

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Call, Shape, Vectors
    from compbench.systems.http.settings import HttpSettings

_POLL_S = 0.2


class Client(RestClient):
    """The client half of a system from a table."""

    title = "a system from a table"
    _own: HttpSettings

    def __init__(self, own: HttpSettings, endpoint: str, shape: Shape) -> None:
        """Take the table, and take its texts to pieces once."""
        super().__init__(own, endpoint, shape)
        self._ids, self._count_at = steps_of(own.ids), steps_of(own.count_at)
        self._id = re.compile(re.escape(own.id_prefix) + r"(\d{1,20})")
        effort = {"effort": b"%d" % (own.effort or own.default_effort)}
        method, _, path = own.search.partition(" ")
        self._search_method, self._search_path = method.encode(), filled_in(pieces_of(path), effort)
        self._search_body = filled_in(pieces_of(own.search_body), effort)
        self._threshold = pieces_of(own.search_threshold)
        self._load_body, self._load_row = pieces_of(own.load_body), pieces_of(own.load_row)

    def headers(self) -> dict[str, str]:
        """Return none: a table has no word for a key."""
        return {}

    def search_start(self, vector: Vectors) -> Pieces:
        """Return the body with the vector in it."""
        return filled_in(self._search_body, {"vector": numbers_json(vector)})

    def search(self, start: Any, limit: int, threshold: float) -> Call:
        """Return the request.

        Raises:
            UserError: it has a threshold, and the table has no text for that.
        """
        values = {"limit": b"%d" % limit, "threshold": b""}
        if threshold > 0 and not self._own.search_threshold:
            raise UserError("this scenario's searches have a threshold, and the system's table no search_threshold")
        if threshold != NO_THRESHOLD:
            values["threshold"] = whole(self._threshold, {"value": b"%.9g" % threshold})
        path = whole(self._search_path, values)
        return self._endpoint.request(self._search_method, path, whole(start, values))

    def ids(self, answer: bytes) -> list[int]:
        """Return the numbers of what an answer holds."""
        try:
            found = values_at(orjson.loads(answer), self._ids)
        except orjson.JSONDecodeError as error:
            raise AnswerError(f"an answer is no JSON: {error}") from None
        if found is None:
            raise AnswerError(f"an answer has nothing at {self._own.ids} (key ids of the system's table)")
        return [self._number(each) for each in found]

    async def count(self, ask: Ask) -> int | None:
        """Return its count; 0 if it answers 404, as where nothing was made yet."""
        exchange = await ask(self._call(self._own.count, self._own.count_body.encode()))
        if exchange.problem == NOT_FOUND:
            return 0
        found = values_at(decoded(self.body_of(exchange)), self._count_at) or [None]
        if not isinstance(found[0], int):
            raise UserError(f"{self._url}: the count's answer has no number at {self._own.count_at}")
        return found[0]

    async def begin_loading(self, ask: Ask, count: int) -> Loading:
        """Make what rows are loaded into, if there are none; in turn, so that a count tells which are there."""
        del count
        there = await self.count(ask) or 0
        if not there and self._own.create:
            values = {"dimension": b"%d" % self._shape.dimension, "metric": self._shape.metric.encode()}
            await self.answer(ask, self._call(self._own.create, whole(pieces_of(self._own.create_body), values)))
        return Loading([there], self._own.rows_at_once, in_flight=1)

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        """Return that it is not known: a table has no request for one vector."""
        del ask, number, vector
        return False

    def load(self, first: int, step: int, rows: Vectors) -> Call:
        """Return the request."""
        ids = [self._name(number) for number in range(first, first + step * len(rows), step)]
        values = {"ids": b"[%b]" % b",".join(ids), "vectors": numbers_json(rows)}
        if "rows" in self._load_body:
            pairs = zip(ids, rows, strict=True)
            made = [whole(self._load_row, {"id": id_, "vector": numbers_json(row)}) for id_, row in pairs]
            values["rows"] = b",".join(made)
        return self._call(self._own.load, whole(self._load_body, values))

    async def build_index(self, ask: Ask) -> str:
        """Send the table's request to build, and ask until its answer says that it is built."""
        if self._own.build and not (self._own.built and await self._is_built(ask)):
            exchange = await ask(self._call(self._own.build, self._own.build_body.encode()))
            if not exchange.ok:
                return exchange.explain()
        while self._own.built and not await self._is_built(ask):
            await asyncio.sleep(_POLL_S)
        return ""

    async def prove_index(self, ask: Ask, query: Vectors) -> IndexProof:
        """Return that a table does not tell."""
        del ask, query
        return IndexProof(said="a system from a table has no request that proves it")

    def floor(self) -> Call:
        """Return the question whether it is ready."""
        return self._call(self._own.ready, b"")

    async def remove(self, ask: Ask) -> str:
        """Send the table's request to remove."""
        if not self._own.remove:
            return "its table has no key `remove`"
        return await failure_of(ask, self._call(self._own.remove, b""))

    async def _is_built(self, ask: Ask) -> bool:
        answer = await self.answer(ask, self._call(self._own.built, b""))
        found = values_at(answer, steps_of(self._own.built_at)) or [None]
        return str(found[0]) == self._own.built_is

    def _call(self, request: str, body: bytes) -> bytes:
        method, _, path = request.partition(" ")
        if method == "GET" and not body:
            return self._endpoint.get(path.encode())
        return self._endpoint.request(method.encode(), path.encode(), body)

    def _name(self, number: int) -> bytes:
        """Return the id of a row in JSON: a number, or with a prefix a text."""
        shifted = number + self._own.id_offset
        return b'"%b%d"' % (self._own.id_prefix.encode(), shifted) if self._own.id_prefix else b"%d" % shifted

    def _number(self, held: Any) -> int:
        """Return the row of an id; what none can have is unknown."""
        match = self._id.fullmatch(str(held))
        number = int(match[1]) - self._own.id_offset if match else UNKNOWN
        return number if 0 <= number < 2 * STORED_FROM else UNKNOWN
