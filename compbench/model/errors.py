"""The one exception that a person can mend; everything else that escapes is a bug.

Outcomes of a measurement (missed, failed) are data (`compbench.model.records.Outcome`), never exceptions.

    UserError             bad input: one line that says what is wrong, where, and how to mend it
    └── SuiteBusyError    another invocation is measuring or cleaning in this project
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input of a person: its text is the one line to print; the exit code is 2."""


class SuiteBusyError(UserError):
    """Another invocation holds the suite's lock; its text names the holder."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, as ` (did you mean "x"?)`, or nothing if none is close."""
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{close[0]}"?)' if close else ""
