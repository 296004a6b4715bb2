"""Texts with placeholders such as `{{vector}}`, and paths into answers such as `result.points[].id`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\{\{(\w*)\}\}")
_NOTHING = frozenset[str]()
# The texts that have placeholders, and which.
KNOWN: Mapping[str, frozenset[str]] = {
    "create_body": frozenset({"dimension", "metric"}),
    "load_body": frozenset({"rows", "ids", "vectors"}),
    "load_row": frozenset({"id", "vector"}),
    "search_body": frozenset({"vector", "limit", "effort", "threshold"}),
    "search_threshold": frozenset({"value"}),
    "count_body": _NOTHING,
    "build_body": _NOTHING,
    "search": frozenset({"limit", "effort"}),
}
TEXT_KEYS = tuple(KNOWN)

# A text in pieces: bytes as they are, names of placeholders as texts.
Pieces = list[bytes | str]


def placeholders(text: str) -> set[str]:
    """Return the names of the placeholders in a text."""
    return set(_PLACEHOLDER.findall(text))


def pieces_of(text: str) -> Pieces:
    """Return a text in pieces."""
    parts = _PLACEHOLDER.split(text)
    return [part if number % 2 else part.encode() for number, part in enumerate(parts)]


def filled_in(pieces: Pieces, values: Mapping[str, bytes]) -> Pieces:
    """Return the pieces with those placeholders filled that have a value, and neighbours joined."""
    found: Pieces = [b""]
    for piece in pieces:
        value = values.get(piece, piece) if isinstance(piece, str) else piece
        if isinstance(value, bytes) and isinstance(found[-1], bytes):
            found[-1] += value
        else:
            found.append(value)
    return found


def whole(pieces: Pieces, values: Mapping[str, bytes]) -> bytes:
    """Return the text with every placeholder filled."""
    return b"".join(values[piece] if isinstance(piece, str) else piece for piece in pieces)


def steps_of(path: str) -> list[str]:
    """Return the keys of a path; `[]` is one, which means each of a list."""
    return [step for part in path.split(".") for step in re.split(r"(\[\d*\])", part) if step]


def values_at(answer: Any, steps: list[str]) -> list[Any] | None:
    """Return what stands in an answer at a path: one value, or with `[]` as many as there are; None if it has not."""
    if not steps:
        return [answer]
    first, *rest = steps
    if first == "[]":
        if not isinstance(answer, list):
            return None
        parts = [values_at(item, rest) for item in answer]
        return None if None in parts else [value for part in parts if part for value in part]
    if first.startswith("["):
        number = int(first[1:-1])
        is_there = isinstance(answer, list) and number < len(answer)
        return values_at(answer[number], rest) if is_there else None
    return values_at(answer[first], rest) if isinstance(answer, dict) and first in answer else None
