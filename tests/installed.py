"""Servers from package registries, installed once for all runs of the tests, outside of what they remove."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compbench.systems import discovery

ROOT = Path(__file__).resolve().parent.parent
# As the setting `cache_dir`: the servers are in its folder `systems`.
CACHE = Path(os.environ.get("COMPBENCH_TEST_CACHE") or ROOT / "tmp" / "cache")
_LIMIT_S = 120


def cache_with(system: str) -> Path:
    """Return the cache folder that has this system, installed as `doit install:<system>` does it.

    Skips the test if its registry can't be reached.
    """
    installation = discovery.installation(system)
    assert installation is not None
    folder = CACHE / "systems" / f"{system}-{installation.version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{system}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / installation.result).is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name, text in installation.files.items():
                (folder / name).write_text(text)
            for command in installation.commands:
                _run([word.format(python=sys.executable, folder=folder) for word in command], folder, system)
    assert (folder / installation.result).is_file(), "the commands made something else than what they are to make"
    return CACHE


def _run(argv: list[str], folder: Path, system: str) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if done.returncode and any(word in done.stderr for word in ("connection", "No matching distribution", "resolve")):
        pytest.skip(f"{system} can't be installed here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
