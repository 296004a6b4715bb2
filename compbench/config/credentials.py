"""What a server that the user runs asks for before it answers: read from the environment, and kept nowhere.

No setting, so that it stands in no file, manifest, capture, log or command line; only the driver and the runner's own
questions have it.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = "COMPBENCH_"
_ENDINGS = ("_API_KEY", "_USER", "_PASSWORD")


@dataclass(frozen=True, repr=False)
class Credentials:
    """A key, or a name with its password, each empty where it is not set."""

    api_key: str = ""
    user: str = ""
    password: str = ""

    def basic(self) -> dict[str, str]:
        """Return the header that tells name and password to an HTTP server; none without a password."""
        pair = b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"} if self.password else {}


def credentials_of(system: str, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return the credentials for a system's server in mode `endpoint`."""
    return Credentials(*(environment.get(name, "") for name in credential_names(system)))


def credentials_in(mode: str, system: str) -> Credentials:
    """Return the credentials for a system in a mode: a server that compbench starts has none."""
    return credentials_of(system) if mode == "endpoint" else Credentials()


def credential_names(system: str) -> list[str]:
    """Return the names of the variables: `COMPBENCH_<SYSTEM>_API_KEY`, `_USER`, `_PASSWORD`."""
    return [f"{_PREFIX}{system.upper()}{ending}" for ending in _ENDINGS]


def variables_of_system(system: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a system's credentials that are set, by name."""
    return {name: environment[name] for name in credential_names(system) if name in environment}


def is_credential(name: str) -> bool:
    """Tell whether a variable holds a secret of some system, which only processes that need it are given."""
    return name.startswith(_PREFIX) and name.endswith(_ENDINGS)


def headers_of(known: Credentials, key_name: str = "Authorization") -> dict[str, str]:
    """Return the header of HTTP that tells a key, by the name that the server has for it, or name and password."""
    if known.api_key:
        return {key_name: f"Bearer {known.api_key}" if key_name == "Authorization" else known.api_key}
    return known.basic()
