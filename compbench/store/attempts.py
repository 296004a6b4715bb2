"""Files of earlier attempts at a measurement, kept under names that are never taken for a result.

Only the holder of the suite's lock may call the functions that rename.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from compbench.files.whole import sync_folder, temporary_files
from compbench.model.errors import UserError
from compbench.model.file_names import INVALID, LEFTOVERS, MEASURED, PARTIAL, RENDERED
from compbench.model.records import Capture
from compbench.store.record_files import read_record
from compbench.store.runs import Run


def set_aside(run: Run, measurement: str) -> list[Path]:
    """Keep the files of an earlier attempt at a measurement; return the new paths.

    They are `<name>.attemptN.invalid` if that attempt was whole and spoiled, else `<name>.attemptN.partial`.
    """
    endings = [*MEASURED.values(), *RENDERED.values()]
    stem = f"{run.name}_{measurement}"
    found = [run.folder / f"{stem}{ending}{state}" for ending in endings for state in ("", PARTIAL, INVALID)]
    found = [path for path in found if path.exists()]
    if not found:
        return []
    number, ending = attempts_kept(run, measurement) + 1, INVALID if _was_invalid(run, measurement) else PARTIAL
    kept = []
    for path in found:
        name = path.name.removesuffix(PARTIAL).removesuffix(INVALID)
        new = path.with_name(f"{name}.attempt{number}{ending}")
        path.rename(new)
        kept.append(new)
    sync_folder(run.folder)
    return kept


def attempts_kept(run: Run, measurement: str) -> int:
    """Return how many earlier attempts at the measurement have been set aside."""
    endings = "|".join(re.escape(ending) for ending in (*MEASURED.values(), *RENDERED.values()))
    stem = re.escape(f"{run.name}_{measurement}")
    pattern = re.compile(rf"{stem}(?:{endings})\.attempt(\d+)\.(?:partial|invalid)")
    numbers = [int(match[1]) for path in run.folder.iterdir() if (match := pattern.fullmatch(path.name))]
    return max(numbers, default=0)


def spoiled_attempts(run: Run, measurement: str) -> int:
    """Return how many earlier attempts at the measurement were invalid."""
    return len(list(run.folder.glob(f"{run.path(measurement, 'capture').name}.attempt*{INVALID}")))


def _was_invalid(run: Run, measurement: str) -> bool:
    if not run.has_capture(measurement):
        return False
    with contextlib.suppress(UserError):
        return read_record(run.path(measurement, "capture"), Capture).outcome.verdict == "invalid"
    return False


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files that a killed write left in a folder."""
    for path in temporary_files(folder):
        path.unlink(missing_ok=True)


def move_leftovers(run: Run) -> list[Path]:
    """Move a run's unfinished files into its `leftovers/` folder; return the new paths.

    Unfinished are files under way, and every file of a measurement that has no capture.
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
