"""How a system is had from a package registry: pinned, by the ecosystem's own client, into a folder of its own.

Plain data; `doit install:<system>` does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PIP_INSTALL = ("-m", "pip", "install", "--no-input", "--disable-pip-version-check")


class Installation(NamedTuple):
    """A pinned version of a server and the steps that install it.

    Attributes:
        version: names the folder, so that another version is another folder.
        result: the file whose presence means that it is installed, relative to that folder.
        commands: command lines that are run in the folder, in order; `{python}` in a word is this interpreter,
            `{folder}` the folder.
        files: texts that are written into the folder first, by name: a list of packages with hashes, a pom.
        tools: programs that must be on the PATH, and what for.
        download_mb: about how much is fetched.
        licence: the server's.
        remark: what a person should know before; may be empty.
    """

    version: str
    result: str
    commands: tuple[tuple[str, ...], ...]
    files: Mapping[str, str]
    tools: Mapping[str, str]
    download_mb: int
    licence: str
    remark: str = ""


def pip_command(target: str) -> tuple[str, ...]:
    """Return the command that puts the packages of `requirements.txt` into a folder, each by its hash, nothing else.

    They hold programs; their Python is not used.
    """
    strictly = ("--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile")
    return ("{python}", *PIP_INSTALL, *strictly, "--target", target, "-r", "{folder}/requirements.txt")


def requirement(name: str, version: str, *hashes: str) -> str:
    """Return the line of `requirements.txt` for a package, one of whose files with these hashes (SHA-256) is taken."""
    return " ".join([f"{name}=={version}", *(f"--hash=sha256:{number}" for number in hashes)]) + "\n"
