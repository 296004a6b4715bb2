"""The embedded server as the runner sees it: started by this interpreter, asked like Engram."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path

from compbench import embedded
from compbench.machine.ask import AskError, ask
from compbench.systems.api import Capabilities, Facts, Launch, Needs, Place, Script
from compbench.systems.embedded.settings import EmbeddedSettings
from compbench.systems.engram import server as engram
from compbench.systems.engram.settings import EngramSettings

_MODULES = ("usearch", "uvicorn", "httptools", "orjson", "numpy", "hdrh")
_PROGRAM = [sys.executable, "-m", "compbench.embedded"]
# Measured with a million vectors of 768 dimensions (16 bit floats, HNSW with 16 links): links, keys and look-up tables
# of one memory, in main memory and in the kept folder.
_INDEX_BYTES_IN_MEMORY = 300
_INDEX_BYTES_ON_DISK = 160
# Memories that one core adds a second, on average over the first million embeddings, with other programs on the cores:
# 0.7 ms each. Smaller sets go faster, larger ones slower.
_ADDED_A_CORE_S = 1400.0


class Server(engram.Server):
    """The server half of the embedded server, which keeps to Engram's interface."""

    capabilities = Capabilities(
        metrics=("cosine", "dot", "euclidean"),
        edges=True,
        completion=True,
        most_dimensions=embedded.MOST_DIMENSION,
    )
    most_vectors = None
    data_format = f"{embedded.__version__} {embedded.SNAPSHOT_FORMAT}"

    def __init__(self, own: EmbeddedSettings, place: Place) -> None:
        """Take the settings of the embedded server."""
        super().__init__(EngramSettings(log_level=own.log_level, grpc_port=own.grpc_port), place)
        self.binaries = {}
        self.driver_program = None
        self.repository = None
        self.how_to_get = "make demo, or pip install -r requirements.txt"

    def missing(self) -> list[str]:
        """Return the packages that it lacks."""
        return [name for name in _MODULES if importlib.util.find_spec(name) is None]

    def launch(self, work: Path) -> Launch:
        """Return the command line; HOME stays, since Python may find its packages by it."""
        environment = {
            "ENGRAM_DATA_DIR": str(work / "data"),
            "ENGRAM_PID_PATH": str(engram.pid_file(work)),
            "NO_COLOR": "1",
        }
        return Launch(engram.start_argv(_PROGRAM, self.own, self.port), environment, engram.is_foreign)

    def version_argv(self) -> list[str]:
        """Return the command line that prints the version."""
        return [*_PROGRAM, "--version"]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return nothing: it is a part of compbench."""
        return {}, {}

    def save(self, timeout_s: float) -> str:
        """Let it write all memories and its index."""
        try:
            answer = ask(f"{self.endpoint}/api/v1/maintenance/compact", timeout_s, method="POST")
        except AskError as error:
            return str(error)
        return "" if answer.is_ok else f"HTTP {answer.status}: {answer.text[:200]}"

    def diagnostics(self) -> Script | None:
        """Return nothing."""
        return None

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return the needs as they were measured."""
        number = embedded.bytes_a_number(dimension)
        vectors = count * dimension * number
        index = count * _INDEX_BYTES_IN_MEMORY
        product = f"{count:,} x {dimension} x {number} bytes = {_size(vectors)}"
        return Needs(
            memory_bytes=vectors + index,
            disk_bytes=vectors + count * _INDEX_BYTES_ON_DISK,
            added_a_core_s=_ADDED_A_CORE_S,
            explanation=f"{product} + {_size(index)} of index",
        )

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise it by the two arguments `-m` and `compbench.embedded`."""
        del executable, name
        return "embedded server" if ("-m", "compbench.embedded") in itertools.pairwise(argv[1:]) else ""

    def facts(self) -> Facts:
        """Return what is fixed in the server."""
        return Facts(
            protocol="HTTP/1.1, JSON",
            index_definition="HNSW (usearch), 16 links, 128 candidates to search, bfloat16 from 256 dimensions on",
            durability="none: kept in memory, written when it is told to",
            inserts="seen by the next search",
        )


def _size(count_bytes: int) -> str:
    return f"{count_bytes / 1e9:.1f} GB" if count_bytes >= 10**9 else f"{count_bytes / 1e6:.1f} MB"
