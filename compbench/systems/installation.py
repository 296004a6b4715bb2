"""How a system is had from a package registry: pinned, by the ecosystem's own client, into a folder of its own.

Plain data; `doit install:<system>` does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


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
