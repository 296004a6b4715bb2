"""Waiting before a measurement: at least for the rest since the last one, then until the machine is quiet again.

Quiet is what the machine was when the run was opened (`quietness`); before a measurement that is made again it must be
no busy machine either (`retries.disturbances`), for some seconds in any case.
"""

from __future__ import annotations

from compbench.machine.probes.busy_processes import ProcessReading, busiest, describe_busy
from compbench.machine.sampling import Reading, interval
from compbench.measuring.attempt import Attempt
from compbench.measuring.quietness import louder_than, quietness_of
from compbench.measuring.retries import QUIET_FOR_S, disturbances
from compbench.model.events import ProgressMade

_STEP_S = 1.0
_POLL_S = 0.25
# The shortest look at the machine, where a cooldown leaves less: fifty clock ticks a core.
LOOK_S = 0.5
# So long after the run was opened the machine is what it was then.
_STILL_THE_START_S = 5.0
_ROUNDING_S = 0.01


def rest(attempt: Attempt) -> None:
    """Rest the cooldown, and wait longer, at most `quiet_timeout_s`, unless the end of the cooldown was quiet.

    A machine that does not become quiet is measured all the same, with a notice: the driver's own lag decides whether
    that is valid.
    """
    left_s = _cooldown_left_s(attempt)
    if not attempt.settings.quiet_timeout_s:
        if left_s:
            with attempt.phase("cooldown", left_s):
                _pass_time(attempt, attempt.effects.monotonic(), left_s, left_s)
        return
    is_again = attempt.spoiled_attempts > 0
    looked_s = left_s if is_again else max(left_s, _least_look_s(attempt))
    watch = _Watch(attempt)
    if looked_s:
        _cool_down(attempt, watch, looked_s)
    wanted_s = QUIET_FOR_S if is_again else min(QUIET_FOR_S, looked_s)
    if watch.quiet_s < wanted_s - _ROUNDING_S:
        _await_quiet(attempt, watch)


def _cooldown_left_s(attempt: Attempt) -> float:
    """Return how long to rest from the end of the run's last measurement on; 0 before its first one."""
    if attempt.last is None:
        return 0.0
    cooldown_s = attempt.settings.cooldown_s
    left_s = attempt.last.ended_at + cooldown_s - attempt.effects.now()
    return min(max(0.0, left_s), cooldown_s)  # the clock may have been set back


def _least_look_s(attempt: Attempt) -> float:
    """Return how long to look at the machine even without a cooldown: not at all right after the run was opened.

    What is made between that and the first measurement, a data set for example, can have left it warm and busy.
    """
    if attempt.last is not None:
        return LOOK_S
    at_rest = attempt.run.manifest.at_rest
    is_start = at_rest is None or attempt.effects.now() - at_rest.read_at < _STILL_THE_START_S
    return 0.0 if is_start else LOOK_S


def _cool_down(attempt: Attempt, watch: _Watch, total_s: float) -> None:
    """Rest, and look at the machine in the last seconds of it."""
    with attempt.phase("cooldown", total_s):
        began = attempt.effects.monotonic()
        watched_s = min(total_s, QUIET_FOR_S)
        _pass_time(attempt, began, total_s, total_s - watched_s)
        watch.begin()
        steps = max(1, int(watched_s / _STEP_S))
        for step in range(steps - 1, -1, -1):
            _pass_time(attempt, began, total_s, total_s - step * watched_s / steps)
            watch.look()


def _pass_time(attempt: Attempt, began: float, total_s: float, until_s: float) -> None:
    """Let time pass until so long after a phase of `total_s` began, and tell it."""
    while (left_s := began + until_s - attempt.effects.monotonic()) > 0:
        now, name = attempt.effects.now(), attempt.measurement.name
        attempt.tell(ProgressMade(at=now, measurement=name, elapsed_s=until_s - left_s, total_s=total_s))
        attempt.effects.sleep(min(left_s, _POLL_S))


def _await_quiet(attempt: Attempt, watch: _Watch) -> None:
    """Wait until some seconds running were quiet, at most `quiet_timeout_s`, and tell the reason for waiting."""
    limit_s, effects = attempt.settings.quiet_timeout_s, attempt.effects
    with attempt.phase("quiet", limit_s, watch.why):
        began = effects.monotonic()
        watch.begin()
        while True:
            effects.sleep(_STEP_S)
            is_quiet = watch.look()
            attempt.note = watch.why
            if watch.quiet_s >= QUIET_FOR_S - _ROUNDING_S:
                return
            elapsed_s = effects.monotonic() - began
            if elapsed_s >= limit_s:
                if watch.why:
                    attempt.notice("not-quiet", limit_s=limit_s, why=watch.why)
                return
            now, name = effects.now(), attempt.measurement.name
            note = "quiet so far" if is_quiet else watch.why
            attempt.tell(ProgressMade(at=now, measurement=name, elapsed_s=elapsed_s, total_s=limit_s, note=note))


class _Watch:
    """Looks at the machine from time to time.

    `quiet_s` is for how long it has been quiet up to the last look; `why` tells the last disturbance with its
    processes, and is empty if there was none.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.quiet_s, self.why = 0.0, ""
        self._effects, self._settings = attempt.effects, attempt.settings
        self._limits = quietness_of(attempt.run.manifest.at_rest, attempt.settings)
        self._is_again = attempt.spoiled_attempts > 0
        self._processes: ProcessReading | None = None
        self._before = self._read()

    def begin(self) -> None:
        """Let the next look count from now on."""
        self._before = self._read()

    def look(self) -> bool:
        """Judge the time since the last look; tell whether it was quiet.

        All processes are read only after a time that was disturbed: that costs more than the rest.
        """
        before, self._before = self._before, self._read()
        if not (disturbed := self._disturbances(before)):
            self.quiet_s += self._before.elapsed_s - before.elapsed_s
            return True
        earlier, self._processes = self._processes, self._effects.read_processes()
        busy = describe_busy(busiest(earlier, self._processes)) if earlier else ""
        self.quiet_s, self.why = 0.0, "; ".join(disturbed) + (f": {busy}" if busy else "")
        self.begin()
        return False

    def _disturbances(self, before: Reading) -> list[str]:
        second = interval(before, self._before)
        usual = disturbances(second, self._settings) if self._is_again else []
        return usual or louder_than(second, self._effects.read_temperature(), self._limits)

    def _read(self) -> Reading:
        counters = self._effects.read_machine()
        return Reading(elapsed_s=self._effects.monotonic(), machine=counters)
