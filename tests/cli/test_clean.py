"""How `doit clean` reads, through the real loading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def run_doit(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-B", "-m", "doit", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_doit_clean_says_what_it_removes_and_nothing_else(tmp_path: Path) -> None:
    folders = [f"{key}={tmp_path / key}" for key in ("output_dir", "work_dir", "cache_dir")]
    (tmp_path / "cache_dir" / "data_sets" / "old").mkdir(parents=True)
    told = run_doit("clean", "-n", *folders)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout
    assert all(line.startswith(("would remove ", "nothing to remove")) for line in told.stdout.splitlines())
    assert (tmp_path / "cache_dir" / "data_sets" / "old").is_dir()
