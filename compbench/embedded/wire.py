"""Requests and answers over HTTP: parsed requests, JSON bodies, refusals, and the shapes of the answers.

The shapes are those of Engram's HTTP interface, so that one client fits both. Knows nothing of sockets.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
import numpy as np
import orjson

from compbench.embedded import LEAST_DIMENSION, MOST_DIMENSION
from compbench.embedded.memories import Completion, Match, MemorySpace
from compbench.embedded.rows import Memory
from compbench.embedded.vector_index import Vector

T = TypeVar("T")
JSON = b"application/json"
TEXT = b"text/plain; version=0.0.4"
CONTENT_LIMIT_BYTES = 100_000
# From this similarity on a memory is reported as vivid, below it as associated.
VIVID = 0.7

_SPACE_NAME = re.compile(r"[a-z0-9_-]{3,64}")
_FLOATS = msgspec.json.Decoder(list[float])


class Response(NamedTuple):
    """A response: status, body, content type."""

    status: int
    body: bytes
    content_type: bytes = JSON


class Refusal(Exception):  # noqa: N818 - it is the answer to a bad request, not an error of the server
    """A request that is answered with an error: HTTP status, Engram's error code, one line for a person."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Request(NamedTuple):
    """One request as the handlers see it; `query` values are still percent-encoded."""

    path: str
    query: dict[str, bytes]
    space_header: str | None
    body: bytes

    def text(self, name: str) -> str | None:
        """Return a query parameter as text, or None if it is absent or empty."""
        raw = self.query.get(name)
        return decode_value(raw).decode("utf-8", "replace") if raw else None

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number of the query.

        Raises:
            Refusal: 400, it is no whole number of that range.
        """
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"\d{1,18}", text) or not low <= int(text) <= high:
            raise bad_input(f"{name} = {text!r}: expected a whole number from {low} to {high}")
        return int(text)

    def number(self, name: str, default: float) -> float:
        """Return a finite number of the query, or the default, which may be any.

        Raises:
            Refusal: 400, it is no number.
        """
        text = self.text(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise bad_input(f"{name} = {text!r}: expected a number")
        return value


class RememberBody(msgspec.Struct, kw_only=True):
    """The body of `remember`, and of `POST /api/v1/memories`."""

    content: str
    id: str | None = None
    embedding: list[float] | None = None
    confidence: float = 0.7
    tags: list[str] = []
    memory_type: str = "semantic"
    memory_space_id: str | None = None


class PartialEpisode(msgspec.Struct, kw_only=True):
    """The known part of the episode to complete; null marks a gap of the embedding."""

    known_fields: dict[str, str]
    partial_embedding: list[float | None] = []
    cue_strength: float = 0.7


class CompletionConfig(msgspec.Struct, kw_only=True):
    """How sure and how broad a completion must be."""

    ca1_threshold: float = 0.7
    num_hypotheses: int = 3
    max_iterations: int = 7


class CompleteBody(msgspec.Struct, kw_only=True):
    """The body of `complete`."""

    partial_episode: PartialEpisode
    config: CompletionConfig = msgspec.field(default_factory=CompletionConfig)
    memory_space_id: str | None = None


def bad_input(message: str) -> Refusal:
    """Make the refusal of a malformed request (400)."""
    return Refusal(400, "INVALID_MEMORY_INPUT", message)


def unfit(message: str) -> Refusal:
    """Make the refusal of a well-formed request that can't be met (422)."""
    return Refusal(422, "MEMORY_VALIDATION_ERROR", message)


def parse_query(raw: bytes) -> dict[str, bytes]:
    """Split a query string; of a name that comes twice the last value counts. Values stay encoded."""
    return {name.decode("latin-1"): value for name, _, value in (part.partition(b"=") for part in raw.split(b"&"))}


def decode_value(raw: bytes) -> bytes:
    """Undo percent and plus encoding; the brackets around a number list are replaced apart, for speed."""
    if raw.startswith(b"%5B") and raw.endswith(b"%5D"):
        raw = b"[%b]" % raw[3:-3]
    if b"%" in raw:
        raw = raw.replace(b"%2C", b",")
    raw = raw.replace(b"+", b" ")
    return unquote_to_bytes(raw) if b"%" in raw else raw


def decode_body(raw: bytes, kind: type[T]) -> T:
    """Decode a JSON body.

    Raises:
        Refusal: 400 if it is not JSON, 422 if a field is missing or of a wrong type.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise unfit(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_input(f"the body is not JSON: {error}") from None


def decode_floats(raw: bytes) -> list[float]:
    """Decode a percent-encoded JSON array of numbers.

    Raises:
        Refusal: 400, it is none.
    """
    try:
        return _FLOATS.decode(decode_value(raw))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_input(f"embedding: not a JSON array of numbers: {error}") from None


def check_dimension(count: int, space: MemorySpace) -> None:
    """Check how many numbers a vector for this space has.

    Raises:
        Refusal: 400, not its dimension.
    """
    if space.dimension is None and LEAST_DIMENSION <= count <= MOST_DIMENSION:
        return
    if count != space.dimension:
        expected = space.dimension or f"{LEAST_DIMENSION} to {MOST_DIMENSION}"
        raise bad_input(f"embedding has {count} dimensions, expected {expected}")


def as_vector(floats: list[float], space: MemorySpace) -> Vector:
    """Make a vector for this space, shape (dimension,).

    Raises:
        Refusal: 400, wrong number of floats, or a vector without direction where that is compared.
    """
    check_dimension(len(floats), space)
    with np.errstate(over="ignore"):
        vector = np.array(floats, dtype=np.float32)
    if not np.isfinite(vector).all() or not (vector.any() or space.metric in {"dot", "euclidean"}):
        raise bad_input("embedding: expected finite 32 bit floats, not all of them zero")
    return vector


def check_space_name(name: str) -> str:
    """Return the name of a memory space, if it can be one.

    Raises:
        Refusal: 422, it can't.
    """
    if not _SPACE_NAME.fullmatch(name):
        raise unfit(f"memory space {name!r}: expected 3 to 64 characters of a-z, 0-9, '_' and '-'")
    return name


def json_answer(content: dict[str, Any], status: int = 200) -> Response:
    """Encode an answer; NumPy vectors become arrays of the shortest floats that mean the same 32 bit value."""
    return Response(status, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))


def refusal_answer(refusal: Refusal) -> Response:
    """Give an error the form that Engram's have."""
    error = {
        "code": refusal.code,
        "message": str(refusal),
        "educational_context": "",
        "cognitive_guidance": [],
    }
    return json_answer({"error": error, "documentation": {}}, refusal.status)


def stored_answer(memory: Memory) -> Response:
    """Confirm a stored memory (201)."""
    content = {
        "memory_id": memory.id,
        "storage_confidence": _confidence(memory.confidence, "as given with the memory"),
        "consolidation_state": "Recent",
        "observed_at": memory.stored_at,
        "stored_at": memory.stored_at,
        "links": {"consolidation": f"/api/v1/memories/{memory.id}"},
        "auto_links": [],
        "system_message": "stored",
    }
    return json_answer(content, 201)


def recall_answer(matches: list[Match], path: str, metadata: dict[str, Any] | None) -> Response:
    """Report what a recall found, best first; `path` says how it was found."""
    items = [_recalled(memory, similarity, path) for memory, similarity in matches]
    vivid = sum(match.similarity >= VIVID for match in matches)
    best = matches[0].similarity if matches else 0.0
    content = {
        "memories": {"vivid": items[:vivid], "associated": items[vivid:], "reconstructed": []},
        "recall_confidence": _confidence(best, "similarity of the best match"),
        "query_analysis": {"search_strategy": path},
        "metadata": metadata,
        "system_message": f"{len(items)} memories recalled",
    }
    return json_answer(content)


def search_answer(matches: list[Match]) -> Response:
    """Report what a text search found, best first."""
    items = [
        {
            "id": memory.id,
            "content": memory.content,
            "confidence": memory.confidence,
            "memory_type": memory.memory_type,
            "timestamp": memory.stored_at,
        }
        for memory, _ in matches
    ]
    return json_answer({"memories": items, "total": len(items)})


def completion_answer(done: Completion, episode: PartialEpisode, known: int) -> Response:
    """Report a completed episode with where its parts come from; `known` is how many coordinates were given."""
    best, *others = done.sources
    dimension = len(done.embedding)
    what = episode.known_fields.get("what", best.memory.content)
    content = {
        "completed_episode": {**episode.known_fields, "what": what, "embedding": done.embedding},
        "completion_confidence": best.similarity,
        "source_attribution": [{"memory_id": memory.id, "similarity": s} for memory, s in done.sources],
        "alternative_hypotheses": [{"what": memory.content, "confidence": s} for memory, s in others],
        "metacognitive_confidence": best.similarity * known / dimension,
        "reconstruction_stats": {"known_dimensions": known, "filled_dimensions": dimension - known, "iterations": 1},
    }
    return json_answer(content)


def memory_content(memory: Memory) -> dict[str, Any]:
    """Describe a memory as the list and the single memory do."""
    return {
        "id": memory.id,
        "content": memory.content,
        "confidence": memory.confidence,
        "memory_type": memory.memory_type,
        "tags": memory.tags,
        "timestamp": memory.stored_at,
        "tier": "hot",
    }


def _recalled(memory: Memory, similarity: float, path: str) -> dict[str, Any]:
    return {
        "id": memory.id,
        "content": memory.content,
        "confidence": {"value": memory.confidence},
        "activation_level": similarity,
        "similarity_score": similarity,
        "retrieval_path": path,
        "observed_at": memory.stored_at,
        "last_access": memory.stored_at,
        "tags": memory.tags,
        "memory_type": memory.memory_type,
        "relevance_explanation": path,
    }


def _confidence(value: float, reasoning: str) -> dict[str, Any]:
    category = "High" if value >= VIVID else "Medium" if value >= VIVID / 2 else "Low"
    return {"value": value, "category": category, "reasoning": reasoning}
