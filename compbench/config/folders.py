"""Folders that the settings may name: none in which `doit clean` would remove files that are not compbench's.

Knows nothing of where settings come from; reads the file system only to resolve links.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from compbench.model.errors import UserError

FOLDER_KEYS = ("scenarios_dir", "output_dir", "work_dir", "cache_dir")
# What `doit clean` removes from.
_CLEANED = ("work_dir", "cache_dir")
_LONGEST_NAME = 250  # of a file or folder in one of them; file systems allow 255
_MOST_SHOWN = 100


def absolute_folders(root: Path, values: Mapping[str, str], places: Mapping[str, str]) -> dict[str, Path]:
    """Return the folder that each of `FOLDER_KEYS` means, absolute and without links.

    Args:
        root: the project's folder, to which relative paths are relative.
        values: the paths as they were set.
        places: the source that sets each key, such as `command line`; a missing key has its default.

    Raises:
        UserError: a value is no path, or `doit clean` would remove files there that are not compbench's.
    """
    folders = {key: absolute_folder(root, key, values[key], places.get(key, "settings")) for key in FOLDER_KEYS}
    precious = {
        "the project's folder": root.resolve(),
        "output_dir": folders["output_dir"],
        "scenarios_dir": folders["scenarios_dir"],
        "the home folder": _home(),
        "the file system's root": Path(root.resolve().anchor),
    }
    for key in _CLEANED:
        for what, path in precious.items():
            if path is not None and path.is_relative_to(folders[key]):
                relation = "is" if path == folders[key] else "holds"
                raise _refusal(key, folders[key], f"it {relation} {what} ({path})", places, what)
    if folders["cache_dir"].is_relative_to(folders["output_dir"]):
        what = f"it lies in output_dir ({folders['output_dir']})"
        raise _refusal("cache_dir", folders["cache_dir"], what, places, "output_dir")
    return folders


def absolute_folder(root: Path, key: str, value: str, where: str) -> Path:
    """Return the folder that a key of the settings means, absolute and without links; an error names `where` it is set.

    Raises:
        UserError: it is no path.
    """
    try:
        folder = (root / Path(value).expanduser()).resolve()
        _refuse_too_long(folder)
    except RuntimeError:
        reason = "no such user's home folder, or links that lead in a circle"
    except (ValueError, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    else:
        return folder
    shown = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}..."
    raise UserError(f"{where}: {key} = {shown!r}: not a path ({reason}): name another folder")


def _refuse_too_long(folder: Path) -> None:
    """Raise the file system's own OSError if the path of a file in a run's folder would be too long."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        (folder / ("x" * _LONGEST_NAME) / ("x" * _LONGEST_NAME)).lstat()


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # a user without an entry in the user database, as in some containers
        return None


def _refusal(key: str, folder: Path, what: str, places: Mapping[str, str], other: str) -> UserError:
    where = places.get(key) or places.get(other) or "settings"
    return UserError(
        f"{where}: {key} = {str(folder)!r}: {what}, and `doit clean` removes from {key}:"
        f" name a folder of its own, as tmp/{key.removesuffix('_dir')} is"
    )
