"""The settings of FalkorDB, in the table `system.falkordb`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind


class FalkorSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`m` and `ef_construction` of its HNSW index; `effort` is efRuntime."""

    # The defaults of CREATE VECTOR INDEX: docs.falkordb.com/cypher/indexing/vector-index.
    m: Annotated[int, msgspec.Meta(ge=2, le=512)] = 16
    ef_construction: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 200


KIND = SystemKind(settings=FalkorSettings, title="FalkorDB", is_rival=True)
