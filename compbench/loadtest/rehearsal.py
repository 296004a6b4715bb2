"""The beginning of a warm-up: some of its requests one at a time, before they come at the scenario's rate.

Many servers compile a query when they see it first. At a fixed rate the same query then comes on every connection
before it is compiled once, each compiles it, and the server is at that for longer than a warm-up lasts. One at a time
it is compiled once.
"""

from __future__ import annotations

import time

from compbench.loadtest.workload.operations import STORE
from compbench.loadtest.workload.workload import Workload
from compbench.systems.api import Ask

MOST_REQUESTS = 200
LIMIT_S = 5.0


async def rehearse(workload: Workload, warm_up: int, ask: Ask) -> None:
    """Send those of the first `warm_up` requests that store nothing, each after the answer to the one before.

    It ends after `MOST_REQUESTS` or `LIMIT_S`, whichever is first. The warm-up itself stores what is left out here.
    What an answer says is not judged: the measurement tells of a server that fails.
    """
    deadline = time.monotonic() + LIMIT_S
    for index in range(min(warm_up, MOST_REQUESTS)):
        if time.monotonic() > deadline:
            break
        if workload.operation(index) != STORE:
            await ask(workload.build(index))
