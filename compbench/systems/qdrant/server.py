"""Qdrant's server as the runner sees it: started from its binary, configured by variables of its environment."""

from __future__ import annotations

from pathlib import Path

from compbench.config.system_tables import Mode
from compbench.systems.api import Capabilities, ContainerLaunch, Facts, Launch, Place
from compbench.systems.qdrant.settings import QdrantSettings
from compbench.systems.rest_server import RestServer, found_program

_COLLECTION = "/collections/compbench"
# Of the image, by its documentation (qdrant.tech/documentation/guides/installation).
_CONTAINER_DATA = "/qdrant/storage"


# It writes all that is in memory when it ends.
_STOP_GRACE_S = 30


class Server(RestServer):
    """The server half of Qdrant."""

    name = "qdrant"
    modes: tuple[Mode, ...] = ("managed", "container", "endpoint")
    kept_format = "qdrant 1"
    # 65,536 is the limit of its interface (lib/api, VectorParams).
    capabilities = Capabilities(
        metrics=("cosine", "dot", "euclidean"), deletes=True, filters=True, most_dimensions=65_536, effort="hnsw_ef"
    )
    ready_path, version_path = "/readyz", "/"
    # The header of its API keys (qdrant.tech/documentation/guides/security).
    key_name = "api-key"

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
        environment = {**self._environment(str(work / "data")), "HOME": str(work / "home")}
        return Launch(
            [self.version_argv()[0], "--disable-telemetry"], environment, configures_qdrant, stop_grace_s=_STOP_GRACE_S
        )

    def container(self, work: Path) -> ContainerLaunch:
        """Return how its image is run, whose first process may note in the data folder alone that it began."""
        del work
        begun = {"QDRANT_INIT_FILE_PATH": f"{_CONTAINER_DATA}/.qdrant-initialized"}
        return ContainerLaunch(self.image, _CONTAINER_DATA, {**self._environment(_CONTAINER_DATA), **begun})

    def count(self) -> int | None:
        """Return the count of its collection, which it calls approximate."""
        answer = self.asked(_COLLECTION)
        held = answer.get("result") if isinstance(answer, dict) else None
        count = held.get("points_count") if isinstance(held, dict) else None
        return count if isinstance(count, int) else None

    def pages(self) -> dict[str, str]:
        """Return metrics, state of the collection, and its counters of each segment."""
        paths = {"metrics": "/metrics", "collection": _COLLECTION, "telemetry": "/telemetry?details_level=10"}
        return {name: f"{self.asked_at}{path}" for name, path in paths.items()}

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

    def _environment(self, data: str) -> dict[str, str]:
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


def configures_qdrant(name: str) -> bool:
    """Tell whether a variable of the caller must not reach the server: each of these would configure it."""
    return name.startswith("QDRANT__") or name == "RUN_MODE"
