"""Which study a comparison of single runs takes, and what it says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from compbench.cli import looking_back
from compbench.model.metrics import P99
from compbench.model.noise import NoiseRecord
from compbench.report import known_noise
from compbench.report.noise_study import figure_noise
from compbench.report.past import comparable, history
from compbench.report.past.history import Past
from compbench.report.statistics import KnownNoise, judge_change
from compbench.store.noise_records import read_noises, write_noise
from tests.past_runs import DAY_S, QDRANT, add_run

QUIET = [10.0 * (1 + 0.004 * (-1) ** number) for number in range(10)]


def study_of(past: Past, **changes: object) -> NoiseRecord:
    """Return the record of a study with everything in common with a run, made a day before it."""
    record = NoiseRecord(
        run="2026-01-01_00-00-00",
        scenario=QDRANT,
        variant="auto",
        measured_at=past.opened_at - DAY_S,
        facts=comparable.noise_facts(past, QDRANT),
        told={"kernel": past.kernel, "compbench": "0.1.0"},
        figures=[figure_noise(P99.name, QUIET)],
    )
    return msgspec.structs.replace(record, **changes)


@pytest.fixture
def past(tmp_path: Path) -> Past:
    add_run(tmp_path, 0, [10.0])
    return replace(history.read_history(tmp_path)[0][0], kernel="6.8.0")


def test_a_study_of_the_same_machine_and_settings_fits_and_no_other(past: Past) -> None:
    found = known_noise.known_noise([study_of(past)], past, QDRANT, P99.name)
    assert found is not None
    assert found.count == 10
    assert found.basis == "noise of this machine, measured 2026-01-04, n = 10, 0.4 %"
    assert known_noise.known_noise([study_of(past)], past, QDRANT, "throughput_ops_s") is None
    for name in ("machine", "duration_s", "scale", "scenario", "stored", "connections"):
        other = {**comparable.noise_facts(past, QDRANT), name: "another"}
        assert known_noise.known_noise([study_of(past, facts=other)], past, QDRANT, P99.name) is None, name
    searched = replace(past, efforts={QDRANT: "64"})
    assert known_noise.known_noise([study_of(past)], searched, QDRANT, P99.name) is None
    assert known_noise.known_noise([study_of(searched)], searched, QDRANT, P99.name) is not None


def test_a_study_of_one_system_tells_the_noise_of_that_system_among_others(past: Past) -> None:
    name = f"{QDRANT}@engram"
    stored = past.fingerprint[f"stored:{QDRANT}"]
    several = replace(
        past,
        systems=["engram", "other"],
        fingerprint={**past.fingerprint, "system": "engram,other", f"stored:{name}": stored},
    )
    assert comparable.noise_facts(several, name) == comparable.noise_facts(past, QDRANT)


def test_the_newest_study_counts_and_what_may_have_changed_since_is_told(past: Past) -> None:
    old = study_of(past, measured_at=past.opened_at - 200 * DAY_S, figures=[figure_noise(P99.name, [1.0, 2.0])])
    found = known_noise.known_noise([study_of(past), old], past, QDRANT, P99.name)
    assert found is not None
    assert found.count == 10
    told = {"kernel": "6.1.0", "compbench": "0.0.9"}
    found = known_noise.known_noise([study_of(past, measured_at=old.measured_at, told=told)], past, QDRANT, P99.name)
    assert found is not None
    assert "; 200 days apart" in found.basis
    assert found.basis.endswith("; then kernel 6.1.0, now 6.8.0; then compbench 0.0.9, now 0.1.0")


def test_measured_noise_tells_what_assumed_noise_does_not() -> None:
    calm = KnownNoise(0.01, 10, "measured")
    change = judge_change([10.0], [11.0], least_effect_pct=5, noise=calm)
    assert change.changed
    assert change.basis == "measured"
    loud = KnownNoise(0.06, 10, "measured")
    assert not judge_change([10.0], [13.0], least_effect_pct=5, noise=loud).changed
    assert judge_change([10.0], [13.0], least_effect_pct=5).changed, "assumed to be less than it is"
    # t(0.9975; 9) = 3.690, the study's deviation, two single runs, and the share of each run
    assert change.least_pct == pytest.approx(
        100 * (2.718281828 ** (3.690 * 0.01 * (2 + 2 * 0.4**2) ** 0.5) - 1), rel=1e-3
    )


def test_earlier_runs_and_repeats_go_before_a_study() -> None:
    loud = KnownNoise(0.2, 10, "measured")
    quiet = [10.0 * (1 + 0.002 * (-1) ** number) for number in range(10)]
    assert "earlier runs" in judge_change([10.0], [11.0], least_effect_pct=5, history=quiet, noise=loud).basis
    assert "repeats" in judge_change([10.0, 10.1], [11.0, 11.1], least_effect_pct=5, noise=loud).basis


def test_a_comparison_takes_what_is_kept_and_says_so(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    output, cache = tmp_path / "runs", tmp_path / "cache"
    add_run(output, 0, [10.0])
    add_run(output, 1, [11.0])
    words = {"output_dir": str(output), "cache_dir": str(cache)}
    code, text = run(looking_back.show_comparison, **words)
    assert code == 0
    assert "noise assumed to be 5 %" in text
    path = write_noise(cache, study_of(history.read_history(output)[0][0]))
    code, text = run(looking_back.show_comparison, **words)
    assert code == 1
    assert "regression (noise of this machine, measured 2026-01-04, n = 10, 0.4 %)" in text
    path.write_text("{")
    code, text = run(looking_back.show_comparison, **words)
    assert code == 0
    assert f"note: {path}: no record of noise" in text


def test_a_later_study_of_the_same_takes_the_place_of_the_earlier_one(tmp_path: Path, past: Past) -> None:
    first = write_noise(tmp_path, study_of(past))
    assert write_noise(tmp_path, study_of(past, run="later")) == first
    other = write_noise(tmp_path, study_of(past, facts={"machine": "b"}))
    assert other != first
    records, skipped = read_noises(tmp_path)
    assert sorted(record.run for record in records) == ["2026-01-01_00-00-00", "later"]
    assert skipped == []
    first.write_bytes(msgspec.json.encode(study_of(past, schema=99)))
    assert "of schema 99" in read_noises(tmp_path)[1][0]
