"""The question for Weaviate's count, which both halves ask; apart from the rest, which loads what only drivers need."""

from __future__ import annotations

import json

# Of GraphQL: only this count is exact at any moment.
COUNT_QUESTION = b'{"query":"{Aggregate{Compbench{meta{count}}}}"}'
# In the 422 that it answers while there is no class at all.
WITHOUT_CLASSES = b"no graphql provider present"


def count_of(answer: bytes) -> int:
    """Return the number in the answer to the question for the count: none while its class is not there.

    Raises:
        ValueError: it has another shape.
    """
    found = (json.loads(answer).get("data") or {}).get("Aggregate") or {}
    return int(found["Compbench"][0]["meta"]["count"]) if found else 0
