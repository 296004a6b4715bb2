"""Milvus as the runner sees it: the standalone server in a network namespace of its own, since it binds all addresses.

Beside its own port it takes nine fixed ones, whatever it is told; and it writes to `/run/milvus` and `/tmp/milvus`,
which it sees empty and which vanish with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

from compbench.config.system_tables import Mode
from compbench.machine import namespaces
from compbench.machine.ask import AskError, ask
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, Facts, Launch, Look, Needs, Place, Script
from compbench.systems.milvus.settings import MilvusSettings

_REQUEST_TIMEOUT_S = 2.0
_METRICS_BYTES = 4_000_000
# Everything that it sets by itself can be set by a variable, whatever that is called: `LOG_LEVEL`, `PROXY_PORT`.
_LET_IN = frozenset({"PATH", "LANG", "LC_ALL", "TZ"})
# Of a server that began empty every row was inserted since; of another one only those that are flushed are counted.
_ROWS_BY_MODE = {
    "managed": re.compile(r"^milvus_proxy_insert_vectors_count\S* (\S+)$", re.MULTILINE),
    "endpoint": re.compile(r"^milvus_datacoord_stored_rows_count (\S+)$", re.MULTILINE),
}
# With a loaded collection it waits for somebody to take that over, up to 1800 s (`common.gracefulStopTimeout`).
_STOP_SIGNAL, _HAND_OVER_S = signal.SIGINT, 1
# It ended after a second, but not within 30 s right after its collection was dropped: then it is killed.
_STOP_GRACE_S = 10


class Server:
    """The server half of Milvus."""

    modes: tuple[Mode, ...] = ("managed", "endpoint")
    capabilities = Capabilities(metrics=("cosine", "euclidean", "dot"), most_dimensions=32_768, effort="ef")
    # Rows can be counted only once they are flushed, and a copy of its running log can't be started from.
    data_format = ""
    rewrites_data = True
    most_vectors: int | None = None
    driver_program: Path | None = None
    repository: Path | None = None
    how_to_get = "doit install:milvus"

    def __init__(self, own: MilvusSettings, place: Place) -> None:
        """Take the settings of Milvus."""
        self.own, self.port, self.installed = own, place.port, place.installed
        self.mode: Mode = own.chosen_mode
        self.endpoint = own.endpoint or f"http://127.0.0.1:{place.port}"
        host = self.endpoint.removeprefix("http://").rpartition(":")[0]
        self._metrics = f"http://{host}:{own.metrics_port}"
        program = place.installed / "bin" / "milvus"
        self.binaries: Mapping[str, Path] = {"milvus": program} if self.mode == "managed" else {}

    def missing(self) -> list[str]:
        """Return its program if it is not there, and why it can't be kept apart."""
        if self.mode != "managed":
            return []
        found = [str(path) for path in self.binaries.values() if not path.is_file()]
        refusal = namespaces.why_none()
        return [*found, f"a network namespace for a server that binds all addresses ({refusal})"] if refusal else found

    def launch(self, work: Path) -> Launch:
        """Return the command line of the standalone server; its settings are in the environment."""
        data = work / "data"
        environment = {
            "DEPLOY_MODE": "STANDALONE",
            "LD_LIBRARY_PATH": str(self.installed / "bin"),
            "MILVUSCONF": str(self.installed / "configs"),
            "METRICS_PORT": str(self.own.metrics_port),
            "PROXY_PORT": str(self.port),
            "ETCD_DATA_DIR": str(data / "etcd"),
            "ETCD_LOG_PATH": str(work / "etcd.log"),
            "LOCALSTORAGE_PATH": str(data / "files"),
            "ROCKSMQ_PATH": str(data / "rocksmq"),
            "LOG_FILE_ROOTPATH": str(work / "logs"),
            "LOG_LEVEL": "warn",
            "COMMON_GRACEFULSTOPTIMEOUT": str(_HAND_OVER_S),
            "HOME": str(work / "home"),
        }
        return Launch(
            [str(self.installed / "bin" / "milvus"), "run", "standalone"],
            environment,
            lambda name: name not in _LET_IN,
            wrapper=namespaces.words_for_new(("/run", "/tmp"), (work, self.installed)),  # noqa: S108 - to hide it
            stop_signal=_STOP_SIGNAL,
            stop_grace_s=_STOP_GRACE_S,
        )

    def version_argv(self) -> list[str]:
        """Return what prints the note of the installation: the program tells its version only while it starts."""
        return ["cat", str(self.installed / "version")]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the version that its program prints."""
        if self.mode != "managed":
            return {}, {}
        return {"milvus": version_line(self.version_argv(), os.environ)}, {}

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Ask for its health; in its namespace nobody else can answer."""
        del work, pid
        try:
            answer = ask(f"{self._metrics}/healthz", min(_REQUEST_TIMEOUT_S, timeout_s))
        except AskError as error:
            return Look(False, f"GET /healthz was not answered: {error}")
        return Look(answer.is_ok and answer.text == "OK", f"GET /healthz answered {answer.status} {answer.text[:100]}")

    def answers(self) -> bool:
        """Tell whether it answers, healthy or not."""
        with contextlib.suppress(AskError):
            ask(f"{self._metrics}/healthz", _REQUEST_TIMEOUT_S)
            return True
        return False

    def count(self) -> int | None:
        """Return the number of rows, from its metrics."""
        with contextlib.suppress(AskError):
            said = ask(f"{self._metrics}/metrics", _REQUEST_TIMEOUT_S, most_bytes=_METRICS_BYTES).text
            return sum(int(float(number)) for number in _ROWS_BY_MODE[self.mode].findall(said))
        return None

    def save(self, timeout_s: float) -> str:
        """Refuse."""
        return f"Milvus' data is not kept: its log can't be copied while it runs, however long ({timeout_s:g} s)"

    def pages(self) -> dict[str, str]:
        """Return health and metrics."""
        return {"health": f"{self._metrics}/healthz", "metrics": f"{self._metrics}/metrics"}

    def diagnostics(self) -> Script | None:
        """Return that it has no script."""
        return None

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return that they were not measured."""
        del count, dimension
        return None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise it by program and command."""
        if executable is None:
            return "?" if name == "milvus" else ""
        return executable if Path(executable).name == "milvus" and argv[1:2] == ["run"] else ""

    def entry(self, pid: int) -> list[str]:
        """Return the words that enter its network namespace."""
        return namespaces.words_to_enter(pid) if self.mode == "managed" else []

    def facts(self) -> Facts:
        """Return what may differ from other systems."""
        return Facts(
            protocol="gRPC, all calls of a driver process on one HTTP/2 connection",
            index_definition=f"HNSW, M {self.own.m}, efConstruction {self.own.ef_construction}, 32 bit floats",
            durability="in its log (RocksDB) when it is acknowledged, not synced",
            inserts="consistency Bounded (default): a search may miss the last 5 s; new rows await an index",
        )
