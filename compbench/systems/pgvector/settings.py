"""The settings of PostgreSQL with pgvector, in the table `system.pgvector`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind

# The limits of pgvector's own parameters.
_M = Annotated[int, msgspec.Meta(ge=2, le=100)]
_EfConstruction = Annotated[int, msgspec.Meta(ge=4, le=1000)]
_Share = Annotated[float, msgspec.Meta(ge=1, le=80)]


class PgvectorSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The definition of the index, and the server's memory.

    Attributes:
        m: links of an element in each layer of the index.
        ef_construction: candidates that are looked at when an element is put into the index.
        shared_buffers_pct: of the memory that the machine has, for the server's cache of pages.
        maintenance_work_mem_pct: of the same, at most, for building an index.
    """

    # Both are pgvector's defaults, and it recommends no others for any size (README of pgvector 0.8.5, "HNSW").
    m: _M = 16
    ef_construction: _EfConstruction = 64
    # "shared_buffers should typically be 25% of the server's memory": the same README, "Tuning", and PostgreSQL 18's
    # documentation, "Resource Consumption".
    shared_buffers_pct: _Share = 25.0
    # "Indexes build significantly faster when the graph fits into maintenance_work_mem", which "should not be so high
    # that it exhausts the memory on the server": the same README, "Index Build Time". A build takes what its graph
    # needs and no more than this.
    maintenance_work_mem_pct: _Share = 25.0


KIND = SystemKind(
    settings=PgvectorSettings,
    title="PostgreSQL with pgvector",
    is_rival=True,
)
