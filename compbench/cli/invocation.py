"""The words by which doit was called, as a person can paste them to ask for the same again.

Pure: the arguments and the program that the search path finds are given.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

# Words of a first call only: going on, or measuring again, must not repeat them.
_FIRST_CALL = ("new", "resume")


def words_of(called: Sequence[str], found: str | None, here: Path) -> list[str]:
    """Return program and words of a command that goes on with the run that this one has begun.

    Args:
        called: program and arguments, as the interpreter was given them (`sys.orig_argv`).
        found: the `doit` that the search path gives, if there is one.
        here: the working folder.
    """
    program, arguments = _program(called, found, here)
    return [*program, *(word for word in arguments if word.partition("=")[0] not in _FIRST_CALL)]


def _program(called: Sequence[str], found: str | None, here: Path) -> tuple[list[str], list[str]]:
    """Split into the words that start doit, as short as they work from here, and its arguments."""
    if "-m" in called[:-1]:
        place = called.index("-m") + 2
        return [_shown(called[0], here), "-m", "doit"], list(called[place:])
    place = next((number for number, word in enumerate(called) if Path(word).name == "doit"), 0)
    script = called[place]
    is_on_path = found is not None and os.path.realpath(found) == os.path.realpath(script)
    return ["doit" if is_on_path else _shown(script, here)], list(called[place + 1 :])


def _shown(program: str, here: Path) -> str:
    path = Path(program)
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else program
