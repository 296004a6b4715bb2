"""What is made once before anything is measured, and kept in the cache: exact neighbours, and whole data sets.

A large data set is loaded into a server that does nothing else, which then writes its state; that folder is kept under
a name that is a hash of everything it depends on. A server that is to be measured gets hard links to its files and
starts on them in seconds. Servers only read these files: what they write later are new ones.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from compbench import drivers, embedded, interrupts, process, server
from compbench.attempt import MEGABYTE, Watcher
from compbench.errors import UserError
from compbench.following import ProgressReader
from compbench.process import Child, Output
from compbench.scenarios import Scenario
from compbench.server import Server, StartError
from compbench.settings import Settings

# A smaller data set is loaded within half a minute, which is not worth keeping its folder.
KEPT_FROM = 50_000
_POLL_S = 0.25
_COMPACT_TIMEOUT_S = 600


@dataclass(frozen=True)
class Making:
    """What making needs to know of where it is: settings, the project's folder, who watches."""

    settings: Settings
    root: Path
    watcher: Watcher


def wanted_memories(settings: Settings, scenario: Scenario) -> int:
    """Return how many memories of the scenario are loaded."""
    return max(1, round(scenario.data.num_nodes * settings.data_scale))


def data_set_folder(settings: Settings, scenario: Scenario) -> Path | None:
    """Return where the data set is kept, or None if it is loaded anew each time: it is small, or the target Engram."""
    count = wanted_memories(settings, scenario)
    if settings.target != "embedded" or count < KEPT_FROM:
        return None
    facts = (scenario.data, scenario.graph, scenario.seed, count, embedded.__version__, embedded.SNAPSHOT_FORMAT)
    return Path(settings.cache_dir) / "data_sets" / hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:24]


def ground_truth_file(settings: Settings, scenario: Scenario) -> Path | None:
    """Return where the exact neighbours are kept, or None if the driver checks no answers or sends no searches."""
    weights = scenario.operations
    if settings.driver != "builtin" or weights.recall_weight + weights.embedding_search_weight == 0:
        return None
    from compbench.loadtest import ground_truth  # noqa: PLC0415 - NumPy costs 0.1 s, which plan need not pay

    count = wanted_memories(settings, scenario)
    return ground_truth.path_of(Path(settings.cache_dir), scenario.data, count, scenario.seed)


def make_ground_truth(making: Making, scenario: Scenario) -> None:
    """Compute the exact neighbours by a child process.

    Raises:
        UserError: it failed, with what it said.
    """
    settings = making.settings
    with server.work_folder(settings) as work:
        files = drivers.DriverFiles(work / "report.json", work / "progress")
        argv = drivers.ground_truth_argv(settings, scenario, files)
        _run_driver(making, argv, files.progress, work / "ground_truth.log", lambda: None)


def make_data_set(making: Making, scenario: Scenario, folder: Path) -> None:
    """Load the data set into a server of its own, let it write its state, and keep that as `folder`.

    Raises:
        UserError: the server did not start, did not take the data, or its state can't be kept.
    """
    settings = making.settings
    with server.work_folder(settings) as work:
        log = Output(work / "server.log", MEGABYTE)
        try:
            with server.started(settings, work, log, making.root) as loader:
                server.wait_until_ready(loader, settings.ready_timeout_s)
                files = drivers.DriverFiles(work / "prepare.json", work / "prepare.progress")
                argv = drivers.prepare_argv(settings, scenario, files, settings.data_set_timeout_s)
                _run_driver(making, argv, files.progress, work / "prepare.log", lambda: _refuse_dead(loader))
                if problem := server.compact(settings, _COMPACT_TIMEOUT_S):
                    raise UserError(f"the server did not write its state: {problem}")
        except StartError as error:
            raise UserError(f"no server to load the data set into: {error}") from None
        _keep(work / "data", folder)


def hand_over(folder: Path | None, data_dir: Path) -> bool:
    """Put a kept data set into a server's data folder, as hard links where that goes; tell whether there is one."""
    if folder is None or not folder.is_dir():
        return False
    shutil.copytree(folder, data_dir, copy_function=_link_or_copy, dirs_exist_ok=True)
    return True


def _run_driver(making: Making, argv: list[str], progress_file: Path, log: Path, each_poll: Callable[[], None]) -> None:
    settings = making.settings
    reader = ProgressReader(progress_file)
    making.watcher.phase("prepare", settings.data_set_timeout_s)
    with process.running(
        argv,
        environment=server.child_environment(making.root),
        folder=making.root,
        stdout=Output(log, MEGABYTE),
        stop_grace_s=settings.stop_grace_s,
    ) as child:
        _follow(making, child, reader, each_poll)
        ended = child.exit
    if ended is None or ended.code != 0:
        raise UserError(" ".join(server.tail(log, 2)) or f"the driver ended with {ended}")


def _follow(making: Making, child: Child, reader: ProgressReader, each_poll: Callable[[], None]) -> None:
    began = time.monotonic()
    while child.wait(_POLL_S) is None:
        reader.read()
        each_poll()
        making.watcher.progress(reader.progress(time.monotonic() - began))


def _refuse_dead(loader: Server) -> None:
    if loader.exit is not None:
        raise UserError(
            f"the server ended while it was loaded ({loader.exit}): {' '.join(loader.last_log_lines()[-2:])}"
        )


def _keep(data_dir: Path, folder: Path) -> None:
    """Move a finished data folder into the cache, so that it is there whole or not at all."""
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        with interrupts.deferred():
            shutil.move(data_dir, partial)
            partial.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: can't be kept ({error.strerror}): mend that, or set cache_dir") from None


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
    return target
