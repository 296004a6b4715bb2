"""The line that a program prints for `--version`, read within limits of time and size.

A file of the right name may be any program: it may hang, print for ever, print no text, and start children. It is ended
with its children.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from compbench.config.credentials import is_credential
from compbench.machine import process
from compbench.machine.output import Output
from compbench.machine.process import Child

_NUMBER = re.compile(r"\d+\.\d+\.\d+")
NOT_READABLE = "not readable here: "
_TIME_LIMIT_S = 10.0
_POLL_S = 0.1
_STOP_GRACE_S = 1.0
_MOST_BYTES = 4_000_000
_MOST_CHARACTERS = 200


def version_line(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the first line that a program prints, or `not readable here: why`; it has ended then.

    Args:
        argv: the program with its `--version`.
        environment: the whole environment of the program.
    """
    with tempfile.TemporaryDirectory(prefix="compbench-version-") as name:
        folder = Path(name)
        stdout, stderr = Output(folder / "stdout", _MOST_BYTES), Output(folder / "stderr", _MOST_BYTES)
        with process.running(
            argv,
            environment={k: v for k, v in environment.items() if not is_credential(k)},
            folder=folder,
            stdout=stdout,
            stderr=stderr,
            stop_grace_s=_STOP_GRACE_S,
        ) as child:
            problem = _await_end(child, (stdout, stderr))
        said = _first_line(stdout.path) or _first_line(stderr.path)
    if problem:
        return f"{NOT_READABLE}{problem}{f': {said}' if said else ''}"
    return said or f"{NOT_READABLE}it prints nothing"


def version_number(line: str) -> str | None:
    """Return the version in a line of `version_line`, as `1.2.3`; None if the line has none or is no program's."""
    found = None if line.startswith(NOT_READABLE) else _NUMBER.search(line)
    return found[0] if found else None


def _await_end(child: Child, outputs: Sequence[Output]) -> str:
    """Wait for the program's end; return why what it has printed is no version, or an empty text."""
    deadline_s = time.monotonic() + _TIME_LIMIT_S
    while (ended := child.wait(_POLL_S)) is None:
        if sum(output.total_bytes for output in outputs) > _MOST_BYTES:
            return f"it prints more than {_MOST_BYTES} bytes"
        if time.monotonic() >= deadline_s:
            return f"still running after {_TIME_LIMIT_S:g} s"
    return "" if ended.code == 0 else str(ended)


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return "".join(character if character.isprintable() else "?" for character in line[:_MOST_CHARACTERS])
