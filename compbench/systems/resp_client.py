"""What the driver's halves of Redis' modules have in common: commands and replies in RESP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compbench.systems.rival_client import RivalClient
from compbench.transport.resp_connection import NotRespError, reply_in
from compbench.transport.resp_pool import RespAddress, RespPool

if TYPE_CHECKING:
    from compbench.config.system_tables import RivalSettings
    from compbench.systems.api import Shape
    from compbench.transport.exchange import Exchange


class RespClient(RivalClient):
    """The part of a client that is the same for them."""

    unreadable = (NotRespError, TypeError, ValueError, IndexError)

    def __init__(self, own: RivalSettings, endpoint: str, shape: Shape) -> None:
        """Take where Redis is asked, with a password if there is one."""
        super().__init__(own, endpoint, shape)
        self._address = RespAddress(endpoint, self._credentials)

    def transport(self, size: int) -> RespPool:
        """Return a pool of connections."""
        return RespPool(self._address, size)


def reply_of(exchange: Exchange) -> Any:
    """Return the reply to a command that succeeded, else None."""
    return reply_in(b"".join(exchange.body)) if exchange.ok else None
