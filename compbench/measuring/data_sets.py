"""Exact neighbours and whole data sets, made once before anything is measured, and kept in the cache.

A large data set is loaded into a server that does nothing else, which writes its state now and then, and at the end;
the folder is kept under a name that is a hash of everything it depends on. Making that was interrupted goes on from the
last state. A server that is to be measured gets hard links to the kept files and starts on them in seconds. Servers
only read these files, and write new ones.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compbench.config.settings import Settings
from compbench.machine import interrupts, process
from compbench.machine.output import Output
from compbench.machine.process import Child
from compbench.measuring import drivers, server
from compbench.measuring.attempt import MEGABYTE
from compbench.measuring.driver_wait import ProgressReader
from compbench.measuring.server import ServerProcess, StartError
from compbench.model.errors import UserError
from compbench.model.events import NoticeGiven, PhaseBegan, Subscriber
from compbench.model.notices import notice_of
from compbench.model.scenario import Scenario
from compbench.store import kept_data
from compbench.systems import registry

_POLL_S = 0.25
_SAVE_TIMEOUT_S = 600


@dataclass(frozen=True)
class Making:
    """The surroundings of making: settings, the project's folder, the subscriber of events, the scenario."""

    settings: Settings
    root: Path
    tell: Subscriber
    scenario: str


def make_ground_truth(making: Making, scenario: Scenario) -> None:
    """Compute the exact neighbours by a child process.

    Raises:
        UserError: it failed; has the last lines of its output.
    """
    settings = making.settings
    with server.work_folder(settings, making.root) as work:
        files = drivers.DriverFiles(work / "report.json", work / "progress")
        argv = drivers.ground_truth_argv(settings, scenario, files)
        _run_driver(making, argv, files.progress, work / "ground_truth.log", lambda: None)


def make_data_set(making: Making, scenario: Scenario, folder: Path) -> None:
    """Load the data set into a server that does nothing else, let it write its state, and keep that as `folder`.

    Raises:
        UserError: the server did not start, did not take the data, or its state can't be kept.
    """
    settings, begun = making.settings, kept_data.begun_folder(folder)
    with server.work_folder(settings, making.root) as work:
        log = Output(work / "server.log", MEGABYTE)
        hand_over(begun, work / "data")
        try:
            with server.started(settings, work, log, making.root) as loader:
                server.wait_until_ready(loader, settings.ready_timeout_s)
                files = drivers.DriverFiles(work / "prepare.json", work / "prepare.progress")
                argv = drivers.prepare_argv(settings, scenario, files, settings.data_set_timeout_s)
                saving = _Saving(making, loader, work / "data", begun)
                _run_driver(making, argv, files.progress, work / "prepare.log", saving.poll)
                if problem := registry.server_of(settings).save(_SAVE_TIMEOUT_S):
                    raise UserError(f"the server did not write its state: {problem}")
        except StartError as error:
            advice = f" (it was to go on from {begun}: remove that to begin anew)" if begun.is_dir() else ""
            raise UserError(f"no server to load the data set into: {error}{advice}") from None
        _keep(work / "data", folder)
    shutil.rmtree(begun, ignore_errors=True)


def hand_over(folder: Path | None, data_dir: Path) -> bool:
    """Put a kept data set into a server's data folder, as hard links where that goes; tell whether there is one.

    Raises:
        OSError: a disk refused it.
    """
    if folder is None or not folder.is_dir():
        return False
    try:
        shutil.copytree(folder, data_dir, copy_function=_link_or_copy, dirs_exist_ok=True)
    except shutil.Error as error:
        raise OSError(f"{error.args[0][0][2]}") from None  # one for all files that failed: of each source, target, why
    return True


def _run_driver(making: Making, argv: list[str], progress_file: Path, log: Path, each_poll: Callable[[], None]) -> None:
    limit_s = making.settings.data_set_timeout_s
    making.tell(PhaseBegan(at=time.time(), measurement=making.scenario, phase="prepare", limit_s=limit_s))
    with process.running(
        argv,
        environment=server.child_environment(making.root),
        folder=making.root,
        stdout=Output(log, MEGABYTE),
        stop_grace_s=making.settings.stop_grace_s,
    ) as child:
        _follow(making, child, ProgressReader(progress_file), each_poll)
        ended = child.exit
    if ended is None or ended.code != 0:
        raise UserError(" ".join(server.tail(log, 2)) or f"the driver ended with {ended}")


def _follow(making: Making, child: Child, reader: ProgressReader, each_poll: Callable[[], None]) -> None:
    """Follow a driver to its end, which its own time limit should bring.

    Raises:
        UserError: it did not end long after that.
    """
    began, settings = time.monotonic(), making.settings
    while child.wait(_POLL_S) is None:
        reader.read()
        each_poll()
        elapsed_s = time.monotonic() - began
        if elapsed_s > settings.data_set_timeout_s + settings.driver_grace_s:
            child.stop(settings.stop_grace_s)
            told = f"the driver was still at work after {elapsed_s:.0f} s and was ended"
            raise UserError(f"{told}: give it more time (data_set_timeout_s)")
        making.tell(reader.progress(elapsed_s, at=time.time(), measurement=making.scenario))


class _Saving:
    """Lets the loading server write its state now and then, and keeps that for a making that has to go on from it."""

    def __init__(self, making: Making, loader: ServerProcess, data_dir: Path, begun: Path) -> None:
        self._making, self._loader, self._data_dir, self._begun = making, loader, data_dir, begun
        self._saved_at = time.monotonic()

    def poll(self) -> None:
        """Save if it is time to.

        Raises:
            UserError: the server has ended.
        """
        if self._loader.exit is not None:
            said = " ".join(self._loader.last_log_lines()[-2:])
            raise UserError(f"the server ended while it was loaded ({self._loader.exit}): {said}")
        if time.monotonic() - self._saved_at < self._making.settings.data_set_save_every_s:
            return
        if problem := self._save():
            notice = notice_of("begun-not-kept", problem=problem)
            self._making.tell(NoticeGiven(at=time.time(), measurement=self._making.scenario, notice=notice))
        self._saved_at = time.monotonic()

    def _save(self) -> str:
        """Return why the state could not be kept, or an empty text; the state kept before stays then."""
        if problem := registry.server_of(self._making.settings).save(_SAVE_TIMEOUT_S):
            return problem
        linked = self._data_dir.with_name("linked")
        try:
            shutil.rmtree(linked, ignore_errors=True)  # of a state that could not be kept
            hand_over(self._data_dir, linked)
            _keep(linked, self._begun)
        except OSError as error:
            return reason_of(error)
        except UserError as error:
            return str(error)
        return ""


def _keep(data_dir: Path, folder: Path) -> None:
    """Move a data folder into the cache in the place of an older one, so that it is there whole or not at all."""
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        with interrupts.deferred():
            shutil.move(data_dir, partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)  # half of it must not keep the disk full
        raise UserError(f"{folder}: can't be kept ({reason_of(error)}): mend that, or set cache_dir") from None


def reason_of(error: OSError) -> str:
    """Return why files were refused; of a folder that was copied, the first of its files says it."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])
    return error.strerror or str(error)


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
    return target
