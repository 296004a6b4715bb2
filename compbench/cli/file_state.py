"""Files as doit's only state: a task is up to date if its files are there and no older than what they are made of.

doit's own database is written only when doit ends: a kill loses it, and a lost one would repeat hours of measuring. So
nothing is kept in it: each answer is told afresh from the files whenever doit asks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from doit.dependency import FileChangedChecker, UptodateCalculator


class NewerThanTargets(FileChangedChecker):  # type: ignore[misc]
    """Tells doit whether a file dependency has changed: it has if it is newer than the files that are made of it."""

    def check_modified(self, file_path: str, file_stat: Any, state: int) -> bool:
        """Compare a dependency's time with that of the task's oldest file, both in nanoseconds."""
        del file_path
        return bool(file_stat.st_mtime_ns > state)

    def get_state(self, dep: str, current_state: object) -> None:
        """Keep nothing."""
        del dep, current_state


class OldestFile(UptodateCalculator):  # type: ignore[misc]
    """An `uptodate` entry that decides nothing itself, but tells doit the time of the task's oldest file.

    Args:
        made: returns the files that the task makes, if they are others than its targets.
    """

    def __init__(self, made: Callable[[], Iterable[Path]] | None = None) -> None:
        super().__init__()
        self._made = made

    def setup(self, dep_manager: Any, tasks_dict: Any) -> None:
        """Take note of where doit will look."""
        super().setup(dep_manager, tasks_dict)
        self._backend = dep_manager.backend

    def __call__(self, task: Any, values: Any) -> None:
        """Tell the time for each of the task's file dependencies; without such a file it is 0."""
        del values
        made = [Path(target) for target in task.targets] if self._made is None else self._made()
        for dependency in task.file_dep:
            self._backend.set(task.name, dependency, oldest_ns(made))


class Condition(UptodateCalculator):  # type: ignore[misc]
    """An `uptodate` entry that is asked whenever doit wants to know, and that `doit info` shows in words.

    It decides alone: a file dependency beside it is only declared, and being touched or lost makes no task due.
    """

    def __init__(self, words: str, holds: Callable[[], bool]) -> None:
        super().__init__()
        self._words = words
        self._holds = holds

    def setup(self, dep_manager: Any, tasks_dict: Any) -> None:
        """Take note of where doit will look."""
        super().setup(dep_manager, tasks_dict)
        self._backend = dep_manager.backend

    def __call__(self, task: Any, values: Any) -> bool:
        """Tell whether it holds now; a lost dependency is left out, which doit would take for an error."""
        del values
        task.file_dep = {path for path in task.file_dep if Path(path).exists()}
        for dependency in task.file_dep:
            self._backend.set(task.name, dependency, sys.maxsize)
        return self._holds()

    def __repr__(self) -> str:
        return self._words


def never(why: str) -> Condition:
    """Return an `uptodate` entry of a task that is always due, with the reason, in words."""
    return Condition(f"never: {why}", lambda: False)


def oldest_ns(paths: Iterable[Path]) -> int:
    """Return the time of the oldest of these files in nanoseconds, 0 if one is not there."""
    try:
        return min((path.stat().st_mtime_ns for path in paths), default=0)
    except OSError:
        return 0


def are_newer(made: Iterable[Path], parts: Iterable[Path]) -> bool:
    """Tell whether all of these files are there, and those that are made no older than their parts."""
    try:
        return oldest_ns(made) >= max((path.stat().st_mtime_ns for path in parts), default=1)
    except OSError:
        return False
