"""Values of an event's line, read without trust: another version, or a damaged file, must not stop the page. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# The year 9999, the last that a date can have.
_LATEST_S = 253_370_000_000
ToldEvent = Mapping[str, Any]


def number_told(event: ToldEvent, name: str) -> float | None:
    """Return a finite number, None if there is none of that name."""
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def moment_told(event: ToldEvent, name: str) -> float | None:
    """Return a Unix time that a calendar has, None if there is none."""
    value = number_told(event, name)
    return value if value is not None and 0 < value < _LATEST_S else None


def count_told(event: ToldEvent, name: str) -> int:
    """Return a whole number, 0 where it is left out."""
    return int(number_told(event, name) or 0)


def words_told(event: ToldEvent, name: str) -> str:
    """Return a text, empty where it is left out."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def nested_told(event: ToldEvent, name: str) -> ToldEvent:
    """Return an object within, empty where it is left out."""
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def names_told(event: ToldEvent, name: str) -> list[str]:
    """Return a list of texts, empty where it is left out."""
    value = event.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
