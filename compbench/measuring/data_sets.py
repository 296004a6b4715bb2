"""Exact neighbours and whole data sets, made once before anything is measured, and kept in the cache.

A large data set is loaded into a server that does nothing else, which writes its state now and then, and at the end;
the folder is kept under a name that is a hash of everything it depends on. Making that was interrupted goes on from the
last state. A server that is to be measured gets hard links to the kept files and starts on them in seconds. A server
that changes files in place gets copies.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from compbench.config.settings import Settings
from compbench.files.cloned import clone_or_copy
from compbench.machine import interrupts, isolation, process
from compbench.machine.output import Output
from compbench.machine.placement import ANYWHERE, Placement
from compbench.machine.process import Child
from compbench.measuring import driver_report, drivers, modes, server
from compbench.measuring.attempt import MEGABYTE
from compbench.measuring.driver_wait import ProgressReader
from compbench.measuring.drivers import DriverFiles
from compbench.measuring.under_test import StartError, UnderTest
from compbench.model.errors import UserError
from compbench.model.events import NoticeGiven, PhaseBegan, Subscriber
from compbench.model.notices import notice_of
from compbench.model.result import Prepared
from compbench.model.scenario import Scenario
from compbench.store import data_set_sizes, kept_data
from compbench.store.data_set_sizes import FoundSize, SizeBound
from compbench.store.kept_data import KeptFacts
from compbench.store.record_files import write_record
from compbench.systems import registry

_POLL_S = 0.25
# A larger share of the time than this was spent on building an index after the rows.
_INDEXED_AS_LOADED = 0.02
_SAVE_TIMEOUT_S = 600


@dataclass(frozen=True)
class Making:
    """The surroundings of making: settings, the project's folder, the subscriber of events, the scenario."""

    settings: Settings
    root: Path
    tell: Subscriber
    scenario: str


def make_ground_truth(making: Making, scenario: Scenario, memories: int) -> None:
    """Compute the exact neighbours among so many memories by a child process.

    Raises:
        UserError: it failed; has the last lines of its output.
    """
    settings = making.settings
    with server.work_folder(settings, making.root) as work:
        files = DriverFiles(work / "report.json", work / "progress")
        argv = drivers.ground_truth_argv(settings, scenario, files, memories)
        log = work / "ground_truth.log"
        run_driver(making, argv, files.progress, log, settings.data_set_timeout_s, lambda: None)


def find_size(making: Making, scenario: Scenario, most: int, bound: SizeBound) -> None:
    """Load as many memories as fit into the time, note how many that are, and keep them where the system can be kept.

    Args:
        making: the surroundings.
        scenario: whose data set is loaded.
        most: not more than that.
        bound: why not.

    Raises:
        UserError: the server did not start or did not take the data, or nothing can be kept.
        OSError: a disk refused the note.
    """
    settings = making.settings

    def note(said: Prepared) -> None:
        _note_size(settings, scenario, said, bound if said.fits == most else "time")

    with server.work_folder(settings, making.root) as work:
        order = _Order(most, settings.loading_limit_s, fit=True)
        loaded = _load_rows(making, scenario, work, order, note, lambda _loader: lambda: None)
        said = loaded.said
        folder = kept_data.data_set_folder(settings, scenario)
        is_wanted = said.complete and said.wanted == data_set_sizes.wanted_memories(settings, scenario)
        # What was indexed in steps is no index as it is built over all rows at once: that is loaded anew.
        if folder is not None and is_wanted and said.index_s <= _INDEXED_AS_LOADED * said.elapsed_s:
            _keep_with_facts(work / "data", folder, loaded)


def _note_size(settings: Settings, scenario: Scenario, said: Prepared, bound: SizeBound) -> None:
    """Keep the size that was found; one that was found before is never made smaller by a slower moment."""
    known = data_set_sizes.read_size(settings, scenario)
    if known is not None and known.memories > said.fits:
        found = msgspec.structs.replace(known, bound="time")
    else:
        found = FoundSize(
            memories=said.fits, bound=bound, loading_limit_s=settings.loading_limit_s, took_s=said.elapsed_s
        )
    data_set_sizes.keep_size(settings, scenario, found)


def make_data_set(making: Making, scenario: Scenario, memories: int, folder: Path) -> None:
    """Load a data set, let the server write its state, and keep that as `folder`.

    Raises:
        UserError: the server did not start, did not take the data, or its state can't be kept.
    """
    settings, begun = making.settings, kept_data.begun_folder(folder)
    if registry.server_of(settings).rewrites_data:
        shutil.rmtree(begun, ignore_errors=True)  # an earlier compbench made such copies of running servers
    with server.work_folder(settings, making.root) as work:
        is_resumed = hand_over_for(settings, begun, work / "data")

        def saving(loader: UnderTest) -> Callable[[], None]:
            return _Saving(making, loader, work / "data", begun).poll

        try:
            order = _Order(memories, settings.data_set_timeout_s)
            loaded = _load_rows(making, scenario, work, order, lambda _said: None, saving)
        except UserError as error:
            advice = f" (it went on from {begun}: remove that to begin anew)" if is_resumed else ""
            raise UserError(f"{error}{advice}") from None
        _keep_with_facts(work / "data", folder, loaded)
    shutil.rmtree(begun, ignore_errors=True)


class _Order(NamedTuple):
    """How many rows are to be loaded within which time; `fit`: fewer where the time allows no more."""

    memories: int
    limit_s: float
    fit: bool = False


class _Loaded(NamedTuple):
    """What a loading driver said, and its server, which has ended."""

    said: Prepared
    loader: UnderTest


def _load_rows(
    making: Making,
    scenario: Scenario,
    work: Path,
    order: _Order,
    note: Callable[[Prepared], None],
    each_poll_of: Callable[[UnderTest], Callable[[], None]],
) -> _Loaded:
    """Load rows into a server of its own, which writes its state if it can, and has ended afterwards.

    Args:
        making: the surroundings.
        scenario: whose rows they are.
        work: the server's folder.
        order: how many, within which time.
        note: takes what was loaded as soon as it is, before anything else can go wrong.
        each_poll_of: given the server, returns what is done several times a second meanwhile.

    Raises:
        UserError: there is no server, it did not take the rows, or did not write its state.
    """
    settings, half = making.settings, registry.server_of(making.settings)
    files = DriverFiles(work / "prepare.json", work / "prepare.progress")
    try:
        log = Output(work / "server.log", MEGABYTE)
        with modes.started_server(settings, work, log, making.root, scenario) as loader:
            loader.wait_until_ready(settings.ready_timeout_s)
            argv = [*loader.entry, *drivers.prepare_argv(settings, scenario, files, order.memories, order.limit_s)]
            argv += ["--no-edges", *(["--fit"] if order.fit else [])]
            said = _loaded(making, argv, files, work / "prepare.log", order, each_poll_of(loader))
            note(said)
            if half.data_format and said.complete and (problem := half.save(_SAVE_TIMEOUT_S)):
                raise UserError(f"the server did not write its state: {problem}")
    except StartError as error:
        raise UserError(f"no server to load the data set into: {error}") from None
    if loader.left:
        notice = notice_of("data-left", endpoint=half.endpoint, problem=loader.left)
        making.tell(NoticeGiven(at=time.time(), measurement=making.scenario, notice=notice))
    return _Loaded(said, loader)


def _loaded(
    making: Making, argv: list[str], files: DriverFiles, log: Path, order: _Order, each_poll: Callable[[], None]
) -> Prepared:
    """Run the loading driver to its end, and return what it says.

    Raises:
        UserError: it failed, for another reason than that the time was over before the last step.
    """
    try:
        place = isolation.reached_by(making.settings).of_loader(0)
        run_driver(making, argv, files.progress, log, order.limit_s, each_poll, place)
    except UserError:
        said = driver_report.read_prepared(files.report)
        if said is None or not (said.fits and said.out_of_time):
            raise
        return said
    said = driver_report.read_prepared(files.report)
    if said is None:
        raise UserError("the driver that loaded the data set left no report")
    return said


def hand_over_for(settings: Settings, folder: Path | None, data_dir: Path) -> bool:
    """Put a kept data set into the data folder of the system that is measured; tell whether there is one.

    Raises:
        OSError: a disk refused it.
    """
    return hand_over(folder, data_dir, rewrites=registry.server_of(settings).rewrites_data)


def hand_over(folder: Path | None, data_dir: Path, *, rewrites: bool = False) -> bool:
    """Put a kept data set into a server's data folder; tell whether there is one.

    Hard links where that goes, but copies for a server that changes files in place: it would change what is kept.

    Raises:
        OSError: a disk refused it.
    """
    if folder is None or not folder.is_dir():
        return False
    try:
        put = clone_or_copy if rewrites else _link_or_copy
        shutil.copytree(folder, data_dir, copy_function=put, dirs_exist_ok=True)
    except shutil.Error as error:
        raise OSError(f"{error.args[0][0][2]}") from None  # one for all files that failed: of each source, target, why
    return True


def run_driver(
    making: Making,
    argv: list[str],
    progress_file: Path,
    log: Path,
    limit_s: float,
    each_poll: Callable[[], None],
    placement: Placement = ANYWHERE,
    *,
    limit_setting: str = "",
) -> None:
    """Run a driver to its end, telling its progress.

    One that knows its time limit has twice as long to end by itself; one that doesn't is ended after it, and the
    setting that says it is named.

    Raises:
        UserError: it failed, or did not end in time; has its last lines.
    """
    making.tell(PhaseBegan(at=time.time(), measurement=making.scenario, phase="prepare", limit_s=limit_s))
    with process.running(
        argv,
        environment=server.driver_environment(making.settings, making.root),
        folder=making.root,
        stdout=Output(log, MEGABYTE),
        stop_grace_s=making.settings.stop_grace_s,
        placement=placement,
    ) as child:
        _follow(making, child, ProgressReader(progress_file), limit_s, each_poll, limit_setting)
        ended = child.exit
    if ended is None or ended.code != 0:
        raise UserError(" ".join(server.tail(log, 2)) or f"the driver ended with {ended}")


def _follow(
    making: Making,
    child: Child,
    reader: ProgressReader,
    limit_s: float,
    each_poll: Callable[[], None],
    limit_setting: str,
) -> None:
    """Follow a driver to its end, which its own time limit should bring unless it knows none.

    Raises:
        UserError: it did not end long after that.
    """
    began, settings = time.monotonic(), making.settings
    longest_s = limit_s if limit_setting else 2 * limit_s + settings.driver_grace_s
    advice = limit_setting or "data_set_timeout_s, or with scale=auto loading_s"
    while child.wait(_POLL_S) is None:
        reader.read()
        each_poll()
        elapsed_s = time.monotonic() - began
        if elapsed_s > longest_s:
            child.stop(settings.stop_grace_s)
            told = f"the driver was still at work after {elapsed_s:.0f} s and was ended"
            raise UserError(f"{told}: give it more time ({advice})")
        making.tell(reader.progress(elapsed_s, at=time.time(), measurement=making.scenario))


class _Saving:
    """Lets the loading server write its state now and then, and keeps that for a making that has to go on from it.

    Files that a running server changes in place are no state, whenever they are copied: of such a one nothing is kept.
    """

    def __init__(self, making: Making, loader: UnderTest, data_dir: Path, begun: Path) -> None:
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
        if registry.server_of(self._making.settings).rewrites_data:
            return
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
            hand_over_for(self._making.settings, self._data_dir, linked)
            _keep(linked, self._begun)
        except OSError as error:
            return reason_of(error)
        except UserError as error:
            return str(error)
        return ""


def _keep_with_facts(data_dir: Path, folder: Path, loaded: _Loaded) -> None:
    """Keep a loaded data set, and how it was loaded, which is told before: a record without its folder is not read.

    Raises:
        UserError: the server was killed before it had ended in order, or a disk refused the data.
    """
    said, loader = loaded
    if loader.stopped_by == "SIGKILL":
        told = f"the server that loaded the data set was killed, since it had not ended after {loader.grace_s:g} s"
        raise UserError(f"{told}: its files may be half written and are not kept; allow it more (stop_grace_s)")
    whole = not said.found
    facts = KeptFacts(
        load_s=round(said.elapsed_s - said.index_s, 3) if whole else None,
        index_s=said.index_s if whole else None,
        disk_bytes=kept_data.disk_bytes(data_dir),
        isolation=isolation.reached_by(loader.settings).told,
        index_proof=said.index_proof,
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_record(kept_data.facts_file(folder), facts)
    except OSError as error:
        raise UserError(f"{folder}: can't be kept ({reason_of(error)}): mend that, or set cache_dir") from None
    _keep(data_dir, folder)


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
        clone_or_copy(source, target)
    return target
