"""Weaviate as the runner sees it: in a network namespace of its own, since gRPC and its cluster bind all addresses."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from compbench.machine.ask import AskError
from compbench.systems.apart_server import ApartServer
from compbench.systems.api import Capabilities, Facts
from compbench.systems.weaviate.counting import COUNT_QUESTION, WITHOUT_CLASSES, count_of

# Where its metrics are once PROMETHEUS_MONITORING_ENABLED is set (docs.weaviate.io/deploy/configuration/monitoring).
_METRICS_PORT = 2112


class Server(ApartServer):
    """The server half of Weaviate."""

    name = "weaviate"
    program = "bin/weaviate-server"
    capabilities = Capabilities(metrics=("cosine", "euclidean", "dot"), effort="ef")
    # Of the image, by its documentation (docs.weaviate.io/deploy/installation-guides/docker-installation).
    container_data = "/var/lib/weaviate"
    stop_grace_s = 30
    kept_format = "weaviate 1"
    ready_path, version_path = "/v1/.well-known/ready", "/v1/meta"
    closed_path = "/v1/meta"
    shown = (("nodes", "/v1/nodes?output=verbose"), ("meta", "/v1/meta"))

    def arguments(self, data: str) -> list[str]:
        """Return where it answers; what else of its ports listens on all addresses does so on a container's machine."""
        del data
        return ["--host", "127.0.0.1", "--scheme", "http", "--port", str(self.port)]

    def metrics_at(self) -> str:
        """Return where its metrics are, if its owner has switched them on."""
        host = urlsplit(self.endpoint).hostname or ""
        return f"http://{f'[{host}]' if ':' in host else host}:{_METRICS_PORT}/metrics"

    def ports(self) -> list[int]:
        """Return that of its address, and that of its searches."""
        return [*super().ports(), self.own.grpc_port]

    def count(self) -> int | None:
        """Return its exact count; that in the state of its nodes lags behind by seconds."""
        with contextlib.suppress(AskError, ValueError):
            answer = self.question("/v1/graphql", method="POST", body=COUNT_QUESTION)
            if answer.is_ok or WITHOUT_CLASSES in answer.body:
                return count_of(answer.body) if answer.is_ok else 0
        return None

    def facts(self) -> Facts:
        """Return what may differ from other systems."""
        own = self.own
        return Facts(
            protocol="gRPC, all calls of a driver process on one HTTP/2 connection",
            index_definition=f"HNSW, maxConnections {own.m}, efConstruction {own.ef_construction}, 32 bit floats",
            durability=self.as_owned("in its write-ahead log when it is acknowledged, synced as the vendor has it"),
            inserts="seen by the next search",
            caches="its vectors are kept in memory (vectorCacheMaxObjects, default)",
        )

    def environment(self, data: str) -> dict[str, str]:
        """Return its settings, which are variables but for the above."""
        return {
            "PERSISTENCE_DATA_PATH": data,
            "GRPC_PORT": str(self.own.grpc_port),
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "DEFAULT_VECTORIZER_MODULE": "none",
            "CLUSTER_HOSTNAME": "node1",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "DISABLE_TELEMETRY": "true",
            "LOG_LEVEL": "warning",
        }
