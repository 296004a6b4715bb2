"""Which runs are set side by side, and what is named where they can't be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compbench.cli import looking_back
from compbench.model.errors import UserError
from compbench.report.export import history_files
from compbench.report.past import comparable, history
from tests.past_runs import QDRANT, SEARCHED, add_run


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"machine": "b" * 32}, "machine"),
        ({"scale": 0.5}, "scale"),
        ({"system": "embedded"}, "system"),
        ({"profile": "quick"}, "profile"),
        ({"niceness": "-15"}, "niceness"),
    ],
)
def test_runs_of_unlike_set_ups_are_never_compared_silently(
    tmp_path: Path, run: Callable[..., tuple[int, str]], change: dict[str, Any], word: str
) -> None:
    first = add_run(tmp_path, 0, [10.0])
    second = add_run(tmp_path, 1, [30.0], **change)
    with pytest.raises(UserError, match=word):
        run(looking_back.show_comparison)
    code, text = run(looking_back.show_comparison, base=first, head=second)
    assert code == looking_back.NOT_COMPARED
    assert f"NOT COMPARABLE: {word}" in text
    assert "regression" not in text
    assert "nothing could be compared" in text


def test_a_run_whose_server_held_fewer_vectors_is_not_compared(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first, second = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 1, [5.0])
    path = tmp_path / second / "results.json"
    results = json.loads(path.read_text())
    results["scenarios"][0]["data_set"]["stored"] -= 1
    path.write_text(json.dumps(results))
    code, text = run(looking_back.show_comparison, base=first, head=second)
    assert code == looking_back.NOT_COMPARED
    assert f"stored:{QDRANT}" in text


def test_the_last_two_comparable_runs_are_found_past_another_machine(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first = add_run(tmp_path, 0, [10.0])
    add_run(tmp_path, 1, [50.0], machine="b" * 32)
    add_run(tmp_path, 2, [10.1])
    assert f"base {first}" in run(looking_back.show_comparison)[1]


def test_a_search_for_a_capacity_does_not_stand_between_the_last_two_runs(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first, second = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 1, [10.1])
    path = tmp_path / add_run(tmp_path, 2, [99.0]) / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "kind": "capacity"}))
    text = run(looking_back.show_comparison)[1]
    assert f"base {first}" in text
    assert f"head {second}" in text
    run(looking_back.show_export)
    assert "compbench_p99_latency_seconds{" in (tmp_path / "compbench.prom").read_text()
    assert " 0.0101\n" in (tmp_path / "compbench.prom").read_text(), "the newest run of the suite"
    searches = [past for past in history.read_history(tmp_path)[0] if past.kind == "capacity"]
    assert history_files.write_exports(tmp_path, searches) == [tmp_path / "runs.csv"], (
        "what was not written is not told"
    )


def test_a_capacity_is_shown_with_later_runs_on_the_same_machine(tmp_path: Path) -> None:
    name = add_run(tmp_path, 0, [10.0])
    path = tmp_path / name / "results.json"
    results = json.loads(path.read_text())
    results["kind"] = "capacity"
    results["scenarios"][0]["capacity"] = SEARCHED
    results["scenarios"][0]["metrics"]["capacity_ops_s"] = SEARCHED["low_ops_s"]
    path.write_text(json.dumps(results))
    (past,) = history.read_history(tmp_path)[0]
    assert comparable.find_capacities([past], past.fingerprint)[QDRANT].facts.low_ops_s == 3200.0
    assert comparable.find_capacities([past], {**past.fingerprint, "machine": "b" * 32}) == {}
    assert past.values[QDRANT]["capacity_ops_s"] == [3200.0]


def test_a_run_that_counted_costs_is_not_compared_with_one_that_did_not(tmp_path: Path) -> None:
    past = history.read_past(tmp_path / add_run(tmp_path, 0, [10.0]))
    assert past is not None
    counted, plain = (replace(past, fingerprint={**past.fingerprint, "counters": told}) for told in ("True", "False"))
    assert comparable.differences(counted, plain) == ["counters: True -> False"]


def test_a_variant_of_a_study_is_no_system(tmp_path: Path) -> None:
    pasts = []
    for place, level in enumerate(("info", "debug")):
        path = tmp_path / add_run(tmp_path, place, [10.0]) / "results.json"
        results = json.loads(path.read_text())
        results["kind"], results["fingerprint"]["system.log_level"] = "noise", level
        results["scenarios"][0]["variant"] = "off"
        path.write_text(json.dumps(results))
        past = history.read_past(path.parent)
        assert past is not None
        pasts.append(past)
    name = f"{QDRANT}@off"
    assert comparable.noise_facts(pasts[0], name)["system"] == pasts[0].fingerprint["system"]
    assert comparable.differences(pasts[0], pasts[1], name) == ["system settings: log_level=info -> log_level=debug"]


def test_a_study_is_in_no_row_of_runs_and_is_compared_only_by_name(
    tmp_path: Path, run: Callable[..., tuple[int, str]]
) -> None:
    first, second = add_run(tmp_path, 0, [10.0]), add_run(tmp_path, 1, [10.1])
    path = tmp_path / (study := add_run(tmp_path, 2, [99.0])) / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "kind": "duet"}))
    text = run(looking_back.show_comparison)[1]
    assert (f"base {first}" in text, f"head {second}" in text) == (True, True)
    assert f"head {study}" in run(looking_back.show_comparison, head=study, base=first)[1]
    run(looking_back.show_export)
    assert study not in (tmp_path / "runs.csv").read_text()
    assert run(looking_back.show_trend)[1].startswith("2 closed runs")
