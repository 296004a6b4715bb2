"""What the selected tasks ask for, and in which order doit has to go through them."""

from __future__ import annotations

import pytest

from compbench.cli.selection import asks_for_rivals, in_order, run_kind_asked_for, selection_of
from compbench.model.errors import UserError
from compbench.model.measurement import measurement_named, schedule

ONCE, TWICE = schedule(["a", "b"], 1, 0), schedule(["a", "b"], 2, 0)


@pytest.mark.parametrize(
    ("tasks", "measurements", "capacities", "concerned"),
    [
        (["run:b", "run:a"], ("b", "a"), (), ("b", "a")),
        (["capacity:b", "run:a"], ("a",), ("b",), ("b", "a")),
        (["diagnostics:a", "run:a", "close"], ("a",), (), ("a",)),
        (["pages"], ("a", "b"), (), ()),
        (["preflight:disk", "gate"], (), (), ()),
        (["capacity"], (), (), ()),
    ],
)
def test_tasks_say_what_is_measured(
    tasks: list[str], measurements: tuple[str, ...], capacities: tuple[str, ...], concerned: tuple[str, ...]
) -> None:
    found = selection_of(tasks, ONCE)
    assert (found.measurements, found.capacities, found.concerned) == (measurements, capacities, concerned)
    assert found.is_preflight is (tasks[0] == "preflight:disk")


def test_everything_that_is_asked_for_has_to_pass() -> None:
    assert selection_of(["capacity:b", "run:a"], ONCE).wanted == ["a", "b_capacity"]


def test_the_end_comes_last_and_only_after_measuring() -> None:
    assert in_order(["close", "run:a", "capacity:b"], ONCE) == ["run:a", "_round:1", "capacity:b", "close"]
    assert in_order(["_round:1", "run:a"], ONCE) == ["run:a", "_round:1", "close"]
    assert in_order(["capacity:b"], ONCE) == ["capacity:b"]
    assert in_order(["due"], ONCE) == ["due"]


def test_a_group_is_taken_one_by_one_since_doit_would_release_it_as_a_set() -> None:
    assert in_order(["pages"], ONCE) == ["pages:a", "pages:b", "_round:1", "close"]


def test_repeats_of_several_scenarios_go_round_by_round() -> None:
    ordered = in_order(["run:b", "run:a"], TWICE)
    pages = [task.removeprefix("pages:") for task in ordered if task.startswith("pages:")]
    assert pages == [measurement.name for measurement in TWICE]
    assert ordered[-3:] == ["run:b", "run:a", "close"]


def test_a_round_ends_behind_the_last_of_its_own_measurements() -> None:
    first, second = ([f"pages:{one.name}" for one in TWICE if one.repeat == number] for number in (1, 2))
    after_gate = [task for task in in_order(["run:b", "run:a"], TWICE) if task.startswith(("pages", "_round"))]
    assert after_gate == [*first, "_round:1", *second, "_round:2"]
    assert in_order(["pages:a_run2", "pages:a_run1"], TWICE)[:4] == [
        "pages:a_run2",
        "_round:2",
        "pages:a_run1",
        "_round:1",
    ]
    assert in_order(["run:a", "run:b", "run:a"], ONCE) == ["run:a", "run:b", "_round:1", "close"]
    assert selection_of(in_order(["run:a"], ONCE), ONCE).concerned == ("a",)


def test_a_comparison_is_asked_for_by_its_task_or_by_naming_rivals() -> None:
    assert asks_for_rivals(["versus:alpha"], {})
    assert asks_for_rivals(["plan"], {"rivals": "auto"})
    assert not asks_for_rivals(["run:alpha", "plan:x"][:1], {"port": "1"})
    with pytest.raises(UserError, match="plan: it shows what is asked for alone"):
        asks_for_rivals(["versus", "plan"], {})


def test_several_systems_go_through_a_scenario_in_turn_and_none_always_first() -> None:
    measurements = schedule(["alpha", "beta"], 2, 1, ["x", "y"])
    assert [m.system for m in measurements] == ["x", "y", "x", "y", "y", "x", "y", "x"]
    assert len({m.name for m in measurements}) == 8
    assert measurement_named(measurements[0].name) == measurements[0]
    assert [m.name for m in schedule(["alpha"], 1, 1, ["x", "y"])] == ["alpha@x", "alpha@y"]


def test_a_study_is_asked_for_alone() -> None:
    assert run_kind_asked_for(["duet:a", "duet:b"], {"base": "x"}) == "duet"
    assert run_kind_asked_for(["run:a"], {}) == run_kind_asked_for([], {"rivals": "auto"}) == "suite"
    with pytest.raises(UserError, match="duet: it is a run of its own, with settings of its own: name it without plan"):
        run_kind_asked_for(["duet", "plan"], {})
    with pytest.raises(UserError, match="noise: it is about one system: leave rivals= out"):
        run_kind_asked_for(["noise"], {"rivals": "auto"})


def test_a_study_goes_through_its_pairs_and_judges_them_before_the_run_ends() -> None:
    pairs = schedule(["b", "a"], 3, 1, ["base", "head"])
    ordered = in_order(["duet"], pairs)
    measured = [task.removeprefix("pages:") for task in ordered if task.startswith("pages:")]
    order = "a@base_run1 a@head_run1 a@head_run2 a@base_run2 a@base_run3 a@head_run3"
    assert measured == order.split(), "of the first scenario, and which build comes first alternates"
    assert ordered[-3:] == ["_round:3", "duet:a", "close"]
    assert [ordered.index(f"_round:{number}") for number in (1, 2)] == [
        ordered.index("pages:a@head_run1") + 1,
        ordered.index("pages:a@base_run2") + 1,
    ]
    found = selection_of(ordered, pairs)
    assert (found.is_study, found.concerned, len(found.measurements)) == (True, ("a",), 6)
