"""Facts of an executable file, read from its ELF or Mach-O structure, never guessed from its name."""

from __future__ import annotations

import contextlib
import hashlib
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

_TIME_LIMIT_S = 10.0
VERSION = re.compile(r"(\d+\.\d+\.\d+)")
# clap's debug assertions refuse loadtest's doubled `-s`; a debug build of it panics with this code (Rust's own).
PANIC_EXIT_CODE = 101

Release = Literal["yes", "no", "unknown"]


class Binary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one file: `kind` is `ELF`, `Mach-O`, `damaged ELF`, `damaged Mach-O`, `script` or `other`."""

    path: str
    kind: str
    size_bytes: int
    sha256: str
    has_debug_info: bool | None = None
    has_symbols: bool | None = None


def read_binary(path: Path) -> Binary | None:
    """Return the facts of a file, or None if there is no such executable file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        magic = file.read(4)
        digest = hashlib.file_digest(file, "sha256") if not file.seek(0) else None
    facts = Binary(
        path=str(path), kind="other", size_bytes=path.stat().st_size, sha256=digest.hexdigest() if digest else ""
    )
    if magic == b"\x7fELF":
        return _parsed(facts, "ELF", _elf_sections, path)
    if magic in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        return _parsed(facts, "Mach-O", _macho_segments, path)
    return msgspec.structs.replace(facts, kind="script") if magic[:2] == b"#!" else facts


def is_release_build(binary: Binary, probe_exit_code: int | None = None) -> tuple[Release, str]:
    """Judge whether a binary is a release build, and say by what.

    Args:
        binary: its facts.
        probe_exit_code: how `loadtest run` on a missing scenario ended, which tells a stripped debug build too.
    """
    if probe_exit_code == PANIC_EXIT_CODE:
        return "no", "it panics on its own options, as only a debug build does"
    if binary.kind not in ("ELF", "Mach-O"):
        return "unknown", f"it is no native binary ({binary.kind})"
    if binary.has_debug_info:
        return "no", "it has debug information, which Engram's release profile leaves out"
    if probe_exit_code is not None:
        return "yes", "no debug information, and its options are parsed without debug assertions"
    return "yes", "no debug information"


def probe_loadtest(path: Path) -> int | None:
    """Return the exit code of `loadtest run` on a scenario that isn't there; None if it can't be run."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        argv = [str(path), "run", "--scenario", "/nonexistent/scenario.toml", "--duration", "1"]
        return subprocess.run(argv, capture_output=True, timeout=_TIME_LIMIT_S, check=False).returncode
    return None


def version_of(path: Path) -> str | None:
    """Return the version that the program prints for `--version`."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False
        )
        if match := VERSION.search(done.stdout):
            return match[1]
    return None


def _parsed(facts: Binary, kind: str, read: Callable[[Path], tuple[bool, bool | None]], path: Path) -> Binary:
    """Add what a format's own structure tells; a file cut short, as an interrupted copy is, is called damaged."""
    try:
        debug, symbols = read(path)
    except _Damaged:
        return msgspec.structs.replace(facts, kind=f"damaged {kind}")
    return msgspec.structs.replace(facts, kind=kind, has_debug_info=debug, has_symbols=symbols)


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
