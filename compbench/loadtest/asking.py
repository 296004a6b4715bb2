"""The server asked something outside of any schedule: over a connection that is opened for it and closed again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.loadtest.workload.vector_sets import open_vectors, shape_of
from compbench.model.scenario import Scenario
from compbench.systems.api import Ask, Client
from compbench.systems.clients import ServerAddress, open_client

T = TypeVar("T")


def ask_once(client: Client, question: Callable[[Ask], Awaitable[T]]) -> T:
    """Ask, and return the answer.

    Raises:
        UserError: the server can't be reached.
    """
    return run_in_precise_loop(_asked(client, question))


def remove_data(scenario: Scenario, seed: int, address: ServerAddress) -> str:
    """Let the server remove what loading the scenario's data set has made; return why it did not, or an empty text.

    Raises:
        UserError: the server can't be reached.
    """
    client = open_client(address, shape_of(scenario, open_vectors(scenario, seed)))
    return ask_once(client, client.remove)


async def _asked(client: Client, question: Callable[[Ask], Awaitable[T]]) -> T:
    transport = client.transport(1)
    await transport.open()
    try:
        return await question(transport.ask)
    finally:
        transport.close()
