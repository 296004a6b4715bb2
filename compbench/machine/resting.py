"""What the machine is like while compbench itself does nothing: how much of it others use, and how warm it is."""

from __future__ import annotations

from compbench.machine.effects import Effects
from compbench.machine.sampling import Reading, interval
from compbench.model.records import MachineAtRest
from compbench.model.sample import Sample

# A hundred clock ticks a core: each is half a point of the time of two cores.
_READ_FOR_S = 1.0


def busy_pct_of(second: Sample) -> float:
    """Return the share of all cores' time that was in use, in percent; 0 if cores came or went meanwhile."""
    cores = second.per_core_pct
    return sum(cores) / len(cores) if cores else 0.0


def read_at_rest(effects: Effects) -> MachineAtRest:
    """Return what the machine is like from now on for a second, in which this process sleeps."""
    before, began_s = effects.read_machine(), effects.monotonic()
    effects.sleep(_READ_FOR_S)
    after, ended_s = effects.read_machine(), effects.monotonic()
    second = interval(Reading(elapsed_s=began_s, machine=before), Reading(elapsed_s=ended_s, machine=after))
    return MachineAtRest(
        read_at=effects.now(),
        cores=len(after.cores),
        busy_pct=round(busy_pct_of(second), 2),
        steal_pct=None if second.steal_pct is None else round(second.steal_pct, 2),
        temperature_c=effects.read_temperature(),
        load_1min=after.load_1min,
    )
