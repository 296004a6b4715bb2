"""The table of settings, its file and its documentation name the same keys and defaults."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import tomli

from compbench.config.settings import FOUND_KEYS, INVOCATION_KEYS, Settings

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = [name for name in Settings.__struct_fields__ if name not in (*INVOCATION_KEYS, *FOUND_KEYS)]


def test_the_shipped_file_documents_every_key_with_its_default() -> None:
    text = (ROOT / "compbench.toml").read_text()
    named = re.findall(r"^(?:# )?([a-z_]+)[a-z_.]* = ", text, re.MULTILINE)
    assert sorted(set(named)) == sorted(KEYS)
    defaults = msgspec.to_builtins(Settings())
    said = {key: value for key, value in tomli.loads(text).items() if key != "system"}
    assert msgspec.json.decode(msgspec.json.encode({key: defaults[key] for key in said})) == said


def test_every_key_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [key for key in KEYS if f"`{key}`" not in text] == []
