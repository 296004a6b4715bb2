"""Docker or Podman, whichever is on the PATH: what is asked of it, and the command lines that it is given."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from compbench.model.errors import UserError

_PROGRAMS = ("docker", "podman")
_QUESTION_LIMIT_S = 20.0


class ContainerRun(NamedTuple):
    """An image and how it is to be run.

    Attributes:
        name: of the container, which only this one has.
        image: by its digest.
        port: of loopback, on which it is asked.
        inner_port: the port of its own that is published there; None if it shares the machine's network.
        data: the folder of this machine that is mounted.
        data_path: where it is mounted.
        environment: of the container.
        arguments: words after the image.
        cpus: the cores that it may use; empty for all.
        memory: how much memory it may use; empty for all.
        as_user: whether it runs as this user.
        shared_memory_bytes: the size of its `/dev/shm`; 0 for the usual one.
    """

    name: str
    image: str
    port: int
    inner_port: int | None
    data: Path
    data_path: str
    environment: Mapping[str, str]
    arguments: Sequence[str]
    cpus: str
    memory: str
    as_user: bool
    shared_memory_bytes: int = 0


def container_program() -> str:
    """Return the program that runs containers.

    Raises:
        UserError: there is none.
    """
    found = [path for name in _PROGRAMS if (path := shutil.which(name))]
    if not found:
        raise UserError("neither docker nor podman is on the PATH: install one, or choose another mode")
    return found[0]


def run_argv(program: str, run: ContainerRun) -> list[str]:
    """Return the command line that runs the image in the foreground; nothing is fetched for it."""
    network = ["--network", "host"]
    if run.inner_port is not None:
        network = ["--publish", f"127.0.0.1:{run.port}:{run.inner_port}"]
    return [
        *(program, "run", "--rm", "--pull", "never", "--name", run.name),
        *network,
        *(_user(program) if run.as_user else []),
        *(["--cpuset-cpus", run.cpus] if run.cpus else []),
        # Without the second, as much again may be swapped out.
        *(["--memory", run.memory, "--memory-swap", run.memory] if run.memory else []),
        *(["--shm-size", str(run.shared_memory_bytes)] if run.shared_memory_bytes else []),
        *("--volume", f"{run.data}:{run.data_path}"),
        *(word for name, value in run.environment.items() for word in ("--env", f"{name}={value}")),
        run.image,
        *run.arguments,
    ]


def remove_argv_of(program: str, name: str) -> list[str]:
    """Return the command line that ends and removes a container, whatever its state."""
    return [program, "rm", "--force", "--volumes", name]


def has_image(program: str, image: str) -> bool:
    """Tell whether the image is on this machine."""
    return _asked([program, "image", "inspect", image]) is not None


def container_pid(program: str, name: str) -> int | None:
    """Return the container's first process as this machine numbers it; None if it does not run, or not visibly."""
    said = (_asked([program, "inspect", "--format", "{{.State.Pid}}", name]) or "").strip()
    return int(said) if said.isdecimal() and int(said) > 0 else None


def stop_container(program: str, name: str, grace_s: float) -> None:
    """Let the container end in order, or kill it after the time that it is given."""
    _asked([program, "stop", "-t", str(round(grace_s)), name], grace_s + _QUESTION_LIMIT_S)


def containers_named(program: str, beginning: str) -> list[str]:
    """Return the names of containers, running or not, that begin so."""
    said = _asked([program, "ps", "--all", "--filter", f"name={beginning}", "--format", "{{.Names}}"])
    return [name for name in (said or "").split() if name.startswith(beginning)]


def remove_container(program: str, name: str) -> None:
    """End and remove a container of ours."""
    _asked(remove_argv_of(program, name))


def _user(program: str) -> list[str]:
    """Return options that let what it writes belong to this user."""
    user = ["--user", f"{os.getuid()}:{os.getgid()}"]
    return [*(["--userns", "keep-id"] if Path(program).name == "podman" and os.getuid() else []), *user]


def _asked(argv: Sequence[str], limit_s: float = _QUESTION_LIMIT_S) -> str | None:
    """Return what a command prints, None if it fails."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
