"""How root starts a program that refuses to be root's, as PostgreSQL does; an ordinary user starts it as it is."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

# An ordinary number; in a user namespace only the program itself sees it, and its files stay root's outside.
_SEEN_AS = 1000
# `nobody` of Linux.
_NOBODY = 65534
_NAMESPACE = ("unshare", "--user", f"--map-user={_SEEN_AS}", f"--map-group={_SEEN_AS}", "--")
_OTHER_USER = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--")
_PROBE_LIMIT_S = 5.0


def words_before(program: Path) -> list[str] | None:
    """Return the words that stand before a command line of this program so that it is not root's.

    A user namespace comes first, for it needs no file to be given away and no folder to be opened to others. These
    words are replaced by the program in the same process, so its number and its signals stay.

    Returns:
        The words, none for an ordinary user; None if this machine offers root no way.
    """
    if os.geteuid() != 0:
        return []
    return next((list(words) for words in (_NAMESPACE, _OTHER_USER) if _works(words, program)), None)


def handing_over(words: Sequence[str], work: Path) -> list[list[str]]:
    """Return the commands that give the folders in `work` to the user that those words change to; mostly none."""
    if tuple(words) != _OTHER_USER:
        return []
    owner = f"{_NOBODY}:{_NOBODY}"
    return [["chmod", "a+x", str(work)], ["chown", "-R", owner, *(str(path) for path in sorted(work.iterdir()))]]


@functools.cache
def _works(words: tuple[str, ...], program: Path) -> bool:
    """Try it: kernels, containers and the rights of folders forbid it in too many ways to ask for."""
    argv = [*words, str(program), "--version"]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_PROBE_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
