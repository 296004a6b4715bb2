"""Chroma's server as the runner sees it: `chroma run` of the environment that `doit install:chroma` makes."""

from __future__ import annotations

from pathlib import Path

from compbench.systems.api import COLLECTION, Capabilities, Facts
from compbench.systems.rest_server import RestServer

_BASE = "/api/v2/tenants/default_tenant/databases/default_database/collections"


class Server(RestServer):
    """The server half of Chroma."""

    name = "chroma"
    program = "venv/bin/chroma"
    # Of the image, by its documentation (docs.trychroma.com/guides/deploy/docker).
    container_data = "/data"
    # A search can't be given a least similarity, nor how widely it is to look.
    capabilities = Capabilities(metrics=("cosine", "dot", "euclidean"), thresholds=False, deletes=True, filters=True)
    ready_path, version_path = "/api/v2/heartbeat", "/api/v2/version"
    shown = (("collection", f"{_BASE}/{COLLECTION}"),)

    def version_argv(self) -> list[str]:
        """Return what prints the package's version: `chroma --version` is that of its command line (1.4.4 of 1.5.9)."""
        python = str(self.installed / "venv" / "bin" / "python")
        return [python, "-c", "import importlib.metadata as m; print('chromadb', m.version('chromadb'))"]

    def version_told(self) -> str:
        """Return its interface's version, which is all that it answers; its package tells the server's own."""
        told = "" if self.mode == "managed" else self.asked(self.version_path)
        return f"chroma, interface {told}" if told and isinstance(told, str) else ""

    def arguments(self, data: str) -> list[str]:
        """Return its command, which keeps it to loopback."""
        return ["run", "--host", "127.0.0.1", "--port", str(self.port), "--path", data]

    def environment(self, data: str) -> dict[str, str]:
        """Return what turns off its telemetry, and colours in its log."""
        del data
        return {"ANONYMIZED_TELEMETRY": "False", "NO_COLOR": "1"}

    def is_foreign(self, name: str) -> bool:
        """Tell whether a variable of the caller must not reach the server."""
        return name.startswith(("CHROMA_", "CONFIG_PATH", "OTEL_"))

    def count(self) -> int | None:
        """Return the count of its collection."""
        made = self.asked(f"{_BASE}/{COLLECTION}")
        count = self.asked(f"{_BASE}/{made['id']}/count") if isinstance(made, dict) and "id" in made else None
        return count if isinstance(count, int) else None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise the program `chroma` with its command `run`, which an interpreter runs."""
        del executable, name
        started = next((n for n, word in enumerate(argv[:2]) if Path(word).name == "chroma"), None)
        return argv[started] if started is not None and argv[started + 1 : started + 2] == ["run"] else ""

    def facts(self) -> Facts:
        """Return what its settings say, and what is known of its store."""
        own = self.own
        return Facts(
            protocol="HTTP/1.1, JSON; rows in base64",
            index_definition=f"HNSW, max_neighbors {own.max_neighbors}, ef_construction {own.ef_construction},"
            f" ef_search {own.ef_search}, 32 bit floats",
            durability=self.as_owned("committed to its SQLite file when acknowledged; how that is synced is not known"),
            inserts="seen by the next search",
        )
