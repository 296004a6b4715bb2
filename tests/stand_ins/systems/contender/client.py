"""The contender as the driver sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compbench.config.credentials import credentials_of

from ..flat import client as flat

if TYPE_CHECKING:
    from compbench.systems.api import Ask, Operation, Shape, Vectors

    from .settings import OwnSettings


class Client(flat.Client):
    """The flat server's client, which sends the key with each request if there is one, and can remove."""

    def __init__(self, own: OwnSettings, endpoint: str, shape: Shape) -> None:
        super().__init__(own, endpoint, shape)  # type: ignore[arg-type] # has the one key that is used
        key = credentials_of("contender").api_key.encode()
        self._prefix = b"K" + bytes([len(key)]) + key if key else b""

    def encode(self, operation: Operation) -> bytes:
        return self._with_key(super().encode(operation))

    def load(self, first: int, step: int, rows: Vectors) -> bytes:
        return self._with_key(super().load(first, step, rows))

    async def count(self, ask: Ask) -> int | None:
        return await super().count(self._asking(ask))

    async def holds_other(self, ask: Ask, number: int, vector: Vectors) -> bool:
        return await super().holds_other(self._asking(ask), number, vector)

    async def build_index(self, ask: Ask) -> str:
        return await super().build_index(self._asking(ask))

    def floor(self) -> bytes:
        return self._with_key(super().floor())

    async def remove(self, ask: Ask) -> str:
        exchange = await ask(self._with_key(b"X"))
        return "" if exchange.ok else exchange.explain()

    def _with_key(self, request: bytes) -> bytes:
        return request if request.startswith(b"K") else self._prefix + request

    def _asking(self, ask: Ask) -> Ask:
        return lambda request: ask(self._with_key(request))
