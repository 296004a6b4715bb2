"""What a request cost the machine, as pages, files and exports tell it; what is not known says why, and is never 0."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from compbench.model.costs import NAMES, cost_figures, shown
from compbench.model.records import Capture, DriverFacts, ServerFacts
from compbench.report.diagnostics import render_diagnostics, render_system
from compbench.report.machine_costs import cost_table_of, pressure_told
from tests.rendering import render, text_of, write_pages
from tests.synthetic import NAMES as SCENARIOS
from tests.synthetic import Recipe, RunRecipe, make_capture, make_run

RECIPE = Recipe(SCENARIOS[0], duration_s=10, rate_ops_s=200)


def capture_of(recipe: Recipe = RECIPE) -> Capture:
    return make_capture("2026-01-01_00-00-00", recipe, RunRecipe())[0]


def test_counts_become_figures_of_a_request_and_of_a_cycle() -> None:
    figures = cost_figures(capture_of())
    assert tuple(figures) == NAMES
    assert figures["server_instructions_per_request"] == pytest.approx(410_000)
    assert figures["server_instructions_per_cycle"] == pytest.approx(1.42)
    assert figures["server_context_switches_per_request"] == pytest.approx(0.9, rel=0.01)
    assert figures["server_involuntary_switches_pct"] == pytest.approx(20, rel=0.01)
    assert figures["server_page_faults_per_request"] == 0
    assert figures["driver_cycles_per_request"] is None
    assert set(cost_figures(capture_of(replace(RECIPE, costs=False))).values()) == {None}


def test_a_count_of_more_than_the_measured_time_is_of_no_more_requests_than_there_were() -> None:
    capture = capture_of()
    assert capture.server.costs
    long = msgspec.structs.replace(capture.server.costs, counted_s=12.0, page_faults=2000)
    late = msgspec.structs.replace(capture, server=msgspec.structs.replace(capture.server, costs=long))
    assert cost_figures(late)["server_page_faults_per_request"] == pytest.approx(1.0)


def test_the_section_has_each_figure_or_says_that_it_is_not_readable_and_why() -> None:
    table = cost_table_of(capture_of())
    assert table
    rows = dict(table.rows)
    assert rows["instructions a request"] == ["410k", "not readable here"]
    assert rows["instructions a cycle"] == ["1.42", "not readable here"]
    assert rows["context switches a request"] == ["0.9", "2"]
    assert rows["page faults a request"] == ["0", "not readable here"]
    notes = "\n".join(table.notes)
    assert "driver: instructions a request, cycles a request, instructions a cycle: not readable here: perf is" in notes
    assert "driver: page faults a request: not readable here: not told" in notes
    assert "server: counted for 9.5 s by perf stat" in notes
    assert "2 threads that ended" in notes
    assert table.pressure.startswith("CPU 12.5 % of the time (peak 12.5 %), memory 0.0 %")


def test_an_older_record_a_search_for_a_capacity_and_a_load_without_answers_claim_nothing() -> None:
    older = cost_table_of(capture_of(replace(RECIPE, costs=False)))
    assert older
    assert (older.rows, older.notes) == ([], ["what server and driver cost the machine was not recorded"])
    assert cost_table_of(msgspec.structs.replace(capture_of(), is_capacity=True)) is None
    silent = cost_table_of(msgspec.structs.replace(capture_of(), result=None))
    assert silent
    assert "no request was answered" in "".join(silent.notes)
    assert silent.rows[0] == ("instructions a request", ["not readable here"] * 2)
    assert "not readable here" in pressure_told([])


def test_pages_files_and_results_tell_it(tmp_path: Path) -> None:
    folder = make_run(tmp_path, RunRecipe(captures=[RECIPE]))
    write_pages(folder)
    scenario = json.loads((folder / "results.json").read_text())["scenarios"][0]
    assert scenario["metrics"]["server_instructions_per_request"] == pytest.approx(410_000)
    assert scenario["metrics"]["driver_instructions_per_request"] is None
    assert scenario["driver_process"]["costs"]["why_not"]["cycles"] == "perf is not installed"
    assert scenario["monitoring"]["pressure_pct"]["cpu_some"] == pytest.approx(12.5)
    render(folder)
    page, markdown = text_of(folder, "report.html"), text_of(folder, "report.md")
    assert "What it cost the machine" in page
    assert '<td>instructions a request</td><td class="n">410k</td><td class="n">not readable here</td>' in page
    assert "| instructions a request | 410k | not readable here |" in markdown
    assert "perf is not installed" in page
    assert "perf is not installed" in markdown


def test_diagnostics_have_the_counts_and_samples_the_pressure() -> None:
    text = render_diagnostics(capture_of())
    assert f"\nInstructions: {round(410_000 * 200 * 9.5)}\n" in text
    assert "\nCycles: not readable here (perf is not installed)\n" in text
    bare = msgspec.structs.replace(capture_of(), server=ServerFacts(), driver_process=DriverFacts())
    assert render_diagnostics(bare).count("Counted: not recorded") == 2
    assert "CPU pressure (%)" in render_system(capture_of())


@pytest.mark.parametrize(
    ("value", "text"),
    [(410_000, "410k"), (23_456_789, "23.5M"), (2.3e9, "2,300M"), (1234, "1,234"), (0.9, "0.9"), (0, "0")],
)
def test_a_figure_reads_in_three_digits(value: float, text: str) -> None:
    assert shown(value) == text
    assert shown(0.0001) == "< 0.001"
