"""One invocation: what was selected, which run it writes, what the checks found, and the verdict it ends with.

The doit actions of `compbench.cli.tasks` call these methods; the reporter reads the state. Nothing here prints, and
nothing is read, hashed or created before a task runs.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from compbench.cli import rendering
from compbench.config.scenarios import Scenario, load_scenario
from compbench.config.settings import Settings
from compbench.machine.effects import Effects
from compbench.machine.probes import machine
from compbench.measuring import data_sets, drivers, session
from compbench.model.errors import UserError
from compbench.model.events import Event, RunClosed, RunOpened, Subscriber
from compbench.model.measurement import Measurement, measurement_named, schedule
from compbench.model.records import Capture, Finding
from compbench.model.times import iso_utc
from compbench.preflight import checks, data_scale
from compbench.store import kept_data, leftovers, lock, runs
from compbench.store.event_log import EventLog
from compbench.store.record_files import write_record
from compbench.store.resume import Opening
from compbench.store.runs import Run

# What a run rests on besides its scenarios' own phases, for an estimate before anything was measured.
_ASSUMED_OVERHEAD_S = 8.0
# The guards of a runner that was killed end its server and driver within 3 s; this is patience for a busy machine.
_GUARDS_TIME_S = 10.0
_GUARDS_POLL_S = 0.1


@dataclass
class Suite:
    """The state of one invocation of doit."""

    root: Path
    settings: Settings
    scenarios: list[str]
    show: Subscriber
    open_at_load: Run | None = None
    effects: Effects = field(default_factory=Effects)
    selected: list[str] = field(default_factory=list)
    capacities: list[str] = field(default_factory=list)
    capacity_captures: list[Capture] = field(default_factory=list)
    concerned: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    run: Run | None = None
    gate_failed: bool = False
    verdict: int | None = None
    remarks: list[str] = field(default_factory=list)
    refusal: str = ""
    _lock: int | None = None
    _writing: bool = False
    _event_log: EventLog | None = None

    def __post_init__(self) -> None:
        self.measurements = schedule(self.scenarios, self.settings.repeat, self.settings.order_seed)

    @cached_property
    def loaded(self) -> dict[str, Scenario]:
        """Return every scenario by its name, read once."""
        return {name: load_scenario(self.scenario_path(name)) for name in self.scenarios}

    def data_loaded(self) -> dict[str, str]:
        """Return how many memories of each scenario will be loaded, in words: `200 of 200,000 memories`."""
        counts = {name: kept_data.wanted_memories(self.settings, facts) for name, facts in self.loaded.items()}
        return {name: data_scale.describe(counts[name], self.loaded[name].data.num_nodes) for name in counts}

    @cached_property
    def opening(self) -> Opening:
        """Return what the choice of a run rests on."""
        return Opening(self.root, self.settings, list(self.loaded.values()), self.effects)

    @property
    def names(self) -> list[str]:
        """Return the names of all measurements of a whole run, in order."""
        return [measurement.name for measurement in self.measurements]

    @property
    def output_dir(self) -> Path:
        """Return the folder of all runs."""
        return Path(self.settings.output_dir)

    @property
    def lock_path(self) -> Path:
        """Return the file whose kernel lock means that a suite is at work."""
        return self.root / "tmp" / "lock"

    @property
    def log_path(self) -> Path:
        """Return where tracebacks are kept."""
        return self.root / "tmp" / "compbench.log"

    def scenario_path(self, name: str) -> Path:
        """Return the scenario's file."""
        return Path(self.settings.scenarios_dir) / f"{name}.toml"

    def finding_path(self, check: str) -> Path:
        """Return where a check's finding is written."""
        return self.root / "tmp" / "preflight" / f"{check}.json"

    def known_capture(self, name: str) -> list[str]:
        """Return the capture's path as a doit target if a run is open already; a new run's name is not known yet."""
        return [str(self.open_at_load.path(name, "capture"))] if self.open_at_load else []

    # -- checks ------------------------------------------------------------------------------------------------------

    def check(self, name: str) -> Finding:
        """Make one preflight check, keep its finding, and write it to `tmp/preflight/`."""
        finding = checks.run_check(name, self.settings, self.root, self.concerned)
        self.findings.append(finding)
        path = self.finding_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_record(path, finding)
        return finding

    def judge_gate(self) -> bool:
        """Tell whether a suite may start: no finding is critical. If so, choose or make the run to write."""
        self.gate_failed = any(finding.level == "critical" for finding in self.findings)
        if not self.gate_failed and self.selected:
            self.run_for_writing()
        return not self.gate_failed

    # -- the run -----------------------------------------------------------------------------------------------------

    def select(
        self, measurements: Sequence[str], capacities: Sequence[str] = (), concerned: Sequence[str] = ()
    ) -> None:
        """Take note of what the command line asks for: measurements, scenarios' capacities, and scenarios at all."""
        self.selected = list(dict.fromkeys(measurements))
        self.capacities = list(dict.fromkeys(capacities))
        self.concerned = list(concerned)

    @property
    def is_measuring(self) -> bool:
        """Tell whether this invocation is to measure anything."""
        return bool(self.selected or self.capacities)

    def claim(self) -> None:
        """Take the suite's lock, once, and clear what killed invocations left in the working folders.

        Raises:
            UserError: another invocation holds the lock, or a process is still at work in such a folder.
        """
        if self._lock is not None:
            return
        self._lock = lock.take(self.lock_path)
        self._clear_work_folders()

    def resumed_selection(self) -> list[str]:
        """Return the measurements of the run that `resume=` names; none without it.

        Raises:
            UserError: there is no such run, or it has measurements that these settings and scenarios don't give.
        """
        if not self.settings.resume:
            return []
        selection = runs.find_run(self.output_dir, self.settings.resume).manifest.selection
        if strange := [name for name in selection if name not in self.names]:
            raise UserError(
                f"resume={self.settings.resume}: its {', '.join(strange)} can't be measured again here: the scenario"
                " file is missing, repeat= is another, or it was a search for a capacity"
            )
        return selection

    def current_run(self) -> Run | None:
        """Return the run that this invocation continues, or None if it must start one; changes nothing."""
        if self.run is None:
            self.run = self._choose()
        return self.run

    def is_measured(self, measurement: str) -> bool:
        """Tell whether the run that is continued has this measurement's capture."""
        run = self.current_run()
        return run is not None and run.has_capture(measurement)

    def run_for_writing(self) -> Run:
        """Return the run to measure into: the open one if it can be continued, else a new one, under the lock."""
        if self._writing and self.run is not None:
            return self.run
        self.claim()
        selection = self.selected or self.names
        chosen = self._choose()
        if chosen is not None:
            self.run = self.opening.reopen(chosen, selection, self.findings)
        else:
            whole = set(self.names) <= set(selection)
            for run, why in self.opening.replaced(selection, whole=whole):
                self._remark(self.opening.abandon(run, why))
            name = runs.name_for(self.effects.now(), self.output_dir)
            self.run = self.opening.create(name, selection, self.findings, "")
        self._writing = True
        self._log_events(self.run)
        return self.run

    def tell(self, event: Event) -> None:
        """Hand an event on to who shows it, and to the run's record of events."""
        self.show(event)
        if self._event_log is not None:
            self._event_log(event)

    def _log_events(self, run: Run) -> None:
        if self._event_log is not None:
            self._event_log.close()
        self._event_log = EventLog(run.folder, self.remarks.append)
        manifest = run.manifest
        opened = RunOpened(at=self.effects.now(), run=run.name, selection=manifest.selection)
        self.tell(msgspec.structs.replace(opened, invocation=len(manifest.spent_s)))

    # -- what is made before measuring -------------------------------------------------------------------------------

    def has_data_set(self, scenario: str) -> bool:
        """Tell whether the scenario's data set need not be made: it is kept already, or is loaded anew each time."""
        folder = kept_data.data_set_folder(self.settings, self._scenario(scenario))
        return folder is None or folder.is_dir()

    def data_set_announcement(self, scenario: str) -> str:
        """Say what making the scenario's data set begins with, or nothing if it is not to be made."""
        return kept_data.announcement(self.settings, self._scenario(scenario))

    def make_data_set(self, scenario: str) -> None:
        """Make and keep the scenario's data set.

        Raises:
            UserError: it was what was asked for, and failed; before a measurement that is but a remark.
        """
        facts = self._scenario(scenario)
        folder = kept_data.data_set_folder(self.settings, facts)
        if folder is not None:
            self._make(scenario, "data set", lambda making: data_sets.make_data_set(making, facts, folder))

    def has_ground_truth(self, scenario: str) -> bool:
        """Tell whether what the scenario's searches should find is known, or is not asked for."""
        path = kept_data.ground_truth_file(self.settings, self._scenario(scenario))
        return path is None or path.exists()

    def make_ground_truth(self, scenario: str) -> None:
        """Compute what the scenario's searches should find, without which recall is not told.

        Raises:
            UserError: it was what was asked for, and failed; before a measurement that is but a remark.
        """
        facts = self._scenario(scenario)
        self._make(scenario, "exact neighbours", lambda making: data_sets.make_ground_truth(making, facts))

    def _make(self, scenario: str, what: str, make: Callable[[data_sets.Making], None]) -> None:
        try:
            make(data_sets.Making(self.settings, self.root, self.tell, scenario))
        except UserError as error:
            if not self.is_measuring:
                raise
            self.remarks.append(f"{scenario}: no {what}: {error}")

    def measure(self, measurement: Measurement) -> Capture | None:
        """Make one measurement of the run unless it has its capture."""
        run = self.run_for_writing()
        if run.has_capture(measurement.name):
            return None
        return self._measure(run, measurement)

    def measure_capacity(self, scenario: str) -> Capture:
        """Search for a scenario's capacity in a run of its own, which is closed with its pages when that has ended.

        An open run of the suite is left as it is.
        """
        self.claim()
        self.opening.abandon_searches()
        measurement = Measurement(scenario, kind="capacity")
        name = runs.name_for(self.effects.now(), self.output_dir)
        self.run = self.opening.create(name, [measurement.name], self.findings, "", "capacity")
        self._log_events(self.run)
        capture = self._measure(self.run, measurement)
        self.write_diagnostics(measurement.name)
        self.write_pages(closing=True)
        self.capacity_captures.append(capture)
        return capture

    def close_if_complete(self) -> None:
        """Close the run once every measurement of its selection has a capture; its pages are rendered by then."""
        if self.run is None or self.run.manifest.state != "open" or self.run.pending():
            return
        self.write_pages(closing=True)

    # -- pages -------------------------------------------------------------------------------------------------------

    def write_diagnostics(self, measurement: str) -> None:
        """Render `_diag.txt` and `_sys.txt` from the measurement's capture."""
        rendering.write_diagnostics(self._written_run(), measurement)

    def has_diagnostics(self, measurement: str) -> bool:
        """Tell whether both files are there for the capture that is there."""
        run = self.current_run()
        return run is not None and rendering.has_diagnostics(run, measurement)

    def write_flamegraph(self, measurement: str) -> None:
        """Draw the flame graph if stacks were recorded; whatever goes wrong is a remark, never a failure."""
        try:
            rendering.write_flamegraph(self._written_run(), measurement)
        except Exception as error:  # noqa: BLE001 - an optional picture must not cost the pages that follow it
            self.remarks.append(f"{measurement}: no flame graph: {error}")
            self.log_traceback()

    def has_flamegraph(self, measurement: str) -> bool:
        """Tell whether the flame graph is there, or there is nothing to draw it from."""
        run = self.current_run()
        return run is not None and rendering.has_flamegraph(run, measurement)

    def write_pages(self, *, interrupted: bool = False, closing: bool = False, report: bool = False) -> None:
        """Render metadata, summary and results of the current run from every capture on disk.

        The report with its charts takes seconds, so it is rendered only when the run ends here (setting `report`), or
        for `report`. If it can't be rendered, that is a remark, since what was measured stands without it; only for
        `report` it is the verdict too.
        """
        run, now = self._written_run(), self.effects.now()
        if closing:
            run = Run(run.folder, msgspec.structs.replace(run.manifest, state="closed", closed_at=now))
        rendering.write_pages(run, self.settings, now, interrupted=interrupted)
        if report or (self.settings.report and (closing or interrupted)):
            try:
                rendering.write_report(run, self.settings, interrupted=interrupted)
            except UserError as error:
                self.remarks.append(str(error))
                self.verdict = 1 if report else self.verdict
        if closing:
            self.tell(RunClosed(at=now, run=run.name))
            self.run = runs.change_manifest(run, state="closed", closed_at=now)

    def report(self) -> Run:
        """Render the pages of a finished or open run again: `run=<timestamp>`, or the newest.

        Raises:
            UserError: there is no such run.
        """
        self.claim()
        known = runs.list_runs(self.output_dir)
        if self.settings.run:
            self.run = runs.find_run(self.output_dir, self.settings.run)
        elif known:
            self.run = known[-1]
        else:
            raise UserError(f"no run in {self.output_dir} yet: `doit` measures one")
        for capture in self.run.captures():
            self.write_diagnostics(capture.measurement)
            self.write_flamegraph(capture.measurement)
        self.verdict = 0
        self.write_pages(interrupted=self.run.manifest.state != "closed", report=True)
        return self.run

    # -- clean and plan ----------------------------------------------------------------------------------------------

    def leftovers(self) -> list[leftovers.Leftover]:
        """Return what `doit clean` removes."""
        caches = [self.root / "tmp" / "preflight", self.log_path, *leftovers.in_cache(Path(self.settings.cache_dir))]
        return leftovers.find(self.output_dir, Path(self.settings.work_dir), self.root, caches)

    def estimate_s(self, measurements: Iterable[str]) -> float:
        """Return how long making these measurements will take, from the phases already measured in this run."""
        names = list(measurements)
        done = self.run.captures() if self.run else []
        spent = [sum(p.duration_s for p in c.phases if p.name not in ("cooldown", "measure")) for c in done]
        overhead_s = sum(spent) / len(spent) if spent else _ASSUMED_OVERHEAD_S
        durations = [self._duration_s(name) for name in names]
        gaps = len(names) if done else max(0, len(names) - 1)
        return sum(durations) + len(names) * overhead_s + gaps * self.settings.cooldown_s

    def plan_lines(self) -> list[tuple[str, bool]]:
        """Return each measurement, and whether `doit` would leave it alone because it is measured already."""
        self.select(self.names)
        run = self.run = self._choose()
        if run is None:
            self.refusal = next((why for _, why in self.opening.replaced(self.names, whole=True)), "")
        return [(name, run is not None and run.has_capture(name)) for name in self.names]

    def log_traceback(self) -> None:
        """Keep the traceback of the exception being handled in the log."""
        self.log_text(traceback.format_exc())

    def log_text(self, text: str) -> None:
        """Add a text to the log of faults."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("a", encoding="utf-8") as log:
            log.write(f"{iso_utc(time.time())}\n{text}\n")

    # -- private -----------------------------------------------------------------------------------------------------

    def _clear_work_folders(self) -> None:
        """Remove what killed invocations left, once the last process that their guards are ending has left it.

        Raises:
            UserError: a process stays in such a folder; it is named, not ended.
        """
        for leftover in leftovers.in_work_folder(Path(self.settings.work_dir), self.root):
            deadline = self.effects.monotonic() + _GUARDS_TIME_S
            while (inside := machine.processes_in(leftover.path)) and self.effects.monotonic() < deadline:
                self.effects.sleep(_GUARDS_POLL_S)
            if inside:
                raise UserError(
                    f"process {inside[0]} is still at work in {leftover.path}, which a killed suite has left:"
                    " end that process, then run the same command again"
                )
            leftovers.remove(leftover)

    def _measure(self, run: Run, measurement: Measurement) -> Capture:
        scenario = self._scenario(measurement.scenario)
        return session.measure_scenario(run, measurement, scenario, self.settings, self.root, self.tell, self.effects)

    def _remark(self, text: str) -> None:
        if text:
            self.remarks.append(text)

    def _written_run(self) -> Run:
        run = self.current_run()
        if run is None:
            raise UserError("there is no open run: `doit run:<scenario>` measures before it renders")
        return run

    def _duration_s(self, name: str) -> float:
        try:
            scenario = load_scenario(self.scenario_path(measurement_named(name).scenario))
        except UserError:
            return 0.0
        return float(drivers.duration_s(self.settings, scenario))

    def _choose(self) -> Run | None:
        return self.opening.choose(self.selected or self.names)

    def _scenario(self, name: str) -> Scenario:
        return self.loaded[name]
