"""Records read back: what is damaged, of another schema, or no file at all is one line that names it, never a hang."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.records import Capture, Manifest
from compbench.store.record_files import read_record, write_record
from tests.synthetic import RunRecipe, manifest_of


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / file_names.MANIFEST
    manifest = manifest_of(RunRecipe())
    write_record(path, manifest)
    assert read_record(path, Manifest) == manifest


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"5", b"\xff\xfe", b"[" * 200_000, b'{"schema": 1,' + b'"a":{' * 100_000),
        json.dumps({**msgspec.to_builtins(manifest_of(RunRecipe())), "provenance": {"git": 5}}).encode(),
        json.dumps({**msgspec.to_builtins(manifest_of(RunRecipe())), "selection": "alpha"}).encode(),
    ],
)
def test_a_damaged_record_is_one_line_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / file_names.MANIFEST
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"manifest\.json: not a readable manifest .* move it away to go on"):
        read_record(path, Manifest)


def test_a_record_of_another_schema_is_named_and_not_read_by_halves(tmp_path: Path) -> None:
    path = tmp_path / "capture.json"
    path.write_text('{"schema": 1, "result": {"own": {}}}')
    with pytest.raises(UserError, match="a capture of schema 1, while this compbench reads 2: move it away"):
        read_record(path, Capture)


def test_a_pipe_or_a_folder_in_a_records_place_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(UserError, match="not a regular file"):
            read_record(tmp_path / name, Manifest)
