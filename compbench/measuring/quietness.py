"""Pure rules: whether a machine is as quiet again as it was when the run was opened.

Judged by the last seconds alone. The load average is left to the rule for measurements that are made again
(`retries.disturbances`): with its time constant of a minute it still holds the measurement before, so that waiting for
it would be waiting for ourselves.
"""

from __future__ import annotations

from typing import NamedTuple

from compbench.config.settings import Settings
from compbench.machine.resting import busy_pct_of
from compbench.machine.thresholds import STEAL_PCT
from compbench.model.records import MachineAtRest
from compbench.model.sample import Sample
from compbench.preflight.judgement import BUSY_PCT

# Half the limit by which a machine is called busy. The least that is looked at is half a second, in which one clock
# tick of 10 ms is one point of the time of two cores: five are more than rounding and the kernel's own chores.
BUSY_TOLERANCE_PCT = 5.0
# On a machine of many cores five points would be several cores: a single endless loop is always found.
BUSY_TOLERANCE_CORES = 0.5
# Steal is nothing that a machine does for itself: two of those ticks are rounding, more is another machine at work.
STEAL_TOLERANCE_PCT = 2.0
# Ours: sensors tell whole degrees, and one core that wakes moves the hottest of them by some.
HEAT_TOLERANCE_C = 5.0


class Quietness(NamedTuple):
    """The most that is quiet, and how a person is told where each limit comes from."""

    busy_pct: float
    steal_pct: float
    heat_c: float
    busy_from: str
    steal_from: str
    heat_from: str


def quietness_of(at_rest: MachineAtRest | None, settings: Settings) -> Quietness:
    """Return the limits: what it was like at the start and a tolerance; those of a busy machine if that is unknown.

    What the machine did not tell at the start is judged by those, too.
    """
    usual = f"limit {BUSY_PCT:g} %", f"limit {STEAL_PCT:g} %", f"limit {settings.warn_temperature_c:g} C"
    limits = Quietness(BUSY_PCT, STEAL_PCT, settings.warn_temperature_c, *usual)
    if at_rest is None:
        return limits
    tolerance_pct = min(BUSY_TOLERANCE_PCT, 100 * BUSY_TOLERANCE_CORES / max(1, at_rest.cores))
    found = limits._replace(
        busy_pct=at_rest.busy_pct + tolerance_pct, busy_from=f"{at_rest.busy_pct:.0f} % at the start"
    )
    if (steal_pct := at_rest.steal_pct) is not None:
        found = found._replace(steal_pct=steal_pct + STEAL_TOLERANCE_PCT, steal_from=f"{steal_pct:.0f} % at the start")
    if (heat_c := at_rest.temperature_c) is not None:
        found = found._replace(heat_c=heat_c + HEAT_TOLERANCE_C, heat_from=f"{heat_c:.0f} C at the start")
    return found


def louder_than(second: Sample, heat_c: float | None, limits: Quietness) -> list[str]:
    """Return the reasons why a machine is not as quiet as that; empty if it is, or does not tell."""
    found = []
    if (busy_pct := busy_pct_of(second)) > limits.busy_pct:
        found.append(f"{busy_pct:.0f} % of the cores' time is in use ({limits.busy_from})")
    if (steal_pct := second.steal_pct or 0.0) > limits.steal_pct:
        found.append(f"{steal_pct:.0f} % of it is given to other machines ({limits.steal_from})")
    if heat_c is not None and heat_c > limits.heat_c:
        found.append(f"the CPU has {heat_c:.0f} C ({limits.heat_from})")
    return found
