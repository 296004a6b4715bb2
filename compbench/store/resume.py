"""Which run an invocation writes into: the open one if it can be continued, else a new one.

Only the holder of the suite's lock may call what changes a run. Knows nothing of how a scenario is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from compbench.config.scenarios import load_scenario
from compbench.config.settings import Settings
from compbench.machine.effects import Effects
from compbench.machine.probes import machine, provenance
from compbench.model.errors import UserError
from compbench.model.records import Finding, Manifest
from compbench.store import runs
from compbench.store.runs import Run


@dataclass(frozen=True)
class Opening:
    """What a choice of run rests on; `scenarios` are the names of all scenarios, whatever is selected."""

    root: Path
    settings: Settings
    scenarios: Sequence[str]
    effects: Effects

    def choose(self, selection: Sequence[str]) -> tuple[Run | None, str]:
        """Return the run to continue for these measurements, or None with why the open one, if any, can't be.

        Raises:
            UserError: `resume=` names a run that is not there, or one of other measurements or inputs; or a run that
                may be the open one can't be read.
        """
        if self.settings.resume:
            return self._named(self.settings.resume, selection), ""
        runs.refuse_damaged(self._output_dir)
        run = runs.find_open_run(self._output_dir)
        if run is None:
            return None, ""
        refusal = runs.refusal_to_resume(
            run.manifest,
            self._fingerprint(),
            now_s=self.effects.now(),
            boot_at=machine.boot_at(),
            max_age_h=self.settings.resume_max_age_h,
        )
        refusal = refusal or runs.refusal_to_select(run.manifest.selection, run.pending(), selection)
        return (None, refusal) if refusal else (run, "")

    def reopen(self, run: Run, selection: Sequence[str], findings: Sequence[Finding]) -> Run:
        """Make a run open for writing; with `resume=`, set failed measurements aside, so that they are pending.

        Raises:
            UserError: a capture can't be read; told before anything is measured beside it.
        """
        captures = run.captures()
        runs.remove_temporary_files(run.folder)
        run = runs.change_manifest(
            run, state="open", closed_at=None, invocations=run.manifest.invocations + 1, findings=findings
        )
        if self.settings.resume:
            for capture in captures:
                if not capture.outcome.is_measurement and capture.measurement in selection:
                    runs.set_aside(run, capture.measurement)
        return run

    def create(
        self, selection: Sequence[str], findings: Sequence[Finding], kind: Literal["suite", "capacity"] = "suite"
    ) -> Run:
        """Make a new run."""
        manifest = Manifest(
            run="",
            kind=kind,
            state="open",
            opened_at=self.effects.now(),
            boot_at=machine.boot_at(),
            selection=list(selection),
            fingerprint=self._fingerprint(),
            settings=msgspec.to_builtins(self.settings),
            provenance=provenance.read_provenance(self.settings, self.root),
            findings=list(findings),
        )
        return runs.create_run(self._output_dir, manifest, self.effects.now())

    def abandon_open_run(self, why: str) -> str:
        """Give the open run up, if there is one, keeping its files; return what a person should know of it."""
        run = runs.find_open_run(self._output_dir)
        if run is None:
            return ""
        runs.change_manifest(run, state="abandoned", note=why)
        return f"run {run.name} is abandoned, its files are kept: {why}"

    def abandon_searches(self) -> None:
        """Give up searches for a capacity that were interrupted: they are never continued."""
        for run in runs.list_runs(self._output_dir):
            if run.manifest.kind == "capacity" and run.manifest.state == "open":
                runs.change_manifest(run, state="abandoned", note="the search was interrupted")

    @property
    def _output_dir(self) -> Path:
        return Path(self.settings.output_dir)

    def _named(self, name: str, selection: Sequence[str]) -> Run:
        run = runs.find_run(self._output_dir, name)
        if foreign := [wanted for wanted in selection if wanted not in run.manifest.selection]:
            raise UserError(f"resume={name}: that run was made without {', '.join(foreign)}: leave it out")
        if changes := runs.fingerprint_changes(run.manifest.fingerprint, self._fingerprint()):
            raise UserError(
                f"resume={name}: figures of different set-ups don't belong in one run; changed: {'; '.join(changes)}"
            )
        return run

    def _fingerprint(self) -> dict[str, str]:
        folder = Path(self.settings.scenarios_dir)
        scenarios = [load_scenario(folder / f"{name}.toml") for name in self.scenarios]
        return provenance.fingerprint(self.settings, scenarios)
