"""Neo4j as the runner sees it: its libraries on a JVM, asked over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from compbench.machine.ask import AskError
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, ContainerLaunch, Facts, Launch, Look
from compbench.systems.neo4j.settings import Neo4jSettings
from compbench.systems.rest_server import REQUEST_TIMEOUT_S, RestServer

_JAVA = 25
_MAIN = "org.neo4j.server.Neo4jCommunity"
_COUNT = "MATCH (n:CbItem) RETURN count(n)"
_VERSION = "CALL dbms.components() YIELD name, versions, edition RETURN name + ' ' + versions[0] + ' ' + edition"
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


class Server(RestServer):
    """The server half of Neo4j."""

    name = "neo4j"
    # A stop in order writes all that there is, the index too.
    kept_format = "neo4j 2026.08"
    # 6 to 16 s were seen: it writes a checkpoint.
    stop_grace_s = 60.0
    capabilities = Capabilities(
        metrics=("cosine", "euclidean"),
        edges=True,
        deletes=True,
        filters=True,
        most_dimensions=4096,
        effort="LIMIT of candidates",
    )
    # Its front page has its version.
    shown = (("neo4j", "/"),)
    # neo4j.com/docs/operations-manual/current/docker
    container_data = "/data"
    own: Neo4jSettings

    @cached_property
    def _java(self) -> Path | None:
        return _find_java(self.own.java)

    @property
    def _lib(self) -> Path:
        return self.installed / "lib"

    def programs(self) -> dict[str, Path]:
        """Return Java; Neo4j itself is a folder of libraries."""
        return {"java": self._java} if self._java else {}

    def missing(self) -> list[str]:
        """Return the libraries and Java, as far as they are not there."""
        if self.mode != "managed":
            return []
        java = [] if self._java else [f"Java {_JAVA} (set system.neo4j.java or JAVA_HOME)"]
        return [*java, *([] if self._jars() else [str(self._lib / "neo4j-server-*.jar")])]

    def launch(self, work: Path) -> Launch:
        """Return the command line; all that it writes is below its home, which is the data folder."""
        heap, home = f"{self.own.heap_mb}m", work / "data"
        java = [str(self._java), "-cp", f"{self._lib}/*", f"-Xms{heap}", f"-Xmx{heap}", *_JVM]
        settings = [word for line in self._settings() for word in ("-c", line)]
        argv = [*java, _MAIN, f"--home-dir={home}", f"--config-dir={work / 'config'}", *settings]
        return super().launch(work)._replace(argv=argv)

    def container(self, work: Path) -> ContainerLaunch:
        """Return how the image is run: a setting is a variable (neo4j.com/docs/operations-manual/current/docker).

        That page also has the folder `/data`, `NEO4J_AUTH`, and that it may run as any user.
        """
        del work
        heap = f"{self.own.heap_mb}m"
        memory = [f"server.memory.heap.initial_size={heap}", f"server.memory.heap.max_size={heap}"]
        pairs = (line.split("=", 1) for line in [*self._settings(), *memory])
        environment = {"NEO4J_" + name.replace("_", "__").replace(".", "_"): value for name, value in pairs}
        environment["NEO4J_AUTH"] = "none"
        return ContainerLaunch(self.image, self.container_data, environment, stop_grace_s=self.stop_grace_s)

    def is_foreign(self, name: str) -> bool:
        """Tell whether a variable would change the server or its JVM."""
        return name.startswith("NEO4J_") or name in {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}

    def headers(self) -> dict[str, str]:
        """Return name and password, and that it is to answer in JSON."""
        return {"Accept": "application/json", **self.credentials.basic()}

    def version_argv(self) -> list[str]:
        """Return the command line that prints the version: a JVM, which takes a second."""
        tool = [str(self._java or "java"), "-cp", f"{self._lib}/*", "org.neo4j.cli.AdminTool", "--version"]
        return ["env", f"NEO4J_HOME={self.installed}", *tool]

    def versions_here(self) -> dict[str, str]:
        """Return Neo4j's version as its library is named, and Java's."""
        named = self._jars()[0].stem.removeprefix("neo4j-server-")
        return {"neo4j": named, "java": version_line([str(self._java), "--version"], os.environ)}

    def version_told(self) -> str:
        """Return the version and edition that it tells."""
        return str(self._told(_VERSION) or "")

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Ask it by a real query for its home, which is in our folder: it answers `/` seconds before it can."""
        del pid
        said = self._told(_HOME, min(REQUEST_TIMEOUT_S, timeout_s))
        if said is None:
            return Look(False, "a query was not answered")
        # A container has folders of its own; that the port is its own is proved for all systems alike.
        if self.mode == "managed" and said != str(work / "data"):
            return Look(False, f"the server that answers has its home in {said}")
        return Look(True, f"a query was answered from {said}")

    def answers(self) -> bool:
        """Tell whether it answers a query."""
        return self._told("RETURN 1") is not None

    def count(self) -> int | None:
        """Return how many nodes of the data set and the run it holds."""
        said = self._told(_COUNT)
        return said if isinstance(said, int) else None

    def save(self, timeout_s: float) -> str:
        """Do nothing: a commit is on the disk when it is acknowledged, and a stop in order writes a checkpoint."""
        return "" if self._told("RETURN 1", timeout_s) == 1 else "Neo4j does not answer"

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise a Java that runs Neo4j's main class, Community's or Enterprise's."""
        del name
        is_it = any(word.startswith("org.neo4j.server.") for word in argv)
        return executable or "" if executable and Path(executable).name == "java" and is_it else ""

    def facts(self) -> Facts:
        """Return what was seen of it, and what its manual says."""
        own, kept = self.own, {"binary": "1 bit a number to search, 32 to order", "none": "32 bit floats"}
        return Facts(
            protocol="HTTP/1.1, JSON (Query API)",
            index_definition=f"HNSW, m {own.m}, ef_construction {own.ef_construction}, {kept[own.quantization]}",
            durability="a loss of power: transaction log, forced at each commit; nothing else is offered",
            inserts="seen by the next search",
            caches=f"plans of queries; pages, {self.as_owned(f'{own.page_cache_mb} MiB')}",
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

    def _told(self, statement: str, timeout_s: float = REQUEST_TIMEOUT_S) -> Any:
        """Return the first value of a query's first row, None if there is none."""
        body = json.dumps({"statement": statement}).encode()
        with contextlib.suppress(AskError, ValueError, KeyError, IndexError, TypeError):
            answer = self.question("/db/neo4j/query/v2", timeout_s, method="POST", body=body)
            return json.loads(answer.body)["data"]["values"][0][0]
        return None


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
