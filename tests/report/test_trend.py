"""All runs over time: which changes last, which runs a line joins, and what the page says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from compbench.cli import looking_back
from compbench.model import file_names
from compbench.model.metrics import ERRORS, P99
from compbench.report import trend
from compbench.report.past import comparable, history
from compbench.report.past.history import Past
from tests.browser import CHROMIUM, look_at
from tests.past_runs import QDRANT, add_run


def steps(count: int, shift_at: int, factor: float, noise_pct: float = 2.0) -> list[float]:
    chance = random.Random(11)
    return [10 * (factor if n >= shift_at else 1) * chance.gauss(1, noise_pct / 100) for n in range(count)]


def test_a_lasting_change_is_found_where_it_begins() -> None:
    assert trend.find_shifts(steps(30, 17, 1.15), 5.0) == [17]


def test_below_ten_points_no_change_is_claimed() -> None:
    assert trend.find_shifts(steps(9, 5, 2.0), 5.0) == []
    assert trend.find_shifts(steps(10, 5, 2.0), 5.0) == [5]


def test_noise_a_single_spike_and_a_small_step_are_no_change() -> None:
    for seed in range(40):
        chance = random.Random(seed)
        assert trend.find_shifts([10 * chance.gauss(1, 0.04) for _ in range(60)], 5.0) == [], seed
    spiked = steps(30, 99, 1)
    spiked[12] *= 3
    assert trend.find_shifts(spiked, 5.0) == []
    assert trend.find_shifts(steps(60, 30, 1.03, 0.5), 5.0) == [], "three per cent are of no interest"


def test_the_trend_joins_only_runs_that_are_comparable(tmp_path: Path) -> None:
    for number, duration_s in enumerate(("10", "5", "10")):
        path = tmp_path / add_run(tmp_path, number, [10.0]) / "results.json"
        results = json.loads(path.read_text())
        results["fingerprint"]["duration_s"] = duration_s
        path.write_text(json.dumps(results))
    panel = trend.panels_of(history.read_history(tmp_path)[0])[0]
    series = [row["series"] for row in panel.spec["data"]["values"]]
    assert series[0] == series[2] != series[1]
    assert [name.rpartition(", ")[2] for name in series] == ["duration_s 10", "duration_s 5", "duration_s 10"]
    assert "2 comparable runs" in panel.remark


def test_another_effort_of_searches_begins_another_series_and_is_no_change(tmp_path: Path) -> None:
    add_run(tmp_path, 0, [10.0])
    one = history.read_history(tmp_path)[0][0]
    found = [
        replace(one, run=f"{number:02}", opened_at=number * 86_400.0, values={QDRANT: {P99.name: [value]}})
        for number, value in enumerate(steps(24, 12, 2.0))
    ]
    (panel,) = trend.panels_of(found)
    assert len(panel.shifts) == 1
    found = [replace(past, efforts={QDRANT: "40" if int(past.run) < 12 else "80"}) for past in found]
    (panel,) = trend.panels_of(found)
    assert panel.shifts == []
    series = [row["series"] for row in panel.spec["data"]["values"]]
    assert all(name.startswith("effort 40, ") for name in series[:12])
    assert all(name.startswith("effort 80, ") for name in series[12:])
    assert len(comparable.earlier_values(found, found[-1], QDRANT, P99.name)) == 11


def test_the_trend_page_names_commit_machine_and_what_was_skipped(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    for number, value in enumerate(steps(12, 6, 1.5)):
        add_run(tmp_path, number, [value])
    add_run(tmp_path, 12, [9.0], machine="b" * 32)
    (tmp_path / "notes").mkdir()
    code, text = run(looking_back.show_trend)
    assert code == 0
    assert "notes: skipped" in text
    page = (tmp_path / file_names.TREND).read_text()
    assert f"{7:040x}"[:12] in page
    assert "another machine" in page
    assert "too little history" not in page.partition("P99, ms")[2].partition("</figure>")[0]
    assert "notes: skipped" in page
    if CHROMIUM is not None:
        for width in (1280, 390):
            seen = look_at(tmp_path / file_names.TREND, width, tmp_path / f"profile{width}")
            assert min(seen.marks) > 2
            assert (seen.overflow_px <= 0, seen.errors) == (True, [])
            assert {url.partition(":")[0] for url in seen.urls} <= {"file", "data"}


def test_a_share_of_errors_that_hardly_differs_is_no_lasting_change() -> None:
    few, more = ([value / 1000 for value in steps(20, 10, factor)] for factor in (3.0, 900.0))
    assert trend.find_shifts(few, ERRORS.least_effect_pct) == [10], "in relation to nearly nothing, all is large"
    found = [trend.shifts_of([past(value) for value in values], QDRANT, ERRORS) for values in (few, more)]
    assert [[shift.worse for shift in shifts] for shifts in found] == [[], [True]]


def past(error_rate_pct: float) -> Past:
    values = {QDRANT: {ERRORS.name: [error_rate_pct]}}
    return Past("2026-01-01_00-00-00", 0.0, {}, "", False, "", values, {QDRANT: "passed"})
