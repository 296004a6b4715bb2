"""Following a driver until it ends: how far it says it is, whether the server lives, and how long it may take.

Knows a driver only as a child process and a file of JSON lines, not the load that it sends.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from compbench.machine import process, snapshot
from compbench.machine.process import Child
from compbench.measuring.attempt import Attempt, ScenarioFailed
from compbench.measuring.under_test import UnderTest
from compbench.model.events import ProgressMade, SecondMeasured
from compbench.model.notices import outcome_of

_POLL_S = 0.25
# A server's connections are lost before its guard can tell of its death, and the driver may end in between.
_NEWS_OF_DEATH_S = 2.0
# The phases of a driver's progress in which its own time limit runs; what makes the server ready, and a warm-up, come
# before.
_COUNTED_PHASES = ("measure", "prepare")


@dataclass
class Following:
    """A driver that is followed to its end, and the actions on the way.

    Attributes:
        attempt: the attempt that the driver belongs to.
        child: the driver.
        under_test: the server that it drives; its death ends the scenario at once.
        progress_file: where compbench's own driver tells its progress; Engram's writes none.
        limit_s: after so long from the start of measuring (or of loading) the driver is ended; before that starts it
            has the time of a load, in which an index may be built.
        begin: called once, when the driver starts to measure, with for how many seconds it has done so by its own word;
            None for a driver that has none.
        each_poll: called several times a second from then on.
        while_held: called once, when the driver has measured and holds its connections open.
    """

    attempt: Attempt
    child: Child
    under_test: UnderTest
    progress_file: Path
    limit_s: float
    begin: Callable[[float | None], None] = lambda _elapsed_s: None
    each_poll: Callable[[], None] = lambda: None
    while_held: Callable[[], None] = lambda: None
    _began: float | None = None
    _is_held: bool = False

    def until_end(self) -> bool:
        """Wait for the driver's end; return whether it came by itself.

        Raises:
            ScenarioFailed: the server has died.
        """
        reader = ProgressReader(self.progress_file)
        try:
            return self._until_end(reader)
        finally:
            # What the driver said last, between the last look and its end, or before it was ended.
            self._take_in(reader)

    def _until_end(self, reader: ProgressReader) -> bool:
        started = self.attempt.effects.monotonic()
        self._note_beginning(reader)
        while self.child.poll() is None:
            process.wait_any([self.child, *self.under_test.children], _POLL_S)
            self._take_in(reader)
            self._note_beginning(reader)
            self._refuse_dead_server()
            if reader.phase == "hold" and not self._is_held:
                self._is_held = True
                self.while_held()
            elapsed_s = self.attempt.effects.monotonic() - (started if self._began is None else self._began)
            if elapsed_s > self.limit_now_s:
                self.child.stop(self.attempt.settings.stop_grace_s)
                return False
            if self._began is not None:
                self.each_poll()
            now, name = self.attempt.effects.now(), self.attempt.measurement.name
            self.attempt.tell(reader.progress(elapsed_s, at=now, measurement=name))
        self.under_test.await_news_of_death(_NEWS_OF_DEATH_S)
        self._refuse_dead_server()
        return True

    def _take_in(self, reader: ProgressReader) -> None:
        """Read what is new, and pass on every second that is over."""
        reader.read()
        now, name = self.attempt.effects.now(), self.attempt.measurement.name
        for second in reader.take_seconds():
            self.attempt.tell(msgspec.structs.replace(second, at=now, measurement=name))

    def _note_beginning(self, reader: ProgressReader) -> None:
        tells_progress = "--progress" in self.child.argv
        if self._began is None and (not tells_progress or reader.phase in _COUNTED_PHASES):
            self._began = self.attempt.effects.monotonic()
            self.begin(reader.elapsed_s(self.attempt.effects.now()))

    @property
    def limit_now_s(self) -> float:
        """Return how long the part of the driver's work that is under way may take."""
        settings = self.attempt.settings
        before_s = settings.prepare_limit_s + settings.warm_up_s + settings.driver_grace_s
        return before_s if self._began is None else self.limit_s

    def _refuse_dead_server(self) -> None:
        if self.under_test.exit is not None:
            self.child.stop(self.attempt.settings.stop_grace_s)
            raise crash(self.attempt, self.under_test)


@dataclass
class ProgressReader:
    """Follows the JSON lines that compbench's own driver appends about once a second."""

    path: Path
    offset: int = 0
    phase: str = ""
    last: dict[str, Any] = field(default_factory=dict)
    _seconds: list[SecondMeasured] = field(default_factory=list)

    def read(self) -> None:
        """Take in the whole lines that are new."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                self._take(json.loads(line))

    def _take(self, said: object) -> None:
        if not isinstance(said, dict):
            return
        if (second := said.get("second")) is not None:
            self._seconds.append(msgspec.convert(second, SecondMeasured))
        else:
            self.last = said
            self.phase = str(said.get("phase") or "")

    def take_seconds(self) -> list[SecondMeasured]:
        """Return the seconds that were read since this was asked last, in order."""
        seconds, self._seconds = self._seconds, []
        return seconds

    def elapsed_s(self, now: float) -> float | None:
        """Return for how long the driver has been in its phase, by its last word and the clock; None: it said nothing.

        Between two words, which are a second apart, the clock alone tells it.
        """
        told_s, at = self.last.get("elapsed_s"), self.last.get("at")
        if not isinstance(told_s, int | float) or not isinstance(at, int | float):
            return None
        return told_s + max(0.0, now - at)

    def progress(self, elapsed_s: float, *, at: float, measurement: str) -> ProgressMade:
        """Return the newest word as an event, with the time since the phase began as seen from here."""
        names = ["offered_ops_s", "achieved_ops_s", "done", "wanted"]
        if self.phase == "prepare":
            names.append("total_s")  # an estimate; how long a load is measured is known without the driver
        known = {name: self.last.get(name) for name in names if isinstance(self.last.get(name), int | float)}
        facts = {"event": "progress-made", "at": at, "measurement": measurement, "elapsed_s": elapsed_s, **known}
        if isinstance(work := self.last.get("work"), str):
            facts["work"] = work
        return msgspec.convert(facts, ProgressMade, strict=False)


def crash(attempt: Attempt, under_test: UnderTest) -> ScenarioFailed:
    """Return the outcome of a server that has died, with the words of the kernel and of its log about that."""
    ended = under_test.exit
    pid = under_test.pid
    oom_killed = None if pid is None else snapshot.was_oom_killed(pid, attempt.started_at)
    attempt.snapshot["kernel messages"] = snapshot.kernel_messages()
    lines = under_test.last_log_lines()
    attempt.server = msgspec.structs.replace(
        attempt.server, crashed=True, oom_killed=oom_killed or under_test.oom_kills > 0, last_log_lines=lines
    )
    cause = "killed by the kernel for lack of memory" if oom_killed else ""
    limited, is_scope = attempt.settings.memory_limit_gb, under_test.tier == "systemd scope"
    if under_test.oom_kills or (oom_killed and limited and is_scope):  # a scope is gone with its counts by now
        cause = f"killed by the kernel for its own limit, memory_limit_gb = {attempt.settings.memory_limit_gb:g}"
    return ScenarioFailed(outcome_of("server-crash", during=attempt.current, ended=ended, cause=cause))
