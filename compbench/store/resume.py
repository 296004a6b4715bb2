"""Which run an invocation writes into: an open one that can be continued, else a new one.

Only the holder of the suite's lock may call the methods that change a run. Knows nothing of how a scenario is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from compbench.config.settings import Settings
from compbench.machine.effects import Effects
from compbench.machine.probes import machine
from compbench.machine.resting import read_at_rest
from compbench.model.errors import UserError
from compbench.model.measurement import RunKind
from compbench.model.records import Finding, Manifest, Provenance
from compbench.model.scenario import Scenario
from compbench.model.texts import clean_values
from compbench.store import attempts, provenance, resume_rules, runs
from compbench.store.resume_rules import is_replaced, is_whole
from compbench.store.runs import Run

ASKED_ANEW = "new=1 was asked for"


@dataclass(frozen=True)
class RunChoice:
    """The facts for choosing a run; `scenarios` loads all there are, selected or not, when they are needed."""

    root: Path
    settings: Settings
    scenarios: Callable[[], Sequence[Scenario]]
    effects: Effects

    def choose(self, selection: Sequence[str]) -> Run | None:
        """Return the run to continue for these measurements, the newest that has them all; None for a new one.

        Raises:
            UserError: `resume=` names a run that is not there, or one of other measurements or inputs; or a run that
                may be open can't be read.
        """
        if self.settings.resume:
            return self._named(self.settings.resume, selection)
        if self.settings.new:
            return None
        runs.refuse_damaged(self._output_dir)
        serving = (run for run in self._open_runs() if resume_rules.serves(run.manifest.selection, selection))
        return next((run for run in serving if not self.refusal(run.manifest)), None)

    def refusal(self, manifest: Manifest) -> str:
        """Say why an open run can't be continued, or return an empty text if it can."""
        return resume_rules.refusal_to_resume(
            manifest,
            self.fingerprint,
            now_s=self.effects.now(),
            boot_id=machine.boot_id(),
            max_age_h=self.settings.resume_max_age_h,
        )

    def replaced(self, selection: Sequence[str], *, whole: bool) -> list[tuple[Run, str]]:
        """Return the open runs whose place a new one takes, newest first, each with why it is not continued."""
        found = [run for run in self._open_runs() if is_replaced(run.manifest, selection=selection, whole=whole)]
        return [(run, self._why_not(run, selection)) for run in found]

    def staying(self, selection: Sequence[str], *, whole: bool) -> Run | None:
        """Return the whole suite that stays open beside a new run of some scenarios, None if there is none."""
        found = (run for run in self._open_runs() if is_whole(run.manifest))
        return next((r for r in found if not is_replaced(r.manifest, selection=selection, whole=whole)), None)

    def reopen(self, run: Run, selection: Sequence[str], findings: Sequence[Finding]) -> Run:
        """Make a run open for writing; with `resume=`, set failed and spoiled measurements aside, to be made again.

        Raises:
            UserError: a capture can't be read; told before anything is measured beside it.
        """
        captures = run.captures()
        attempts.remove_temporary_files(run.folder)
        spent_s = [*run.manifest.spent_s, 0.0]
        run = runs.change_manifest(run, state="open", closed_at=None, spent_s=spent_s, findings=findings)
        if self.settings.resume:
            for capture in captures:
                if capture.outcome.verdict in ("failed", "invalid") and capture.measurement in selection:
                    attempts.set_aside(run, capture.measurement)
        return run

    def create(
        self,
        name: str,
        selection: Sequence[str],
        findings: Sequence[Finding],
        words: Sequence[str],
        kind: RunKind = "suite",
    ) -> Run:
        """Make a new run of that name; `words` are the command that goes on with it.

        Raises:
            UserError: the name is taken.
        """
        manifest = Manifest(
            run=name,
            kind=kind,
            state="open",
            opened_at=self.effects.now(),
            boot_id=machine.boot_id(),
            selection=list(selection),
            systems=list(self.settings.systems),
            fingerprint=self.fingerprint,
            settings=msgspec.to_builtins(self.settings) | {"invocation": list(words)},
            at_rest=read_at_rest(self.effects) if self.settings.quiet_timeout_s else None,
            provenance=msgspec.convert(clean_values(provenance.read_provenance(self.settings, self.root)), Provenance),
            findings=list(findings),
            spent_s=[0.0],
        )
        return runs.create_run(self._output_dir, name, manifest)

    def abandon(self, run: Run, why: str) -> str:
        """Abandon an open run, keeping its files; return the line for a person."""
        run = runs.change_manifest(run, state="abandoned", note=why)
        half = attempts.move_leftovers(run)
        where = f", {len(half)} half ones in its leftovers/" if half else ""
        return f"run {run.name} is abandoned, its files are kept{where}: {why}"

    def abandon_searches(self) -> list[str]:
        """Abandon interrupted searches for a capacity, which are never continued; return the lines for a person."""
        searches = [run for run in runs.open_runs(self._output_dir) if run.manifest.kind == "capacity"]
        return [self.abandon(run, "a search for a capacity is never continued") for run in searches]

    @cached_property
    def fingerprint(self) -> dict[str, str]:
        """Return the inputs as they are now; read once, compared with the manifest again before each measurement."""
        return provenance.fingerprint(self.settings, self.scenarios())

    @property
    def _output_dir(self) -> Path:
        return Path(self.settings.output_dir)

    def _open_runs(self) -> list[Run]:
        return [run for run in runs.open_runs(self._output_dir) if run.manifest.kind == self.settings.run_kind]

    def _why_not(self, run: Run, selection: Sequence[str]) -> str:
        if self.settings.new:
            return ASKED_ANEW
        missing = [name for name in selection if name not in run.manifest.selection]
        others = f"it was opened for other scenarios (without {', '.join(missing)})" if missing else ""
        return self.refusal(run.manifest) or others or "another run was asked for"

    def _named(self, name: str, selection: Sequence[str]) -> Run:
        run = runs.find_run(self._output_dir, name)
        if foreign := [wanted for wanted in selection if wanted not in run.manifest.selection]:
            raise UserError(f"resume={name}: that run was made without {', '.join(foreign)}: leave it out")
        if changes := resume_rules.fingerprint_changes(run.manifest.fingerprint, self.fingerprint):
            raise UserError(
                f"resume={name}: figures of different set-ups don't belong in one run; changed: {'; '.join(changes)}"
            )
        return run
