"""What programs say to `--version`, and what they do instead: each answer is one line, and nothing of them stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from compbench.machine import version_line
from tests.helpers import bounded_memory
from tests.project import eventually, is_running


def said(path: Path, *lines: str) -> str:
    """Return what is read of a program that is a script of these lines."""
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return version_line.version_line([str(path), "--version"], os.environ)


@pytest.mark.parametrize(
    ("line", "text", "number"),
    [
        ("echo engram-cli 1.2.3", "engram-cli 1.2.3", "1.2.3"),
        ("echo; echo ' engram-cli 1.2.3 '; echo more", "engram-cli 1.2.3", "1.2.3"),
        ("echo engram-cli 1.2.3 >&2", "engram-cli 1.2.3", "1.2.3"),
        ("echo unknown", "unknown", None),
        ("echo error 1.2.3 >&2; exit 2", "not readable here: exit code 2: error 1.2.3", None),
        ("exit 0", "not readable here: it prints nothing", None),
        (r"printf '\377\376 engram 1.2.3\n'", "\ufffd\ufffd engram 1.2.3", "1.2.3"),
        (r"printf 'a\007b\033[2Jc\n'", "a?bc", None),
        ("head -c 3000 /dev/zero | tr '\\0' x", "x" * 200, None),
    ],
)
def test_what_a_program_prints_is_one_printable_line(tmp_path: Path, line: str, text: str, number: str | None) -> None:
    told = said(tmp_path / "program", line)
    assert told == text
    assert version_line.version_number(told) == number


def test_what_is_no_program_says_so(tmp_path: Path) -> None:
    absent = version_line.version_line([str(tmp_path / "absent")], os.environ)
    assert absent.startswith("not readable here: exit code 127: ")
    assert absent.endswith("can't be started: No such file or directory")


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_line, "_TIME_LIMIT_S", 3.0)
    began = time.monotonic()
    told = said(tmp_path / "hangs", f"sleep 300 & echo $! > {tmp_path}/pid; echo engram 1.2.3; wait")
    assert told == "not readable here: still running after 3 s: engram 1.2.3"
    assert time.monotonic() - began < 30, "the time limit does not hold"
    assert eventually(lambda: not is_running(int((tmp_path / "pid").read_text())))


def test_a_child_in_the_background_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    assert said(tmp_path / "forks", f"sleep 300 & echo $! > {tmp_path}/pid; echo engram 1.2.3") == "engram 1.2.3"
    assert time.monotonic() - began < 5
    assert eventually(lambda: not is_running(int((tmp_path / "pid").read_text())))


@pytest.mark.parametrize("flood", ["yes engram 1.2.3", "cat /dev/zero"])
def test_endless_output_is_ended_soon_and_kept_nowhere(tmp_path: Path, flood: str) -> None:
    began = time.monotonic()
    with bounded_memory(50_000_000):
        assert said(tmp_path / "floods", flood).startswith("not readable here: it prints more than 4000000 bytes")
    assert time.monotonic() - began < 8
