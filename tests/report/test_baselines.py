"""Measured figures beside published ones: which are compared, how they stand, and which are only shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compbench.model.result import Capacity, TriedRate
from compbench.report import baselines, capacities
from compbench.systems import discovery
from tests import synthetic
from tests.project import ROOT
from tests.rendering import SCENARIOS, records_of, render, text_of, write_pages
from tests.synthetic import NAMES, Recipe, RunRecipe

# Nearly every test renders a page, whose charts take seconds.
pytestmark = pytest.mark.process


def test_deltas_and_verdicts_have_the_published_bounds() -> None:
    published = baselines.load_baselines(SCENARIOS.parent / "baselines.toml")
    capture, _ = synthetic.make_capture("2026-01-05_12-00-00", Recipe(NAMES[0], duration_s=2), RunRecipe())
    seen = {}
    for p99_ms in (19.7, 19.9, 22.0, 24.1, 24.3):  # Qdrant's is 22
        assert capture.result
        result = msgspec.structs.replace(capture.result, p99_latency_ms=p99_ms)
        (found,) = baselines.compare([msgspec.structs.replace(capture, result=result)], published)
        assert found.delta_pct == pytest.approx(100 * (p99_ms / 22 - 1))
        seen[p99_ms] = found.status
    assert list(seen.values()) == ["BETTER", "COMPARABLE", "COMPARABLE", "COMPARABLE", "WORSE"]


def test_another_task_is_never_boasted_of(tmp_path: Path) -> None:
    recipe = RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)], system="embedded", scale=0.001)
    folder = synthetic.make_run(tmp_path, recipe)
    render(folder)
    text = text_of(folder, "report.html")
    why = "not comparable: compbench's embedded server, 1,000 of 1,000,000 memories loaded"
    assert why.replace("'", "&#39;") in text
    assert "published from other machines" not in text.partition('class="sentence"')[2].partition("</p>")[0]
    assert 'class="stand' not in text, "no colour"
    write_pages(folder)
    markdown, words = text_of(folder, "report.md"), text_of(folder, "summary.txt")
    for page_text in (text, markdown, words):
        assert not re.search(r"[+-]\d+(\.\d)? % (better|worse)", page_text)
    assert why in words
    assert "not comparable: compbench's embedded server" in markdown
    (found,) = json.loads((folder / "results.json").read_text())["comparisons"]
    assert (found["status"], found["delta_pct"], found["published_p99_ms"]) == ("NOT_COMPARABLE", None, 22.0)
    assert json.loads((folder / "results.json").read_text())["priorities"] == []


def test_one_figure_is_told_alike_by_every_page(tmp_path: Path) -> None:
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2, median_ms=0.02)]))
    render(folder)
    write_pages(folder)
    pages_text = [text_of(folder, name) for name in ("report.html", "report.md", "summary.txt")]
    told = {match[0] for text in pages_text if (match := re.search(r"-9\d\.\d % better", text))}
    assert len(told) == 1
    assert all(next(iter(told)) in text for text in pages_text)


def test_priorities_begin_with_the_largest_gap() -> None:
    made = [
        baselines.Comparison(scenario="near", status="NO_BASELINE", measured_p99_ms=11.0),
        baselines.Comparison(
            scenario="far", status="WORSE", measured_p99_ms=40.0, system="S", published_p99_ms=10.0, delta_pct=300.0
        ),
        baselines.Comparison(scenario="fine", status="NO_BASELINE", measured_p99_ms=1.0),
    ]
    found = baselines.priorities(made, {"near": 10.0, "fine": 10.0})
    assert [(gap.scenario, gap.against, gap.gap_ms) for gap in found] == [
        ("far", "S", 30.0),
        ("near", "its target", 1.0),
    ]
    assert found[0].gap_pct == pytest.approx(75)


@pytest.mark.parametrize(
    ("found_ops_s", "facts", "stands"),
    [
        (650.0, {}, "comparable"),
        (700.0, {}, "+11.8 % better"),
        (500.0, {}, "-20.1 % worse"),
        (500.0, {"bound": "driver"}, "not comparable: the driver's limit: the server may bear more"),
        (700.0, {"bound": "driver"}, "+11.8 % better"),
        (9000.0, {"scale": 0.01}, "not comparable: 10,000 of 1,000,000 memories loaded"),
        (9000.0, {"system": "embedded"}, "not comparable: compbench's embedded server"),
    ],
)
def test_a_capacity_stands_beside_published_throughput_where_both_can_be_compared(
    tmp_path: Path, found_ops_s: float, facts: dict[str, Any], stands: str
) -> None:
    bound = facts.pop("bound", "target")
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)], **facts))
    _, (capture,) = records_of(folder)
    found = Capacity(
        low_ops_s=found_ops_s,
        high_ops_s=None,
        bound=bound,
        p99_limit_ms=20,
        max_error_rate=0.0,
        precision_pct=5,
        curve=[],
    )
    published = baselines.load_baselines(SCENARIOS.parent / "baselines.toml")
    (row,) = capacities.beside_published(capture, found, published)
    assert (row.published, row.stands) == ("Qdrant 1.7+ 626 ops/s", stands)


SYSTEMS = ROOT / "tests" / "stand_ins" / "systems"


@pytest.fixture
def further_systems() -> Iterator[None]:
    """Make the systems of the tests known to this process for the time of a test."""
    discovery.look_into(SYSTEMS)
    yield
    discovery.look_into(None)


@pytest.mark.usefixtures("further_systems")
@pytest.mark.parametrize(("system", "title"), [("flat", ""), ("toy", "the toy server")])
def test_a_system_says_by_one_declaration_that_its_figures_are_not_compared(
    tmp_path: Path, system: str, title: str
) -> None:
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)], system=system))
    write_pages(folder)
    render(folder, systems_dir=SYSTEMS)
    told = [text_of(folder, name) for name in ("report.html", "report.md", "summary.txt")]
    (found,) = json.loads((folder / "results.json").read_text())["comparisons"]
    if title:
        assert all(f"These are figures of {title}: they are of a toy." in text for text in told)
        assert all(f"not comparable: {title}" in text for text in told)
        assert "these are figures of the toy server: they are of a toy" in told[0], "among what could make them wrong"
        assert found["status"] == "NOT_COMPARABLE"
    else:
        assert not any("These are figures of" in text or "not comparable:" in text for text in told)
        assert found["status"] == "BETTER"


def test_a_run_whose_system_has_gone_is_shown_and_not_compared(tmp_path: Path) -> None:
    folder = synthetic.make_run(tmp_path, RunRecipe(captures=[Recipe(NAMES[0], duration_s=2)], system="gone"))
    write_pages(folder)
    render(folder)
    for name in ("report.html", "report.md", "summary.txt"):
        assert "These are figures of gone: its folder is not here any more" in text_of(folder, name)
        assert "not comparable: gone" in text_of(folder, name)


def test_a_search_that_sustained_nothing_says_at_which_rate() -> None:
    tried = [
        TriedRate(rate_ops_s=rate, achieved_ops_s=rate, p99_ms=90.0, error_rate=0.0, sustained=False)
        for rate in (100.0, 12.5)
    ]
    found = Capacity(
        low_ops_s=0.0,
        high_ops_s=12.5,
        bound="none",
        p99_limit_ms=20,
        max_error_rate=0.0,
        precision_pct=5,
        curve=tried,
    )
    assert capacities.describe_capacity(found) == "no capacity: P99 under 20 ms was not sustained even at 12.5 ops/s"
