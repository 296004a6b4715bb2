"""Who tells which code of a catalogue, with which fields: read from the source, so that rare ones are seen too."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tests.project import ROOT

TREES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "compbench").rglob("*.py"))
}


class Maker(NamedTuple):
    """A function that takes a code at a place in its arguments, and the fields by name, unless it gives its own."""

    codes: Mapping[str, set[str]]
    place: int = 0
    fields: AbstractSet[str] = frozenset()


class Told(NamedTuple):
    """A code where it is told, the fields that its text has, and those that it gets."""

    where: str
    code: str
    wanted: set[str]
    given: AbstractSet[str]


def name_of(call: ast.Call) -> str:
    """Return the name of the function or method that is called."""
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


@functools.cache
def calls(tree: ast.AST) -> list[tuple[ast.AST, ast.Call]]:
    """Return every call with the function around it, or the module."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    around = {call: function for function in functions for call in ast.walk(function) if isinstance(call, ast.Call)}
    return [(around.get(call, tree), call) for call in ast.walk(tree) if isinstance(call, ast.Call)]


def told(makers: Mapping[str, Maker]) -> Iterator[Told]:
    """Yield each code that is told; one in a variable is a constant of the function around."""
    for file, tree in TREES.items():
        for function, call in calls(tree):
            passes_on = any(keyword.arg is None for keyword in call.keywords)
            if name_of(call) not in makers or passes_on or getattr(function, "name", "") in makers:
                continue
            maker, where = makers[name_of(call)], f"{file}:{call.lineno}"
            argument = call.args[maker.place]
            within = function if isinstance(argument, ast.Name) else argument
            constants = {str(node.value) for node in ast.walk(within) if isinstance(node, ast.Constant)}
            codes = constants if isinstance(argument, ast.Constant) else constants & set(maker.codes)
            assert codes, f"{where}: which code is told here can't be seen"
            for code in codes:
                assert code in maker.codes, f"{where}: {code} is not in the catalogue"
                wanted = maker.codes[code]
                named = {keyword.arg or "" for keyword in call.keywords}
                yield Told(where, code, wanted, maker.fields & wanted if maker.fields else named)
