"""The settings of Redis, in the table `system.redis`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from compbench.config.system_tables import RivalSettings, SystemKind


class RedisSettings(RivalSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`m` and `ef_construction` of its HNSW index; `effort` is EF_RUNTIME."""

    # The defaults of FT.CREATE: redis.io/docs/latest/develop/ai/search-and-query/vectors, HNSW index.
    m: Annotated[int, msgspec.Meta(ge=2, le=512)] = 16
    ef_construction: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 200


KIND = SystemKind(settings=RedisSettings, title="Redis", is_rival=True)
