"""The flat server as a driver sees it that computes for every request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..flat import client as flat
from ..flat.frames import Frames

if TYPE_CHECKING:
    from compbench.systems.api import Operation, Shape
    from compbench.transport.exchange import Exchange

    from .settings import CostlySettings


class Client(flat.Client):
    """Makes requests, and takes answers, at a cost of processor time."""

    def __init__(self, own: CostlySettings, endpoint: str, shape: Shape) -> None:
        super().__init__(own, endpoint, shape)
        self._costs = own

    def transport(self, size: int) -> Frames:
        frames = super().transport(size)
        return _Costly(frames, self._costs.answer_ms) if self._costs.answer_ms else frames

    def encode(self, operation: Operation) -> bytes:
        compute(self._costs.encode_ms)
        return super().encode(operation)

    def floor(self) -> bytes:
        return super().floor() if self._costs.has_floor else b"?"


class _Costly(Frames):
    def __init__(self, frames: Frames, answer_ms: float) -> None:
        super().__init__(frames._address, frames._size)
        self._answer_ms = answer_ms

    def submit(self, exchange: Exchange, /) -> None:
        on_done = exchange.on_done

        def done(ended: Exchange) -> None:
            compute(self._answer_ms)
            on_done(ended)

        exchange.on_done = done
        super().submit(exchange)


def compute(duration_ms: float) -> None:
    """Use a core for so long, of this process' own time on it."""
    until = time.process_time() + duration_ms / 1000
    while time.process_time() < until:
        pass
