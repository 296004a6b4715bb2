"""The settings of Milvus, in the table `system.milvus`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind

# What a search takes if nothing else is said: the vendor's tests and examples of HNSW search with it
# (github.com/milvus-io/pymilvus, examples/example_index.py, and milvus.io/docs/v2.3.x/index.md).
DEFAULT_EFFORT = 64


class MilvusSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`m`, `ef_construction`: of the HNSW index; `metrics_port`: where an endpoint's health is asked.

    The vendor sizes an index for d dimensions with M = 16 and efConstruction = 200 in its own benchmarks
    (milvus.io/docs/v2.3.x/benchmark.md); its range is 2 to 2048 and 1 to 32768 (milvus.io/docs/v2.3.x/index.md).
    """

    # Nothing else is offered: its log is synced as it decides.
    durability: Literal["vendor"] = "vendor"
    m: Annotated[int, msgspec.Meta(ge=2, le=2048)] = 16
    ef_construction: Annotated[int, msgspec.Meta(ge=1, le=32_768)] = 200
    metrics_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 9091


KIND = SystemKind(settings=MilvusSettings, title="Milvus", is_rival=True, unmeasured=frozenset({"metrics_port"}))
