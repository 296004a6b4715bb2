"""Records as JSON files: written whole, read back as what they are or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from compbench.files.whole import write_whole
from compbench.model.errors import UserError

T = TypeVar("T")


def write_record(path: Path, record: msgspec.Struct) -> None:
    """Write a record as indented JSON, whole.

    Raises:
        OSError: it can't be written; the old file is then untouched.
    """
    write_whole(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def read_record(path: Path, kind: type[T]) -> T:
    """Read a record that `write_record` wrote.

    Raises:
        UserError: the file is not such a record; it names the file and how to go on.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not a readable {kind.__name__.lower()} ({error}): move it away to go on") from None
