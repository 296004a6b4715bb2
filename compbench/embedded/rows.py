"""Memories that were loaded in bulk: only their vectors take room; ids and contents follow from their numbers."""

from __future__ import annotations

import re

import msgspec

_NUMBER = re.compile(r"0|[1-9]\d{0,14}")
_CONTENT = "Load test memory "


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """One stored memory. `key` is its place in the vector index, `stored_at` an RFC 3339 time."""

    key: int
    id: str
    content: str
    confidence: float
    memory_type: str
    tags: list[str]
    stored_at: str
    has_embedding: bool


class MemoryRange(msgspec.Struct, frozen=True, kw_only=True):
    """The memories `prefix` + number, for `count` numbers from `first` on, `step` apart; a number is also the key."""

    prefix: str
    first: int
    step: int
    count: int
    stored_at: str

    @property
    def next_number(self) -> int:
        """Return the number of the row that has to come next."""
        return self.first + self.step * self.count

    def __contains__(self, number: object) -> bool:
        """Tell whether the row of that number is there."""
        return isinstance(number, int) and number in range(self.first, self.next_number, self.step)

    def number_of(self, memory_id: str) -> int | None:
        """Return the number of the row with this id, or None if there is none."""
        digits = memory_id.removeprefix(self.prefix)
        if len(digits) + len(self.prefix) != len(memory_id) or not _NUMBER.fullmatch(digits):
            return None
        return int(digits) if int(digits) in self else None

    def memory(self, number: int) -> Memory:
        """Return the row as a memory."""
        memory_id = f"{self.prefix}{number}"
        return Memory(
            key=number,
            id=memory_id,
            content=f"{_CONTENT}{memory_id}",
            confidence=0.9,
            memory_type="semantic",
            tags=[],
            stored_at=self.stored_at,
            has_embedding=True,
        )

    def numbers_with_word(self, word: str, limit: int) -> list[int]:
        """Return the first rows, up to `limit`, whose content holds the (lower case) word."""
        if word in re.findall(r"\w+", f"{_CONTENT}{self.prefix}".lower()):
            return list(range(self.first, self.next_number, self.step)[:limit])
        return [int(word)] if _NUMBER.fullmatch(word) and int(word) in self else []
