"""A run's captures by scenario, and by system where it measures several: one of each, or several if repeated.

Pure. Where one picture or one row must stand for several repeats, it is the repeat whose P99 is the median (the slower
one of an even number): a measurement that happened, not an average of percentiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compbench.model.measurement import Measurement
from compbench.model.metrics import Metric
from compbench.model.notices import Verdict, worst
from compbench.model.records import Capture


@dataclass(frozen=True)
class Group:
    """All captures of one scenario in one run, by repeat; in a search for its capacity, that one.

    `system` is the system's name where the run compares several, or the variant's; empty where it measures one.
    """

    scenario: str
    captures: tuple[Capture, ...]
    system: str = ""

    @property
    def name(self) -> str:
        """Return the name that is the group's own within its run: `alpha`, or with a system `alpha@qdrant`."""
        return Measurement(self.scenario, system=self.system).name

    @property
    def verdict(self) -> Verdict:
        """Return the worst verdict of the repeats."""
        return worst(capture.outcome.verdict for capture in self.captures)

    @property
    def measured(self) -> tuple[Capture, ...]:
        """Return the captures whose figures are figures: a failed or invalid one's are shown, never compared."""
        return tuple(c for c in self.captures if c.result is not None and c.outcome.is_measurement)

    @property
    def typical(self) -> Capture:
        """Return the capture that stands for all: of the measured ones, if there are any, that of the median P99."""
        with_figures = self.measured or [c for c in self.captures if c.result is not None]
        ordered = sorted(with_figures, key=lambda capture: capture.result.p99_latency_ms if capture.result else 0.0)
        return ordered[len(ordered) // 2] if ordered else self.captures[0]

    def values(self, metric: Metric) -> list[float]:
        """Return a metric over the measured repeats that have it."""
        found = (metric.read(capture.result, capture.capacity) for capture in self.measured)
        return [value for value in found if value is not None]


def name_of(capture: Capture) -> str:
    """Return the name of the group that a capture belongs to."""
    return Measurement(capture.scenario, system=capture.contender).name


def group_captures(captures: Sequence[Capture]) -> list[Group]:
    """Return the captures by scenario and system, in the order in which these first occur."""
    found: dict[tuple[str, str], list[Capture]] = {}
    for capture in captures:
        found.setdefault((capture.scenario, capture.contender), []).append(capture)
    return [Group(scenario, tuple(own), system) for (scenario, system), own in found.items()]
