"""Recording a process's stacks: the command lines of `perf`, and its output folded into stacks.

perf itself is started by the room that measures. Everything but `can_record`, `can_record_all` and `fold_recording` is
pure. The folded form (`root;caller;leaf count`, one stack a line) is that of Brendan Gregg's FlameGraph tools.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

# A prime number of samples a second, so that nothing that recurs each 10 or 100 ms is always or never hit; low enough
# that the recording costs the server well under one percent.
FREQUENCY_HZ = 49
READ_TIMEOUT_S = 60
_TRIAL_TIMEOUT_S = 5

# `perf script` with all its default fields begins a sample with: comm pid[/tid] [cpu] time: period event:
_FULL_HEAD = re.compile(r"(?P<comm>.*\S)\s+\d+(?:/\d+)?\s+(?:\[\d+\]\s+)?\d+\.\d+:.*")
_FRAME = re.compile(r"\s+[0-9a-f]+ (?P<symbol>.*?) \((?P<object>[^()]*(?:\([^()]*\))?)\)")
_OFFSET = re.compile(r"\+0x[0-9a-f]+$")
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")
_UNKNOWN = "[unknown]"


def is_installed() -> bool:
    """Tell whether `perf` is installed; a missing one is a warning of preflight."""
    return shutil.which("perf") is not None


def can_record() -> str | None:
    """Return None if perf can record here, else why not: tried on a process that does nothing, for some 40 ms."""
    if not sys.platform.startswith("linux"):
        return f"perf records on Linux only, this is {sys.platform}"
    if not is_installed():
        return "perf is not installed"
    said = _tried([])
    if said:
        return f"perf may not record here ({said}): see the kernel setting kernel.perf_event_paranoid"
    return None


def can_record_all() -> bool:
    """Tell whether perf may record the whole machine here; tried as `can_record` does."""
    return not _tried(["--all-cpus"])


def _tried(options: list[str]) -> str:
    """Count something for a moment; return why that could not be done, or an empty text."""
    trial = ["perf", "stat", *options, "-e", "cpu-clock", "--", "true"]
    try:
        done = subprocess.run(
            trial, capture_output=True, text=True, errors="replace", timeout=_TRIAL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"perf can't be run: {error}"
    if done.returncode == 0:
        return ""
    return next((line.strip() for line in done.stderr.splitlines() if line.strip()), f"exit code {done.returncode}")


def record_argv(pid: int, duration_s: float, out_path: Path, *, whole_machine: bool) -> list[str]:
    """Return the command that records a process's stacks; SIGINT or SIGTERM ends it early with a whole recording.

    The software clock works where there are no hardware counters, as in most virtual machines. Following each thread
    that a server starts costs as much as the server may: beside one that starts some thousand a second, perf used 70 %
    of a core. So the whole machine is recorded where that is allowed, of which `script_argv` prints the process alone,
    and otherwise the threads that are there at the start.
    """
    whom = ["--all-cpus"] if whole_machine else ["--no-inherit", "-p", str(pid)]
    what = ["-e", "cpu-clock", "-F", str(FREQUENCY_HZ), "-g", *whom]
    return [
        "perf",
        "record",
        "--quiet",
        "--no-buildid-cache",
        *what,
        "-o",
        str(out_path),
        "--",
        "sleep",
        f"{duration_s:g}",
    ]


def script_argv(recording: Path, pid: int) -> list[str]:
    """Return the command that prints what a recording has of a process, in the form that `fold` reads."""
    fields = ["-F", "comm,ip,sym,dso", "--pid", str(pid)]
    return ["perf", "script", "--force", "--no-inline", *fields, "-i", str(recording)]


def fold_recording(recording: Path, pid: int, folder: Path) -> dict[str, int]:
    """Read what a recording has of a process with perf, and fold it; perf's messages go to a log in `folder`.

    Returns:
        Folded stacks; empty if there is no recording, or nothing in it that perf can read within a minute.
    """
    if not recording.exists():
        return {}
    printed = folder / "perf_script.txt"
    with printed.open("wb") as out, (folder / "perf_script.log").open("wb") as log:
        try:
            subprocess.run(
                script_argv(recording, pid),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                timeout=READ_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.write(f"{error}\n".encode())
    return fold(printed.read_text(encoding="utf-8", errors="replace"))


def fold(perf_script_text: str) -> dict[str, int]:
    """Collapse the output of `perf script` into folded stacks, root first, with the number of samples of each.

    A frame without a symbol is named after its object in brackets; frames that perf could not place at all come from
    code without frame pointers, and neighbours of this kind become one.
    """
    stacks: Counter[str] = Counter()
    for block in re.split(r"\n[ \t]*\n", perf_script_text):
        head, *lines = block.strip("\n").splitlines() or [""]
        frames = [_frame_name(match["symbol"], match["object"]) for line in lines if (match := _FRAME.fullmatch(line))]
        if head.strip():
            full = _FULL_HEAD.fullmatch(head)
            comm = _clean(full["comm"] if full else head)
            stacks[";".join([comm, *_without_repeated_unknown(reversed(frames))])] += 1
    return dict(stacks)


def format_folded(folded: Mapping[str, int]) -> str:
    """Write folded stacks as text, one `stack count` a line, sorted."""
    return "".join(f"{stack} {count}\n" for stack, count in sorted(folded.items()))


def parse_folded(text: str) -> dict[str, int]:
    """Read what `format_folded` wrote."""
    return {stack: int(count) for stack, _, count in (line.rpartition(" ") for line in text.splitlines() if line)}


def _frame_name(symbol: str, dso: str) -> str:
    if symbol == _UNKNOWN:
        return _UNKNOWN if dso == _UNKNOWN else _clean(f"[{dso.strip('[]').rpartition('/')[2]}]")
    return _clean(_RUST_HASH.sub("", _OFFSET.sub("", symbol)))


def _clean(name: str) -> str:
    """Return a name that can stand in a folded stack and in XML, which has no place for control characters."""
    printable = "".join(character if character.isprintable() else "?" for character in name.strip())
    return printable.replace(";", ":")


def _without_repeated_unknown(frames: Iterator[str]) -> Iterator[str]:
    before = ""
    for frame in frames:
        if not frame == before == _UNKNOWN:
            yield frame
        before = frame
