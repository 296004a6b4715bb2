"""The state of the live server and the kernel's messages at the end of a measurement, as named texts.

An unreadable one is the text `not readable here: why`; a process that has vanished never raises.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import psutil

from compbench.machine import process
from compbench.machine.ask import AskError, ask
from compbench.machine.output import Output
from compbench.machine.probes.sockets import own_sockets

_REQUEST_TIMEOUT_S = 3.0
_KERNEL_LOG_TIMEOUT_S = 5.0
DIAGNOSTICS_TIMEOUT_S = 15.0
_MOST_DIAGNOSTICS_BYTES = 1_000_000
_MOST_BODY_CHARACTERS = 20_000
_MOST_KERNEL_LINES = 20
_KERNEL_LINES = re.compile(r"oom|out of memory|killed process|thrott|i/o error", re.IGNORECASE)


# Of a server that runs elsewhere, or in a container whose processes are not visible.
OUT_OF_SIGHT = "the server's processes can't be seen from here"


def read_snapshot(
    pid: int | None,
    pages: Mapping[str, str],
    *,
    diagnostics: Path | None,
    work_dir: Path,
    exit_note: str = "",
    diagnostics_timeout_s: float = DIAGNOSTICS_TIMEOUT_S,
) -> dict[str, str]:
    """Return the named texts about a live server.

    Args:
        pid: the server's process, None if it can't be seen from here.
        pages: addresses that are asked once, by the name of the text.
        diagnostics: a script of the server's own, which is run.
        work_dir: a scratch folder that the script may write into.
        exit_note: a remark on the script's exit code for readers.
        diagnostics_timeout_s: the script is ended after so long; what it has printed until then is kept.
    """
    texts = {name: _told(partial(_of_process, read, pid)) for name, read in _OF_PROCESS.items()}
    texts["kernel messages"] = kernel_messages()
    texts |= {name: _page(url) for name, url in pages.items()}
    if diagnostics is not None:
        texts[diagnostics.name] = _told(lambda: _external(diagnostics, exit_note, work_dir, diagnostics_timeout_s))
    return texts


def count_open_files(pid: int) -> int | None:
    """Return how many descriptors the process has open, or None where that is not readable."""
    try:
        return psutil.Process(pid).num_fds()
    except (psutil.Error, OSError):
        return None


def was_oom_killed(pid: int, since_s: float) -> bool | None:
    """Tell from the kernel's log whether it killed this process for lack of memory; None if the log is not readable.

    Args:
        pid: the process that has ended.
        since_s: Unix seconds; older messages are of another process with the same number.
    """
    log = _kernel_log()
    if log is None:
        return None
    # The log's clock, like the monotonic one, stands still while the machine sleeps.
    boot_s = time.time() - time.monotonic()
    for line in log.splitlines():
        stamp = re.match(r"\[\s*(\d+\.\d+)\]", line)
        is_recent = stamp is None or boot_s + float(stamp[1]) >= since_s - 1
        if is_recent and re.search(rf"[Kk]illed process {pid}\b", line):
            return True
    return False


def kernel_messages() -> str:
    """Return the kernel's last messages on memory, heat and disks, or why they can't be read."""
    return _told(_kernel_messages)


def _of_process(read: Callable[[int], str], pid: int | None) -> str:
    if pid is None:
        raise OSError(OUT_OF_SIGHT)
    return read(pid)


def _told(read: Callable[[], str]) -> str:
    try:
        return read().strip() or "nothing"
    except (OSError, psutil.Error, subprocess.SubprocessError) as error:
        return f"not readable here: {error or type(error).__name__}"


def _process(pid: int) -> str:
    server = psutil.Process(pid)
    with server.oneshot():
        memory, times = server.memory_info(), server.cpu_times()
        return "\n".join(
            (
                f"command: {' '.join(server.cmdline())}",
                f"status: {server.status()}",
                f"CPU time: {times.user:.2f} s user, {times.system:.2f} s system",
                f"memory: {memory.rss} bytes resident, {memory.vms} bytes virtual",
                f"threads: {server.num_threads()}",
            )
        )


def _open_files(pid: int) -> str:
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(path.readlink()))
    kinds = Counter(link.partition(":")[0] if ":" in link else "file" for link in links)
    return "\n".join([f"{len(links)} open", *(f"{kind}: {count}" for kind, count in sorted(kinds.items()))])


def _sockets(pid: int) -> str:
    counts = Counter(f"{socket.state} on port {socket.port}" for socket in own_sockets(pid))
    return "\n".join(f"{what}: {count}" for what, count in sorted(counts.items()))


_OF_PROCESS: dict[str, Callable[[int], str]] = {
    "process": _process,
    "open files": _open_files,
    "memory maps": lambda pid: Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8"),
    "limits": lambda pid: Path(f"/proc/{pid}/limits").read_text(encoding="utf-8"),
    "sockets": _sockets,
}


def _kernel_messages() -> str:
    log = _kernel_log()
    if log is None:
        raise PermissionError("the kernel's log")
    lines = [line for line in log.splitlines() if _KERNEL_LINES.search(line)]
    return "\n".join(lines[-_MOST_KERNEL_LINES:]) or "none of interest (out of memory, throttling, I/O errors)"


def _kernel_log() -> str | None:
    try:
        done = subprocess.run(
            ["dmesg"], capture_output=True, text=True, errors="replace", timeout=_KERNEL_LOG_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _page(url: str) -> str:
    try:
        answer = ask(url, _REQUEST_TIMEOUT_S)
    except AskError as error:
        return f"not readable here: {error}"
    return f"HTTP {answer.status}\n{answer.text[:_MOST_BODY_CHARACTERS]}"


def _external(script: Path, exit_note: str, work_dir: Path, timeout_s: float) -> str:
    """Run the system's own diagnostics, which may write into its working directory; return its output."""
    printed = Output(work_dir / "diagnostics.txt", _MOST_DIAGNOSTICS_BYTES)
    with process.running(
        ["bash", str(script)], environment=os.environ, folder=work_dir, stdout=printed, stop_grace_s=1.0
    ) as child:
        ended = child.wait(timeout_s)
    head = f"ended after {timeout_s:g} s, because it was still running"
    if ended is not None:
        head = f"{ended} ({exit_note})" if exit_note else str(ended)
    return f"{head}\n{printed.path.read_text(encoding='utf-8', errors='replace')}"
