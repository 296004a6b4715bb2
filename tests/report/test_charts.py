"""What the charts show: the measured curve at its own scale, and only what belongs to the measurement."""

from __future__ import annotations

import re

import pytest

from compbench.model.result import TimeSeries
from compbench.model.sample import Sample
from compbench.report import scenario_charts
from compbench.report.charts import drawing, latency

CURVE = {"response time": [(0.0, 1.0), (50.0, 3.0), (90.0, 5.0), (99.0, 8.0), (99.9, 9.0)]}


@pytest.mark.parametrize(
    ("target_ms", "highest_ms", "label"),
    [(100.0, 9, "target: P99 100 ms, above this chart"), (10.0, 10, "target: P99 10 ms<"), (2.0, 9, "P99 2 ms<")],
)
def test_a_distant_target_is_named_and_leaves_the_curve_its_height(
    target_ms: float, highest_ms: float, label: str
) -> None:
    spec = latency.percentile_curve(CURVE, target_ms)
    assert spec is not None
    svg = drawing.draw_svg(spec)
    assert label in svg
    (axis,) = re.findall(r"Y-axis titled 'ms' for a linear scale with values from 0 to ([\d,.]+)", svg)
    assert float(axis.replace(",", "")) == highest_ms


def test_what_comes_in_after_the_last_request_is_no_plunge_of_the_throughput() -> None:
    series = TimeSeries(interval_s=1, offered=[50, 50, 50, 0], completed=[50, 50, 50, 2], errors=[0] * 4)
    spec = scenario_charts._throughput(series, 3)
    assert spec is not None
    rows = spec["data"]["values"]
    assert max(row["s"] for row in rows) == 3
    assert {row["value"] for row in rows if row["what"] == "completed"} == {50.0}


def test_a_warning_that_lasts_is_marked_where_it_begins() -> None:
    waits = [1.0, 30.0, 35.0, 1.0, 30.0]
    samples = [Sample(elapsed_s=float(n), io_wait_pct=wait) for n, wait in enumerate(waits)]
    assert scenario_charts.moments(samples) == [(1.0, "I/O wait"), (4.0, "I/O wait")]


def test_the_latency_over_time_has_late_answers_but_no_lag_after_the_last_request() -> None:
    series = TimeSeries(interval_s=1, response_p99_ms=[2, 2, 90], lag_p99_ms=[1, 1, 0.05])
    spec = scenario_charts._latency(series, 2)
    assert spec is not None
    rows = spec["data"]["values"]
    assert [row["s"] for row in rows if row["what"] == "P99"] == [1, 2, 3]
    assert [row["s"] for row in rows if row["what"] == "driver lag P99"] == [1, 2]


def test_a_logarithmic_axis_has_a_line_for_each_power_of_ten_alone() -> None:
    spec = latency.over_time({"P99": [(1, 0.2), (2, 150.0)]}, "ms", log=True)
    assert spec is not None
    svg = drawing.draw_svg(spec)
    _, _, axis = svg.partition("aria-label=\"Y-axis titled 'ms' for a log scale")
    labels = re.findall(r">([\d.,]+)</text>", axis.partition('class="mark-group role-')[0].partition("</g></g>")[0])
    assert labels == ["0.1", "1", "10", "100", "1,000"]
