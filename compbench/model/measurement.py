"""Which measurements a run consists of, and in which order: every scenario once, or several times, interleaved.

A measurement is one scenario measured once under its own load, or searched for its capacity; its name is the stem of
its files. Pure naming and order.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CAPACITY_ENDING = "_capacity"
_REPEATED = re.compile(r"(?P<scenario>.+)_run(?P<repeat>[1-9]\d*)")


@dataclass(frozen=True)
class Measurement:
    """One scenario measured once; `repeat` counts from 1, and is None where each is measured only once."""

    scenario: str
    repeat: int | None = None
    is_capacity: bool = False

    @property
    def name(self) -> str:
        """Return the stem of its files: `alpha`, `alpha_run2`, or `alpha_capacity`."""
        if self.is_capacity:
            return f"{self.scenario}{CAPACITY_ENDING}"
        return self.scenario if self.repeat is None else f"{self.scenario}_run{self.repeat}"


def measurement_named(name: str) -> Measurement:
    """Return the measurement of that name; no scenario's own name ends in `_run` and a number, or in `_capacity`."""
    if name.endswith(CAPACITY_ENDING):
        return Measurement(name.removesuffix(CAPACITY_ENDING), is_capacity=True)
    match = _REPEATED.fullmatch(name)
    return Measurement(match["scenario"], int(match["repeat"])) if match else Measurement(name)


def schedule(scenarios: Sequence[str], repeat: int, order_seed: int) -> list[Measurement]:
    """Return a run's measurements in order.

    With repeats, every round measures each scenario once, and begins one scenario later than the round before, so that
    no scenario always comes first, last, or after the same neighbour's heat. The seed chooses where the first begins.

    Args:
        scenarios: their names, in the order of a run without repeats.
        repeat: how often each is measured, from 1 on.
        order_seed: the same seed gives the same order.
    """
    if repeat == 1 or not scenarios:
        return [Measurement(name) for name in scenarios]
    first = random.Random(order_seed).randrange(len(scenarios))  # noqa: S311 - an order, not a secret
    rounds = []
    for number in range(repeat):
        begin = (first + number) % len(scenarios)
        rounds += [Measurement(name, number + 1) for name in (*scenarios[begin:], *scenarios[:begin])]
    return rounds


def of_scenarios(measurements: Iterable[Measurement], scenarios: Iterable[str]) -> list[str]:
    """Return the names of these scenarios' measurements, in the order of the run."""
    wanted = set(scenarios)
    return [measurement.name for measurement in measurements if measurement.scenario in wanted]
