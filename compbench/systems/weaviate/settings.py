"""The settings of Weaviate, in the table `system.weaviate`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind


class WeaviateSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`m` and `ef_construction`: of the HNSW index, as the vendor's default; `grpc_port`: where searches are asked.

    Its source has the defaults: maxConnections 32, efConstruction 128 (entities/vectorindex/hnsw/config.go).
    """

    # Nothing else is offered: its log is synced as it decides.
    durability: Literal["vendor"] = "vendor"
    m: Annotated[int, msgspec.Meta(ge=4, le=2047)] = 32
    ef_construction: Annotated[int, msgspec.Meta(ge=4, le=4096)] = 128
    grpc_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 50_051


KIND = SystemKind(settings=WeaviateSettings, title="Weaviate", is_rival=True, unmeasured=frozenset({"grpc_port"}))
