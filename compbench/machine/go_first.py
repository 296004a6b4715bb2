"""The first moment of a server or driver that goes before other programs: it takes its niceness, then becomes itself.

Run as a program, `go_first.py NICENESS PROGRAM ARG...` does that, and `go_first.py NICENESS` prints what it reached.

Linux may share the cores out by session (autogroup), as most desktops' kernels do: a process' niceness then counts
within its session only, and the session has one of its own. Both are set, so that it holds with autogroup and without.
Imports little: it starts in milliseconds.
"""

import contextlib
import os
import sys

_CANNOT_EXECUTE = 127
_BY_SESSION = "/proc/sys/kernel/sched_autogroup_enabled"


def go_before_others(niceness: int) -> None:
    """Give this process, and the session that it leads, a niceness; what the user may not have is left as it is."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib is slow to import
            file.write(str(niceness))


def niceness_of(pid: int) -> int | None:
    """Return a process' niceness among those of all sessions (-20 goes first, 0: like any), None if it has ended."""
    try:
        own = os.getpriority(os.PRIO_PROCESS, pid)
    except OSError:
        return None
    return max(own, _of_session(pid, own))


def _of_session(pid: int, otherwise: int) -> int:
    """Return the niceness of a process' session where the kernel shares the cores out by session, else `otherwise`."""
    try:
        with open(_BY_SESSION, encoding="ascii") as file:  # noqa: PTH123 - as above
            if file.read().strip() != "1":
                return otherwise
        with open(f"/proc/{pid}/autogroup", encoding="ascii") as file:  # noqa: PTH123 - as above
            return int(file.read().rpartition(" ")[2])
    except (OSError, ValueError):
        return otherwise


def main() -> None:
    """Take the niceness of the first argument, then become the program that follows, or tell the niceness."""
    niceness, program = int(sys.argv[1]), sys.argv[2:]
    if niceness:
        go_before_others(niceness)
    if not program:
        sys.stdout.write(f"{niceness_of(os.getpid())}\n")
        return
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.stderr.write(f"{program[0]}: can't be started: {error.strerror}\n")
        sys.exit(_CANNOT_EXECUTE)


if __name__ == "__main__":
    main()
