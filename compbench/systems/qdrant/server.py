"""Qdrant's server as the runner sees it: started from its binary, configured by variables of its environment."""

from __future__ import annotations

from pathlib import Path

from compbench.systems.api import Capabilities, Facts, Launch, Place
from compbench.systems.qdrant.settings import QdrantSettings
from compbench.systems.rest_server import RestServer

COLLECTION = "compbench"


class Server(RestServer):
    """The server half of Qdrant."""

    # 65,536 is the limit of its interface (lib/api, VectorParams).
    capabilities = Capabilities(
        metrics=("cosine", "dot", "euclidean"), deletes=True, filters=True, most_dimensions=65_536, effort="hnsw_ef"
    )
    how_to_get = (
        "its release binary from https://github.com/qdrant/qdrant/releases (system.qdrant.program=/path/to/qdrant),"
        " or its image docker.io/qdrant/qdrant"
    )
    ready_path = "/readyz"

    def __init__(self, own: QdrantSettings, place: Place) -> None:
        """Take the settings of Qdrant."""
        super().__init__("qdrant", own.program, own.chosen_mode, own.endpoint or f"http://127.0.0.1:{place.port}")
        self.own, self.port = own, place.port

    def launch(self, work: Path) -> Launch:
        """Return the command line; its gRPC interface, which can't be turned off by a variable, gets any free port."""
        environment = {
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": str(self.port),
            "QDRANT__SERVICE__GRPC_PORT": "0",
            "QDRANT__STORAGE__STORAGE_PATH": str(work / "data"),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(work / "data" / "snapshots"),
            "QDRANT__LOG_LEVEL": "WARN",
            "QDRANT__TELEMETRY_DISABLED": "true",
            "HOME": str(work / "home"),
        }
        return Launch([self.program, "--disable-telemetry"], environment, configures_qdrant)

    def count(self) -> int | None:
        """Return the count of its collection, which it calls approximate."""
        answer = self.asked(f"/collections/{COLLECTION}")
        held = answer.get("result") if isinstance(answer, dict) else None
        count = held.get("points_count") if isinstance(held, dict) else None
        return count if isinstance(count, int) else None

    def pages(self) -> dict[str, str]:
        """Return metrics, state of the collection, and its counters of each segment."""
        paths = {
            "metrics": "/metrics",
            "collection": f"/collections/{COLLECTION}",
            "telemetry": "/telemetry?details_level=10",
        }
        return {name: f"{self.endpoint}{path}" for name, path in paths.items()}

    def facts(self) -> Facts:
        """Return what its settings say, and what its documentation says of its log."""
        own = self.own
        return Facts(
            protocol="HTTP/1.1, JSON",
            index_definition=f"HNSW, m {own.m}, ef_construct {own.ef_construct}, 32 bit floats",
            durability=(
                "written to its log when acknowledged, which is synced every 5 s (flush_interval_sec): survives a crash"
                " of the server, not a loss of power"
            ),
            inserts="seen by the next search (wait=true); scanned until a segment of them is indexed",
        )


def configures_qdrant(name: str) -> bool:
    """Tell whether a variable of the caller must not reach the server: each of these would configure it."""
    return name.startswith("QDRANT__") or name == "RUN_MODE"
