"""The folders of the systems, and the loading of their modules: a process loads only the half that it uses."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import cast

from compbench import systems
from compbench.config.system_tables import CHOICE, SystemKind
from compbench.model.errors import UserError
from compbench.systems.installation import Installation

_OWN = list(systems.__path__)
# The systems that tables make, with the folder of each; a process that is told of others forgets these.
_made: dict[str, str] = {}


def look_into(folder: Path | None) -> None:
    """Add the systems in the user's folder to the known ones, in place of those of any earlier folder.

    Raises:
        UserError: it is no folder, or a name in it is taken.
    """
    systems.__path__[:] = _OWN
    _made.clear()
    if folder is None:
        return
    if not folder.is_dir():
        raise UserError(f"systems_dir: {folder} is no folder")
    foreign = [info.name for info in pkgutil.iter_modules([str(folder)]) if info.ispkg]
    if twice := sorted({*foreign} & {*_folders(), CHOICE}):
        raise UserError(f"systems_dir: {folder / twice[0]}: that name is taken: call the folder otherwise")
    systems.__path__.append(str(folder))


def make(name: str, folder: str, where: str) -> None:
    """Let a table make a system of that name, by the folder that the table's key `kind` names.

    Raises:
        UserError: there is no such folder, it makes no systems, or the name is taken.
    """
    patterns = [each for each in _folders() if kind(each).is_pattern]
    if folder not in patterns:
        known = ", ".join(patterns)
        raise UserError(f"{where}: system.{name}: kind = {folder!r}: no such kind of system; known: {known}")
    if name in {*_folders(), CHOICE}:
        raise UserError(f"{where}: system.{name}: kind: that name is taken: call the table otherwise")
    _made[name] = folder


def names() -> list[str]:
    """Return the known systems: folders, but for those that only make systems of tables, and what these have made."""
    return sorted({*(name for name in _folders() if not kind(name).is_pattern), *_made})


def _folders() -> list[str]:
    return sorted(info.name for info in pkgutil.iter_modules(systems.__path__) if info.ispkg)


def kind(name: str) -> SystemKind:
    """Return a system's description of itself, its `KIND`; one of a table is called as the table."""
    own = cast(SystemKind, module(name, "settings").KIND)
    return replace(own, title=name, is_pattern=False) if name in _made else own


def installation(name: str) -> Installation | None:
    """Return how a system is had from a package registry, None if that is not known."""
    if importlib.util.find_spec(f"{systems.__name__}.{_made.get(name, name)}.install") is None:
        return None
    return cast(Installation, module(name, "install").INSTALLATION)


def module(system: str, half: str) -> ModuleType:
    """Load a module of a system.

    Raises:
        UserError: that fails.
    """
    try:
        return importlib.import_module(f"{systems.__name__}.{_made.get(system, system)}.{half}")
    except ImportError as error:
        raise UserError(f"system {system}: its {half}.py can't be loaded: {error}") from None
