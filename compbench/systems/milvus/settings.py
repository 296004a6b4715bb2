"""The settings of Milvus, in the table `system.milvus`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind


class MilvusSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`m`, `ef_construction`: of the HNSW index; `metrics_port`: where an endpoint's health is asked.

    The vendor has no default for HNSW in this version. These are what it takes itself where it is to choose an index
    (`autoIndex.params.build`, pkg/util/paramtable/autoindex_param.go; the text stands in the program of 2.3.5 too).
    """

    # Nothing else is offered: its log is synced as it decides.
    durability: Literal["vendor"] = "vendor"
    m: Annotated[int, msgspec.Meta(ge=2, le=2048)] = 18
    ef_construction: Annotated[int, msgspec.Meta(ge=1, le=32_768)] = 240
    metrics_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 9091


KIND = SystemKind(settings=MilvusSettings, title="Milvus", is_rival=True, unmeasured=frozenset({"metrics_port"}))
