"""The settings of Qdrant, in the table `system.qdrant`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind


class QdrantSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What can be set of Qdrant, by its own names; the defaults are those of its config/config.yaml (1.18.3).

    Attributes:
        program: its binary, a path or a name on the PATH.
        m: how many links a node of the graph has.
        ef_construct: how many candidates an insert into the graph looks at.
        full_scan_threshold: kB of vectors below which a segment is scanned although it has an index. Its own default
            is 10,000: a small set, or one in many segments, would be scanned, where an index is to be compared.
        indexing_threshold: kB of vectors from which on a segment gets an index while inserts go on.
        durability: an insert is acknowledged before its log is synced, and nothing of that can be set.
    """

    program: Annotated[str, msgspec.Meta(min_length=1)] = "qdrant"
    m: Annotated[int, msgspec.Meta(ge=2, le=512)] = 16
    ef_construct: Annotated[int, msgspec.Meta(ge=4, le=10_000)] = 100
    full_scan_threshold: Annotated[int, msgspec.Meta(ge=0)] = 10
    indexing_threshold: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    durability: Literal["vendor"] = "vendor"


KIND = SystemKind(
    settings=QdrantSettings,
    title="Qdrant",
    is_rival=True,
    unmeasured=frozenset({"program"}),
)
