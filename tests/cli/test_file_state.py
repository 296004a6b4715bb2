"""Files as the only state: what doit skips and makes again, with nothing kept between its calls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parent.parent.parent
DODO = """
import pathlib
from compbench.cli.file_state import NewerThanTargets, OldestFile
DOIT_CONFIG = {"backend": "sqlite3", "dep_file": ":memory:", "check_file_uptodate": NewerThanTargets, "verbosity": 2}
def make(name):
    print("making " + name)
    pathlib.Path(name).write_text(name)
def task_b():
    return {"actions": [(make, ["b"])], "file_dep": ["a"], "targets": ["b"], "uptodate": [OldestFile()]}
def task_c():
    return {"actions": [(make, ["c"])], "file_dep": ["b"], "targets": ["c"], "uptodate": [OldestFile()]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which `b` is made of `a`, and `c` of `b`; all are made."""
    (tmp_path / "dodo.py").write_text(DODO)
    (tmp_path / "a").write_text("a")
    assert made(tmp_path) == ["b", "c"]
    return tmp_path


def made(folder: Path, seed: str = "0") -> list[str]:
    """Run doit; return what it has made."""
    done = subprocess.run(
        [sys.executable, "-m", "doit"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.removeprefix("making ") for line in done.stdout.splitlines() if line.startswith("making ")]


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_nothing_is_made_twice_though_nothing_was_kept(folder: Path, seed: str) -> None:
    assert made(folder, seed) == []
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["a", "b", "c", "dodo.py"]


def test_what_was_lost_is_made_again_and_what_stands_on_it(folder: Path) -> None:
    (folder / "c").unlink()
    assert made(folder) == ["c"]
    (folder / "b").unlink()
    assert made(folder) == ["b", "c"]


def test_what_is_older_than_its_parts_is_made_again(folder: Path) -> None:
    (folder / "a").write_text("another")
    assert made(folder) == ["b", "c"]


def test_a_file_beside_a_condition_is_shown_and_makes_nothing_due(tmp_path: Path) -> None:
    (tmp_path / "dodo.py").write_text(
        DODO.partition("def task_b")[0]
        + "from compbench.cli.file_state import Condition\n"
        + "def task_b():\n"
        + "    there = Condition('b is there', lambda: pathlib.Path('b').exists())\n"
        + "    files = {'file_dep': ['a'], 'targets': ['b'], 'uptodate': [there]}\n"
        + "    return {'actions': [(make, ['b'])], **files}\n"
    )
    (tmp_path / "a").write_text("a")
    assert made(tmp_path) == ["b"]
    (tmp_path / "a").write_text("touched after b was made")
    assert made(tmp_path) == []
    (tmp_path / "a").unlink()
    assert made(tmp_path) == [], "what was lost is said by the task itself"
    (tmp_path / "b").unlink()
    assert made(tmp_path) == ["b"]


def test_a_condition_is_asked_each_time_and_shown_in_words(tmp_path: Path) -> None:
    (tmp_path / "dodo.py").write_text(
        "import pathlib\n"
        "from compbench.cli.file_state import Condition\n"
        "def task_x():\n"
        "    return {'actions': [], 'uptodate': [Condition('it is kept', lambda: pathlib.Path('kept').exists())]}\n"
    )

    def told() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "doit", "info", "x"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    assert "evaluate to false:\n    - it is kept (args" in told()
    (tmp_path / "kept").touch()
    assert "up-to-date" in told()
