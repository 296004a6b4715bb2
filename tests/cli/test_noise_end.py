"""The end of a study of noise: what is kept, with which facts, and the exit code."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from compbench.cli.display import Display
from compbench.cli.noise_end import keep_noise
from compbench.cli.project import Project
from compbench.cli.run_in_progress import RunInProgress
from compbench.cli.suite import Suite
from compbench.model.noise import LEAST_COUNT, NoiseStudy
from compbench.model.records import Capture, Manifest
from compbench.store import leftovers, provenance, runs
from compbench.store.noise_records import read_noises
from compbench.store.record_files import read_record, write_record
from compbench.systems.registry import load_settings
from tests import synthetic
from tests.load import scenario, toml
from tests.synthetic import Recipe, RunRecipe

RUN = "2026-01-05_12-00-00"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "scenarios" / "competitive"
    folder.mkdir(parents=True)
    (folder / "alpha.toml").write_text(toml(scenario()))
    words = {"system": "embedded", "repeat": str(LEAST_COUNT), "scale": "1"}
    return Project(tmp_path, load_settings(tmp_path, {}, words, run_kind="noise"), ["alpha"])


def captures_of(variant: str, verdicts: Sequence[str]) -> list[Capture]:
    """Return the captures of one variant's rounds, each a little slower than the one before."""
    found = []
    for number, verdict in enumerate(verdicts, 1):
        recipe = Recipe(
            "alpha", median_ms=1 + number / 50, duration_s=2, rate_ops_s=50, repeat=number, verdict=verdict, seed=number
        )
        capture, _ = synthetic.make_capture(RUN, recipe, RunRecipe())
        found.append(msgspec.structs.replace(capture, variant=variant, started_at=capture.started_at + number))
    return found


def concluded(project: Project, captures: Sequence[Capture]) -> tuple[int, str, Path]:
    """Return the exit code of a study that has these captures, what it printed, and its run's folder."""
    names = [capture.measurement for capture in captures]
    manifest = Manifest(run="", kind="noise", state="open", opened_at=1.0, selection=names, fingerprint={}, spent_s=[0])
    run = runs.create_run(project.output_dir, RUN, manifest)
    for capture in captures:
        write_record(run.path(capture.measurement, "capture"), capture)
    suite, out = Suite(project, lambda _: None), io.StringIO()
    suite.in_progress = RunInProgress(run, project, suite.effects, 0.0, lambda _: None, suite.remarks.append)
    keep_noise(suite, Display(out), "alpha")
    return suite.exit_code, out.getvalue(), run.folder


def test_both_variants_are_kept_with_the_facts_of_an_ordinary_run(project: Project) -> None:
    rounds = ["passed", "missed", "passed", "passed", "passed"]
    code, text, folder = concluded(project, captures_of("off", rounds) + captures_of("auto", rounds))
    assert code == 0
    records = read_record(folder / f"{RUN}_alpha_noise.json", NoiseStudy).records
    assert [record.variant for record in records] == ["off", "auto"]
    ordinary = load_settings(project.root, {}, {"system": "embedded", "scale": "1"})
    inputs = provenance.fingerprint(ordinary, [project.loaded["alpha"]])
    auto = records[1].facts
    assert auto["scenario"] == inputs["scenario:alpha"]
    assert {name: auto[name] for name in inputs if name in auto} == {n: v for n, v in inputs.items() if n in auto}
    assert {"machine", "driver", "scale", "duration_s", "connections", "stored", "system settings"} <= set(auto)
    cache_dir = Path(project.settings.cache_dir)
    kept, _ = read_noises(cache_dir)
    assert {record.key for record in kept} == {record.key for record in records}
    assert leftovers.in_cache(cache_dir) == [], "cleaning spares a finished measurement"
    assert "isolation = off, 5 measurements" in text
    assert (folder / f"{RUN}_alpha_noise.log").read_text() == text.removeprefix("\n")


def test_a_variant_that_lacks_the_deciding_figure_is_told_and_replaces_no_older_study(project: Project) -> None:
    rounds = ["passed"] * 5
    captures = captures_of("off", rounds) + captures_of("auto", rounds)
    assert captures[-1].result is not None
    lacking = msgspec.structs.replace(captures[-1].result, p99_latency_ms=0.0)
    poorer = [*captures[:-1], msgspec.structs.replace(captures[-1], result=lacking)]
    code, text, folder = concluded(project, poorer)
    assert code == 2
    kept, _ = read_noises(Path(project.settings.cache_dir))
    assert [record.variant for record in kept] == ["off"]
    line = "isolation = auto: not every measurement has the figure P99, by which comparisons are judged: nothing"
    assert line in text
    assert line in (folder / f"{RUN}_alpha_noise.log").read_text()
    records = read_record(folder / f"{RUN}_alpha_noise.json", NoiseStudy).records
    assert [record.of("p99_latency_ms") is None for record in records] == [False, True]


def test_a_variant_with_too_few_valid_measurements_is_not_kept_and_named(project: Project) -> None:
    good, poor = ["passed"] * 5, ["passed", "invalid", "passed", "passed", "passed"]
    code, text, folder = concluded(project, captures_of("off", good) + captures_of("auto", poor))
    assert code == 2
    assert [record.variant for record in read_record(folder / f"{RUN}_alpha_noise.json", NoiseStudy).records] == ["off"]
    assert "isolation = auto: only 4 of 5 measurements are valid, and a study takes at least 5: nothing is kept" in text
    assert "quieter" not in text
