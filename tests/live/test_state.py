"""What a run's events amount to, and how the page says it."""

from __future__ import annotations

from typing import Any

import pytest

from compbench.live import wording
from compbench.live.board import MOST_ROWS, Board
from compbench.live.state import RunState
from compbench.model.times import clock_time
from tests.live.telling import NAMES, NOON, begun, event, opened, outcome, phase, second


def state_of(*events: dict[str, Any]) -> RunState:
    state = RunState(Board())
    for one in events:
        state.apply(one)
    return state


def shown_tiles(state: RunState) -> dict[str, str]:
    return {tile["label"]: tile["value"] for tile in wording.tiles(state.board)}


def rows(state: RunState, name: str = "seconds") -> list[dict[str, Any]]:
    return [row for _, row in state.board.series[name].rows]


def test_the_page_says_where_the_suite_is_and_how_long_it_will_take() -> None:
    progress = event("progress-made", "beta", NOON + 5, elapsed_s=5.0, total_s=20.0)
    state = state_of(opened(), begun("beta", left_s=125.0), phase("measure", "beta", 20), progress)
    now = wording.place_of_run(state, NOON + 5, is_alive=True)
    assert (now["place"], now["measurement"], now["phase"]) == ("2 of 2", "beta", "measuring")
    assert (now["how_far"], now["share"], now["left"]) == ("5 s of 20 s", 0.25, "about 2 min left in the suite")
    assert wording.place_of_run(state, NOON + 900, is_alive=False)["left"] == "", "nobody is at work on it"


def test_loading_is_told_by_what_is_loaded() -> None:
    progress = event("progress-made", "alpha", elapsed_s=5.0, done=2000, wanted=8000)
    state = state_of(opened(), begun(), phase("prepare"), progress)
    now = wording.place_of_run(state, NOON, is_alive=True)
    assert (now["how_far"], now["share"]) == ("2,000 of 8,000 memories", 0.25)


def test_data_that_is_made_before_the_first_measurement_is_told_too() -> None:
    progress = event("progress-made", "beta", elapsed_s=5.0, done=500, wanted=1000)
    now = wording.place_of_run(state_of(opened(), phase("prepare", "beta"), progress), NOON, is_alive=True)
    assert (now["measurement"], now["phase"], now["how_far"]) == ("beta", "loading the data", "500 of 1,000 memories")


def test_seconds_become_rows_tiles_and_a_table_and_hosts_stand_by_themselves() -> None:
    host = {"completed": 50, "errors": 0, "p50_ms": 1.1, "p99_ms": 3.5, "lag_p99_ms": 0.1}
    state = state_of(
        opened(),
        begun(),
        phase("measure", limit_s=10),
        second(0),
        second(1, recall=0.953, hosts={"b": host, "a": host}),
    )
    assert [(row["s"], row["p99"], row["recall"]) for row in rows(state)] == [(0, 3.0, None), (1, 3.0, 0.953)]
    shown = shown_tiles(state)
    assert shown["P99 in second 1"] == "3.00"
    assert shown["recall so far"] == "95.30"
    assert wording.last_seconds(state.board)["rows"][0][0] == "1", "the newest stands first"
    assert [row[0] for row in wording.hosts(state.board)["rows"]] == ["a", "b"]


def test_what_is_answered_after_the_last_operation_was_due_is_not_taken_for_the_measurement() -> None:
    host = {"completed": 33, "errors": 0, "p99_ms": 3.5}
    measured = [second(number, recall=0.9, checked=1200, hosts={"a": host}) for number in (58, 59)]
    late = second(60, offered=0, completed=1, p50_ms=880.0, p95_ms=880.0, p99_ms=880.0, hosts={"a": {"p99_ms": 880.0}})
    state = state_of(opened(), begun(), phase("measure"), *measured, late)
    shown = shown_tiles(state)
    assert shown["P99 in second 59"] == "3.00"
    assert shown["answered in second 59, 100 offered"] == "99"
    assert shown["recall so far (of 1,200)"] == "90.00"
    assert wording.hosts(state.board)["rows"][0][2] == "3.50"
    assert wording.last_seconds(state.board)["rows"][0][3] == "880.00", "the table has every second"


def test_a_second_in_which_nothing_ended_has_no_latency_and_is_no_zero() -> None:
    state = state_of(opened(), begun(), phase("measure"), second(0, completed=0, p50_ms=None, p95_ms=None, p99_ms=None))
    assert rows(state)[0]["p99"] is None
    assert wording.tiles(state.board)[2]["value"] == "-"


def test_each_trial_of_a_search_goes_on_after_the_one_before() -> None:
    state = state_of(opened(), begun(), phase("measure"), second(0), second(1), second(0), second(1), second(2))
    assert [row["s"] for row in rows(state)] == [0, 1, 2, 3, 4]


def test_what_was_measured_stays_in_sight_until_the_next_measurement_tells_something() -> None:
    state = state_of(opened(), begun(), phase("measure"), second(0), outcome(), begun("beta"), phase("prepare", "beta"))
    assert state.board.series["seconds"].of == "alpha"
    state.apply(phase("measure", "beta"))
    assert len(rows(state)) == 1
    state.apply(second(0, "beta"))
    assert (state.board.series["seconds"].of, len(rows(state))) == ("beta", 1)


def test_a_driver_that_tells_no_seconds_has_rates_instead() -> None:
    progress = event("progress-made", "alpha", elapsed_s=1.0, offered_ops_s=500.0, achieved_ops_s=498.0)
    state = state_of(opened(), begun(), phase("measure"), progress)
    assert rows(state, "rates") == [{"s": 1.0, "offered": 500.0, "achieved": 498.0}]
    assert wording.tiles(state.board)[0]["label"] == "answered, 500 offered"


def test_results_and_the_rail_tell_what_has_become_of_each_measurement() -> None:
    state = state_of(opened(), begun(), outcome(verdict="invalid", again=True), begun("beta"))
    assert [one["verdict"] for one in wording.rail(state, NAMES, is_alive=True)] == ["invalid", "under way"]
    assert wording.rail(state, NAMES, is_alive=False)[1]["verdict"] == "interrupted"
    (row,) = wording.results(state, NAMES)["rows"]
    assert (row["verdict"], row["why"], row["cells"]) == ("invalid", "it is made again", ["3.25", "100"])
    state.apply(outcome(attempt=2))
    assert wording.results(state, NAMES)["rows"][0]["why"] == "attempt 2"


def test_an_invocation_that_goes_on_with_the_run_keeps_what_was_found_and_forgets_what_was_under_way() -> None:
    state = state_of(opened(), begun(), outcome(), begun("beta"), opened(at=NOON + 60, invocation=2))
    assert state.measurement is None
    assert [one["verdict"] for one in wording.rail(state, NAMES, is_alive=True)] == ["passed", "waiting"]
    assert state.invocation == 2


def test_a_warning_that_says_the_same_of_a_scenarios_repeats_stands_once_the_newest_first() -> None:
    told = [
        event("notice-given", name, notice={"code": "c", "text": text})
        for name, text in [("alpha_run1", "slow"), ("alpha_run2", "slow"), ("beta", "other")]
    ]
    assert [one["text"] for one in wording.notices_shown(state_of(opened(), *told))] == ["other", "slow"]


@pytest.mark.parametrize(
    "line",
    [
        {},
        {"event": 5},
        {"event": "of-the-future", "at": NOON},
        {"event": "progress-made", "at": 1e300},
        {"event": "progress-made", "at": -5},
        {"event": "second-measured", "second": "x", "p99_ms": float("nan"), "hosts": [1], "offered": True},
        {"event": "sample-taken", "sample": None},
        {"event": "outcome-reached", "outcome": [], "figures": {"p99_latency_ms": "x"}},
        {"event": "notice-given", "notice": "x"},
        {"event": "measurement-began", "place": None},
        {"event": "run-opened", "selection": {"a": 1}},
        {"event": "progress-made", "elapsed_s": "x", "done": 1, "wanted": 0},
    ],
)
def test_a_line_that_is_not_as_it_should_be_does_no_harm(line: dict[str, Any]) -> None:
    state = state_of(opened(), begun(), phase("measure", limit_s=10), second(0), line)
    clock_time(state.last_at)
    wording.place_of_run(state, NOON, is_alive=True)
    for part in (wording.tiles, wording.last_seconds, wording.hosts, wording.machine):
        part(state.board)
    wording.results(state, NAMES), wording.rail(state, NAMES, is_alive=True), wording.notices_shown(state)


def test_a_reader_gets_what_has_changed_since_and_a_new_one_everything() -> None:
    board = Board()
    board.put("a", 1)
    board.begin("rows", "alpha")
    board.append("rows", {"s": 0})
    seen = board.revision
    assert board.since(0) == {
        "parts": {"a": 1},
        "series": {"rows": {"of": "alpha", "fresh": True, "rows": [{"s": 0}]}},
    }
    board.put("a", 1)
    assert board.revision == seen, "what is as it was is no change"
    board.append("rows", {"s": 1})
    board.put("b", 2)
    assert board.since(seen) == {
        "parts": {"b": 2},
        "series": {"rows": {"of": "alpha", "fresh": False, "rows": [{"s": 1}]}},
    }
    assert board.since(board.revision) == {"parts": {}, "series": {}}


def test_a_board_does_not_grow_with_the_length_of_a_measurement() -> None:
    board = Board()
    board.begin("rows", "alpha")
    for number in range(MOST_ROWS + 50):
        board.append("rows", {"s": number})
    kept = board.since(0)["series"]["rows"]["rows"]
    assert (len(kept), kept[0]["s"]) == (MOST_ROWS, 50)
