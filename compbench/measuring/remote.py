"""A server that the user runs, mode `endpoint`: it is used as it is, and what was loaded into it is removed after.

Nothing is started or stopped, and nothing of it is seen but what it tells itself. What was there before is never
touched: only after the driver has found that the server's data, if it has any under our name, is the scenario's own,
something of ours is there to be removed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compbench.config.credentials import credential_names
from compbench.config.settings import Settings
from compbench.machine import interrupts, process
from compbench.machine.output import Output
from compbench.machine.process import Child, Exit
from compbench.measuring import drivers, server
from compbench.measuring.driver_wait import ProgressReader
from compbench.measuring.under_test import StartError
from compbench.model.notices import Outcome, outcome_of
from compbench.model.scenario import Scenario
from compbench.systems import registry

_POLL_S = 0.2
# Not the time that a server needs to start, which this one has done.
_MOST_WAIT_S = 5.0
_REMOVE_LIMIT_S = 120.0
_MOST_LOG_BYTES = 100_000


@dataclass
class RemoteServer:
    """A server of the user's, and how far our use of it has come (`under_test.UnderTest`)."""

    settings: Settings
    scenario: Scenario
    root: Path
    work: Path
    log: Output
    ready_after_s: float | None = None
    stopped_by: str = ""
    port_freed: bool | None = None
    zombie_left: bool | None = None
    limits: str = ""
    tier: str = ""
    left: str = ""

    @property
    def argv(self) -> list[str]:
        """Return nothing: compbench has not started it."""
        return []

    @property
    def program(self) -> str:
        """Return its address."""
        return registry.server_of(self.settings).endpoint

    @property
    def pid(self) -> int | None:
        """Return nothing: where it runs is not known."""
        return None

    @property
    def grace_s(self) -> float:
        """Return no time: it is not stopped."""
        return 0.0

    @property
    def entry(self) -> list[str]:
        """Return nothing: its address is enough."""
        return []

    @property
    def oom_kills(self) -> int:
        """Return none: it has no limit of ours."""
        return 0

    @property
    def children(self) -> list[Child]:
        """Return nothing."""
        return []

    @property
    def exit(self) -> Exit | None:
        """Return nothing: its end shows by its silence."""
        return None

    def wait_until_ready(self, timeout_s: float) -> None:
        """See that it answers.

        Raises:
            StartError: it does not.
        """
        began, half = time.monotonic(), registry.server_of(self.settings)
        while not half.answers():
            if time.monotonic() - began > min(timeout_s, _MOST_WAIT_S):
                raise StartError(_silence(self.settings), transient=False)
            time.sleep(_POLL_S)

    def await_news_of_death(self, timeout_s: float) -> None:
        """Return at once: nobody tells."""

    def stop(self) -> None:
        """Remove what was loaded, if anything was."""
        if self.stopped_by:
            return
        self.stopped_by = "not stopped: compbench did not start it"
        if self._has_loaded():
            self.left = self._remove()

    def last_log_lines(self) -> list[str]:
        """Return nothing: its log is not here."""
        return []

    def _has_loaded(self) -> bool:
        """Tell whether the driver has begun to load, or found the scenario's own data: no other data is ours."""
        reader = ProgressReader(self.work / "prepare.progress")
        reader.read()
        return (self.work / "prepare.json").is_file() or bool(reader.last.get("sent"))

    def _remove(self) -> str:
        """Return why the driver could not remove it, or an empty text."""
        output = Output(self.work / "remove.log", _MOST_LOG_BYTES)
        with process.running(
            drivers.remove_argv(self.settings, self.scenario),
            environment=server.driver_environment(self.settings, self.root),
            folder=self.root,
            stdout=output,
        ) as child:
            ended = child.wait(_REMOVE_LIMIT_S)
        if ended is not None and ended.code == 0:
            return ""
        said = " ".join(server.tail(output.path, 2))
        return said or (f"it took more than {_REMOVE_LIMIT_S:g} s" if ended is None else str(ended))


def _silence(settings: Settings) -> Outcome:
    system, names = settings.system, ", ".join(credential_names(settings.system))
    endpoint, title = registry.server_of(settings).endpoint, registry.title_of(system)
    return outcome_of("endpoint-silent", endpoint=endpoint, title=title, system=system, names=names)


@contextlib.contextmanager
def used(settings: Settings, work: Path, log: Output, root: Path, scenario: Scenario) -> Iterator[RemoteServer]:
    """Use the server that the user runs; on leaving the block, what was loaded into it is removed."""
    server_of_users = RemoteServer(settings, scenario, root, work, log)
    try:
        yield server_of_users
    finally:
        with interrupts.deferred():
            server_of_users.stop()
