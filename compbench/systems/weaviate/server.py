"""Weaviate as the runner sees it: in a network namespace of its own, since gRPC and its cluster bind all addresses."""

from __future__ import annotations

import contextlib
from pathlib import Path

from compbench.config.system_tables import Mode
from compbench.machine import namespaces
from compbench.machine.ask import AskError
from compbench.systems.apart_server import ApartServer, may_configure
from compbench.systems.api import Capabilities, ContainerLaunch, Facts, Launch
from compbench.systems.weaviate.counting import COUNT_QUESTION, WITHOUT_CLASSES, count_of

# Of the image, by its documentation (docs.weaviate.io/deploy/installation-guides/docker-installation).
_CONTAINER_DATA = "/var/lib/weaviate"
_STOP_GRACE_S = 30


class Server(ApartServer):
    """The server half of Weaviate."""

    name = "weaviate"
    program = "bin/weaviate-server"
    modes: tuple[Mode, ...] = ("managed", "container", "endpoint")
    capabilities = Capabilities(metrics=("cosine", "euclidean", "dot"), effort="ef")
    kept_format = "weaviate 1"
    ready_path, version_path = "/v1/.well-known/ready", "/v1/meta"

    def launch(self, work: Path) -> Launch:
        """Return the command line; its settings are in the environment."""
        return Launch(
            [str(self.installed / self.program), *self._words()],
            {**self._environment(str(work / "data")), "HOME": str(work / "home")},
            may_configure,
            wrapper=namespaces.words_for_new(),
            stop_grace_s=_STOP_GRACE_S,
        )

    def container(self, work: Path) -> ContainerLaunch:
        """Return how its image is run; what of its ports listens on all addresses does so on the machine's, too."""
        del work
        environment, words = self._environment(_CONTAINER_DATA), tuple(self._words())
        return ContainerLaunch(self.image, _CONTAINER_DATA, environment, words, stop_grace_s=_STOP_GRACE_S)

    def count(self) -> int | None:
        """Return its exact count; that in the state of its nodes lags behind by seconds."""
        with contextlib.suppress(AskError, ValueError):
            answer = self.question("/v1/graphql", method="POST", body=COUNT_QUESTION)
            if answer.is_ok or WITHOUT_CLASSES in answer.body:
                return count_of(answer.body) if answer.is_ok else 0
        return None

    def pages(self) -> dict[str, str]:
        """Return its state and version."""
        return {"nodes": f"{self.asked_at}/v1/nodes?output=verbose", "meta": f"{self.asked_at}/v1/meta"}

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

    def _words(self) -> list[str]:
        return ["--host", "127.0.0.1", "--scheme", "http", "--port", str(self.port)]

    def _environment(self, data: str) -> dict[str, str]:
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
