"""Facts of an executable file, read from its ELF or Mach-O structure, never guessed from its name."""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

# The message of Rust's standard library for a failed debug assertion; each debug build holds it hundreds of
# times, a release build never (seen in debug, stripped and release builds of both programs, Rust 1.95).
_DEBUG_ASSERTION = b"unsafe precondition(s) violated"

Release = Literal["yes", "no", "unknown"]


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one file: `kind` is `ELF`, `Mach-O`, `damaged ELF`, `damaged Mach-O`, `script` or `other`."""

    path: str
    kind: str
    size_bytes: int
    sha256: str
    has_debug_assertions: bool | None = None
    has_debug_info: bool | None = None
    has_symbols: bool | None = None


def read_binary(path: Path) -> Binary | None:
    """Return the facts of a file, or None if there is no such executable file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        magic = file.read(4)
    facts = Binary(path=str(path), kind="other", size_bytes=path.stat().st_size, sha256=hash_of(path))
    if magic == b"\x7fELF":
        return _parsed(facts, "ELF", _elf_sections, path)
    if magic in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        return _parsed(facts, "Mach-O", _macho_segments, path)
    return msgspec.structs.replace(facts, kind="script") if magic[:2] == b"#!" else facts


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_release_build(binary: Binary) -> tuple[Release, str]:
    """Judge whether a binary is a release build, and give the evidence.

    Debug information says little: a release build may have it, for flame graphs with names, and a stripped debug build
    has none. Debug assertions are code, which stripping does not remove.
    """
    if binary.kind not in ("ELF", "Mach-O"):
        return "unknown", f"it is no native binary ({binary.kind})"
    if binary.has_debug_assertions:
        return "no", "debug assertions are compiled into it"
    return "yes", "no debug assertions are compiled into it"


def _parsed(facts: Binary, kind: str, read: Callable[[Path], tuple[bool, bool | None]], path: Path) -> Binary:
    """Add the facts of the format's structure; a file cut short, as by an interrupted copy, is called damaged."""
    try:
        debug, symbols = read(path)
    except _Damaged:
        return msgspec.structs.replace(facts, kind=f"damaged {kind}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        asserts = content.find(_DEBUG_ASSERTION) >= 0
    return msgspec.structs.replace(
        facts, kind=kind, has_debug_assertions=asserts, has_debug_info=debug, has_symbols=symbols
    )


class _Damaged(Exception):  # noqa: N818 - a finding, not an error
    """The file begins as an executable of its format but does not go on as one."""


def _elf_sections(path: Path) -> tuple[bool, bool]:
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - only a real Engram build needs it
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - see line above

    with path.open("rb") as file:
        try:
            names = {section.name for section in ELFFile(file).iter_sections()}
        except (ELFError, ValueError, OSError) as error:  # an offset beyond all sense makes `seek` an OSError
            raise _Damaged from error
    return bool(names & {".debug_info", ".zdebug_info"}), ".symtab" in names


def _macho_segments(path: Path) -> tuple[bool, None]:
    from macholib.MachO import MachO  # noqa: PLC0415 - only a real Engram build needs it

    try:
        headers = MachO(str(path)).headers
    except (ValueError, OSError, struct.error) as error:
        raise _Damaged from error
    segments = (part for header in headers for _, part, _ in header.commands)
    return any(getattr(part, "segname", b"").rstrip(b"\0") == b"__DWARF" for part in segments), None
