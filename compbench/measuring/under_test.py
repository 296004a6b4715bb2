"""A server under test as the phases of a measurement see it, however it came to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from compbench.model.notices import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from compbench.config.settings import Settings
    from compbench.machine.output import Output
    from compbench.machine.process import Child, Exit


class StartError(Exception):
    """The server did not become ready; `transient` says whether a second try makes sense."""

    def __init__(self, outcome: Outcome, *, transient: bool = True) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.transient = transient


class UnderTest(Protocol):
    """A server under test.

    Attributes:
        settings: of the run.
        work: the folder of what is written for it.
        log: takes what it prints.
        ready_after_s: how long it took to become ready.
        stopped_by: what ended it, empty while it runs.
        port_freed: whether its port was free after that; None if that does not apply.
        zombie_left: whether its process was left; None if that does not apply.
        limits: of a container, in words; empty if it has none.
        tier: by which it is kept to its CPUs and memory limit (`compbench.machine.isolation`); empty if it is not.
        left: why something of ours may be left behind, empty if nothing is.
    """

    settings: Settings
    work: Path
    log: Output
    ready_after_s: float | None
    stopped_by: str
    port_freed: bool | None
    zombie_left: bool | None
    limits: str
    tier: str
    left: str

    @property
    def argv(self) -> list[str]:
        """Return the command line that has started it; empty if the user has."""

    @property
    def program(self) -> str:
        """Return what is measured, as a person names it: a program, an image, an address."""

    @property
    def pid(self) -> int | None:
        """Return the server's process, None if it can't be seen from here."""

    @property
    def grace_s(self) -> float:
        """Return how long it may take to end in order before it is killed."""

    @property
    def entry(self) -> list[str]:
        """Return the words before a command line that is to reach it; mostly none."""

    @property
    def oom_kills(self) -> int:
        """Return how many of its processes the kernel has killed for its own memory limit; known when it has ended."""

    @property
    def children(self) -> list[Child]:
        """Return the processes of ours whose end is the server's."""

    @property
    def exit(self) -> Exit | None:
        """Return how it ended, None while it runs or if that can't be known."""

    def wait_until_ready(self, timeout_s: float) -> None:
        """Wait until it has proven to be ready and the one that is meant.

        Raises:
            StartError: it has not.
        """

    def await_news_of_death(self, timeout_s: float) -> None:
        """Wait for the news that it has ended, if that may be on its way."""

    def stop(self) -> None:
        """End what compbench has begun: the server, or its use of one that goes on."""

    def last_log_lines(self) -> list[str]:
        """Return the end of its log."""
