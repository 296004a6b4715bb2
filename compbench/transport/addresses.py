"""Addresses as a person writes them: `scheme://host:port`, and nothing else in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from compbench.model.errors import UserError


class Address(NamedTuple):
    """Where a server listens: `netloc` is host and port as they were written."""

    scheme: str
    host: str
    port: int
    netloc: str


def read_address(url: str, ports: Mapping[str, int], expected: str) -> Address:
    """Return the parts of an address.

    Args:
        url: the address.
        ports: the schemes that it may have, each with the port that is meant where none is named.
        expected: how it is to be written, for a person.

    Raises:
        UserError: it is another kind of URL, or holds a name or password, which would be shown wherever it is.
    """
    wrong = UserError(f"--endpoint {url!r}: expected {expected}")
    try:
        parts = urlsplit(url)
        port = parts.port or ports.get(parts.scheme, 0)
        (parts.hostname or "").encode("idna")  # what the look-up does, and not all of it as an OSError
    except ValueError:
        raise wrong from None
    if parts.scheme not in ports or not parts.hostname or "@" in parts.netloc or parts.path not in {"", "/"}:
        raise wrong
    return Address(parts.scheme, parts.hostname, port, parts.netloc)
