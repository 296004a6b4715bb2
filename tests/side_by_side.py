"""Runs the tests by several workers, each on a machine of its own as far as it can see.

`python -m tests.side_by_side [ARG...]` hands the arguments on to pytest. A suite refuses to measure while another
server runs, so each worker gets a PID and a network namespace (`unshare`), which takes Linux and root; elsewhere one
worker does it all. Tests mostly wait for programs: two workers on two cores are not in each other's way.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

_NAMESPACES = ["unshare", "--fork", "--pid", "--mount-proc", "--net", "--kill-child"]
_WITH_LOOPBACK = [*_NAMESPACES, "sh", "-c", 'ip link set lo up && exec "$@"', "apart"]
MOST_WORKERS = 4


def can_be_apart() -> bool:
    """Tell whether a program can be given namespaces of its own here, with a loopback interface that is up."""
    try:
        return subprocess.run([*_WITH_LOOPBACK, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _install(system: str) -> None:
    """Install a system that tests need; where its registry can't be reached, they say so and are skipped."""
    subprocess.run(
        [sys.executable, "-c", f"from tests.installed import cache_with; cache_with({system!r})"], check=False
    )


def main() -> None:
    """Become pytest."""
    argv = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    if workers > 1 and can_be_apart():
        _install("pgvector")  # the workers have no network
        python = shlex.join([*_WITH_LOOPBACK, sys.executable])
        argv += ["--dist", "worksteal", "--tx", f"{workers}*popen//python={python}"]
    else:
        print("one worker: namespaces can't be had here, so this takes longer", flush=True)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main()
