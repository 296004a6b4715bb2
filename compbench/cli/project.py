"""The ground of an invocation, fixed when `dodo.py` is loaded: folder, settings, scenarios, clock, open runs.

Loading reads the names of scenarios and the manifests of open runs; the contents of scenarios are read once, when the
first task asks for them. Nothing here is created or changed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from compbench.config.scenarios import load_scenario
from compbench.config.settings import INVOCATION_KEYS, Settings
from compbench.model import file_names
from compbench.model.errors import UserError
from compbench.model.measurement import STUDIES, Measurement, measurement_named, of_scenarios, schedule
from compbench.model.scenario import Scenario
from compbench.store import provenance, runs
from compbench.store.runs import Run
from compbench.systems import registry


@dataclass(frozen=True)
class Project:
    """The project's folder with the settings of this invocation.

    Attributes:
        root: the project's folder.
        settings: as they hold for this invocation.
        scenarios: the names of all scenarios, in order.
        loaded_at: the one reading of the clock that names a possible new run, Unix seconds.
    """

    root: Path
    settings: Settings
    scenarios: Sequence[str]
    loaded_at: float = 0.0

    @cached_property
    def measurements(self) -> list[Measurement]:
        """Return all measurements of a whole suite, in order."""
        return schedule(self.scenarios, self.settings.repeat, self.settings.order_seed, self.settings.compared)

    @property
    def names(self) -> list[str]:
        """Return the names of all measurements of a whole suite, in order."""
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

    def finding_path(self, check: str) -> Path:
        """Return where a check's finding is written."""
        return self.root / "tmp" / "preflight" / f"{check}.json"

    def scenario_path(self, name: str) -> Path:
        """Return the scenario's file."""
        return Path(self.settings.scenarios_dir) / f"{name}.toml"

    @cached_property
    def loaded(self) -> dict[str, Scenario]:
        """Return every scenario by its name, read once in an invocation.

        Raises:
            UserError: a file is wrong.
        """
        return {name: load_scenario(self.scenario_path(name)) for name in self.scenarios}

    def not_offered(self, name: str) -> str:
        """Say what one of several systems can't do of what a measurement asks for; empty if it will be made.

        Raises:
            UserError: the scenario's file is wrong.
        """
        measurement = measurement_named(name)
        if not self.settings.systems:
            return ""
        return registry.not_offered(self.settings.of(measurement.system), self.loaded[measurement.scenario])

    def inputs_of(self, scenario: str) -> list[Path]:
        """Return the files that a scenario is measured with: its own, and the programs as far as they are known."""
        try:
            programs = list(provenance.used_binaries(self.settings).values())
        except UserError:
            programs = []  # a check says why
        return [self.scenario_path(scenario), *programs]

    # -- where files will be -----------------------------------------------------------------------------------------

    @cached_property
    def open_runs(self) -> list[Run]:
        """Return the runs of the kind that is asked for that were open when this was first asked, newest first."""
        return [run for run in runs.open_runs(self.output_dir) if run.manifest.kind == self.settings.run_kind]

    @cached_property
    def new_names(self) -> list[str]:
        """Return the names of runs that this invocation may open: the suite's, then one for each scenario's search."""
        return runs.new_names(self.loaded_at, self.output_dir, 1 + len(self.scenarios))

    def search_name(self, scenario: str) -> str:
        """Return the name of the run that a search for a scenario's capacity opens."""
        return self.new_names[1 + list(self.scenarios).index(scenario)]

    def folder_of(self, measurement: str) -> Path:
        """Return the folder of the run that a measurement belongs to, as far as can be said without reading inputs.

        It is the open run's if that has the measurement and was opened with the same settings, else that of a new one;
        once a run is open for writing, that decides.
        """
        if self.settings.resume:
            return self.output_dir / self.settings.resume
        wanted = provenance.setting_inputs(self.settings).items()
        known = () if self.settings.new else self.open_runs
        fitting = (run for run in known if measurement in run.manifest.selection)
        found = next((run for run in fitting if wanted <= run.manifest.fingerprint.items()), None)
        return found.folder if found else self.output_dir / self.new_names[0]

    def file_of(self, measurement: str, kind: str) -> Path:
        """Return the path of one of a measurement's files, in `folder_of`'s folder."""
        folder = self.folder_of(measurement)
        return folder / file_names.of_measurement(folder.name, measurement, kind)

    def reported_folder(self) -> Path | None:
        """Return the folder of the run that `doit report` renders, None if there is none yet."""
        return self.output_dir / self.settings.run if self.settings.run else runs.newest_folder(self.output_dir)

    def resumed_selection(self) -> list[str]:
        """Return the measurements of the run that `resume=` names; none without it.

        Raises:
            UserError: there is no such run, it is a study, which goes on by its own command, or it has measurements
                that these settings and scenarios don't give.
        """
        if not self.settings.resume:
            return []
        manifest = runs.find_run(self.output_dir, self.settings.resume).manifest
        selection = manifest.selection
        if manifest.kind in STUDIES and manifest.kind != self.settings.run_kind:
            words = [*map(str, manifest.settings.get("invocation") or ["doit", manifest.kind])]
            command = shlex.join([*words, f"resume={self.settings.resume}"])
            raise UserError(
                f"resume={self.settings.resume}: it is a study, which goes on by its own command: `{command}`"
            )
        if strange := [name for name in selection if name not in self.names]:
            raise UserError(
                f"resume={self.settings.resume}: its {', '.join(strange)} can't be measured again here: the scenario"
                " file is missing, repeat= is another, or it was a search for a capacity"
            )
        return selection

    # -- words that a person types -----------------------------------------------------------------------------------

    def words_for(self, selection: Sequence[str]) -> list[str]:
        """Return the command that goes on with a run of these measurements, as words that a person can paste."""
        called = self.settings.invocation or ("doit",)
        program = 1 + next((place for place, word in enumerate(called) if Path(word).name == "doit"), 0)
        settings = [word for word in called[program:] if "=" in word and not word.startswith("-")]
        asked = [word for word in settings if word.partition("=")[0] not in self._left_out_words()]
        systems = [f"system={','.join(self.settings.systems)}"] if self.settings.systems else []
        return [*called[:program], *self._tasks_for(selection), *asked, *systems]

    def _left_out_words(self) -> set[str]:
        """Return the settings that were for one call, but for a duet's builds, or are said otherwise.

        The latter where systems are compared: which rivals are here may change.
        """
        builds = {"base", "head"} if self.settings.run_kind == "duet" else set()
        return {*INVOCATION_KEYS, *(("system", "rivals") if self.settings.systems else ())} - builds

    def _tasks_for(self, selection: Sequence[str]) -> list[str]:
        if self.settings.run_kind in STUDIES:
            named = dict.fromkeys(measurement_named(name).scenario for name in selection)
            return [f"{self.settings.run_kind}:{scenario}" for scenario in named]
        if set(self.names) <= set(selection):
            return []
        words = []
        for name in selection:
            measurement = measurement_named(name)
            of_its_scenario = of_scenarios(self.measurements, [measurement.scenario])
            if measurement.kind == "capacity":
                words.append(f"capacity:{measurement.scenario}")
            else:
                whole = set(of_its_scenario) <= set(selection)
                words.append(f"run:{measurement.scenario}" if whole else f"pages:{name}")
        return list(dict.fromkeys(words))
