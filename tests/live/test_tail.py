"""The events of a file that another process appends to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from compbench.live import tail
from compbench.live.tail import Tail


def read_all(reader: Tail) -> list[dict[str, Any]]:
    found = []
    while events := reader.read()[0]:
        found += [dict(event) for event in events]
    return found


def test_a_torn_line_is_left_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"a": 1}\n{"a":')
    reader = Tail(path)
    assert read_all(reader) == [{"a": 1}]
    assert read_all(reader) == []
    with path.open("a") as file:
        file.write(" 2}\n")
    assert read_all(reader) == [{"a": 2}]


def test_a_torn_line_that_is_cut_off_by_the_next_invocation_is_never_told(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"a": 1}\n{"torn": ')
    reader = Tail(path)
    assert read_all(reader) == [{"a": 1}]
    os.truncate(path, len('{"a": 1}\n'))
    with path.open("a") as file:
        file.write('{"a": 2}\n')
    assert read_all(reader) == [{"a": 2}]
    assert reader.unread_lines == 0


def test_lines_that_are_no_events_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'nonsense\n[1]\n\xff\xfe\n{"a": 1}\n\n' + b"[" * 100_000 + b"\n")
    reader = Tail(path)
    assert read_all(reader) == [{"a": 1}]
    assert reader.unread_lines == 4


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_CHUNK_BYTES", 100)
    monkeypatch.setattr(tail, "_LONGEST_LINE_BYTES", 300)
    path = tmp_path / "events.jsonl"
    path.write_text("x" * 1000)
    reader = Tail(path)
    for _ in range(5):
        assert reader.read() == ([], False)
    with path.open("a") as file:
        file.write('yyy\n{"a": 1}\n')
    assert read_all(reader) == [{"a": 1}]


def test_a_file_that_shrinks_while_it_is_read_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "_CHUNK_BYTES", 100)
    path = tmp_path / "events.jsonl"
    path.write_text("x" * 1000)
    real = os.pread

    def shrinking(descriptor: int, count: int, offset: int) -> bytes:
        os.truncate(path, 150)
        return real(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", shrinking)
    assert Tail(path).read() == ([], False)


def test_a_file_that_was_replaced_or_cut_short_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    reader = Tail(path)
    assert len(read_all(reader)) == 2
    path.write_text('{"b": 1}\n')
    assert reader.read() == ([{"b": 1}], True)
    other = tmp_path / "other"
    other.write_text('{"c": 1}\n{"c": 2}\n')
    other.replace(path)
    assert reader.read() == ([{"c": 1}, {"c": 2}], True)


def test_a_pipe_or_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match=r"."):
            Tail(tmp_path / name).read()
