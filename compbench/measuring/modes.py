"""The three ways in which a server comes to be measured: started here, run in a container, or the user's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from compbench.config.settings import Settings
from compbench.machine import isolation
from compbench.machine.output import Output
from compbench.measuring import container, remote, server
from compbench.measuring.under_test import UnderTest
from compbench.model.scenario import Scenario
from compbench.systems import registry


@contextlib.contextmanager
def started_server(settings: Settings, work: Path, log: Output, root: Path, scenario: Scenario) -> Iterator[UnderTest]:
    """Yield the system's server, not yet ready; on leaving the block, what compbench began has ended.

    Meanwhile this program, and what it starts besides, keeps to the driver's CPUs.

    Raises:
        StartError: it can't be started.
    """
    with isolation.kept_to(isolation.reached_by(settings).driver_cpus):
        match registry.server_of(settings).mode:
            case "managed":
                with server.started(settings, work, log, root) as managed:
                    yield managed
            case "container":
                with container.running_in_container(settings, work, log, root) as contained:
                    yield contained
            case "endpoint":
                with remote.used(settings, work, log, root, scenario) as users:
                    yield users
