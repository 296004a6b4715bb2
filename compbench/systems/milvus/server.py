"""Milvus as the runner sees it: the standalone server in a network namespace of its own, since it binds all addresses.

Beside its own port it takes nine fixed ones, whatever it is told; and it writes to `/run/milvus` and `/tmp/milvus`,
which it sees empty and which vanish with it.
"""

from __future__ import annotations

import contextlib
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

from compbench.machine import namespaces
from compbench.machine.ask import AskError
from compbench.systems.apart_server import ApartServer
from compbench.systems.api import Capabilities, ContainerLaunch, Facts, Launch

_METRICS_BYTES = 4_000_000
# Of a server that began empty every row was inserted since.
_ROWS = re.compile(r"^milvus_proxy_insert_vectors_count\S* (\S+)$", re.MULTILINE)
_VERSION = re.compile(r'^milvus_build_info\{.*\bversion="([^"]+)"', re.MULTILINE)
# With a loaded collection it waits for somebody to take that over, up to 1800 s (`common.gracefulStopTimeout`).
_HAND_OVER_S = 1


class Server(ApartServer):
    """The server half of Milvus; rows that are not flushed can't be counted, and its running log not be copied."""

    name = "milvus"
    program = "bin/milvus"
    # Of the image, by scripts/standalone_embed.sh of its repository.
    container_data = "/var/lib/milvus"
    stop_signal = signal.SIGINT
    # It ended after a second, but not within 30 s right after its collection was dropped: then it is killed.
    stop_grace_s = 10
    capabilities = Capabilities(metrics=("cosine", "euclidean", "dot"), most_dimensions=32_768, effort="ef")
    ready_path, metrics_path = "/healthz", "/metrics"
    shown = (("health", "/healthz"), ("metrics", "/metrics"))

    @property
    def asked_at(self) -> str:
        """Return where its health and metrics are: on another port than the rest, without credentials."""
        host = urlsplit(self.endpoint).hostname or ""
        return f"http://{f'[{host}]' if ':' in host else host}:{self.own.metrics_port}"

    def headers(self) -> dict[str, str]:
        """Return none: a key must not go over a port that is not encrypted."""
        return {}

    def ports(self) -> list[int]:
        """Return the port of its calls, and that of its health."""
        return [*super().ports(), self.own.metrics_port]

    def arguments(self, data: str) -> list[str]:
        """Return its command; its settings are in the environment."""
        del data
        return ["run", "standalone"]

    def environment(self, data: str) -> dict[str, str]:
        """Return its settings."""
        return {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self.own.metrics_port),
            "PROXY_PORT": str(self.port),
            "LOG_LEVEL": "warn",
            "COMMON_GRACEFULSTOPTIMEOUT": str(_HAND_OVER_S),
            "ETCD_DATA_DIR": f"{data}/etcd",
            "LOCALSTORAGE_PATH": f"{data}/files",
            "ROCKSMQ_PATH": f"{data}/rocksmq",
        }

    def wrapper(self, work: Path) -> tuple[str, ...]:
        """Return the words that put it apart, where it sees the folders empty that it writes to whatever it is told."""
        return namespaces.words_for_new(("/run", "/tmp"), (work, self.installed))  # noqa: S108 - to hide it

    def launch(self, work: Path) -> Launch:
        """Return the command line of the standalone server, which finds its libraries and settings, and logs apart."""
        launch, folder = super().launch(work), self.installed
        libraries = {"LD_LIBRARY_PATH": str(folder / "bin"), "MILVUSCONF": str(folder / "configs")}
        logs = {"ETCD_LOG_PATH": str(work / "etcd.log"), "LOG_FILE_ROOTPATH": str(work / "logs")}
        return launch._replace(environment={**launch.environment, **libraries, **logs})

    def container(self, work: Path) -> ContainerLaunch:
        """Return how its image is run; its ports listen on all addresses, which are the machine's there."""
        launch = super().container(work)
        # By the same script.
        within = {"ETCD_USE_EMBED": "true", "COMMON_STORAGETYPE": "local"}
        words = ("milvus", *launch.arguments)
        return launch._replace(environment={**launch.environment, **within}, arguments=words)

    def version_told(self) -> str:
        """Return the version that is in its metrics."""
        found = _VERSION.search(self._metrics())
        return f"milvus {found[1]}" if found else ""

    def count(self) -> int | None:
        """Return the number of rows, from its metrics; of a user's server those count other collections, too."""
        said = "" if self.mode == "endpoint" else self._metrics()
        return sum(int(float(number)) for number in _ROWS.findall(said)) if said else None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise it by program and command."""
        return super().recognise(executable, argv, name) if executable is None or argv[1:2] == ["run"] else ""

    def facts(self) -> Facts:
        """Return what may differ from other systems."""
        return Facts(
            protocol="gRPC, all calls of a driver process on one HTTP/2 connection",
            index_definition=f"HNSW, M {self.own.m}, efConstruction {self.own.ef_construction}, 32 bit floats",
            durability=self.as_owned("in its log (RocksDB) when it is acknowledged, not synced"),
            inserts="consistency Bounded (default): a search may miss the last 5 s; new rows await an index",
        )

    def _metrics(self) -> str:
        with contextlib.suppress(AskError):
            return self.question("/metrics", most_bytes=_METRICS_BYTES).text
        return ""
