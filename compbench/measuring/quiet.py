"""Waiting before a measurement: for the rest since the last one, and for a quiet machine where others spoiled one."""

from __future__ import annotations

from collections.abc import Iterator

from compbench.machine.probes.busy_processes import busiest, describe_busy
from compbench.machine.sampling import Reading, interval
from compbench.measuring.attempt import Attempt
from compbench.measuring.retries import QUIET_FOR_S, disturbances
from compbench.model.events import ProgressMade

_STEP_S = 1.0
_POLL_S = 0.25


def cool_down(attempt: Attempt) -> None:
    """Rest from the end of the run's last measurement on; before its first one there is nothing to rest from."""
    if attempt.last is None:
        return
    left_s = attempt.last.ended_at + attempt.settings.cooldown_s - attempt.effects.now()
    if left_s <= 0:
        return
    left_s = min(left_s, attempt.settings.cooldown_s)  # the clock may have been set back
    with attempt.phase("cooldown", left_s):
        deadline = attempt.effects.monotonic() + left_s
        while (rest_s := deadline - attempt.effects.monotonic()) > 0:
            now, name = attempt.effects.now(), attempt.measurement.name
            attempt.tell(ProgressMade(at=now, measurement=name, elapsed_s=left_s - rest_s, total_s=left_s))
            attempt.effects.sleep(min(rest_s, _POLL_S))


def await_quiet(attempt: Attempt) -> None:
    """Wait until some seconds running were quiet, at most `quiet_timeout_s`, and tell the reason for waiting.

    A machine that does not become quiet is measured all the same, with a notice: the driver's own lag decides whether
    that is valid.
    """
    limit_s, name = attempt.settings.quiet_timeout_s, attempt.measurement.name
    if not limit_s:
        return
    with attempt.phase("quiet", limit_s):
        quiet_s, last = 0, ""
        for elapsed_s, why in _seconds(attempt):
            quiet_s, last = (0, why) if why else (quiet_s + 1, last)
            if quiet_s == QUIET_FOR_S:
                return
            if elapsed_s >= limit_s:
                if last:
                    attempt.notice("not-quiet", limit_s=limit_s, why=last)
                return
            now = attempt.effects.now()
            attempt.tell(
                ProgressMade(at=now, measurement=name, elapsed_s=elapsed_s, total_s=limit_s, note=why or "quiet so far")
            )


def _seconds(attempt: Attempt) -> Iterator[tuple[float, str]]:
    """Yield, second by second, the time so far and the disturbance in this second with its processes; empty if none.

    All processes are read only after a second that was disturbed: that costs more than the rest.
    """
    effects, processes = attempt.effects, None
    began = at_s = effects.monotonic()
    counters = effects.read_machine()
    while True:
        effects.sleep(_STEP_S)
        before = Reading(elapsed_s=at_s, machine=counters)
        counters, at_s = effects.read_machine(), effects.monotonic()
        why = "; ".join(disturbances(interval(before, Reading(elapsed_s=at_s, machine=counters)), attempt.settings))
        if why:
            earlier, processes = processes, effects.read_processes()
            busy = describe_busy(busiest(earlier, processes)) if earlier else ""
            why = f"{why}: {busy}" if busy else why
        yield at_s - began, why
