"""Binaries are read by their structure: real ELF files, a Mach-O header, scripts, garbage."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from compbench.machine.probes import binaries
from compbench.machine.probes.binaries import Binary

ASSERTION = 'const char *told = "unsafe precondition(s) violated: hint::assert_unchecked";'


def compiled(folder: Path, *flags: str, name: str = "debug_x", asserts: bool = False) -> Path:
    """Compile a program; its name must not matter, though the word "debug" is in it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    (folder / "x.c").write_text(f"{ASSERTION if asserts else ''} int main(void) {{ return 1; }}")
    subprocess.run([compiler, *flags, "-o", str(folder / name), str(folder / "x.c")], check=True)
    return folder / name


def read(path: Path) -> Binary:
    facts = binaries.read_binary(path)
    assert facts is not None
    return facts


def mach_o(*segments: bytes, magic: int = 0xFEEDFACF) -> bytes:
    """Return a 64 bit executable's header for arm64 with these segments (<mach-o/loader.h>)."""
    commands = b"".join(
        struct.pack("<II16sQQQQiiII", 0x19, 72, name, 0, 0, 0, 0, 7, 5, 0, 0) for name in segments
    )  # LC_SEGMENT_64
    return struct.pack("<IiiIIIII", magic, 0x0100000C, 0, 2, len(segments), len(commands), 0, 0) + commands


@pytest.mark.parametrize(
    ("flags", "kind"),
    [((), (False, True)), (("-g",), (True, True)), (("-g", "-gz"), (True, True)), (("-g", "-s"), (False, False))],
)
def test_debug_information_and_symbols_of_an_elf_file_are_seen(
    tmp_path: Path, flags: tuple[str, ...], kind: tuple[bool, bool]
) -> None:
    facts = read(compiled(tmp_path, *flags))
    if facts.kind != "ELF":
        pytest.skip(f"the compiler here makes {facts.kind} files")
    assert (facts.has_debug_info, facts.has_symbols) == kind
    assert binaries.is_release_build(facts)[0] == "yes", "a release build may have them for its flame graph"


@pytest.mark.parametrize("flags", [(), ("-g",), ("-s",)])
def test_a_debug_build_is_known_by_its_assertions_also_when_stripped(tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert binaries.is_release_build(read(compiled(tmp_path, *flags, asserts=True)))[0] == "no"


def test_the_word_debug_in_a_path_says_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "target" / "debug"
    folder.mkdir(parents=True)
    assert binaries.is_release_build(read(compiled(folder)))[0] == "yes"


@pytest.mark.parametrize(
    ("segments", "has_debug_info"), [((b"__TEXT", b"__DATA"), False), ((b"__TEXT", b"__DWARF"), True)]
)
def test_a_mach_o_header_is_read(tmp_path: Path, segments: tuple[bytes, ...], has_debug_info: bool) -> None:
    path = tmp_path / "engram"
    path.write_bytes(mach_o(*segments))
    facts = read(path)
    assert (facts.kind, facts.has_debug_info) == ("Mach-O", has_debug_info)
    assert binaries.is_release_build(facts)[0] == "yes"
    path.write_bytes(mach_o(*segments) + b"unsafe precondition(s) violated")
    assert binaries.is_release_build(read(path))[0] == "no"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "other"),
        (b"garbage" * 100, "other"),
        (b"#!/bin/sh\nexit 0\n", "script"),
        (b"\x7fELF", "damaged ELF"),
        (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\xff" * 200, "damaged ELF"),
        (b"\xcf\xfa\xed\xfe", "damaged Mach-O"),
        (mach_o(b"__TEXT")[:50], "damaged Mach-O"),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x41" + bytes(40), "damaged Mach-O"),  # a Java class has the magic of a fat file
    ],
)
def test_what_is_no_whole_native_binary_is_neither_release_nor_debug(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "engram"
    path.write_bytes(content)
    facts = read(path)
    assert facts.kind == kind
    answer, why = binaries.is_release_build(facts)
    assert answer == "unknown"
    assert kind in why


def test_a_half_copied_binary_is_damaged(tmp_path: Path) -> None:
    whole = compiled(tmp_path)
    if read(whole).kind != "ELF":
        pytest.skip("no ELF files here")
    half = tmp_path / "half"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert read(half).kind == "damaged ELF"


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert binaries.read_binary(tmp_path / "absent") is None
    assert binaries.read_binary(tmp_path) is None


def test_the_hash_changes_with_the_content_only(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"same")
    second.write_bytes(b"same")
    assert read(first).sha256 == read(second).sha256
    second.write_bytes(b"other")
    assert read(first).sha256 != read(second).sha256
