"""The settings of Neo4j, in the table `system.neo4j`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind

MegaBytes = Annotated[int, msgspec.Meta(ge=256, le=1_000_000)]


class Neo4jSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The vector index's definition, the JVM's memory, and which Java runs it; `effort` is the LIMIT of candidates."""

    # What `SHOW VECTOR INDEXES` tells of an index that was created without options, 2026.08.1.
    m: Annotated[int, msgspec.Meta(ge=1, le=512)] = 16
    ef_construction: Annotated[int, msgspec.Meta(ge=1, le=3200)] = 100
    quantization: Literal["binary", "none"] = "binary"
    # What `neo4j-admin server memory-recommendation --memory=8g` prints; the rest is for Lucene's files.
    heap_mb: MegaBytes = 3600
    page_cache_mb: MegaBytes = 2048
    java: str = ""


KIND = SystemKind(settings=Neo4jSettings, title="Neo4j", is_rival=True, unmeasured=frozenset({"java"}))
