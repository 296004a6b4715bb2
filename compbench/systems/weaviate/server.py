"""Weaviate as the runner sees it: in a network namespace of its own, since gRPC and its cluster bind all addresses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

from compbench.config.system_tables import Mode
from compbench.machine import namespaces
from compbench.machine.ask import AskError, ask
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, Facts, Launch, Look, Needs, Place, Script
from compbench.systems.weaviate.counting import COUNT_QUESTION, WITHOUT_CLASSES, count_of
from compbench.systems.weaviate.settings import WeaviateSettings

_REQUEST_TIMEOUT_S = 2.0
# Its settings have names of no common kind (`CLUSTER_HOSTNAME`, `ENABLE_MODULES`), so no other variable gets in.
_LET_IN = frozenset({"PATH", "LANG", "LC_ALL", "TZ"})


class Server:
    """The server half of Weaviate."""

    modes: tuple[Mode, ...] = ("managed", "endpoint")
    capabilities = Capabilities(metrics=("cosine", "euclidean", "dot"), effort="ef")
    data_format = ""
    rewrites_data = True
    most_vectors: int | None = None
    driver_program: Path | None = None
    repository: Path | None = None
    how_to_get = "doit install:weaviate"

    def __init__(self, own: WeaviateSettings, place: Place) -> None:
        """Take the settings of Weaviate."""
        self.own, self.port, self.installed = own, place.port, place.installed
        self.mode: Mode = own.chosen_mode
        self.endpoint = own.endpoint or f"http://127.0.0.1:{place.port}"
        program = place.installed / "bin" / "weaviate-server"
        self.binaries: Mapping[str, Path] = {"weaviate": program} if self.mode == "managed" else {}

    def missing(self) -> list[str]:
        """Return its program if it is not there, and why it can't be kept apart."""
        if self.mode != "managed":
            return []
        found = [str(path) for path in self.binaries.values() if not path.is_file()]
        refusal = namespaces.why_none()
        return [*found, f"a network namespace for a server that binds all addresses ({refusal})"] if refusal else found

    def launch(self, work: Path) -> Launch:
        """Return the command line; its settings are in the environment."""
        environment = {
            "PERSISTENCE_DATA_PATH": str(work / "data"),
            "GRPC_PORT": str(self.own.grpc_port),
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true",
            "DEFAULT_VECTORIZER_MODULE": "none",
            "CLUSTER_HOSTNAME": "node1",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "DISABLE_TELEMETRY": "true",
            "LOG_LEVEL": "warning",
            "HOME": str(work / "home"),
        }
        program, where = str(self.installed / "bin" / "weaviate-server"), ["--host", "127.0.0.1", "--scheme", "http"]
        return Launch(
            [program, *where, "--port", str(self.port)],
            environment,
            lambda name: name not in _LET_IN,
            wrapper=namespaces.words_for_new(),
            stop_grace_s=30,
        )

    def version_argv(self) -> list[str]:
        """Return what prints the note of the installation: the program tells its version by REST alone."""
        return ["cat", str(self.installed / "version")]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the version that its program prints."""
        if self.mode != "managed":
            return {}, {}
        return {"weaviate": version_line(self.version_argv(), os.environ)}, {}

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Ask whether it is ready; in its namespace nobody else can answer."""
        del work, pid
        try:
            status = ask(f"{self.endpoint}/v1/.well-known/ready", min(_REQUEST_TIMEOUT_S, timeout_s)).status
        except AskError as error:
            return Look(False, f"GET /v1/.well-known/ready was not answered: {error}")
        return Look(status == HTTPStatus.OK, f"GET /v1/.well-known/ready answered {status}")

    def answers(self) -> bool:
        """Tell whether it answers, ready or not."""
        with contextlib.suppress(AskError):
            ask(f"{self.endpoint}/v1/.well-known/live", _REQUEST_TIMEOUT_S)
            return True
        return False

    def count(self) -> int | None:
        """Return its exact count; that in the state of its nodes lags behind by seconds."""
        url = f"{self.endpoint}/v1/graphql"
        with contextlib.suppress(AskError, ValueError):
            answer = ask(url, _REQUEST_TIMEOUT_S, method="POST", body=COUNT_QUESTION)
            if answer.is_ok or WITHOUT_CLASSES in answer.body:
                return count_of(answer.body) if answer.is_ok else 0
        return None

    def save(self, timeout_s: float) -> str:
        """Refuse."""
        return f"Weaviate's data is not kept: its files can't be copied while it runs, however long ({timeout_s:g} s)"

    def pages(self) -> dict[str, str]:
        """Return its state and version."""
        return {"nodes": f"{self.endpoint}/v1/nodes?output=verbose", "meta": f"{self.endpoint}/v1/meta"}

    def diagnostics(self) -> Script | None:
        """Return that it has no script."""
        return None

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return that they were not measured."""
        del count, dimension
        return None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise it by its program."""
        del argv
        if executable is None:
            return "?" if name == "weaviate-server" else ""
        return executable if Path(executable).name == "weaviate-server" else ""

    def entry(self, pid: int) -> list[str]:
        """Return the words that enter its network namespace."""
        return namespaces.words_to_enter(pid) if self.mode == "managed" else []

    def facts(self) -> Facts:
        """Return what may differ from other systems."""
        own = self.own
        return Facts(
            protocol="gRPC, all calls of a driver process on one HTTP/2 connection",
            index_definition=f"HNSW, maxConnections {own.m}, efConstruction {own.ef_construction}, 32 bit floats",
            durability="in its write-ahead log when it is acknowledged, synced as the vendor has it",
            inserts="seen by the next search",
            caches="its vectors are kept in memory (vectorCacheMaxObjects, default)",
        )
