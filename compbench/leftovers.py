"""What interrupted runs, killed invocations and caches have left, and what `doit clean` may remove of it.

Never anything of a closed run but temporary files.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compbench.runs import MANIFEST_NAME, TIMESTAMP, list_runs


@dataclass(frozen=True)
class Leftover:
    """Something that `doit clean` may remove: where it is, and what it is."""

    path: Path
    what: str


def find(output_dir: Path, work_dir: Path, caches: Sequence[Path]) -> list[Leftover]:
    """Return what interrupted runs and caches have left; never anything of a closed run's finished files."""
    found = in_work_folder(work_dir)
    for run in list_runs(output_dir):
        if run.manifest.state != "closed":
            found.append(Leftover(run.folder, f"{run.manifest.state} run"))
        else:
            found += [Leftover(path, "temporary file") for path in sorted(run.folder.glob(".*.tmp"))]
    for folder in _children(output_dir):
        if TIMESTAMP.fullmatch(folder.name) and folder.is_dir() and not (folder / MANIFEST_NAME).exists():
            found.append(Leftover(folder, "run that was never opened"))
    return found + [Leftover(path, "cache") for path in caches if path.exists()]


def in_work_folder(work_dir: Path) -> list[Leftover]:
    """Return the working folders of servers whose runner was killed."""
    return [Leftover(path, "server's working folder") for path in _children(work_dir)]


def remove(leftover: Leftover) -> None:
    """Remove a leftover, file or folder."""
    if leftover.path.is_dir() and not leftover.path.is_symlink():
        shutil.rmtree(leftover.path)
    else:
        leftover.path.unlink(missing_ok=True)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
