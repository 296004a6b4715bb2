"""Recall against speed over the ladder of efforts, of a server that compares more vectors the higher its effort is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from compbench.model import efforts
from compbench.model.result import FrontierPoint
from compbench.model.scenario import Constant, Operations, Validation
from tests.flat import flat_server
from tests.load import MIXED, graph_scenario, scenario

LIMITS = "expected_p99_latency_ms = 5000.0\nexpected_recall = 0.95"
STEP = ("--step-duration", "1", "--connections", "8")


def point(effort: int, recall: float | None) -> FrontierPoint:
    return FrontierPoint(effort=effort, recall=recall, offered_ops_s=1, achieved_ops_s=1, p50_ms=1, p99_ms=1)


def test_the_least_effort_that_reaches_a_recall_is_chosen_and_none_if_none_does() -> None:
    points = [point(16, 0.8), point(24, 0.951), point(32, 0.949), point(48, 0.97), point(64, None)]
    assert efforts.least_effort(points, 0.95) == 24
    assert efforts.least_effort(points, 0.96) == 48
    assert efforts.least_effort(points, 0.99) is None
    assert efforts.best_effort(points) == 48
    assert efforts.best_effort([point(24, 0.9), point(16, 0.9)]) == 16
    assert efforts.best_effort([point(16, None)]) is None


def test_the_ladder_is_the_same_for_all_and_no_step_is_more_than_half_as_much_again() -> None:
    assert efforts.LADDER[0] == 16
    assert efforts.LADDER[-1] == 1024
    assert all(low < high <= 1.5 * low for low, high in pairwise(efforts.LADDER))


def test_only_the_searches_are_left_of_a_scenario_with_their_own_limits_and_rate() -> None:
    made = efforts.searches_of(scenario(MIXED))
    assert made.operations == Operations(store_weight=0, recall_weight=1, embedding_search_weight=1)
    assert made.arrival == scenario(MIXED).arrival
    assert efforts.searches_of(graph_scenario()).graph is None
    assert not efforts.has_vector_searches(scenario(Operations(1, 0, 0)))


def test_a_step_is_long_enough_for_a_sharp_recall_whatever_the_system() -> None:
    assert efforts.step_length_s(scenario(arrival=Constant(rate=1000)), 5) == 5
    assert efforts.step_length_s(scenario(arrival=Constant(rate=100)), 2) == 5
    assert efforts.step_length_s(scenario(arrival=Constant(rate=1)), 2) == efforts.LONGEST_STEP_S
    assert efforts.goal_of(scenario()) == efforts.DEFAULT_GOAL
    assert efforts.goal_of(scenario(validation=Validation(expected_recall=0.9))) == 0.9


def test_the_ladder_is_climbed_until_the_highest_recall_is_reached(tmp_path: Path) -> None:
    with flat_server(tmp_path, 500, LIMITS) as flat:
        done = flat.ask("frontier", *STEP, "--knob", "share", "--recalls", "0.9,0.95", "--no-capacity")
        assert done.returncode == 0, done.stderr
        found = flat.report("frontier")
    points = found["points"]
    tried = [one["effort"] for one in points]
    assert tried == list(efforts.LADDER[: len(tried)])
    assert len(tried) < len(efforts.LADDER), "recall 0.95 takes no more than 48"
    assert points[-1]["recall"] >= 0.95 > points[-2]["recall"]
    assert points[0]["recall"] < 0.95, "with small limits it compares three quarters of the rows"
    assert all(one["checked"] > 400 for one in points)
    assert (found["knob"], found["goal"], found["chosen"], found["best"]) == ("share", 0.95, tried[-1], tried[-1])
    assert [(one["recall"], one["capacity"]) for one in found["capacities"]] == [(0.9, None), (0.95, None)]
    assert found["capacities"][1]["effort"] == tried[-1]
    assert f"nothing above {tried[-1]} was tried" in found["note"]
    assert "95 % confidence" in found["note"]


def test_a_ladder_ends_where_the_system_takes_no_more_effort_and_keeps_what_was_found(tmp_path: Path) -> None:
    with flat_server(tmp_path, 500, LIMITS) as flat:
        done = flat.ask("frontier", *STEP, "--knob", "share", "--recalls", "1.0", "--no-capacity", most_effort=24)
        assert done.returncode == 0, done.stderr
        assert "the ladder ends before it: the flat server takes an effort of 24 at most" in done.stdout
        assert [one["effort"] for one in flat.report("frontier")["points"]] == [16, 24]


@pytest.mark.slow
def test_recalls_of_one_effort_share_the_search_for_their_capacity(tmp_path: Path) -> None:
    quick = ("--capacity-step-duration", "1", "--capacity-repeats", "1", "--precision", "90")
    with flat_server(tmp_path, 500, LIMITS.replace("0.95", "0.5")) as flat:
        done = flat.ask("frontier", *STEP, "--knob", "share", "--recalls", "0.3,0.6", *quick)
        found = flat.report("frontier")
    assert done.stdout.count("Capacity at effort 16") == 1, done.stdout + done.stderr
    assert [one["effort"] for one in found["capacities"]] == [16, 16]
    assert found["capacities"][0]["capacity"] == found["capacities"][1]["capacity"]
    assert found["capacities"][0]["capacity"]["p99_limit_ms"] == 5000
    assert found["capacities"][0]["capacity"]["curve"]


def test_a_system_without_a_knob_has_one_point_and_one_out_of_reach_has_no_effort(tmp_path: Path) -> None:
    with flat_server(tmp_path, 500, LIMITS) as flat:
        assert flat.ask("frontier", *STEP, "--no-capacity").returncode == 0
        whole = flat.report("frontier")
        assert flat.ask("frontier", *STEP, "--no-capacity", effort=16).returncode == 0
        poor = flat.report("frontier")
    assert [one["effort"] for one in whole["points"]] == [0]
    assert (whole["knob"], whole["chosen"], whole["best"]) == ("", 0, 0)
    assert (poor["chosen"], poor["best"]) == (None, 0)
    assert "no effort reaches recall 0.95" in poor["note"]


def test_a_scenario_without_searches_and_a_server_without_data_are_one_line(tmp_path: Path) -> None:
    with flat_server(tmp_path, 500, LIMITS, Operations(1, 0, 0)) as flat:
        stores = flat.ask("frontier", *STEP, "--no-capacity")
    assert stores.returncode == 1
    assert "searches for no vectors" in stores.stderr
    assert stores.stderr.count("\n") == 1
