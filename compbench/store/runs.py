"""Run folders: their names, their manifests and captures, and which are open.

A run is one pass over the selected scenarios, kept in `<output_dir>/<timestamp>/`. Files are the only state: a capture
that is there means a measurement that is done. Knows nothing of how one is made or how a page is rendered.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from compbench.files.regular import read_regular
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.file_names import TIMESTAMP
from compbench.model.records import Capture, Manifest
from compbench.model.times import timestamp
from compbench.store.record_files import read_record, write_record

# Names of runs are local times: an hour is lost every autumn, and clocks are set.
_CLOCK_STEP_S = 2 * 3600
# So far ahead is the name of a run that only found its second taken, by a few others at most.
_CLOCK_TICK_S = 60


@dataclass(frozen=True)
class Run:
    """A run's folder and its manifest as last read or written."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Return the run's timestamp."""
        return self.folder.name

    def path(self, measurement: str, kind: str) -> Path:
        """Return the final path of one of a measurement's files."""
        return self.folder / file_names.of_measurement(self.name, measurement, kind)

    def has_capture(self, measurement: str) -> bool:
        """Tell whether the measurement is done."""
        return self.path(measurement, "capture").exists()

    def pending(self) -> list[str]:
        """Return the selected measurements that have no capture yet, in order."""
        return [name for name in self.manifest.selection if not self.has_capture(name)]

    def captures(self) -> list[Capture]:
        """Read every capture of the selection, in order; those not yet there are left out.

        Raises:
            UserError: a capture can't be read; moving it away makes compbench measure the scenario again.
        """
        paths = [self.path(name, "capture") for name in self.manifest.selection]
        return [read_record(path, Capture) for path in paths if path.exists()]


def list_runs(output_dir: Path) -> list[Run]:
    """Return every run whose manifest can be read, oldest first."""
    found = []
    for folder in run_folders(output_dir):
        with contextlib.suppress(UserError):
            found.append(read_run(folder))
    return found


def run_folders(output_dir: Path) -> list[Path]:
    """Return every folder that is named like a run and not known to have no manifest, oldest first."""
    folders = (output_dir / name for name in _names(output_dir))
    return [folder for folder in folders if not is_missing(folder / file_names.MANIFEST)]


def newest_folder(output_dir: Path) -> Path | None:
    """Return the folder of the newest run, None if there is none; reads no manifest."""
    folders = (output_dir / name for name in reversed(_names(output_dir)))
    return next((folder for folder in folders if (folder / file_names.MANIFEST).exists()), None)


def read_run(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        UserError: its manifest can't be read, or is another folder's.
    """
    path = folder / file_names.MANIFEST
    manifest = read_record(path, Manifest)
    if manifest.run != folder.name:
        raise UserError(f"{path}: it says that its run is {manifest.run!r}: not this folder's; move it away to go on")
    return Run(folder, manifest)


def is_missing(path: Path) -> bool:
    """Tell whether a file is certainly not there; one in a folder that can't be looked into may be."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def find_run(output_dir: Path, name: str) -> Run:
    """Return the run of that timestamp.

    Raises:
        UserError: there is no such run, with the newest ones; or its manifest can't be read.
    """
    folders = run_folders(output_dir)
    for folder in folders:
        if folder.name == name:
            return read_run(folder)
    newest = ", ".join(folder.name for folder in folders[-3:]) or "none yet"
    raise UserError(f"no run {name!r} in {output_dir}: the newest are {newest}")


def open_runs(output_dir: Path) -> list[Run]:
    """Return every run that is still open, newest first.

    A folder that says by a file's presence that it has ended is not looked into, so that this takes no longer with a
    thousand closed runs. The manifest of every other one is read: a lost marker costs time, never a run.
    """
    found = []
    for folder in reversed(_perhaps_open(output_dir)):
        with contextlib.suppress(UserError):
            found.append(read_run(folder))
    return [run for run in found if run.manifest.state == "open"]


def never_opened(output_dir: Path) -> list[Path]:
    """Return the folders whose maker was killed before it wrote a manifest, oldest first."""
    return [folder for folder in _perhaps_open(output_dir) if is_missing(folder / file_names.MANIFEST)]


def refuse_damaged(output_dir: Path) -> None:
    """Make sure that no run with captures which may still be open can't be read: they must not be forgotten.

    Raises:
        UserError: there is such a run.
    """
    for folder in _perhaps_open(output_dir):
        if is_missing(folder / file_names.MANIFEST):
            continue
        try:
            read_run(folder)
        except UserError:
            if _has_captures(folder) and not _says_closed(folder):
                raise


def new_names(now_s: float, output_dir: Path, count: int = 1) -> list[str]:
    """Return the names of runs that begin now: the time, or where that is taken the next seconds that are free.

    After a step of the clock backwards it is counted on from the newest run, so that names sort in the order of
    their making; but not from one that lies further ahead than clocks are set, which must be a mistake.
    """
    known = set(_names(output_dir))
    newest = max((name for name in known if name <= timestamp(now_s + _CLOCK_STEP_S)), default="")
    found: list[str] = []
    while len(found) < count:
        name = timestamp(now_s)
        if name not in known and name not in found and name >= newest:
            found.append(name)
        now_s += 1
    return found


def clock_remark(now_s: float, name: str, output_dir: Path) -> str:
    """Say what is odd about the time of a new run of that name beside those that are there; empty if nothing is."""
    newest = next(reversed([other for other in _names(output_dir) if other != name]), "")
    if newest > timestamp(now_s + _CLOCK_STEP_S):
        return f"run {newest} is of the future and counts as the newest: set the clock right, or move that run away"
    if name > timestamp(now_s + _CLOCK_TICK_S):
        return f"this run is called {name}, after {newest}, since the clock has been set back"
    return ""


def create_run(output_dir: Path, name: str, manifest_for: Manifest) -> Run:
    """Make the folder of a new run and write its manifest; only the holder of the suite's lock may call this.

    Raises:
        UserError: the name is taken.
    """
    folder = output_dir / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"{folder} was made by somebody else meanwhile: run the same command again") from None
    run = Run(folder, msgspec.structs.replace(manifest_for, run=name))
    write_record(folder / file_names.MANIFEST, run.manifest)
    return run


def change_manifest(run: Run, **changes: object) -> Run:
    """Write the run's manifest with some fields changed; return the run as it is then."""
    changed = Run(run.folder, msgspec.structs.replace(run.manifest, **changes))
    marker = run.folder / file_names.ENDED
    if changed.manifest.state == "open":
        marker.unlink(missing_ok=True)
    write_record(run.folder / file_names.MANIFEST, changed.manifest)
    if changed.manifest.state != "open":
        marker.touch()
    return changed


def closed(run: Run, now_s: float) -> Run:
    """Return the run as it is when it closes now, which is never before it was opened; writes nothing."""
    closed_at = max(now_s, run.manifest.opened_at)
    return Run(run.folder, msgspec.structs.replace(run.manifest, state="closed", closed_at=closed_at))


def _names(output_dir: Path) -> list[str]:
    """Return the name of everything that is named like a run, sorted; plain text, since there may be thousands."""
    try:
        with os.scandir(output_dir) as entries:
            return sorted(entry.name for entry in entries if TIMESTAMP.fullmatch(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _perhaps_open(output_dir: Path) -> list[Path]:
    names = (name for name in _names(output_dir) if not os.access(f"{output_dir}/{name}/{file_names.ENDED}", os.F_OK))
    return [output_dir / name for name in names]


def _has_captures(folder: Path) -> bool:
    return any(folder.glob(f"*{file_names.MEASURED['capture']}"))


def _says_closed(folder: Path) -> bool:
    try:
        return msgspec.json.decode(read_regular(folder / file_names.RESULTS), type=_State).state == "closed"
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


class _State(msgspec.Struct):
    state: str
