"""Chroma's server as the runner sees it: `chroma run` of the environment that `doit install:chroma` makes."""

from __future__ import annotations

from pathlib import Path

from compbench.systems.api import Capabilities, Facts, Launch, Place
from compbench.systems.chroma.settings import ChromaSettings
from compbench.systems.rest_server import RestServer

BASE = "/api/v2/tenants/default_tenant/databases/default_database/collections"
COLLECTION = "compbench"


class Server(RestServer):
    """The server half of Chroma."""

    # A search can't be given a least similarity, nor how widely it is to look.
    capabilities = Capabilities(metrics=("cosine", "dot", "euclidean"), thresholds=False, deletes=True, filters=True)
    how_to_get = "doit install:chroma"
    ready_path = "/api/v2/heartbeat"

    def __init__(self, own: ChromaSettings, place: Place) -> None:
        """Take the settings of Chroma."""
        program = str(place.installed / "venv" / "bin" / "chroma")
        super().__init__("chroma", program, own.chosen_mode, own.endpoint or f"http://127.0.0.1:{place.port}")
        self.own, self.port = own, place.port

    def version_argv(self) -> list[str]:
        """Return what prints the package's version: `chroma --version` is that of its command line (1.4.4 of 1.5.9)."""
        python = str(Path(self.program).parent / "python")
        return [python, "-c", "import importlib.metadata as m; print('chromadb', m.version('chromadb'))"]

    def launch(self, work: Path) -> Launch:
        """Return the command line."""
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--path", str(work / "data")]
        environment = {"ANONYMIZED_TELEMETRY": "False", "HOME": str(work / "home"), "NO_COLOR": "1"}
        return Launch([self.program, "run", *where], environment, configures_chroma)

    def count(self) -> int | None:
        """Return the count of its collection."""
        made = self.asked(f"{BASE}/{COLLECTION}")
        count = self.asked(f"{BASE}/{made['id']}/count") if isinstance(made, dict) and "id" in made else None
        return count if isinstance(count, int) else None

    def pages(self) -> dict[str, str]:
        """Return its collection."""
        return {"collection": f"{self.endpoint}{BASE}/{COLLECTION}"}

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
            durability="committed to its SQLite file when acknowledged; how that is synced is not known",
            inserts="seen by the next search",
        )


def configures_chroma(name: str) -> bool:
    """Tell whether a variable of the caller must not reach the server."""
    return name.startswith(("CHROMA_", "CONFIG_PATH", "OTEL_"))
