"""What earlier attempts at a measurement have left, kept under names that nobody takes for a result.

Only the holder of the suite's lock may call what renames.
"""

from __future__ import annotations

import re
from pathlib import Path

from compbench.files.whole import sync_folder, temporary_files
from compbench.model.file_names import INVALID, LEFTOVERS, MEASURED, PARTIAL, RENDERED
from compbench.store.runs import Run


def set_aside(run: Run, measurement: str) -> list[Path]:
    """Keep what an earlier attempt at a measurement left, as `<name>.attemptN.partial`; return the new paths."""
    endings = [*MEASURED.values(), *RENDERED.values()]
    stem = f"{run.name}_{measurement}"
    found = [run.folder / f"{stem}{ending}{state}" for ending in endings for state in ("", PARTIAL, INVALID)]
    found = [path for path in found if path.exists()]
    if not found:
        return []
    number = attempts_kept(run, measurement) + 1
    kept = []
    for path in found:
        name = path.name.removesuffix(PARTIAL).removesuffix(INVALID)
        new = path.with_name(f"{name}.attempt{number}{PARTIAL}")
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
    """Remove what a killed whole write left in a folder."""
    for path in temporary_files(folder):
        path.unlink(missing_ok=True)


def move_leftovers(run: Run) -> list[Path]:
    """Put what a run has half into its `leftovers/` folder; nothing that is finished is touched; return the new paths.

    Half is what is under way, and every file of a measurement that has no capture.
    """
    remove_temporary_files(run.folder)
    pending = [f"{run.name}_{name}{ending}" for name in run.pending() for ending in MEASURED.values()]
    found = sorted(p for p in run.folder.iterdir() if p.is_file() and (p.name.endswith(PARTIAL) or p.name in pending))
    if not found:
        return []
    kept = run.folder / LEFTOVERS
    kept.mkdir(exist_ok=True)
    for path in found:
        path.rename(kept / path.name)
    sync_folder(run.folder)
    return [kept / path.name for path in found]
