"""Imports point downwards only, and loading `dodo.py` is cheap and blind."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "compbench"

# The layers, from the top: a module or package may import what stands below it, and what is in it.
LAYERS = (
    "reporter",
    "review",
    "tasks",
    "commands",
    "suite",
    "review",
    "display",
    "rendering",
    "opening",
    "session",
    "checks",
    "preflight",
    "fit",
    "driving",
    "datasets",
    "following",
    "attempt",
    "report",
    "judgement",
    "notify",
    "server",
    "targets",
    "drivers",
    "results",
    "flamegraph",
    "monitor",
    "sampler",
    "intervals",
    "probes",
    "process",
    "interrupts",
    "streams",
    "guard",
    "leftovers",
    "lock",
    "lock",
    "leftovers",
    "runs",
    "settings",
    "folders",
    "scenarios",
    "tables",
    "records",
    "schedule",
    "tables",
    "errors",
)
# Programs of their own, which a run only starts: what they may import of compbench besides themselves.
PROGRAMS = {"loadtest": {"scenarios", "errors"}, "embedded": set[str]()}
# Who else may import a program: only where the files that it makes and takes are kept, and in which format.
FILES_OF_PROGRAMS = {"datasets": {"loadtest", "embedded"}}
# What every doit command may load besides the standard library; all else waits until a task needs it.
LIGHT = {"doit", "msgspec", "psutil", "tomli", "typing_extensions"}


def layer_of(path: Path) -> str:
    """Return the module or package right under compbench/ that a file belongs to; empty for compbench itself."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and layer of each import of compbench's own, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides where it points"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        parts = [name.split(".") for name in names]
        layers = {one[1] for one in parts if one[0] == "compbench" and len(one) > 1}
        yield from ((node.lineno, layer) for layer in sorted(layers - {"__version__"}))


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_module_has_its_place() -> None:
    unplaced = {layer_of(path) for path in FILES} - {"", *LAYERS, *PROGRAMS}
    assert not unplaced, f"give {', '.join(sorted(unplaced))} a place in LAYERS"


def test_imports_point_downwards_only() -> None:
    upwards = []
    for path in FILES:
        layer = layer_of(path)
        if layer in PROGRAMS:
            allowed = {layer, *PROGRAMS[layer]}
        else:
            allowed = {*LAYERS[LAYERS.index(layer) :], *FILES_OF_PROGRAMS.get(layer, ())} if layer else set()
        upwards += [
            f"{path.relative_to(ROOT)}:{line} imports {name}" for line, name in imported(path) if name not in allowed
        ]
    assert upwards == []


def test_the_tests_of_imports_see_an_import_that_points_upwards(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("def f():\n    from compbench import suite, __version__\n    import compbench.report.pages\n")
    assert list(imported(path)) == [(2, "suite"), (3, "report")]


# An audit hook sees every start of a process and every file opened for writing, whoever asks for it.
LOAD = """
import importlib.metadata, json, os, sys
acts = []
CHANGES = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system", "os.mkdir",
    "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.utime", "os.chmod",
    "shutil.rmtree", "socket.connect", "socket.bind"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
def hook(event, arguments):
    if event in CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING):
        acts.append(f"{event} {arguments}"[:200])
sys.addaudithook(hook)
before = set(sys.modules)
sys.argv = ["doit", *sys.argv[1:]]
sys.path.insert(0, os.getcwd())
if sys.argv[1:] == ["check the hook"]:
    open("written", "w").close()
    import numpy
else:
    import dodo
    list(dodo.task_scenarios()), list(dodo.task_measure()), list(dodo.task_render()), list(dodo.task_preflight())
known = importlib.metadata.packages_distributions()
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps({"acts": acts, "packages": sorted({package for name in loaded for package in known.get(name, [])})}))
"""


def load(folder: Path, *words: str) -> tuple[list[str], set[str]]:
    """Load `dodo.py` of the folder as doit would; return what it did and which packages it loaded."""
    done = subprocess.run(
        [sys.executable, "-B", "-P", "-c", LOAD, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return said["acts"], set(said["packages"])


@pytest.mark.parametrize("words", [["list"], [], ["run:qdrant_ann_1m_768d"], ["clean", "-n"]])
def test_loading_starts_nothing_writes_nothing_and_is_light(words: list[str]) -> None:
    acts, packages = load(ROOT, *words)
    assert acts == []
    assert packages - {"compbench"} <= LIGHT


def test_the_test_of_loading_would_see_a_write_and_a_heavy_import(tmp_path: Path) -> None:
    acts, packages = load(tmp_path, "check the hook")
    assert any("written" in act for act in acts)
    assert "numpy" in packages
