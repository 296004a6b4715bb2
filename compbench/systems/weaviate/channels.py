"""What Weaviate is asked over: gRPC for rows and searches, and a connection of HTTP for definitions."""

from __future__ import annotations

from collections.abc import Mapping

from compbench.systems.weaviate import requests
from compbench.transport.exchange import Exchange
from compbench.transport.grpc_calls import GrpcCalls
from compbench.transport.http_pool import Endpoint, Pool


class Channels(GrpcCalls):
    """Carries a `GrpcCall` by gRPC, and bytes by HTTP, which is for what is asked outside of any schedule."""

    def __init__(self, endpoint: Endpoint, grpc_port: int, size: int, headers: Mapping[str, str]) -> None:
        """Take where it is asked by HTTP, its other port, and the headers that gRPC sends, too."""
        scheme = "https" if endpoint.tls else "http"
        super().__init__(f"{scheme}://{endpoint.host}:{grpc_port}", size, requests.batch_refusal, headers)
        self._rest = Pool(endpoint, 1)

    async def open(self) -> None:
        """Connect both."""
        await self._rest.open()
        await super().open()

    def submit(self, exchange: Exchange) -> None:
        """Send a request on the connections of its kind."""
        if isinstance(exchange.payload, bytes):
            self._rest.submit(exchange)
        else:
            super().submit(exchange)

    def expire(self) -> None:
        """Give up what has waited too long, on both."""
        self._rest.expire()
        super().expire()

    def close(self, problem: str = "the driver ended") -> None:
        """Give up everything, and close both."""
        self._rest.close(problem)
        super().close(problem)
