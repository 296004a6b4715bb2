"""A server in a container, mode `container`: run by Docker or Podman under a name of ours, watched by its process.

The client program is our child; the guard removes the container by its name once that has ended, so that nothing is
left even if compbench is killed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compbench.config.settings import Settings
from compbench.config.system_tables import RivalSettings
from compbench.machine import containers, interrupts, isolation, process
from compbench.machine.containers import ContainerRun
from compbench.machine.output import Output
from compbench.machine.probes.process_tree import tree_pids
from compbench.measuring import server
from compbench.measuring.server import ServerProcess
from compbench.measuring.under_test import StartError
from compbench.model.errors import UserError
from compbench.model.notices import outcome_of
from compbench.model.partition import cpu_list
from compbench.store import leftovers
from compbench.systems import registry
from compbench.systems.api import ContainerLaunch, Launch

_KILLED = 137  # what a container's client ends with if the container was killed
_END_WAIT_S = 10.0


@dataclass
class ContainerServer(ServerProcess):
    """A server in a container; its child is the client program of Docker or Podman."""

    run: ContainerRun | None = None
    tool: str = ""
    _seen_pid: int | None = None

    @property
    def program(self) -> str:
        """Return the image."""
        assert self.run is not None  # noqa: S101 - every one that is made has it
        return self.run.image

    @property
    def pid(self) -> int | None:
        """Return the container's first process, once it runs."""
        assert self.run is not None  # noqa: S101 - see above
        if self._seen_pid is None:
            self._seen_pid = containers.container_pid(self.tool, self.run.name)
        return self._seen_pid

    @property
    def entry(self) -> list[str]:
        """Return nothing: a port of loopback leads to it."""
        return []

    def prove_listener(self, pid: int) -> None:
        """See that the container's processes listen on the port; one that is published is another program's.

        Raises:
            StartError: another one does.
        """
        assert self.run is not None  # noqa: S101 - see above
        if self.run.inner_port is None:
            server.prove_listeners(self.settings.port, tree_pids(pid) or [pid])

    def stop(self) -> None:
        """Let the container end in order, by its name, and see that its port is free."""
        if self.stopped_by:
            return
        assert self.run is not None  # noqa: S101 - see above
        if self.child.poll() is not None:
            self.stopped_by = "itself"
        else:
            containers.stop_container(self.tool, self.run.name, self.grace_s)
            ended = self.child.wait(_END_WAIT_S)
            if ended is None:
                self.child.stop(0)
            was_killed = ended is None or ended.code == _KILLED
            self.stopped_by = "SIGKILL" if was_killed else "SIGTERM"
        self.zombie_left = False
        self.port_freed = server.wait_until_free(self.settings.port, server.PORT_RELEASE_S)


@contextlib.contextmanager
def running_in_container(settings: Settings, work: Path, log: Output, root: Path) -> Iterator[ContainerServer]:
    """Run the system's image and yield its server, not yet ready; on leaving the block the container is gone.

    Raises:
        StartError: the port is taken, or nothing here runs containers.
    """
    server.refuse_taken_port(settings)
    try:
        tool = containers.container_program()
        asked = registry.server_of(settings).container(work)
    except UserError as error:
        raise StartError(outcome_of("container-not-run", problem=error), transient=False) from None
    prefix = leftovers.work_prefix(root)
    for name in containers.containers_named(tool, prefix):
        containers.remove_container(tool, name)  # of an invocation whose guard was killed too: the lock is ours
    run = _run_of(settings, tool, work, asked, f"{prefix}{secrets.token_hex(6)}")
    launch = Launch(containers.run_argv(tool, run), {}, stop_grace_s=asked.stop_grace_s)
    with process.running(
        launch.argv,
        environment=server.child_environment(root),
        folder=work / "cwd",
        stdout=log,
        stop_grace_s=server.grace_s(settings, launch),
        after=containers.remove_argv_of(tool, run.name),
    ) as child:
        limits = _limits(run)
        found = ContainerServer(settings, child, launch, work, log, "container", limits=limits, run=run, tool=tool)
        try:
            yield found
        finally:
            with interrupts.deferred():
                found.stop()


def _may_set_cpus(tool: str) -> bool:
    """Tell whether the tool takes CPUs for a container: Podman without root mostly has no right to, and fails then."""
    return Path(tool).name != "podman" or os.geteuid() == 0


def _run_of(settings: Settings, tool: str, work: Path, asked: ContainerLaunch, name: str) -> ContainerRun:
    own = registry.own_settings(settings)
    limits = own if isinstance(own, RivalSettings) else RivalSettings()
    wanted, divided = isolation.wanted_of(settings), isolation.reached_by(settings).partition
    return ContainerRun(
        name=name,
        image=asked.image,
        port=settings.port,
        inner_port=asked.inner_port,
        data=work / "data",
        data_path=asked.data_path,
        environment=asked.environment,
        arguments=asked.arguments,
        cpus=limits.container_cpus or (cpu_list(divided.server) if divided and _may_set_cpus(tool) else ""),
        memory=limits.container_memory or (f"{wanted.memory_bytes}b" if wanted.memory_bytes else ""),
        as_user=asked.as_user,
        shared_memory_bytes=asked.shared_memory_bytes,
    )


def _limits(run: ContainerRun) -> str:
    return f"cores {run.cpus or 'none'}, memory {run.memory or 'none'}"
