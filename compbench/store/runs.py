"""Run folders: names, manifests, captures, whole writes, leftovers, the lock, and which run to go on with.

A run is one pass over the selected scenarios, kept in `<output_dir>/<timestamp>/`. Files are the only state: a capture
that is there means a scenario that is done. Knows nothing of how a scenario is measured or how a page is rendered.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from compbench.model.errors import UserError
from compbench.model.measurement import measurement_named
from compbench.model.records import Capture, Manifest

T = TypeVar("T")
TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}")
MANIFEST_NAME = "manifest.json"
PARTIAL = ".partial"
# Boot times are computed from a running clock and an uptime; they wander by this much without a reboot.
BOOT_TOLERANCE_S = 120.0
# The driver's and the server's own records of one scenario; `capture` is always written last.
MEASURED_KINDS = {
    "stdout": ".txt",
    "stderr": "_stderr.txt",
    "driver_json": ".json",
    "hlog": ".hlog",
    "server_log": "_server.log",
    "stacks": "_stacks.log",
    "capture": "_capture.json",
}
RENDERED_KINDS = {"diagnostics": "_diag.txt", "system": "_sys.txt", "flamegraph": "_flamegraph.svg"}


@dataclass(frozen=True)
class Run:
    """A run's folder and its manifest as last read or written."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Return the run's timestamp."""
        return self.manifest.run

    def path(self, measurement: str, kind: str) -> Path:
        """Return the final path of one of a measurement's files (specification 4)."""
        ending = MEASURED_KINDS.get(kind) or RENDERED_KINDS[kind]
        if kind == "stdout" and measurement_named(measurement).is_capacity:
            ending = ".log"  # readers of a run take every other `.txt` for a scenario's report
        return self.folder / f"{self.name}_{measurement}{ending}"

    def page(self, name: str) -> Path:
        """Return the path of one of the run's own pages, such as `summary.txt`."""
        return self.folder / f"{self.name}_{name}"

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


def timestamp(now_s: float) -> str:
    """Return a Unix time as a run's name, in local time (specification 4)."""
    return datetime.fromtimestamp(now_s).astimezone().strftime("%Y-%m-%d_%H-%M-%S")


def iso_utc(at_s: float) -> str:
    """Return a Unix time as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all, and survives a crash of the machine.

    Raises:
        OSError: the disk is full, or the folder can't be written; the old file is then untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)  # a reader knows nothing of the temporary file, and a failed write names none
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_record(path: Path, record: msgspec.Struct) -> None:
    """Write a record as indented JSON, whole."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def read_record(path: Path, kind: type[T]) -> T:
    """Read a record that `write_record` wrote.

    Raises:
        UserError: the file is not such a record; it names the file and how to go on.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable {kind.__name__.lower()} ({error}): move it away to go on") from None


def list_runs(output_dir: Path) -> list[Run]:
    """Return every run whose manifest can be read, oldest first."""
    found = []
    for folder in run_folders(output_dir):
        with contextlib.suppress(UserError):
            found.append(read_run(folder))
    return found


def run_folders(output_dir: Path) -> list[Path]:
    """Return every folder that is named like a run and not known to have no manifest, oldest first."""
    folders = sorted(output_dir.iterdir()) if output_dir.is_dir() else []
    return [path for path in folders if TIMESTAMP.fullmatch(path.name) and not is_missing(path / MANIFEST_NAME)]


def read_run(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        UserError: its manifest can't be read.
    """
    return Run(folder, read_record(folder / MANIFEST_NAME, Manifest))


def is_missing(path: Path) -> bool:
    """Tell whether a file is certainly not there; one in a folder that can't be looked into may be."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def refuse_damaged(output_dir: Path) -> None:
    """Make sure that no run with captures which may still be open can't be read: they must not be forgotten.

    Raises:
        UserError: there is such a run.
    """
    for folder in run_folders(output_dir):
        try:
            read_run(folder)
        except UserError:
            if _has_captures(folder) and not _says_closed(folder):
                raise


def _has_captures(folder: Path) -> bool:
    return any(folder.glob("*_capture.json"))


def _says_closed(folder: Path) -> bool:
    try:
        return msgspec.json.decode((folder / "results.json").read_bytes(), type=_State).state == "closed"
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False


class _State(msgspec.Struct):
    state: str


def find_run(output_dir: Path, name: str) -> Run:
    """Return the run of that timestamp.

    Raises:
        UserError: there is no such run, with the newest ones; or its manifest can't be read.
    """
    for folder in run_folders(output_dir):
        if folder.name == name:
            return read_run(folder)
    newest = ", ".join(run.name for run in list_runs(output_dir)[-3:]) or "none yet"
    raise UserError(f"no run {name!r} in {output_dir}: the newest are {newest}")


def find_open_run(output_dir: Path) -> Run | None:
    """Return the newest run of the suite that is still open; a search for a capacity is never continued."""
    known = reversed(list_runs(output_dir))
    return next((run for run in known if run.manifest.state == "open" and run.manifest.kind == "suite"), None)


def refusal_to_resume(
    manifest: Manifest, fingerprint: Mapping[str, str], *, now_s: float, boot_at: float, max_age_h: float
) -> str:
    """Say why an open run can't be continued, or return an empty text if it can."""
    if changes := fingerprint_changes(manifest.fingerprint, fingerprint):
        return "its inputs have changed: " + "; ".join(changes)
    if abs(manifest.boot_at - boot_at) > BOOT_TOLERANCE_S:
        return "the machine has been rebooted since"
    if (age_h := (now_s - manifest.opened_at) / 3600) > max_age_h:
        return f"it was opened {age_h:.1f} h ago (resume_max_age_h = {max_age_h:g})"
    return ""


def refusal_to_select(selection: Sequence[str], pending: Sequence[str], asked: Sequence[str]) -> str:
    """Say why an open run of `selection` does not serve what is asked for, or return an empty text if it does.

    It serves if it has every scenario asked for, and one of them is still to be measured; a run in which nothing is
    left to measure only wants its pages and its end, and serves too.
    """
    if missing := [name for name in asked if name not in selection]:
        return f"it was opened for other scenarios (without {', '.join(missing)})"
    if pending and not any(name in pending for name in asked):
        return f"{', '.join(asked)} is measured in it already, and asked for again"
    return ""


def fingerprint_changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the differences of two fingerprints, each as `name: old -> new`, hashes shortened."""
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return [f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}" for name in names]


def create_run(output_dir: Path, manifest_for: Manifest, now_s: float) -> Run:
    """Make the folder of a new run under a timestamp that no other run has, and write its manifest.

    Only the holder of the suite's lock may call this. A timestamp that is taken is counted on by a second.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    while True:
        folder = output_dir / timestamp(now_s)
        try:
            folder.mkdir()
            break
        except FileExistsError:
            now_s += 1
    run = Run(folder, msgspec.structs.replace(manifest_for, run=folder.name))
    write_record(folder / MANIFEST_NAME, run.manifest)
    return run


def change_manifest(run: Run, **changes: object) -> Run:
    """Write the run's manifest with some fields changed; return the run as it is then."""
    manifest = msgspec.structs.replace(run.manifest, **changes)
    write_record(run.folder / MANIFEST_NAME, manifest)
    return Run(run.folder, manifest)


def set_aside(run: Run, measurement: str) -> list[Path]:
    """Keep what an earlier attempt at a measurement left, as `<name>.attemptN.partial`; return the new paths.

    Only the holder of the suite's lock may call this, before it is made (again).
    """
    endings = [*MEASURED_KINDS.values(), *RENDERED_KINDS.values()]
    stem = f"{run.name}_{measurement}"
    found = [run.folder / f"{stem}{ending}{state}" for ending in endings for state in ("", PARTIAL)]
    found = [path for path in found if path.exists()]
    if not found:
        return []
    number = attempts_kept(run, measurement) + 1
    kept = []
    for path in found:
        new = path.with_name(f"{path.name.removesuffix(PARTIAL)}.attempt{number}{PARTIAL}")
        path.rename(new)
        kept.append(new)
    sync_folder(run.folder)
    return kept


def attempts_kept(run: Run, measurement: str) -> int:
    """Return how many earlier attempts at the measurement have been set aside."""
    pattern = re.compile(re.escape(f"{run.name}_{measurement}") + r"[._].*\.attempt(\d+)\.partial")
    numbers = [int(match[1]) for path in run.folder.iterdir() if (match := pattern.fullmatch(path.name))]
    return max(numbers, default=0)


def remove_temporary_files(folder: Path) -> None:
    """Remove what a killed `write_whole` left in a folder; only for the holder of the suite's lock."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def _short(value: str | None) -> str:
    if value is None:
        return "(absent)"
    return f"{value[:12]}..." if re.fullmatch(r"[0-9a-f]{40,}", value) else value
