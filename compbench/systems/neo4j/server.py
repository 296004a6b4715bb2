"""Neo4j as the runner sees it: its libraries on a JVM, asked over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from compbench.config.system_tables import Mode
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, Facts, Launch, Look, Needs, Place, Script
from compbench.systems.neo4j.settings import Neo4jSettings

_REQUEST_TIMEOUT_S = 2.0
_MOST_BYTES = 1_000_000
# 6 to 16 s were seen: it writes a checkpoint.
_STOP_GRACE_S = 60.0
_JAVA = 25
_MAIN = "org.neo4j.server.Neo4jCommunity"
_COUNT = "MATCH (n:CbItem) RETURN count(n)"
_HOME = "SHOW SETTINGS 'server.directories.neo4j_home' YIELD value RETURN value"
# What Neo4j's packages give the JVM (`server.jvm.additional` of their neo4j.conf), and what its vector index needs.
_JVM = (
    "-XX:+UseG1GC",
    "-XX:-OmitStackTraceInFastThrow",
    "-XX:+AlwaysPreTouch",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:+UnlockExperimentalVMOptions",
    "-XX:+TrustFinalNonStaticFields",
    "-XX:+DisableExplicitGC",
    "-Djdk.nio.maxCachedBufferSize=1024",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "--add-modules=jdk.incubator.vector",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
)


class Server:
    """The server half of Neo4j."""

    modes: tuple[Mode, ...] = ("managed", "endpoint")
    capabilities = Capabilities(
        metrics=("cosine", "euclidean"),
        edges=True,
        deletes=True,
        filters=True,
        most_dimensions=4096,
        effort="LIMIT of candidates",
    )
    most_vectors: int | None = None
    # A stop in order writes all that there is, the index too.
    data_format = "neo4j 2026.08"
    rewrites_data = True

    def __init__(self, own: Neo4jSettings, place: Place) -> None:
        """Take the settings of Neo4j."""
        self.own, self.port, self.mode, self._lib = own, place.port, own.chosen_mode, place.installed / "lib"
        self.endpoint = own.endpoint or f"http://127.0.0.1:{place.port}"
        self._java = _find_java(own.java)
        self.binaries: Mapping[str, Path] = {"java": self._java} if self._java else {}
        self.driver_program: Path | None = None
        self.repository: Path | None = None
        self.how_to_get = "doit install:neo4j"

    def missing(self) -> list[str]:
        """Return the libraries and Java, as far as they are not there."""
        java = [] if self._java else [f"Java {_JAVA} (set system.neo4j.java or JAVA_HOME)"]
        return [*java, *([] if self._jars() else [str(self._lib / "neo4j-server-*.jar")])]

    def launch(self, work: Path) -> Launch:
        """Return the command line; all that it writes is below its home, which is the data folder."""
        heap = f"{self.own.heap_mb}m"
        home = work / "data"
        java = [str(self._java), "-cp", f"{self._lib}/*", f"-Xms{heap}", f"-Xmx{heap}", *_JVM]
        settings = [word for line in self._settings() for word in ("-c", line)]
        argv = [*java, _MAIN, f"--home-dir={home}", f"--config-dir={work / 'config'}", *settings]
        return Launch(argv, {"HOME": str(work / "home")}, _is_foreign, stop_grace_s=_STOP_GRACE_S)

    def version_argv(self) -> list[str]:
        """Return the command line that prints the version: a JVM, which takes a second."""
        return [str(self._java or "java"), "-cp", f"{self._lib}/*", "org.neo4j.cli.AdminTool", "--version"]

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return Java's version, and Neo4j's as its library is named."""
        told = version_line([str(self._java), "--version"], os.environ) if self._java else "unknown"
        named = [jar.stem.removeprefix("neo4j-server-") for jar in self._jars()]
        return {"java": told}, {"neo4j": named[0]} if named else {}

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Ask it by a real query for its home, which is in our folder: it answers `/` seconds before it can."""
        del pid
        said = self._ask(_HOME, min(_REQUEST_TIMEOUT_S, timeout_s))
        if said is None:
            return Look(False, "a query was not answered")
        if said != str(work / "data"):
            return Look(False, f"the server that answers has its home in {said}")
        return Look(True, f"a query was answered from {said}")

    def answers(self) -> bool:
        """Tell whether it answers a query."""
        return self._ask("RETURN 1", _REQUEST_TIMEOUT_S) is not None

    def count(self) -> int | None:
        """Return how many nodes of the data set and the run it holds."""
        said = self._ask(_COUNT, _REQUEST_TIMEOUT_S)
        return said if isinstance(said, int) else None

    def save(self, timeout_s: float) -> str:
        """Do nothing: a commit is on the disk when it is acknowledged, and a stop in order writes a checkpoint."""
        return "" if self._ask("RETURN 1", timeout_s) == 1 else "Neo4j does not answer"

    def pages(self) -> dict[str, str]:
        """Return its front page, which has its version."""
        return {"neo4j": f"{self.endpoint}/"}

    def diagnostics(self) -> Script | None:
        """Return nothing."""
        return None

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return that they are not known."""
        del count, dimension
        return None

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise a Java that runs Neo4j's main class, Community's or Enterprise's."""
        del name
        is_it = any(word.startswith("org.neo4j.server.") for word in argv)
        return executable or "" if executable and Path(executable).name == "java" and is_it else ""

    def entry(self, pid: int) -> list[str]:
        """Return nothing: it listens on loopback."""
        del pid
        return []

    def facts(self) -> Facts:
        """Return what was seen of it, and what its manual says."""
        own, kept = self.own, {"binary": "1 bit a number to search, 32 to order", "none": "32 bit floats"}
        return Facts(
            protocol="HTTP/1.1, JSON (Query API)",
            index_definition=f"HNSW, m {own.m}, ef_construction {own.ef_construction}, {kept[own.quantization]}",
            durability="a loss of power: transaction log, forced at each commit; nothing else is offered",
            inserts="seen by the next search",
            caches=f"plans of queries; pages, {own.page_cache_mb} MiB",
        )

    def _settings(self) -> Iterator[str]:
        yield "server.default_listen_address=127.0.0.1"
        yield f"server.http.listen_address=127.0.0.1:{self.port}"
        yield f"server.http.advertised_address=127.0.0.1:{self.port}"
        # Its HTTP interface does not answer without Bolt; at any free port.
        yield "server.bolt.listen_address=127.0.0.1:0"
        yield "server.bolt.advertised_address=127.0.0.1:0"
        yield "server.bolt.tls_level=DISABLED"
        yield "server.https.enabled=false"
        yield "dbms.security.auth_enabled=false"
        yield "dbms.usage_report.enabled=false"
        yield "client.allow_telemetry=false"
        yield f"server.memory.pagecache.size={self.own.page_cache_mb}m"

    def _jars(self) -> list[Path]:
        return sorted(self._lib.glob("neo4j-server-*.jar"))

    def _ask(self, statement: str, timeout_s: float) -> Any:
        """Return the first value of a query's first row, None if there is none."""
        where = urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=timeout_s)
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Connection": "close"}
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError, IndexError, TypeError):
            try:
                body = json.dumps({"statement": statement})
                connection.request("POST", "/db/neo4j/query/v2", body=body, headers=headers)
                return json.loads(connection.getresponse().read(_MOST_BYTES))["data"]["values"][0][0]
            finally:
                connection.close()
        return None


def _is_foreign(name: str) -> bool:
    """Tell whether a variable would change the server or its JVM."""
    return name.startswith("NEO4J_") or name in {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}


def _find_java(asked: str) -> Path | None:
    """Return the Java that is asked for, else the first that is new enough: JAVA_HOME's, the PATH's, a package's."""
    if asked:
        return Path(asked) if os.access(asked, os.X_OK) else None
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    homes = [Path(home)] if home else []
    homes += [Path(on_path).resolve().parent.parent] if on_path else []
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    return next((home / "bin" / "java" for home in homes if _java_version(home) >= _JAVA), None)


def _java_version(home: Path) -> int:
    """Return the major version that a Java's file `release` tells, 0 if it tells none."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = re.search(r'JAVA_VERSION="(\d+)', (home / "release").read_text(encoding="utf-8"))
        return int(found[1]) if found and (home / "bin" / "java").is_file() else 0
    return 0
