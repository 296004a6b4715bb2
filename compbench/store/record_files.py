"""Records as JSON files: written whole, read back typed or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from compbench.files.regular import read_regular
from compbench.files.whole import write_whole
from compbench.model.errors import UserError
from compbench.model.records import CAPTURE_SCHEMA, MANIFEST_SCHEMA, Capture, Manifest

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
        content = read_regular(path)
        schema = msgspec.json.decode(content, type=_Head).schema
        if kind in _SCHEMAS and schema != _SCHEMAS[kind]:
            what = f"{kind.__name__.lower()} of schema {schema}, while this compbench reads {_SCHEMAS[kind]}"
            raise UserError(f"{path}: a {what}: move it away to go on")
        return msgspec.json.decode(content, type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not a readable {kind.__name__.lower()} ({error}): move it away to go on") from None


class _Head(msgspec.Struct, frozen=True):
    schema: int | None = None


# An older or newer record may look alike and mean something else: it is refused, not read by halves.
_SCHEMAS: dict[type, int] = {Capture: CAPTURE_SCHEMA, Manifest: MANIFEST_SCHEMA}
