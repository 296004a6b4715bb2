"""Qdrant's server as the runner sees it: started from its binary, configured by variables of its environment."""

from __future__ import annotations

from pathlib import Path

from compbench.systems.api import COLLECTION, Capabilities, ContainerLaunch, Facts, Launch, Place
from compbench.systems.qdrant.settings import QdrantSettings
from compbench.systems.rest_server import RestServer, found_program

_COLLECTION = f"/collections/{COLLECTION}"


class Server(RestServer):
    """The server half of Qdrant."""

    name = "qdrant"
    kept_format = "qdrant 1"
    # Of the image, by its documentation (qdrant.tech/documentation/guides/installation).
    container_data = "/qdrant/storage"
    # It writes all that is in memory when it ends.
    stop_grace_s = 30
    # 65,536 is the limit of its interface (lib/api, VectorParams).
    capabilities = Capabilities(
        metrics=("cosine", "dot", "euclidean"), deletes=True, filters=True, most_dimensions=65_536, effort="hnsw_ef"
    )
    ready_path, version_path = "/readyz", "/"
    shown = (("metrics", "/metrics"), ("collection", _COLLECTION), ("telemetry", "/telemetry?details_level=10"))
    # The header of its API keys (qdrant.tech/documentation/guides/security).
    key_name = "api-key"
    closed_path, metrics_path = _COLLECTION, "/metrics"
    # By its source (src/common/metrics.rs): resident pages of jemalloc, which knows nothing of mapped files.
    metrics_remark = "memory is its allocator's alone (memory_resident_bytes), without mapped files"
    metrics_names = {"resident_bytes": "memory_resident_bytes"}  # noqa: RUF012 - a constant

    def __init__(self, own: QdrantSettings, place: Place) -> None:
        """Take the settings of Qdrant."""
        self.program = found_program(own.program)
        super().__init__(own, place)
        self.how_to_get = (
            "its release binary from https://github.com/qdrant/qdrant/releases (system.qdrant.program=/path/to/qdrant),"
            " or its image docker.io/qdrant/qdrant (system.qdrant.mode=container system.qdrant.image=...)"
        )

    def launch(self, work: Path) -> Launch:
        """Return the command line."""
        launch = super().launch(work)
        return launch._replace(argv=[*launch.argv, "--disable-telemetry"])

    def container(self, work: Path) -> ContainerLaunch:
        """Return how its image is run, whose first process may note in the data folder alone that it began."""
        launch = super().container(work)
        begun = {"QDRANT_INIT_FILE_PATH": f"{self.container_data}/.qdrant-initialized"}
        return launch._replace(environment={**launch.environment, **begun})

    def count(self) -> int | None:
        """Return the count of its collection, which it calls approximate."""
        answer = self.asked(_COLLECTION)
        held = answer.get("result") if isinstance(answer, dict) else None
        count = held.get("points_count") if isinstance(held, dict) else None
        return count if isinstance(count, int) else None

    def facts(self) -> Facts:
        """Return what its settings say, and what its documentation says of its log."""
        own = self.own
        return Facts(
            protocol="HTTP/1.1, JSON",
            index_definition=f"HNSW, m {own.m}, ef_construct {own.ef_construct}, 32 bit floats",
            durability=self.as_owned(
                "written to its log when acknowledged, which is synced every 5 s (flush_interval_sec): survives a crash"
                " of the server, not a loss of power"
            ),
            inserts="seen by the next search (wait=true); scanned until a segment of them is indexed",
        )

    def is_foreign(self, name: str) -> bool:
        """Tell whether a variable of the caller must not reach the server: each of these would configure it."""
        return name.startswith("QDRANT__") or name == "RUN_MODE"

    def environment(self, data: str) -> dict[str, str]:
        """Return its settings; its gRPC interface, which can't be turned off by a variable, gets any free port."""
        return {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.port),
            "QDRANT__SERVICE__GRPC_PORT": "0",
            "QDRANT__STORAGE__STORAGE_PATH": data,
            "QDRANT__STORAGE__SNAPSHOTS_PATH": f"{data}/snapshots",
            "QDRANT__LOG_LEVEL": "WARN",
            "QDRANT__TELEMETRY_DISABLED": "true",
        }
