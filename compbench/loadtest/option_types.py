"""What the options of the driver's command line are read as; a wrong one is told in argparse's words."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

from compbench.config.hosts import HostsAsked, read_hosts
from compbench.model.errors import UserError


class WholeNumber:
    """Reads a whole number within limits."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        """Return the number."""
        if not re.fullmatch(r"\d{1,20}", text) or not self._low <= int(text) <= self._high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {self._low} to {self._high}")
        return int(text)


def seconds(text: str) -> float:
    """Return a time of at most a day."""
    return _number(text, 0.0, 86_400.0)


def share(text: str) -> float:
    """Return a number from 0 to 1."""
    return _number(text, 0.0, 1.0)


def hosts_option(text: str) -> HostsAsked:
    """Return the hosts that are asked for."""
    try:
        return read_hosts(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def host_port_option(text: str) -> tuple[str, int]:
    """Return where a server listens: a name or an address, in brackets where it has colons, and a port."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or (":" in bare and bare == host):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return bare, WholeNumber(1, 65_535)(port)


def recalls(text: str) -> tuple[float, ...]:
    """Return recalls in ascending order."""
    return tuple(sorted({above_0(1.0)(part) for part in text.split(",")}))


def above_0(high: float) -> Callable[[str], float]:
    """Return what reads a number above 0, up to a limit."""

    def read(text: str) -> float:
        value = _number(text, 0.0, high)
        if value == 0:
            raise argparse.ArgumentTypeError("must be over 0")
        return value

    return read


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
    return value
