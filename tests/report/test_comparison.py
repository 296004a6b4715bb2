"""Two runs side by side: which changes are called, and with which exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from compbench.cli import looking_back
from compbench.model.errors import UserError
from compbench.report.comparison import compare_runs
from compbench.report.past.history import Past
from tests.past_runs import QDRANT, add_run
from tests.rendering import render


def test_a_regression_ends_with_1_and_an_improvement_with_0(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first = add_run(tmp_path, 0, [10.0, 10.1, 9.9])
    second = add_run(tmp_path, 1, [11.2, 11.3, 11.1])
    code, text = run(looking_back.show_comparison)
    assert code == 1
    assert f"base {first}" in text
    assert text.partition("\n")[0].endswith("; of repeats, figures are means")
    assert "+12.0 %" in text
    assert f"regression: {QDRANT} (P99, ms)" in text
    code, text = run(looking_back.show_comparison, base=second, head=first)
    assert (code, "improvement" in text) == (0, True)


def test_noise_is_no_regression_and_single_runs_say_so(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    add_run(tmp_path, 0, [10.0])
    add_run(tmp_path, 1, [10.9])
    code, text = run(looking_back.show_comparison)
    assert code == 0
    assert "can't tell (less than 21 % can't be told (one run each" in text
    add_run(tmp_path, 2, [20.0])
    assert run(looking_back.show_comparison)[0] == 1


def test_a_scenario_that_fails_now_is_a_regression(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    first, second = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 1, [10.0], verdict="failed")
    code, text = run(looking_back.show_comparison, base=first, head=second)
    assert code == 1
    assert "no figure now: failed" in text


def test_published_figures_have_a_wider_limit(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    add_run(tmp_path, 0, [24.1])  # Qdrant's 22 ms and nearly a tenth
    assert run(looking_back.show_comparison, base="published")[0] == 0
    add_run(tmp_path, 1, [24.3])
    code, text = run(looking_back.show_comparison, base="published")
    assert code == 1
    assert "another machine" in text
    add_run(tmp_path, 2, [0.1], system="embedded", scale=0.001)
    code, text = run(looking_back.show_comparison, base="published")
    assert code == 2, "nothing could be compared"
    assert "not comparable (compbench's embedded server, 1,000 of 1,000,000 memories loaded" in text
    assert "improvement" not in text


def test_a_name_that_is_no_run_is_refused_with_the_newest(tmp_path: Path, run: Callable[..., tuple[int, str]]) -> None:
    good = add_run(tmp_path, 0, [10.0])
    with pytest.raises(UserError, match=good):
        run(looking_back.show_comparison, base="2020-01-01_00-00-00")


@pytest.mark.process
def test_the_report_says_what_changed_since_the_run_before(tmp_path: Path) -> None:
    first, second = add_run(tmp_path, 0, [10.0, 10.1, 9.9]), add_run(tmp_path, 1, [12.0, 12.1, 11.9])
    render(tmp_path / second)
    page = (tmp_path / second / f"{second}_report.html").read_text()
    assert f"since run {first} regression: {QDRANT} (P99, ms)" in page
    assert "Repeats are shown by their mean here, by the median one in the other tables." in page
    assert "median of 3</span>" in page
    assert "+20.0 %" in page
    render(tmp_path / first)
    assert "Since run" not in (tmp_path / first / f"{first}_report.html").read_text()


def past(run: str, **figures: float) -> Past:
    values = {QDRANT: {name: [value] for name, value in figures.items()}}
    return Past(run, 0.0, {}, "", False, "", values, {QDRANT: "passed"})


def test_a_figure_that_falls_to_nothing_is_judged_in_its_own_unit() -> None:
    base, head = past("a", capacity_ops_s=900.0), past("b", capacity_ops_s=0.0)
    (row,) = compare_runs(base, head, []).rows
    assert (row.verdict, row.remark) == ("regression", "-900.00 ops/s")
    (row,) = compare_runs(head, base, []).rows
    assert (row.verdict, row.delta_pct) == ("improvement", None)
    (row,) = compare_runs(head, head, []).rows
    assert row.verdict == "same"


def test_a_run_of_nothing_says_nothing_of_the_noise() -> None:
    known = [past(f"{n:02}", throughput_ops_s=0.0 if n == 3 else 100.0 + n) for n in range(12)]
    (row,) = compare_runs(known[-2], known[-1], known).rows
    assert row.verdict == "same"
