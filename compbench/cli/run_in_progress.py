"""One run that this invocation is at work on: measured into, rendered after every measurement, closed in the end.

Captures are kept in memory as they are written, and read from disk only once, when the run is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from compbench.cli.project import Project
from compbench.config.settings import Settings
from compbench.machine.effects import Effects
from compbench.measuring import session
from compbench.measuring.retries import due
from compbench.model.errors import UserError
from compbench.model.events import Event, MeasurementBegan, RunClosed, RunOpened, Subscriber
from compbench.model.measurement import Measurement
from compbench.model.records import Capture
from compbench.store import data_set_sizes, runs
from compbench.store.event_log import EventLog
from compbench.store.runs import Run


@dataclass
class RunInProgress:
    """A run that is open for writing; only the holder of the suite's lock makes one.

    Attributes:
        run: its folder and manifest, as last written.
        began_s: the monotonic time at which this invocation began, from which its share of the run's time counts.
        show: shows events to a person.
        remark: takes lines that a person should read besides.
    """

    run: Run
    project: Project
    effects: Effects
    began_s: float
    show: Subscriber
    remark: Callable[[str], None]
    _captures: dict[str, Capture] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._captures = {capture.measurement: capture for capture in self.run.captures()}
        self._log = EventLog(self.run.folder, self.remark)
        manifest = self.run.manifest
        opened = RunOpened(at=self.effects.now(), run=self.run.name, selection=manifest.selection)
        self.tell(msgspec.structs.replace(opened, invocation=len(manifest.spent_s)))

    @property
    def captures(self) -> list[Capture]:
        """Return the captures so far, in the run's order."""
        return [self._captures[name] for name in self.run.manifest.selection if name in self._captures]

    def has(self, measurement: str) -> bool:
        """Tell whether the measurement is made."""
        return measurement in self._captures

    def tell(self, event: Event) -> None:
        """Hand an event on to the display, and to the run's record of events."""
        self.show(event)
        self._log(event)

    def measure(
        self, measurement: Measurement, place: tuple[int, int], left_s: float | None = None, *, again: bool = False
    ) -> None:
        """Make one measurement, and keep its capture.

        Args:
            measurement: the one to make.
            place: which of how many it is, as a person is told.
            left_s: how long it and all that follows will take, if that can be told.
            again: whether it is made again because it was spoiled.

        Raises:
            KeyboardInterrupt: a signal came; there is no capture.
            OSError: the capture could not be written.
        """
        self.tell(self._beginning(measurement, place, left_s, again=again))
        last = max(self._captures.values(), key=lambda capture: capture.ended_at, default=None)
        self._captures.pop(measurement.name, None)  # a spoiled one is set aside as soon as it is made again
        scenario = self.project.loaded[measurement.scenario]
        self._captures[measurement.name] = session.measure_scenario(
            self.run,
            measurement,
            scenario,
            self._settings.of(measurement.system),
            self.project.root,
            self.tell,
            self.effects,
            last,
        )

    def _beginning(
        self, measurement: Measurement, place: tuple[int, int], left_s: float | None, *, again: bool
    ) -> MeasurementBegan:
        scenario = self.project.loaded[measurement.scenario]
        title = scenario.title
        title = f"capacity of {title}" if measurement.kind == "capacity" else title
        return MeasurementBegan(
            at=self.effects.now(),
            measurement=measurement.name,
            title=f"{title}, again" if again else title,
            place=place[0],
            of=place[1],
            left_s=left_s,
            data=data_set_sizes.describe_wanted(self._settings, scenario),
        )

    @property
    def _settings(self) -> Settings:
        """Return the settings as they hold for the next measurement of the run."""
        return data_set_sizes.sized_as_before(self.project.settings, self.captures)

    def write_diagnostics(self, measurement: str) -> None:
        """Render `_diag.txt` and `_sys.txt` of one measurement."""
        from compbench.report import diagnostics  # noqa: PLC0415 - most invocations render nothing

        diagnostics.write_diagnostics(self.run, self._captures[measurement])

    def write_flamegraph(self, measurement: str) -> None:
        """Draw the flame graph if stacks were recorded."""
        from compbench.report import diagnostics  # noqa: PLC0415 - most invocations render nothing

        diagnostics.write_flamegraph(self.run, measurement)

    def write_pages(self, *, interrupted: bool = False, closing: bool = False) -> None:
        """Render metadata, summary and results of the run so far; with its end, the report with its charts too.

        The report takes seconds. If it can't be rendered, that is a remark: the captures stand without it.
        """
        from compbench.report import pages  # noqa: PLC0415 - most invocations render nothing

        settings, now = self.project.settings, self.effects.now()
        spent_s = [*self.run.manifest.spent_s[:-1], round(self.effects.monotonic() - self.began_s, 3)]
        self.run = runs.change_manifest(self.run, spent_s=spent_s)
        run = runs.closed(self.run, now) if closing else self.run
        scenarios_dir = Path(settings.scenarios_dir)
        pages.write_pages(
            run.folder, run.manifest, self.captures, interrupted=interrupted, scenarios_dir=scenarios_dir, now=now
        )
        if settings.report and (closing or interrupted):
            state = "interrupted" if interrupted else run.manifest.state
            try:
                cache_dir, systems_dir = Path(settings.cache_dir), settings.systems_dir
                pages.run_report(run.folder, scenarios_dir, cache_dir, state=state, systems_dir=systems_dir)
            except UserError as error:
                self.remark(str(error))
        if closing:
            self.tell(RunClosed(at=now, run=run.name))
            self.run = runs.change_manifest(run)

    def close_if_complete(self) -> None:
        """Close the run once every measurement of its selection is made, and none is to be made again.

        Its pages are rendered by then.
        """
        is_made = all(self.has(name) for name in self.run.manifest.selection)
        is_over = is_made and not due(self.captures, self.project.settings.invalid_retries)
        if self.run.manifest.state == "open" and is_over:
            self.write_pages(closing=True)
