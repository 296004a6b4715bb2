"""Which measurements a run consists of, and in which order: every scenario once, or several times, interleaved.

A measurement is one scenario on one system, measured once under its own load or searched for its capacity; its name is
the stem of its files. Pure naming and order.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["load", "capacity"]
# What a run is: a suite, a search for a capacity, or a study, which measures variants of one system in turn.
RunKind = Literal["suite", "capacity", "noise", "duet"]
STUDIES: tuple[RunKind, ...] = ("noise", "duet")
# With fewer pairs of builds, no order of signs is as rare as 5 %: 2 of 2^5 are 0.0625.
FEWEST_PAIRS = 6

CAPACITY_ENDING = "_capacity"
_REPEATED = re.compile(r"(?P<stem>.+)_run(?P<repeat>[1-9]\d*)")


@dataclass(frozen=True)
class Measurement:
    """One scenario on one system, measured once.

    Attributes:
        scenario: its name.
        repeat: counts from 1; None where each scenario is measured only once.
        kind: `load` at the scenario's own rate, or `capacity`, the highest rate within its targets.
        system: its name if the run measures several systems, or the variant's if it measures several of one system;
            empty where it measures one, which the settings name.
    """

    scenario: str
    repeat: int | None = None
    kind: Kind = "load"
    system: str = ""

    @property
    def name(self) -> str:
        """Return the stem of its files: `alpha`, `alpha_run2`, `alpha_capacity`, or with a system `alpha@qdrant`."""
        stem = f"{self.scenario}@{self.system}" if self.system else self.scenario
        if self.kind == "capacity":
            return f"{stem}{CAPACITY_ENDING}"
        return stem if self.repeat is None else f"{stem}_run{self.repeat}"

    @property
    def round_number(self) -> int:
        """Return which round of the run it belongs to; without repeats there is one."""
        return self.repeat or 1


def measurement_named(name: str) -> Measurement:
    """Return the measurement of that name.

    No scenario's own name ends in `_run` and a number or in `_capacity`, or has an `@`.
    """
    if name.endswith(CAPACITY_ENDING):
        scenario, _, system = name.removesuffix(CAPACITY_ENDING).partition("@")
        return Measurement(scenario, kind="capacity", system=system)
    match = _REPEATED.fullmatch(name)
    scenario, _, system = (match["stem"] if match else name).partition("@")
    return Measurement(scenario, int(match["repeat"]) if match else None, system=system)


def schedule(scenarios: Sequence[str], repeat: int, order_seed: int, systems: Sequence[str] = ()) -> list[Measurement]:
    """Return a run's measurements in order.

    With repeats, every round measures each scenario once, and begins one scenario later than the round before, so that
    no scenario always comes first, last, or after the same neighbour's heat. The seed chooses where the first begins.
    Each of several systems is measured by a scenario before the next one comes; which is first changes in the same way.

    Args:
        scenarios: their names, in the order of a run without repeats.
        repeat: how often each is measured, from 1 on.
        order_seed: the same seed gives the same order.
        systems: those that are compared, or the variants of one; none if there is but one.
    """
    if repeat == 1 or not scenarios:
        return [Measurement(name, system=system) for name in scenarios for system in systems or ("",)]
    first = random.Random(order_seed).randrange(len(scenarios))  # noqa: S311 - an order, not a secret
    return [
        Measurement(name, number + 1, system=system)
        for number in range(repeat)
        for name in _beginning_with(first + number, scenarios)
        for system in _beginning_with(number, systems or ("",))
    ]


def _beginning_with(place: int, names: Sequence[str]) -> list[str]:
    begin = place % len(names)
    return [*names[begin:], *names[:begin]]


def of_scenarios(measurements: Iterable[Measurement], scenarios: Iterable[str]) -> list[str]:
    """Return the names of these scenarios' measurements, in the order of the run."""
    wanted = set(scenarios)
    return [measurement.name for measurement in measurements if measurement.scenario in wanted]
