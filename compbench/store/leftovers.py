"""Leftovers of interrupted runs and killed invocations, and caches: what `doit clean` may remove.

Of a closed run only temporary files; of `work_dir` and `cache_dir`, which may be shared with others, only files whose
names are this project's.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compbench.files.whole import temporary_files
from compbench.machine import control_groups
from compbench.machine.effects import Effects
from compbench.machine.probes import machine
from compbench.model.errors import UserError
from compbench.store.runs import list_runs, never_opened, open_runs

_MADE_NAME = re.compile(r"[0-9a-f]{24}(\.begun|\.partial|\.begun\.partial|\.npz|\.npz\.begun|\.json)?")
_SCRIPT_NAME = re.compile(r"vega-[\w.-]+\.js")
_CACHE_FOLDERS = ("data_sets", "ground_truth", "hosts", "own_sets")
# The guards of a runner that was killed end its server and driver within 3 s; this is patience for a busy machine.
_GUARDS_TIME_S = 10.0
_GUARDS_POLL_S = 0.1


@dataclass(frozen=True)
class Leftover:
    """A file or folder that `doit clean` may remove, with a word for it."""

    path: Path
    what: str


def find_leftovers(output_dir: Path, work_dir: Path, root: Path, caches: Sequence[Path]) -> list[Leftover]:
    """Return leftovers and caches; never a finished file of a closed run.

    Args:
        output_dir: the folder of all runs.
        work_dir: where servers have their working folders.
        root: the project's own folder.
        caches: files and folders that can be made again.
    """
    found = of_interruptions(output_dir, work_dir, root)
    for run in list_runs(output_dir):
        if run.manifest.state == "abandoned":
            found.append(Leftover(run.folder, "abandoned run"))
        elif run.manifest.state == "closed":
            found += [Leftover(path, "temporary file") for path in temporary_files(run.folder)]
    return found + [Leftover(path, "cache") for path in caches if path.exists()]


def of_interruptions(output_dir: Path, work_dir: Path, root: Path) -> list[Leftover]:
    """Return leftovers of interruptions; looks into no folder of a run that has ended, however many there are."""
    found = in_work_folder(work_dir, root)
    found += [Leftover(run.folder, "open run") for run in reversed(open_runs(output_dir))]
    return found + [Leftover(folder, "run that was never opened") for folder in never_opened(output_dir)]


def work_prefix(root: Path) -> str:
    """Return how the names of this project's working folders begin."""
    return f"compbench-{hashlib.sha256(bytes(root)).hexdigest()[:8]}-"


def in_work_folder(work_dir: Path, root: Path) -> list[Leftover]:
    """Return the working folders of servers of this project whose runner was killed."""
    own = [path for path in _children(work_dir) if path.name.startswith(work_prefix(root))]
    return [Leftover(path, "server's working folder") for path in own]


def clear_work_folders(work_dir: Path, root: Path, effects: Effects) -> None:
    """Remove the working folders of killed invocations, once the last process that their guards are ending has left.

    With them go control groups that are left where a guard was killed too.

    Raises:
        UserError: a process stays in such a folder; it is named, not ended.
    """
    for leftover in in_work_folder(work_dir, root):
        deadline = effects.monotonic() + _GUARDS_TIME_S
        while (inside := machine.processes_in(leftover.path)) and effects.monotonic() < deadline:
            effects.sleep(_GUARDS_POLL_S)
        if inside:
            raise UserError(
                f"process {inside[0]} is still at work in {leftover.path}, which a killed suite has left:"
                " end that process, then run the same command again"
            )
        remove(leftover)
    for prefix in (work_prefix(root), control_groups.TRIAL):
        control_groups.remove_left(prefix)


def in_cache(cache_dir: Path) -> list[Path]:
    """Return the caches: data sets, exact neighbours, facts of own sets, the charts' script, half-made installations.

    A system that is installed whole is none: it was fetched from elsewhere, and is only removed by hand.
    """
    made = [path for name in _CACHE_FOLDERS for path in _children(cache_dir / name) if _MADE_NAME.fullmatch(path.name)]
    return (
        made
        + _half_installed(cache_dir / "systems")
        + [path for path in _children(cache_dir) if _SCRIPT_NAME.fullmatch(path.name)]
    )


def _half_installed(folder: Path) -> list[Path]:
    """Return systems whose installation was not finished, with their marks last, and what it printed."""
    marks = [path for path in _children(folder) if path.suffix == ".begun"]
    return [*folder.glob("*.step*.log"), *(mark.with_suffix("") for mark in marks), *marks]


def remove_empty(cache_dir: Path) -> None:
    """Remove the cache's folders if nothing is left in them."""
    for folder in (*(cache_dir / name for name in _CACHE_FOLDERS), cache_dir):
        with contextlib.suppress(OSError):
            folder.rmdir()


def remove(leftover: Leftover) -> None:
    """Remove a leftover, file or folder."""
    if leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink(missing_ok=True)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
