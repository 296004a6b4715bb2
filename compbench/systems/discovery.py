"""The folders of the systems, and the loading of their modules: a process loads only the half that it uses."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import cast

from compbench import systems
from compbench.config.system_tables import CHOICE, SystemKind
from compbench.model.errors import UserError
from compbench.systems.installation import Installation

_OWN = list(systems.__path__)


def look_into(folder: Path | None) -> None:
    """Add the systems in the user's folder to the known ones, in place of those of any earlier folder.

    Raises:
        UserError: it is no folder, or a name in it is taken.
    """
    systems.__path__[:] = _OWN
    if folder is None:
        return
    if not folder.is_dir():
        raise UserError(f"systems_dir: {folder} is no folder")
    foreign = [info.name for info in pkgutil.iter_modules([str(folder)]) if info.ispkg]
    if twice := sorted({*foreign} & {*names(), CHOICE}):
        raise UserError(f"systems_dir: {folder / twice[0]}: that name is taken: call the folder otherwise")
    systems.__path__.append(str(folder))


def names() -> list[str]:
    """Return the known systems."""
    return sorted(info.name for info in pkgutil.iter_modules(systems.__path__) if info.ispkg)


def kind(name: str) -> SystemKind:
    """Return a system's description of itself, its `KIND`."""
    return cast(SystemKind, module(name, "settings").KIND)


def installation(name: str) -> Installation | None:
    """Return how a system is had from a package registry, None if that is not known."""
    if importlib.util.find_spec(f"{systems.__name__}.{name}.install") is None:
        return None
    return cast(Installation, module(name, "install").INSTALLATION)


def module(system: str, half: str) -> ModuleType:
    """Load a module of a system.

    Raises:
        UserError: that fails.
    """
    try:
        return importlib.import_module(f"{systems.__name__}.{system}.{half}")
    except ImportError as error:
        raise UserError(f"system {system}: its {half}.py can't be loaded: {error}") from None
