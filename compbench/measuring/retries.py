"""Pure rules: which measurements are made again, and when a machine is quiet.

A measurement that driver or machine spoiled says nothing about the server, so it is made again by itself; one that
failed or missed a target said something, and is not.
"""

from __future__ import annotations

from collections.abc import Iterable

from compbench.config.settings import Settings
from compbench.machine.resting import busy_pct_of
from compbench.machine.thresholds import STEAL_PCT
from compbench.model.records import Capture
from compbench.model.sample import Sample
from compbench.preflight.judgement import BUSY_PCT

# So many seconds running must be quiet: between two programs that a busy shell starts, any machine is for a moment.
QUIET_FOR_S = 3


def is_due(capture: Capture, retries: int) -> bool:
    """Tell whether a measurement is to be made again: it was invalid, and not yet as often as is permitted."""
    return capture.outcome.verdict == "invalid" and capture.spoiled_attempts < retries


def due(captures: Iterable[Capture], retries: int) -> list[str]:
    """Return the measurements that are to be made again, in order, each once."""
    return [capture.measurement for capture in captures if is_due(capture, retries)]


def disturbances(second: Sample, settings: Settings) -> list[str]:
    """Return the reasons why a machine is busy, from a sample while nothing is measured; empty if it is not.

    The limits are those by which a machine is called busy before a measurement.
    """
    found = []
    if (busy_pct := busy_pct_of(second)) > BUSY_PCT:
        found.append(f"{busy_pct:.0f} % of the cores' time is in use (limit {BUSY_PCT:g} %)")
    if (second.steal_pct or 0.0) > STEAL_PCT:
        found.append(f"{second.steal_pct:.0f} % of it is given to other machines (limit {STEAL_PCT:g} %)")
    if (second.load_1min or 0.0) > settings.warn_load:
        found.append(f"load average {second.load_1min:.1f} (limit {settings.warn_load:g})")
    return found
