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

from compbench.config.system_tables import Mode
from compbench.machine import namespaces
from compbench.machine.ask import AskError
from compbench.systems.apart_server import ApartServer, may_configure
from compbench.systems.api import Capabilities, ContainerLaunch, Facts, Launch

_METRICS_BYTES = 4_000_000
# Of a server that began empty every row was inserted since.
_ROWS = re.compile(r"^milvus_proxy_insert_vectors_count\S* (\S+)$", re.MULTILINE)
_VERSION = re.compile(r'^milvus_build_info\{.*\bversion="([^"]+)"', re.MULTILINE)
# With a loaded collection it waits for somebody to take that over, up to 1800 s (`common.gracefulStopTimeout`).
_STOP_SIGNAL, _HAND_OVER_S = signal.SIGINT, 1
# It ended after a second, but not within 30 s right after its collection was dropped: then it is killed.
_STOP_GRACE_S = 10
# Of the image, by scripts/standalone_embed.sh of its repository, as the variables of etcd and storage are.
_CONTAINER_DATA = "/var/lib/milvus"
_IN_CONTAINER = {
    "ETCD_USE_EMBED": "true",
    "COMMON_STORAGETYPE": "local",
    "ETCD_DATA_DIR": f"{_CONTAINER_DATA}/etcd",
    "LOCALSTORAGE_PATH": f"{_CONTAINER_DATA}/files",
    "ROCKSMQ_PATH": f"{_CONTAINER_DATA}/rocksmq",
}


class Server(ApartServer):
    """The server half of Milvus; rows that are not flushed can't be counted, and its running log not be copied."""

    name = "milvus"
    program = "bin/milvus"
    modes: tuple[Mode, ...] = ("managed", "container", "endpoint")
    capabilities = Capabilities(metrics=("cosine", "euclidean", "dot"), most_dimensions=32_768, effort="ef")
    ready_path = "/healthz"

    @property
    def asked_at(self) -> str:
        """Return where its health and metrics are: on another port than the rest, without credentials."""
        host = urlsplit(self.endpoint).hostname or ""
        return f"http://{f'[{host}]' if ':' in host else host}:{self.own.metrics_port}"

    def headers(self) -> dict[str, str]:
        """Return none: a key must not go over a port that is not encrypted."""
        return {}

    def launch(self, work: Path) -> Launch:
        """Return the command line of the standalone server; its settings are in the environment."""
        data = work / "data"
        environment = {
            **self._environment(),
            "LD_LIBRARY_PATH": str(self.installed / "bin"),
            "MILVUSCONF": str(self.installed / "configs"),
            "ETCD_DATA_DIR": str(data / "etcd"),
            "ETCD_LOG_PATH": str(work / "etcd.log"),
            "LOCALSTORAGE_PATH": str(data / "files"),
            "ROCKSMQ_PATH": str(data / "rocksmq"),
            "LOG_FILE_ROOTPATH": str(work / "logs"),
            "HOME": str(work / "home"),
        }
        return Launch(
            [str(self.installed / self.program), "run", "standalone"],
            environment,
            may_configure,
            wrapper=namespaces.words_for_new(("/run", "/tmp"), (work, self.installed)),  # noqa: S108 - to hide it
            stop_signal=_STOP_SIGNAL,
            stop_grace_s=_STOP_GRACE_S,
        )

    def container(self, work: Path) -> ContainerLaunch:
        """Return how its image is run; its ports listen on all addresses, which are the machine's there."""
        del work
        return ContainerLaunch(
            self.image,
            _CONTAINER_DATA,
            {**self._environment(), **_IN_CONTAINER},
            ("milvus", "run", "standalone"),
            stop_grace_s=_STOP_GRACE_S,
        )

    def version_told(self) -> str:
        """Return the version that is in its metrics."""
        found = _VERSION.search(self._metrics())
        return f"milvus {found[1]}" if found else ""

    def count(self) -> int | None:
        """Return the number of rows, from its metrics; of a user's server those count other collections, too."""
        said = "" if self.mode == "endpoint" else self._metrics()
        return sum(int(float(number)) for number in _ROWS.findall(said)) if said else None

    def pages(self) -> dict[str, str]:
        """Return health and metrics."""
        return {"health": f"{self.asked_at}/healthz", "metrics": f"{self.asked_at}/metrics"}

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

    def _environment(self) -> dict[str, str]:
        return {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self.own.metrics_port),
            "PROXY_PORT": str(self.port),
            "LOG_LEVEL": "warn",
            "COMMON_GRACEFULSTOPTIMEOUT": str(_HAND_OVER_S),
        }

    def _metrics(self) -> str:
        with contextlib.suppress(AskError):
            return self.question("/metrics", most_bytes=_METRICS_BYTES).text
        return ""
