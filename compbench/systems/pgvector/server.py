"""PostgreSQL with pgvector as the runner sees it: started from the installed programs, asked through its protocol."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import signal
from pathlib import Path
from typing import Any

import psutil

from compbench.config.system_tables import Durability
from compbench.machine import unprivileged
from compbench.machine.version_line import version_line
from compbench.systems.api import Capabilities, ContainerLaunch, Facts, Launch, Look, Needs
from compbench.systems.pgvector import install
from compbench.systems.pgvector.pages_needed import vectors_need
from compbench.systems.pgvector.settings import PgvectorSettings
from compbench.systems.pgvector.statements import COUNT, HAS_ROWS, VERSIONS
from compbench.systems.rival import Rival

_QUESTION_LIMIT_S = 2.0
# Connections of the largest driver (900), of the runner's questions, and those that PostgreSQL keeps for superusers.
_MOST_CONNECTIONS = 1000
# "fsync and synchronous_commit are on" is how PostgreSQL comes: an insert is answered when it is on the disk.
_ON_DISK = {"fsync": "on", "synchronous_commit": "on"}
# The settings that PostgreSQL 18's documentation names for this ("Non-Durable Settings").
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_DURABILITY: dict[Durability, dict[str, str]] = {
    "vendor": _ON_DISK,
    "acknowledged on disk": _ON_DISK,
    "memory": _NOT_DURABLE,
}
_FOLDER = "select current_setting('data_directory')"


class Server(Rival):
    """The server half of PostgreSQL with pgvector."""

    name = "pgvector"
    scheme = "postgresql"
    program = install.INSTALLATION.result
    kept_format = f"pgvector {install.INSTALLATION.version}"
    # One of compbench's own, since those of the image differ from version to version.
    container_data = "/compbench"
    # The fast shutdown: it waits for no client, and writes the pages that have changed since the last checkpoint.
    stop_signal = signal.SIGINT
    stop_grace_s = 20.0
    # An index takes 2000 numbers of 32 bits at most (README of pgvector 0.8.5, "HNSW").
    capabilities = Capabilities(
        metrics=("cosine", "dot", "euclidean"),
        edges=True,
        deletes=True,
        filters=True,
        most_dimensions=2000,
        effort="hnsw.ef_search",
    )
    own: PgvectorSettings

    def programs(self) -> dict[str, Path]:
        """Return PostgreSQL's."""
        return {"postgres": self._program}

    def arguments(self, data: str) -> list[str]:
        """Return the words after PostgreSQL's program, which is asked through its port alone."""
        return ["-D", data, "-c", "unix_socket_directories=", *self._options()]

    def environment(self, data: str) -> dict[str, str]:
        """Return that times in its log and its messages are no matter of the caller's place."""
        del data
        return {"LC_ALL": "C", "TZ": "UTC"}

    def is_foreign(self, name: str) -> bool:
        """Tell whether a variable would change what the server's programs do."""
        return name.startswith("PG")

    def missing(self) -> list[str]:
        """Return the package that asks it or the program, if not there, or what keeps root from starting that."""
        if importlib.util.find_spec("asyncpg") is None:
            return ["the package asyncpg (pip install -r requirements.txt)"]
        if found := super().missing():
            return found
        if self.mode == "managed" and unprivileged.words_before(self._program) is None:
            return ["a way for root to start PostgreSQL, which refuses that (`unshare --user` and `setpriv` both fail)"]
        return []

    def launch(self, work: Path) -> Launch:
        """Return the command line; an empty data folder is made one of PostgreSQL's first."""
        words, data = unprivileged.words_before(self._program) or [], work / "data"
        options = ["-A", "trust", "-E", "UTF8", "--no-locale", "-U", "postgres"]
        make = [*words, str(self._program.with_name("initdb")), "-D", str(data), *options]
        # Kept data may have been copied without the rights of its folder, on which PostgreSQL insists.
        prepare = ["chmod", "700", str(data)] if any(data.iterdir()) else make
        launch = super().launch(work)
        return launch._replace(argv=[*words, *launch.argv], before=(*unprivileged.handing_over(words, work), prepare))

    def container(self, work: Path) -> ContainerLaunch:
        """Return how the image is run (hub.docker.com/_/postgres: PGDATA, POSTGRES_HOST_AUTH_METHOD, `-c`).

        It makes the data folder through its socket, so that stays; outside of the container nobody sees it.
        """
        launch = super().container(work)
        return launch._replace(
            environment={"PGDATA": launch.data_path, "POSTGRES_HOST_AUTH_METHOD": "trust", **launch.environment},
            arguments=("postgres", *self._options()),
            # Several processes build an index in shared memory, of which a container has 64 MB unless it is told.
            shared_memory_bytes=self._build_bytes(),
        )

    def versions(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the versions of the server and of the extension that lies beside it."""
        if self.mode != "managed" or super().missing():
            return {}, {}
        control = self._program.parent.parent / "share" / "postgresql" / "extension" / "vector.control"
        extension = ""
        with contextlib.suppress(OSError):
            extension = next(iter(re.findall(r"default_version = '(.*)'", control.read_text(encoding="utf-8"))), "")
        return {"postgres": version_line(self.version_argv(), os.environ), "pgvector": extension}, {}

    def version_told(self) -> str:
        """Return the versions of the server and of its extension."""
        with contextlib.suppress(OSError):
            return str(self._ask(VERSIONS))
        return ""

    def look(self, work: Path, pid: int, timeout_s: float) -> Look:
        """Let the file in its data folder name process, port and state, and the server itself name that folder."""
        data, in_container = work / "data", self.mode == "container"
        said = _pid_file(data / "postmaster.pid")
        if said is None:
            return Look(False, "there is no postmaster.pid in its data folder yet")
        # A container numbers its processes by itself.
        if said != (said[0] if in_container else pid, self.port, "ready"):
            return Look(False, f"postmaster.pid says (process, port, state) = {said}; started was process {pid}")
        try:
            folder = self._ask(_FOLDER, min(_QUESTION_LIMIT_S, timeout_s))
        except OSError as error:
            return Look(False, f"a query was not answered: {error}")
        if folder != (self.container_data if in_container else str(data)):
            return Look(False, f"the server that answers has the data folder {folder}, not {data}")
        return Look(True, "a query was answered")

    def answers(self) -> bool:
        """Tell whether it answers a query."""
        with contextlib.suppress(OSError):
            return bool(self._ask("select 1"))
        return False

    def count(self) -> int | None:
        """Return how many rows the table of vectors has; none before it is there."""
        with contextlib.suppress(OSError):
            return int(self._ask(COUNT)) if self._ask(HAS_ROWS) else 0
        return None

    def save(self, timeout_s: float) -> str:
        """Let it write all changed pages."""
        try:
            self._ask("checkpoint", timeout_s)
        except OSError as error:
            return f"checkpoint: {error}"
        return ""

    def needs(self, count: int, dimension: int) -> Needs | None:
        """Return the needs as they were measured."""
        return vectors_need(count, dimension, self.own.m)

    def recognise(self, executable: str | None, argv: list[str], name: str) -> str:
        """Recognise a postmaster by its executable; its children, which call themselves so, are part of it."""
        is_child = bool(name and argv and argv[0].startswith("postgres: "))
        return "" if is_child else super().recognise(executable, argv, name)

    def facts(self) -> Facts:
        """Return the definition of the index, and what an insert survives."""
        survives = {"off": "none: fsync and synchronous_commit are off", "on": "on disk when acknowledged (fsync)"}
        share = f"{self.own.shared_buffers_pct:g} % of memory"
        return Facts(
            protocol="PostgreSQL's, prepared statements, binary",
            index_definition=f"HNSW, m {self.own.m}, ef_construction {self.own.ef_construction}, 32 bit floats",
            durability=self.as_owned(survives[_DURABILITY[self.own.durability]["fsync"]]),
            inserts="seen by the next search",
            caches=f"pages in shared_buffers ({self.as_owned(share)}); no cache of results",
        )

    @property
    def _program(self) -> Path:
        return self.installed / self.program

    def _options(self) -> list[str]:
        return [word for name, value in self._parameters().items() for word in ("-c", f"{name}={value}")]

    def _build_bytes(self) -> int:
        return int(psutil.virtual_memory().total * self.own.maintenance_work_mem_pct / 100)

    def _parameters(self) -> dict[str, str]:
        """Return the server's parameters that are not as PostgreSQL comes."""
        memory_kb = psutil.virtual_memory().total // 1024
        workers = max(1, _usable_cores() - 1)
        return {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "max_connections": str(_MOST_CONNECTIONS),
            "shared_buffers": f"{int(memory_kb * self.own.shared_buffers_pct / 100)}kB",
            "maintenance_work_mem": f"{self._build_bytes() // 1024}kB",
            # "You can also speed up index creation by increasing the number of parallel workers": the README of
            # pgvector 0.8.5. The process that builds is one besides them.
            "max_parallel_maintenance_workers": str(workers),
            "max_parallel_workers": str(max(8, workers)),
            "max_worker_processes": str(max(8, workers)),
            # Compiling pays "for long-running CPU-bound queries" (PostgreSQL 18, "When to JIT?"), and none is.
            "jit": "off",
            **_DURABILITY[self.own.durability],
        }

    def _ask(self, sql: str, timeout_s: float = _QUESTION_LIMIT_S) -> Any:
        """Return the first value that a statement gives.

        Raises:
            OSError: it can't be had.
        """
        from compbench.transport.postgres_pool import PostgresAddress  # noqa: PLC0415 - asyncpg takes 0.1 s to load

        address = PostgresAddress(self.endpoint, self.credentials.user, self.credentials.password)
        return asyncio.run(address.value(sql, timeout_s))


def _pid_file(path: Path) -> tuple[int, int, str] | None:
    """Return process, port and state of a `postmaster.pid`, None if it is absent or not (yet) whole."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return int(lines[0]), int(lines[3]), lines[7].strip()
    except (OSError, ValueError, IndexError):
        return None


def _usable_cores() -> int:
    """Return how many cores a program that is started here may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
