"""The small parent of every server and driver: it ends its child when compbench is gone, however that came about.

Run as a program, `guard.py STATUS_FD CONTROL_FD PLACE... COUNT AFTER... PROGRAM ARG...`. It starts the program in a
session of its own, in its place, reports `pid N`, then `exit CODE` (negative: the signal) on STATUS_FD, and obeys
single letters on CONTROL_FD: T, I, K send SIGTERM, SIGINT, SIGKILL to the program's process group. When CONTROL_FD
ends, compbench has died: the group gets SIGTERM, and SIGKILL after `ORPHAN_GRACE_S`.

PLACE is NICENESS SCHEDULING CPUS COUNT GROUPS..., as `placement.Placement.words` yields it: a niceness, which the
program has as far as the user may have it; `real-time` or `usual`; the CPUs that it may use, with commas between, none
for all; and for each control group its folder and what is written into which of its files (`file=value`, or
`file?=value` for one that need not be there). The guard makes the groups and removes them when the program and its
descendants have ended, so that none is left whoever is killed; of one in which the kernel killed processes for its own
limit it reports `oom N` before `exit`. A place that can't be had is an error of the program's start: what was asked for
is never left out silently, but for a niceness.

The COUNT words AFTER are a command that it runs once the program has ended, however that came about, and waits for
before it reports that: it clears away what the program has left elsewhere. Needs nothing but a POSIX kernel, so it
holds on Linux and macOS alike and survives a SIGKILL of compbench or of its whole process group. On Linux it also ends
those of the program's descendants that have left its group (as PostgreSQL's do), once the program has ended: whoever
loses its parent becomes the guard's child. Imports little: it starts in milliseconds.
"""

import os
import select
import signal
import sys
import time

ORPHAN_GRACE_S = 3.0
SIGNALS = {b"T": signal.SIGTERM, b"I": signal.SIGINT, b"K": signal.SIGKILL}
RESTORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD)
CANNOT_EXECUTE = 127
# A command that clears away must not hold up a runner that waits for the program's end.
AFTER_LIMIT_S = 60
SESSION_TRIES, SESSION_WAIT_S = 20, 0.1
PR_SET_CHILD_SUBREAPER = 36
# A process that does not end on SIGKILL waits for a device; the guard's report must not wait for it, too.
DESCENDANTS_LIMIT_S, DESCENDANTS_POLL_S = 5.0, 0.005
# A control group stays busy for a moment after its last process has been collected.
REMOVAL_TRIES, REMOVAL_WAIT_S = 100, 0.02
# Where a control group counts the processes that the kernel killed for its memory limit, of version 2 and of 1.
OOM_FILES = ("memory.events", "memory.oom_control")


class ChildPlace:
    """Where the program runs, read from the words of the command line."""

    def __init__(self, words: list[str]) -> None:
        self.niceness = int(words[0])
        self.is_real_time = words[1] == "real-time"
        self.cpus = [int(cpu) for cpu in words[2].split(",") if cpu]
        self.groups: list[str] = []
        self.writes: list[tuple[str, str]] = []
        self.length = 4 + int(words[3])
        for word in words[4 : self.length]:
            if word.startswith("/"):
                self.groups.append(word)
            else:
                file, _, value = word.partition("=")
                self.writes.append((f"{self.groups[-1]}/{file}", value))

    def make_groups(self) -> None:
        """Make the control groups."""
        for folder in self.groups:
            os.mkdir(folder)  # noqa: PTH102 - see children
        for path, value in self.writes:
            if not path.endswith("?"):
                write(path, value)
            elif os.access(path[:-1], os.W_OK):
                write(path[:-1], value)

    def take(self) -> None:
        """Put this process into its place."""
        for folder in self.groups:
            write(f"{folder}/cgroup.procs", "0")
        if self.cpus:
            os.sched_setaffinity(0, self.cpus)
        if self.niceness:
            set_niceness(self.niceness)
        if self.is_real_time:
            # One above the least, which a server may have: the driver goes before that, too.
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR) + 1))

    def oom_kills(self) -> int:
        """Return how many processes of its groups the kernel has killed since one of these had met its own limit."""
        counts = [(f"{folder}/{name}", name) for folder in self.groups for name in OOM_FILES]
        # Version 2 counts kills for any lack of memory, and beside them how often this very limit was met.
        met = [path for path, name in counts if name == OOM_FILES[1] or count_in(path, "oom")]
        return sum(count_in(path, "oom_kill") for path in met)

    def remove_groups(self) -> None:
        """Remove the control groups; one that something else has been put into meanwhile stays."""
        for folder in reversed(self.groups):
            for _ in range(REMOVAL_TRIES):
                try:
                    os.rmdir(folder)  # noqa: PTH106 - see children
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(REMOVAL_WAIT_S)
                else:
                    break


def write(path: str, value: str) -> None:
    """Write a value into a file of the kernel."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(fd)


def count_in(path: str, name: str) -> int:
    """Return the number after a name in a file of the kernel, 0 if the file is not there."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return 0
    try:
        lines = os.read(fd, 4096).decode().splitlines()
    finally:
        os.close(fd)
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), 0)


def start(argv: list[str], place: ChildPlace, status_fd: int, control_fd: int) -> int:
    """Fork and execute `argv` as the leader of a new session with default signal handling; return its pid.

    Returns only when the program is executing, so that no signal meets it while it still ignores what the guard does.
    """
    executing_fd, closes_on_exec_fd = os.pipe()
    pid = os.fork()
    if pid:
        os.close(closes_on_exec_fd)
        os.read(executing_fd, 1)
        os.close(executing_fd)
        return pid
    try:
        os.setsid()
        place.make_groups()
        place.take()
        for number in RESTORED:
            signal.signal(number, signal.SIG_DFL)
        os.close(status_fd)
        os.close(control_fd)
        os.execvp(argv[0], argv)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        os.write(2, f"{argv[0]}: can't be started: {error.strerror}{where}\n".encode())
    finally:
        os._exit(CANNOT_EXECUTE)


def clear_away(argv: list[str]) -> None:
    """Run the command that comes after the program, silently; it is ended if it takes too long."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        for number in RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(AFTER_LIMIT_S)  # holds on in the program that is executed
        os.execvp(argv[0], argv)
    finally:
        os._exit(CANNOT_EXECUTE)


def set_niceness(niceness: int) -> None:
    """Give this process, and the session that it leads, a niceness, or the nearest to it that the user may have."""
    for allowed in range(niceness, 1) if niceness < 0 else (niceness,):
        try:
            os.setpriority(os.PRIO_PROCESS, 0, allowed)
        except PermissionError:
            continue
        set_niceness_of_session(allowed)
        return


def set_niceness_of_session(niceness: int) -> None:
    """Give this process' session a niceness, where Linux shares the cores out by session (autogroup).

    Without the right to administrate, the kernel takes one such word in a tenth of a second from anybody.
    """
    for _ in range(SESSION_TRIES):
        try:
            fd = os.open("/proc/self/autogroup", os.O_WRONLY)
            try:
                os.write(fd, str(niceness).encode())
            finally:
                os.close(fd)
        except BlockingIOError:
            time.sleep(SESSION_WAIT_S)
        except OSError:
            return
        else:
            return


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the child's group; the child is not reaped yet, so its number can't be another's."""
    try:
        os.killpg(pid, number)
    except (PermissionError, ProcessLookupError):
        return  # nobody is left in the group; macOS says so by the former if its members are zombies


def has_ended(pid: int) -> bool:
    """Tell whether the child has ended, leaving it unreaped where the platform can."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return bool(select.select([WAKE_FD], [], [], 0)[0])


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own, where the kernel has that (Linux)."""
    if sys.platform == "linux":
        try:
            import ctypes  # noqa: PLC0415 - a Python may be built without it
        except ImportError:
            return
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def collect_orphans(pid: int) -> None:
    """Collect adopted children that have ended, up to the first word of the child's own end, which is left unread."""
    while sys.platform == "linux":
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == pid:
            return
        os.waitpid(ended.si_pid, 0)


def end_orphans() -> None:
    """End and collect every child that is left, and those that these leave in turn: all are descendants."""
    deadline = time.monotonic() + DESCENDANTS_LIMIT_S
    while sys.platform == "linux" and time.monotonic() < deadline:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for orphan in children():
            try:
                os.kill(orphan, signal.SIGKILL)
            except (PermissionError, ProcessLookupError):
                continue  # a program of another user's, which only its own user may end
        time.sleep(DESCENDANTS_POLL_S)


def children() -> list[int]:
    """Return the present children, which nobody else collects, so that no number can be another's."""
    own = str(os.getpid())
    if os.path.realpath("/proc/self") != f"/proc/{own}":
        return []  # another namespace's numbers
    # pathlib would take longer to load than all else here.
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and parent_of(name) == own]  # noqa: PTH208


def parent_of(name: str) -> str:
    """Return the number of a process' parent, empty if it has ended."""
    try:
        fd = os.open(f"/proc/{name}/stat", os.O_RDONLY)
        try:
            # Behind the name of the program, which may hold anything: state, parent.
            return os.read(fd, 1024).rpartition(b")")[2].split()[1].decode()
        finally:
            os.close(fd)
    except (OSError, IndexError):
        return ""


def reap(pid: int) -> int:
    """End what is left of the child's group, collect the child, then end what else it has left.

    Returns:
        The child's exit code, negative for a signal.
    """
    signal_group(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    end_orphans()
    return code


def watch(pid: int, control_fd: int) -> int:
    """Pass signals on until the child has ended, or end it once nobody is left who could; return its exit code."""
    kill_at = None
    inputs = [control_fd, WAKE_FD]
    while not has_ended(pid):
        timeout = None if kill_at is None else max(0.0, kill_at - time.monotonic())
        ready = select.select(inputs, [], [], timeout)[0]
        if control_fd in ready:
            for letter in os.read(control_fd, 64) or b"\0":
                if letter:
                    signal_group(pid, SIGNALS[bytes([letter])])
                else:
                    signal_group(pid, signal.SIGTERM)
                    kill_at = time.monotonic() + ORPHAN_GRACE_S
                    inputs.remove(control_fd)
        if WAKE_FD in ready and hasattr(os, "waitid"):
            os.read(WAKE_FD, 64)
            collect_orphans(pid)
        if kill_at is not None and time.monotonic() >= kill_at:
            signal_group(pid, signal.SIGKILL)
            kill_at = None
    return reap(pid)


def main() -> None:
    """Guard the program named by the arguments until it has ended."""
    global WAKE_FD
    status_fd, control_fd = int(sys.argv[1]), int(sys.argv[2])
    WAKE_FD, wake_write_fd = os.pipe()
    os.set_blocking(wake_write_fd, False)
    signal.set_wakeup_fd(wake_write_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    place = ChildPlace(sys.argv[3:])
    words = sys.argv[3 + place.length :]
    first = 1 + int(words[0])
    after, argv = words[1:first], words[first:]
    pid = start(argv, place, status_fd, control_fd)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    tell(status_fd, f"pid {pid}\n")
    code = watch(pid, control_fd)
    if after:
        clear_away(after)
    if killed := place.oom_kills():
        tell(status_fd, f"oom {killed}\n")
    place.remove_groups()
    tell(status_fd, f"exit {code}\n")


def tell(status_fd: int, line: str) -> None:
    """Write a line for compbench; when compbench is gone nobody reads it, and the guard's work goes on."""
    try:
        os.write(status_fd, line.encode())
    except BrokenPipeError:
        return


WAKE_FD = -1

if __name__ == "__main__":
    main()
