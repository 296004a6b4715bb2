"""The validity box: each thing that could make a figure wrong, with its number, or the word that it is not known."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from compbench.measuring.cautions import of_round_trip
from compbench.model.notices import Notice
from compbench.model.records import ELSEWHERE, Capture, DataSet, DriverFacts, ServerFacts, SystemFacts
from compbench.model.result import Details
from compbench.report.circumstances import Doubt
from compbench.report.elsewhere import passages
from compbench.report.groups import group_captures
from compbench.report.statistics import Spread, spread
from compbench.report.validity import doubts
from tests.synthetic import NAMES, Recipe, RunRecipe, make_capture, manifest_of

WHOLE = RunRecipe()


def box(capture: Capture, whole: RunRecipe = WHOLE, p99: Spread | None = None) -> dict[str, Doubt]:
    (group,) = group_captures([capture])
    return {doubt.name: doubt for doubt in doubts(group, manifest_of(whole), p99)}


def made(recipe: Recipe | None = None, **changes: Any) -> Capture:
    capture, _ = make_capture("2026-01-05_12-00-00", recipe or Recipe(NAMES[0], duration_s=5), WHOLE)
    return msgspec.structs.replace(capture, **changes)


def with_own(**facts: Any) -> Capture:
    capture = made()
    assert capture.result
    details = msgspec.convert({**msgspec.to_builtins(capture.result.details), **facts}, Details)
    return msgspec.structs.replace(capture, result=msgspec.structs.replace(capture.result, details=details))


def ranked(server: int | None, driver: int | None) -> Capture:
    return made(server=ServerFacts(niceness=server), driver_process=DriverFacts(niceness=driver))


def test_a_good_measurement_has_no_bad_word_but_that_it_was_made_once() -> None:
    levels = {name: doubt.level for name, doubt in box(made()).items()}
    assert [name for name, level in levels.items() if level == "bad"] == []
    assert [name for name, level in levels.items() if level == "warning"] == []
    assert box(made(), p99=spread([3.0]))["repeats"].level == "warning"


@pytest.mark.parametrize(
    ("capture", "name", "level", "words"),
    [
        (with_own(valid=False, invalid_reason="it lagged"), "driver's lag", "bad", "it lagged"),
        (with_own(never_sent=7), "load", "warning", "7 never sent"),
        (with_own(in_flight_max=64), "load", "ok", "all 64 connections in use"),
        (with_own(recall={"mean": None, "checked": 0, "note": "no ids"}), "answers", "unknown", "no ids"),
        (with_own(recall={"answers": "ignores-query", "mean": 0.1, "checked": 9}), "answers", "bad", "same answers"),
        (with_own(recall={"mean": 0.98, "low": 0.97, "high": 0.99, "checked": 9}), "answers", "ok", "97.00 to 99.00"),
        (
            with_own(recall={"mean": 0.98, "checked": 9, "p5": 0.8, "below_080": 0.03}),
            "answers",
            "ok",
            "over 9 answers, recall P5 80.00 %, 3.00 % of searches below recall 0.8",
        ),
        (
            with_own(recall={"checked": 0, "traversals": 40, "exact_traversals": 0.975}),
            "answers",
            "ok",
            "97.50 % of 40 checked traversals exactly right",
        ),
        (with_own(traversal={"asked": True, "measured": False}), "traversals", "warning", "not measured"),
        (made(Recipe(NAMES[0], duration_s=5, errors=25)), "load", "warning", "25 of 2500 failed (1.00 %)"),
        (made(Recipe(NAMES[0], duration_s=1, rate_ops_s=50)), "operations", "warning", "rests on the 0 slowest"),
        (made(Recipe(NAMES[0], duration_s=5, detailed=False)), "clock", "warning", "closed loop"),
        (made(Recipe(NAMES[0], duration_s=5, detailed=False)), "driver's lag", "unknown", "not recorded"),
        (made(data_set=DataSet(nodes_in_scenario=9, scale=1, wanted=9, stored=0)), "data set", "bad", "empty"),
        (
            made(data_set=DataSet(nodes_in_scenario=9, scale=0.5, wanted=4, stored=4)),
            "data set",
            "warning",
            "wanted were 4 of 9 memories",
        ),
        (made(data_set=None), "data set", "unknown", "not recorded"),
        (made(spoiled_attempts=2), "spoiled attempts", "warning", "2 before this one: driver or machine spoiled them"),
        (made(samples=[]), "machine", "unknown", "no samples"),
        (made(notices=[Notice(code="steal", text="8 % stolen")]), "stolen time", "warning", "8 % stolen"),
        (made(notices=[Notice(code="oom-kill", text="one killed")]), "oom kill", "bad", "one killed"),
        (made(notices=[Notice(code="other-processes", text="cc1 98 %")]), "other processes", "warning", "cc1 98 %"),
        (
            made(samples=[], notices=[Notice(code="steal", text="8 % stolen")]),
            "steal",
            "warning",
            "8 % stolen",
        ),
        (made(notices=[Notice(code="busy-machine", text="load average 9")]), "other work", "warning", "average 9"),
        (made(notices=[Notice(code="driver-saturated", text="95 %")]), "driver's CPU", "warning", "95 %"),
        (ranked(0, 0), "priority", "ok", "the driver like any other program (niceness 0)"),
        (ranked(-15, -15), "priority", "warning", "before other programs (niceness -15); this run's are to have 0"),
        (ranked(0, -15), "priority", "warning", "this run's are to have 0"),
        (ranked(None, -15), "priority", "unknown", "not recorded"),
    ],
)
def test_what_could_make_a_figure_wrong_is_said_with_its_number(
    capture: Capture, name: str, level: str, words: str
) -> None:
    doubt = box(capture)[name]
    assert (doubt.level, words in doubt.text) == (level, True), doubt


def test_the_priority_that_the_run_was_to_have_is_no_doubt() -> None:
    doubt = box(ranked(-15, -15), RunRecipe(niceness="-15"))["priority"]
    assert (doubt.level, doubt.text.count("before other programs")) == ("ok", 2)
    assert box(ranked(0, -15), RunRecipe(niceness="-15"))["priority"].level == "warning"
    assert box(ranked(5, 5), RunRecipe(niceness="5"))["priority"].level == "warning"


APART = "server on CPUs 1-3,5 in real time, driver on 0 in real time, server within 4 GB (cgroup v2)"


@pytest.mark.parametrize(
    ("server", "driver", "level"),
    [
        ({"cpus": "1-3,5", "is_real_time": True, "tier": "cgroup v2"}, {"cpus": "0", "is_real_time": True}, "ok"),
        ({"cpus": "1-3,5", "is_real_time": True}, {"cpus": "0", "is_real_time": False}, "warning"),
        ({"cpus": "1-3,5", "is_real_time": False}, {"cpus": "0", "is_real_time": True}, "warning"),
        ({"cpus": "1-3", "is_real_time": True}, {"cpus": "0", "is_real_time": True}, "warning"),
        ({"cpus": "1-3,5", "is_real_time": True}, {"cpus": "0-1", "is_real_time": True}, "warning"),
        ({}, {"cpus": "0", "is_real_time": True}, "ok"),
        ({}, {"cpus": "1", "is_real_time": True}, "warning"),
        ({}, {}, "unknown"),
    ],
)
def test_a_place_that_was_not_kept_is_a_doubt(server: dict[str, Any], driver: dict[str, Any], level: str) -> None:
    capture = made(server=ServerFacts(**server), driver_process=DriverFacts(**driver))
    doubt = box(capture, RunRecipe(isolation=APART))["isolation"]
    assert doubt.level == level, doubt
    assert box(capture)["isolation"].level == ("unknown" if not driver else "ok"), "nothing was promised"


def test_the_build_is_doubted_if_it_is_not_of_its_commit_or_not_engram() -> None:
    assert "2 uncommitted changes" in box(made(), RunRecipe(dirty=[" M a", " M b"]))["build"].text
    assert "nothing about Engram" in box(made(system="embedded"))["build"].text


def test_a_fixed_rate_is_said_to_be_no_capacity() -> None:
    assert "no capacity" in box(made())["capacity"].text


def test_repeats_are_graded_and_outliers_named_by_the_number_of_their_repeat() -> None:
    recipes = [Recipe(NAMES[0], duration_s=1, repeat=n, verdict="failed" if n == 1 else "passed") for n in range(1, 7)]
    captures = [make_capture("2026-01-05_12-00-00", recipe, WHOLE)[0] for recipe in recipes]
    (group,) = group_captures(captures)

    def told(*p99s_ms: float) -> str:
        return next(d.text for d in doubts(group, manifest_of(WHOLE), spread(p99s_ms)) if d.name == "repeats")

    assert "(unstable)" in told(10.0, 10.1, 9.9, 10.05, 14.0)
    assert told(10.0, 10.1, 9.9, 10.05, 14.0).endswith("; outliers: repeat 6"), "the first one has no figures"
    assert told(10.0).startswith("only one of 6 repeats has figures")


def test_swap_in_use_is_told_once() -> None:
    told = [doubt.name for doubt in box(made(notices=[Notice(code="swap-used", text="300 MB")])).values()]
    assert [name for name in told if name.startswith("swap")] == ["swap in use"]


def elsewhere(**facts: Any) -> Capture:
    server = ServerFacts(executable="http://db:6333", version="not told", metrics_problem="http://db:9: refused")
    driver = DriverFacts(niceness=-15, cpus="0")
    return msgspec.structs.replace(
        with_own(**facts), system_facts=SystemFacts(title="Db", mode=ELSEWHERE), server=server, driver_process=driver
    )


def test_of_a_run_it_is_said_in_which_measurements_a_server_elsewhere_told_nothing_of_its_process() -> None:
    told = msgspec.structs.replace(elsewhere(), scenario="told", server=ServerFacts(metrics_from="http://db/metrics"))
    of_driver = [
        msgspec.structs.replace(s, cpu_pct=None, memory_bytes=None, threads=None, open_files=None) for s in told.samples
    ]
    silent = msgspec.structs.replace(told, scenario="silent", samples=of_driver)
    for run in ([told, silent], [silent, told]):
        (passage,) = passages(run)
        assert "Of its process it tells CPU, memory" in passage
        assert "nothing of it while these were measured: silent." in passage
    assert "nothing" not in passages([told])[0]
    assert "it tells nothing while it was measured" in passages([silent])[0]


def test_of_a_server_elsewhere_each_reading_is_the_driver_s_and_what_is_not_known_is_said() -> None:
    found = box(elsewhere(floor={"count": 50, "p50_ms": 0.42, "p99_ms": 0.9, "client_cpu_us": 1.0}))
    assert {"stolen time", "I/O wait", "swap in use", "other work"} & set(found) == set()
    assert found["driver's machine: stolen time"].level == "ok"
    assert (found["server's machine"].level, "http://db:9: refused" in found["server's machine"].text) == (
        "unknown",
        True,
    )
    assert found["round trip"].level == "ok"
    assert "P50 0.42 ms, P99 0.90 ms (of 50)" in found["round trip"].text
    for name, words in (("priority", "server: not known"), ("isolation", "server: not known"), ("build", "not known")):
        assert found[name].level == "unknown", name
        assert words in found[name].text, name
    assert box(elsewhere(floor=None, floor_missing="it was late"))["round trip"] == Doubt(
        "round trip", "unknown", "round trip of an empty request not known: it was late"
    )


@pytest.mark.parametrize(("floor_ms", "codes"), [(0.4, []), (0.6, ["network-mostly"]), (None, ["round-trip-unknown"])])
def test_latencies_that_are_mostly_the_way_there_are_a_warning_and_so_is_a_way_that_is_not_known(
    floor_ms: float | None, codes: list[str]
) -> None:
    floor = None if floor_ms is None else {"count": 9, "p50_ms": floor_ms, "p99_ms": 2.0, "client_cpu_us": 1.0}
    capture = elsewhere(floor=floor)
    assert capture.result
    result = msgspec.structs.replace(capture.result, p50_latency_ms=1.0)
    assert [notice.code for notice in of_round_trip(result)] == codes
