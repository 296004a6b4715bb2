"""No two things of compbench share a name, so that a name that is read or searched for means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "compbench"

# Names that stand more than once on purpose.
SHARED_NAMES = {
    "main": "the start of a program; each program has one",
    "Server": "the runner's half: its interface in `systems/api.py`, and each system's own",
    "Client": "the driver's half: its interface in `systems/api.py`, and each system's own",
}
SHARED_MODULES = {
    "requests": "what a system is asked, in the bytes of its own interface: a matter of its folder alone",
    "install": "how a system is had, loaded by this name",
    "__init__": "each room has one",
    "__main__": "each program has one",
    "command_line": "each program that has more than a few options has one",
    "server": "the half of a system that the runner loads, by this name; `measuring/server.py` is its process",
    "client": "the half of a system that the driver loads, by this name",
    "settings": "the declaration in a system's folder is loaded by this name; `config/settings.py` has everybody's",
}
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def names_in(tree: ast.Module) -> Iterator[str]:
    """Yield the public names of classes, functions and type aliases at the level of the module."""
    for node in statements(tree.body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found = [node.name]
        elif isinstance(node, ast.Assign) and not is_type_variable(node.value):
            # An alias is written as a class is, `Like = ...`; a constant in capitals.
            found = [target.id for target in node.targets if isinstance(target, ast.Name) and not target.id.isupper()]
        else:
            continue
        yield from (name for name in found if not name.startswith("_"))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those that only the type checker reads (`if TYPE_CHECKING:`) too."""
    for node in body:
        yield from statements(node.body) if isinstance(node, ast.If) else [node]


def is_type_variable(value: ast.expr) -> bool:
    """Tell whether a value is a type variable, which means nothing outside the signature that it stands in."""
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "TypeVar"


def homes(trees: dict[Path, ast.Module]) -> dict[str, list[str]]:
    """Return the modules that define each name."""
    found = defaultdict(list)
    for path, tree in trees.items():
        for name in sorted(set(names_in(tree))):
            found[name].append(str(path.relative_to(PACKAGE)))
    return found


def test_each_class_function_and_type_alias_has_a_name_of_its_own() -> None:
    twice = {name: files for name, files in homes(TREES).items() if len(files) > 1}
    assert {name: files for name, files in twice.items() if name not in SHARED_NAMES} == {}
    assert set(SHARED_NAMES) <= set(twice), "a name that is no longer shared needs no reason"


def test_each_module_has_a_name_of_its_own() -> None:
    found = defaultdict(list)
    for path in TREES:
        found[path.stem].append(str(path.relative_to(PACKAGE)))
    twice = {name: files for name, files in found.items() if len(files) > 1}
    assert {name: files for name, files in twice.items() if name not in SHARED_MODULES} == {}
    assert set(SHARED_MODULES) <= set(twice), "a name that is no longer shared needs no reason"


def test_the_test_of_names_would_see_a_second_home() -> None:
    first = ast.parse("class A: ...\nT = TypeVar('T')\nLIMIT = 1\nif TYPE_CHECKING:\n    Alias = list[int]\n")
    second = ast.parse("def A(): ...\nT = TypeVar('T')\nLIMIT = 2\nAlias = list[str]\n_own = 3\n")
    found = homes({PACKAGE / "a.py": first, PACKAGE / "b.py": second})
    assert found == {"A": ["a.py", "b.py"], "Alias": ["a.py", "b.py"]}
