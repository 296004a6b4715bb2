"""Whether anybody is still at work on a run, by the suite's lock and by how long ago something was told.

The lock is never taken, not even for a moment: a suite that begins just then would be refused. Who has written into it
that it holds it is looked up among the processes instead.
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from compbench.files.regular import read_regular
from compbench.model.times import clock_time

_WRITTEN = re.compile(r"pid (\d+) since (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_MOST_BYTES = 4096
# The lock tells whole seconds, and the kernel's clock of processes is not that of the day.
_CLOCK_TOLERANCE_S = 5.0
# Nobody who has just told something is gone, even where its process can't be seen from here (another namespace).
_JUST_TOLD_S = 5.0
# Progress is told every second in the phases that last; the report of a large run takes longer.
_SILENT_AFTER_S = 60.0

Life = Literal["over", "at work", "silent", "another", "gone"]


class LockHolder(NamedTuple):
    """The process that holds the suite's lock, and since when."""

    pid: int
    since: float


class Liveness(NamedTuple):
    """Whether somebody is at work, in a word and in a sentence; empty where there is nothing to say."""

    life: Life
    text: str = ""

    @property
    def is_alive(self) -> bool:
        """Tell whether the run may still go on by itself."""
        return self.life in ("at work", "silent")


def lock_holder(path: Path) -> LockHolder | None:
    """Return who holds the suite's lock; None if nobody that still runs has written that it does."""
    try:
        written = _WRITTEN.match(read_regular(path, _MOST_BYTES).decode("ascii", "replace"))
    except OSError:
        return None
    if written is None:
        return None
    pid, since = int(written[1]), datetime.strptime(written[2], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        # The number may have become another process' since.
        if process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since + _CLOCK_TOLERANCE_S:
            return LockHolder(pid, since)
    return None


def life_of_run(*, is_over: bool, holder: LockHolder | None, opened_at: float, last_at: float, now: float) -> Liveness:
    """Return whether somebody is at work on a run that was opened, and last told something, at those times."""
    if is_over:
        return Liveness("over")
    silent_s = max(0.0, now - last_at)
    if holder is None:
        if silent_s < _JUST_TOLD_S:
            return Liveness("at work")
        return Liveness(
            "gone",
            f"The runner is gone: it was interrupted, or killed, after {clock_time(last_at)}. What was measured is"
            " kept, and the same doit command goes on with it; this page follows.",
        )
    if holder.since > opened_at + _CLOCK_TOLERANCE_S and silent_s >= _JUST_TOLD_S:
        return Liveness(
            "another",
            f"The runner of this run is gone; another doit (process {holder.pid}) is at work, and has told nothing of"
            " this run so far.",
        )
    if silent_s > _SILENT_AFTER_S:
        return Liveness(
            "silent",
            f"Nothing was told since {clock_time(last_at)}; the runner (process {holder.pid}) is still there: it"
            " renders a report, waits for a disk, or was stopped.",
        )
    return Liveness("at work")
