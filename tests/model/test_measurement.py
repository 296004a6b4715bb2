"""Which measurements a run consists of, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest

from compbench.model.measurement import Measurement, measurement_named, of_scenarios, schedule

NAMES = ["alpha", "beta", "gamma"]


def test_without_repeats_each_scenario_stands_once_under_its_own_name() -> None:
    assert [m.name for m in schedule(NAMES, 1, 7)] == NAMES


@pytest.mark.parametrize("seed", range(6))
def test_every_round_has_each_scenario_once_and_begins_one_later_than_the_last(seed: int) -> None:
    order = schedule(NAMES, 3, seed)
    rounds = [order[start : start + 3] for start in (0, 3, 6)]
    for number, chosen in enumerate(rounds, 1):
        assert {m.scenario for m in chosen} == set(NAMES)
        assert {m.repeat for m in chosen} == {number}
    assert Counter(chosen[0].scenario for chosen in rounds) == Counter(NAMES)


def test_the_seed_alone_decides_the_order() -> None:
    assert schedule(NAMES, 4, 3) == schedule(NAMES, 4, 3)
    assert len({schedule(NAMES, 2, seed)[0] for seed in range(20)}) == len(NAMES)


@pytest.mark.parametrize(
    "measurement",
    [
        Measurement("a"),
        Measurement("a_b", 12),
        Measurement("run_1x", 3),
        Measurement("a", kind="capacity"),
        Measurement("a", 2, system="qdrant"),
        Measurement("a", kind="capacity", system="pgvector"),
    ],
)
def test_a_name_tells_its_measurement(measurement: Measurement) -> None:
    assert measurement_named(measurement.name) == measurement


def test_the_measurements_of_chosen_scenarios_keep_the_order_of_the_run() -> None:
    order = schedule(NAMES, 2, 1)
    assert of_scenarios(order, ["beta", "alpha"]) == [m.name for m in order if m.scenario != "gamma"]
