"""Clients made from plain values, which can be handed to another process of the driver."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from compbench.config.system_tables import KIND_KEY
from compbench.model.errors import UserError
from compbench.systems import discovery
from compbench.systems.api import Client, Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from compbench.transport.exchange import Transport


class ServerAddress(NamedTuple):
    """The system that is asked, its address, and its settings (a JSON object)."""

    endpoint: str
    system: str = "engram"
    systems_dir: str | None = None
    own: str = "{}"

    @property
    def effort(self) -> int | None:
        """Return the effort that its settings say, None if they leave that to the system."""
        asked = msgspec.json.decode(self.own).get("effort")
        return None if asked is None else int(asked)

    def with_effort(self, effort: int) -> ServerAddress:
        """Return the same with another effort in its settings."""
        own = {**msgspec.json.decode(self.own), "effort": effort}
        return self._replace(own=msgspec.json.encode(own).decode())


def open_client(address: ServerAddress, shape: Shape) -> Client:
    """Return the system's client.

    Raises:
        UserError: there is no such system, its settings are wrong, or it can't be asked at such an endpoint.
    """
    discovery.look_into(Path(address.systems_dir) if address.systems_dir else None)
    kind = _kind_in(address.own)
    if kind is not None:
        discovery.make(address.system, kind, "--system-settings")
    if address.system not in discovery.names():
        raise UserError(f"--system {address.system}: no such system; known: {', '.join(discovery.names())}")
    try:
        own = msgspec.json.decode(address.own, type=discovery.kind(address.system).settings)
    except msgspec.DecodeError as error:
        raise UserError(f"--system-settings {address.own}: {error}") from None
    return cast("Client", discovery.module(address.system, "client").Client(own, address.endpoint, shape))


def _kind_in(own: str) -> str | None:
    """Return the kind of system that the settings name, None if they name none."""
    try:
        table = msgspec.json.decode(own)
    except msgspec.DecodeError:
        return None  # the system's own type says what is wrong
    return str(table[KIND_KEY]) if isinstance(table, dict) and KIND_KEY in table else None


def transport_maker(address: ServerAddress, shape: Shape) -> Callable[[int], Transport]:
    """Return what makes a transport of so many connections; it can be handed to another process."""
    return partial(_transport, address, shape)


def _transport(address: ServerAddress, shape: Shape, size: int) -> Transport:
    return open_client(address, shape).transport(size)
