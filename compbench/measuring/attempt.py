"""The attempt at one scenario that is under way: the facts so far, its phases, and at its end the capture.

Plain state with a clock; the work of the phases is in `session` and `phases` beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compbench.config.settings import Settings
from compbench.machine.effects import Effects
from compbench.machine.output import Output
from compbench.machine.probes.busy_processes import BusyProcess
from compbench.measuring import drivers
from compbench.model import file_names
from compbench.model.events import NoticeGiven, PhaseBegan, SampleTaken, Subscriber
from compbench.model.measurement import Measurement
from compbench.model.notices import Notice, Outcome, Phase, notice_of
from compbench.model.records import Capture, DataSet, DriverFacts, PhaseRecord, ServerFacts, SystemFacts
from compbench.model.result import Capacity, Frontier, Result
from compbench.model.sample import Sample
from compbench.model.scenario import Scenario
from compbench.model.texts import clean
from compbench.store.runs import Run

MEGABYTE = 1_000_000


class ScenarioFailed(Exception):  # noqa: N818 - not an error to handle but the way out of a scenario
    """Ends the scenario with an outcome; one without a phase is of the phase under way."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass
class Attempt:
    """The facts so far of the attempt under way; `last` is the measurement before it in this run, if any.

    `current` is the phase under way, `note` what is waited for in it.
    """

    run: Run
    scenario: Scenario
    measurement: Measurement
    settings: Settings
    root: Path
    tell: Subscriber
    effects: Effects
    number: int
    spoiled_attempts: int
    started_at: float
    last: Capture | None = None
    phases: list[PhaseRecord] = field(default_factory=list)
    current: Phase | None = None
    note: str = ""
    notices: list[Notice] = field(default_factory=list)
    server: ServerFacts = field(default_factory=ServerFacts)
    driver: DriverFacts = field(default_factory=DriverFacts)
    data_set: DataSet | None = None
    result: Result | None = None
    capacity: Capacity | None = None
    frontier: Frontier | None = None
    effort: int | None = None
    system_facts: SystemFacts = field(default_factory=SystemFacts)
    has_kept_data: bool = False
    samples: list[Sample] = field(default_factory=list)
    snapshot: dict[str, str] = field(default_factory=dict)
    machine_before: dict[str, Any] = field(default_factory=dict)
    machine_after: dict[str, Any] = field(default_factory=dict)
    busy: list[BusyProcess] = field(default_factory=list)

    @property
    def driver_name(self) -> str:
        """Return which driver measures: capacities are always searched for by compbench's own."""
        return "builtin" if self.measurement.kind == "capacity" else self.settings.driver

    @property
    def ran_whole(self) -> bool:
        """Tell whether the driver ended by itself and left a whole report, whatever that is worth."""
        return not self.driver.timed_out and (self.result is not None or self.capacity is not None)

    @property
    def capacity_found(self) -> Capacity | None:
        """Return the capacity; None of a search that lost a host, whose rates would be read as an answer."""
        return None if self.capacity and self.capacity.fault else self.capacity

    def partial(self, kind: str) -> Path:
        """Return where one of the scenario's files grows until it is whole."""
        path = self.run.path(self.measurement.name, kind)
        return path.with_name(path.name + file_names.PARTIAL)

    def output(self, kind: str) -> Output:
        """Return a file for the output of a process."""
        return Output(self.partial(kind), self.settings.max_output_mb * MEGABYTE)

    def warn(self, notices: Iterable[Notice]) -> None:
        """Keep warnings, each code once, and pass them on at once."""
        for notice in notices:
            if all(notice.code != known.code for known in self.notices):
                self.notices.append(notice)
                self.tell(NoticeGiven(at=self.effects.now(), measurement=self.measurement.name, notice=notice))

    def notice(self, code: str, **fields: object) -> None:
        """Warn of something by its code in the catalogue, and the fields of its text."""
        self.warn([notice_of(code, **fields)])

    def note_samples(self, samples: list[Sample]) -> None:
        """Keep all samples so far, and pass on those that are new."""
        for sample in samples[len(self.samples) :]:
            self.tell(SampleTaken(at=self.effects.now(), measurement=self.measurement.name, sample=sample))
        self.samples = samples

    @contextlib.contextmanager
    def phase(self, name: Phase, limit_s: float | None = None, note: str = "") -> Iterator[None]:
        """Record a phase, however it ends; `note` says what is waited for in it, as far as that is known."""
        self.current, self.note = name, note
        began_at = self.effects.now()
        self.tell(PhaseBegan(at=began_at, measurement=self.measurement.name, phase=name, limit_s=limit_s, note=note))
        began = self.effects.monotonic()
        try:
            yield
        finally:
            spent_s = self.effects.monotonic() - began
            record = PhaseRecord(name=name, started_at=began_at, duration_s=round(spent_s, 3), note=self.note)
            self.phases.append(record)


def capture_of(attempt: Attempt, outcome: Outcome, files: dict[str, str]) -> Capture:
    """Return the record of an attempt that has ended, which has left these files (kind: name)."""
    scenario, settings = attempt.scenario, attempt.settings
    return Capture(
        run=attempt.run.name,
        scenario=scenario.name,
        repeat=attempt.measurement.repeat,
        is_capacity=attempt.measurement.kind == "capacity",
        is_compared=bool(settings.systems),
        variant=settings.variant,
        title=scenario.title,
        attempt=attempt.number,
        spoiled_attempts=attempt.spoiled_attempts,
        system=settings.system,
        driver=attempt.driver_name,
        profile=settings.profile,
        seed=scenario.seed,
        duration_s=drivers.duration_s(settings, scenario),
        sample_interval_s=settings.sample_interval_s,
        started_at=attempt.started_at,
        ended_at=attempt.effects.now(),
        outcome=outcome,
        phases=attempt.phases,
        data_set=attempt.data_set,
        server=attempt.server,
        driver_process=attempt.driver,
        result=attempt.result,
        capacity=attempt.capacity_found,
        frontier=attempt.frontier,
        system_facts=attempt.system_facts,
        samples=attempt.samples,
        notices=attempt.notices,
        machine_before=attempt.machine_before,
        machine_after=attempt.machine_after,
        snapshot={name: clean(text) for name, text in attempt.snapshot.items()},
        files=files,
    )
