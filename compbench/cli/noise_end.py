"""The end of a study of noise: its records, calculated from the captures, kept for comparisons, and shown as tables.

Loaded only when the measurements are made: the statistics take a second to import.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from compbench.cli.display import Display
from compbench.cli.exit_codes import NOT_STARTED, PASSED
from compbench.cli.project import Project
from compbench.cli.suite import Suite
from compbench.files.whole import write_whole
from compbench.model import file_names
from compbench.model.noise import LEAST_COUNT, NoiseRecord, NoiseStudy
from compbench.model.records import Capture, Machine
from compbench.report import noise_study, render
from compbench.report.past import comparable, history
from compbench.store import provenance
from compbench.store.noise_records import write_noise
from compbench.store.record_files import write_record
from compbench.store.runs import Run

# Without isolation, and with it.
_BOTH = 2


def keep_noise(suite: Suite, display: Display, scenario: str) -> None:
    """Keep and show what the measurements of a scenario tell of the machine's noise.

    The exit code is 0; or 2 where a variant has too few measurements, or lacks the figure by which comparisons are
    judged, so that nothing is kept of it.


    Raises:
        OSError: a record can't be written.
    """
    if suite.in_progress is None:
        raise AssertionError("the end of a study comes after its measurements, for which a run is open")
    project, run, captures = suite.project, suite.in_progress.run, suite.in_progress.captures
    made, few = [], []
    for variant in project.settings.variants:
        own = sorted((c for c in captures if (c.scenario, c.variant) == (scenario, variant)), key=_began)
        if sum(capture.outcome.is_measurement for capture in own) >= LEAST_COUNT:
            made.append(_record(project, run, own, variant))
        else:
            few.append(_too_few(own, variant))
    write_record(
        run.folder / file_names.of_study(run.name, scenario, "noise"),
        NoiseStudy(run=run.name, scenario=scenario, records=made),
    )
    telling = [record for record in made if record.of(noise_study.DECIDING.name)]
    few += [_undecided(record.variant) for record in made if record not in telling]
    # Where both are alike, there is one file: the later one's.
    kept = {write_noise(Path(project.settings.cache_dir), record): record.variant for record in telling}
    text = _text(project, scenario, made, {variant: path for path, variant in kept.items()})
    told = "".join(f"{line}\n" for line in [*text.splitlines(), *few])
    write_whole(run.folder / file_names.of_study_text(run.name, scenario, "noise"), told)
    display.line("")
    for line in text.splitlines():
        display.line(line)
    for line in few:
        display.line(line, "warning")
    suite.judge(NOT_STARTED if few else PASSED)


def _began(capture: Capture) -> float:
    return capture.started_at


def _record(project: Project, run: Run, captures: Sequence[Capture], variant: str) -> NoiseRecord:
    """Return the record of one variant; its facts are those that an ordinary run of the same settings has."""
    scenario = captures[0].scenario
    settings = project.settings.of(variant).alone
    facts = history.told_inputs(provenance.fingerprint(settings, [project.loaded[scenario]]))
    measured = [capture for capture in captures if capture.outcome.is_measurement]
    sets = [capture.data_set for capture in measured if capture.data_set]
    if sets:
        facts[f"stored:{scenario}"] = history.each_once(history.amount(one.stored, one.wanted) for one in sets)
    details = [capture.result.details for capture in measured if capture.result and capture.result.details]
    efforts = history.each_once(one.effort for one in details if one.effort)
    kernel = history.kernel_of(run.manifest.provenance.system or Machine())
    return NoiseRecord(
        run=run.name,
        scenario=scenario,
        variant=variant,
        measured_at=max(capture.ended_at for capture in measured),
        facts=comparable.facts_of_noise(facts, scenario, efforts),
        told={"kernel": kernel, "compbench": facts["compbench"]},
        figures=noise_study.figures_noise(measured),
    )


def _too_few(captures: Sequence[Capture], variant: str) -> str:
    measured = sum(capture.outcome.is_measurement for capture in captures)
    reasons = dict.fromkeys(capture.outcome.reason for capture in captures if not capture.outcome.is_measurement)
    return (
        f"isolation = {variant}: only {measured} of {len(captures)} measurements are valid, and a study takes at least"
        f" {LEAST_COUNT}: nothing is kept of it ({'; '.join(filter(None, reasons)) or 'no reason is told'})"
    )


def _undecided(variant: str) -> str:
    return (
        f"isolation = {variant}: not every measurement has the figure {noise_study.DECIDING.label}, by which"
        " comparisons are judged: nothing is kept of it, and an older study stays"
    )


def _text(project: Project, scenario: str, records: Sequence[NoiseRecord], kept: Mapping[str, Path]) -> str:
    return render(
        "noise.txt.j2",
        scenario=scenario,
        settings=project.settings,
        studied=[noise_study.variant_study(record) for record in records],
        quieter=noise_study.quieter_of(records[0], records[1]) if len(records) == _BOTH else None,
        deciding=noise_study.DECIDING,
        effects=noise_study.EFFECTS_PCT,
        most=noise_study.MOST_REPEATS,
        is_one=len(records) == _BOTH and records[0].key == records[1].key,
        kept=kept,
    )
