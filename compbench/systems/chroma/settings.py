"""The settings of Chroma, in the table `system.chroma`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind

_Width = Annotated[int, msgspec.Meta(ge=2, le=100_000)]


class ChromaSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be set of Chroma, by its own names; the defaults are those that version 1.5.9 answers with.

    Attributes:
        max_neighbors: how many links a node of the graph has.
        ef_construction: how many candidates an insert into the graph looks at.
        ef_search: how many candidates a search looks at. It is fixed when a collection is made: a later change is
            acknowledged, and searches go on as before.
        effort: nothing, since nothing can be set for a single search.
        durability: nothing of it can be set.
    """

    max_neighbors: _Width = 16
    ef_construction: _Width = 100
    ef_search: _Width = 100
    effort: None = None
    durability: Literal["vendor"] = "vendor"


KIND = SystemKind(settings=ChromaSettings, title="Chroma", is_rival=True, of_searches=frozenset())
