"""A run that compares several systems: who is ahead, what is never claimed, and what pages and files tell."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from junitparser import JUnitXml, Skipped
from markdown_it import MarkdownIt
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from compbench.cli.display import headline
from compbench.cli.exit_codes import FAILED, PASSED, exit_code
from compbench.cli.selection import Selection
from compbench.model.events import OutcomeReached
from compbench.model.notices import Outcome
from compbench.model.records import Capture, SystemFacts
from compbench.model.scenario import Validation
from compbench.report import comparison, pages, trend
from compbench.report.charts import drawing, rivals
from compbench.report.export import junit, openmetrics, runs_csv
from compbench.report.past import comparable, due, history
from compbench.report.statistics import ratio_of
from compbench.report.summary import final_message
from compbench.report.versus import Versus, versus_of
from compbench.systems import discovery
from tests import several, synthetic
from tests.browser import CHROMIUM, look_at
from tests.project import ROOT
from tests.rendering import SCENARIOS, records_of, render, text_of, write_pages
from tests.several import CLOSE, GRAPH, HYBRID, LARGE, POOR, SLOW, SUBJECT, VECTORS
from tests.synthetic import Recipe, RunRecipe

TARGETS = {
    VECTORS: Validation(expected_recall=0.95, expected_p99_latency_ms=20.0, max_error_rate=0.01),
    LARGE: Validation(expected_recall=0.95, max_error_rate=0.01),
    GRAPH: Validation(expected_recall=0.99, max_error_rate=0.01),
    HYBRID: Validation(max_error_rate=0.01),
}


@pytest.fixture(scope="module")
def systems_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The rivals' folders, which this process knows as a run's does."""
    folder = several.add_systems(tmp_path_factory.mktemp("systems"))
    discovery.look_into(folder)
    yield folder
    discovery.look_into(None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, systems_dir: Path) -> Path:
    """A run of four systems on four scenarios, three times each, with its light pages."""
    assert systems_dir
    folder = several.make(tmp_path_factory.mktemp("runs"), duration_s=4)
    write_pages(folder)
    return folder


def judged(tmp_path: Path, *recipes: Recipe) -> Versus:
    """Return how the systems of made-up captures stand."""
    found = versus_of(*records_of(synthetic.make_run(tmp_path, RunRecipe(captures=list(recipes)))), TARGETS, {})
    assert found
    return found


def repeats(system: str, median_ms: float, count: int = 3, **facts: Any) -> list[Recipe]:
    """Return repeats of one system on the scenario of vectors, at the recall that it asks for."""
    one = Recipe(VECTORS, median_ms=median_ms, duration_s=3, rate_ops_s=200, recall=0.96, system=system)
    return [replace(one, repeat=n, seed=n, **facts) for n in range(1, count + 1)]


def test_the_first_sentence_says_who_is_ahead_where_and_by_how_much(folder: Path) -> None:
    text = text_of(folder, "summary.txt")
    first = "At equal recall, Engram has the lowest P99 of those compared in 1 of 4 scenarios, SlowDB in 1"
    untold = re.escape(f"{first}; in 2 who is ahead can't be told (")
    assert re.search(rf"{untold}\w+ or \w+ of those compared in {VECTORS}\)\.", text)
    told = final_message(*records_of(folder), folder, interrupted=False)
    assert f"{GRAPH}: SlowDB is ahead of Engram: the P99 of Engram is" in told
    assert ", 6 not offered" in told
    assert re.search(
        rf"{GRAPH}: SlowDB is ahead of Engram: the P99 of Engram is [\d.]+ times as high \(95 % interval", text
    )
    between = rf"{VECTORS}: can't be told between \w+ and \w+, whose P99 .*; \w+ is ahead of SlowDB"
    assert re.search(rf"{between}; not compared: PoorDB\n", text)


def test_results_tell_each_duel_with_its_interval_and_keep_to_their_schema(folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())
    schema = json.loads((ROOT / "docs" / "results.schema.json").read_text())
    jsonschema.validate(results, schema, jsonschema.Draft202012Validator)
    assert results["systems"] == list(several.SYSTEMS)
    found = {standing["scenario"]: standing for standing in results["standings"]}
    assert {name: standing["leader"] for name, standing in found.items()} == {
        VECTORS: None,
        GRAPH: SLOW,
        HYBRID: None,
        LARGE: SUBJECT,
    }
    duels = {duel["other"]: duel for duel in found[VECTORS]["duels"]}
    assert [duels[name]["verdict"] for name in (CLOSE, SLOW, POOR)] == ["can't tell", "ahead", "not compared"]
    assert duels[SLOW]["low"] > 1
    assert duels[CLOSE]["low"] < 1 < duels[CLOSE]["high"]
    assert found[LARGE]["not_compared"][CLOSE].startswith("no valid measurement")
    assert found[HYBRID]["not_compared"][SLOW].startswith("failed: the server died")
    assert found[GRAPH]["not_compared"][POOR].startswith("not offered")


def test_a_system_that_misses_the_goal_of_recall_is_never_ahead_however_fast(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    found = judged(tmp_path, *repeats(SUBJECT, 2.0), *repeats(POOR, 0.1, recall=0.94))
    (contest,) = found.contests
    assert (contest.leader, contest.nearest) == (None, None)
    assert "misses the goal of 0.95" in found.answers[VECTORS]
    assert not any(cell.is_best for line in found.table[VECTORS] for cell in line.cells)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"recall": None}, "was not checked"),
        ({"errors": 100}, "of its requests failed"),
        ({"verdict": "failed", "reason": "it died"}, "failed: it died"),
        ({"verdict": "invalid", "reason": "it lagged"}, "no valid measurement: it lagged"),
        ({"loaded": {"index_proof": several.MAKERS[3].proof}}, "did not use the index"),
        ({"frontier": several.frontier(several.MAKERS[3], VECTORS, 1.0)}, "no nprobe tried reaches recall 0.95"),
    ],
)
def test_what_forbids_a_comparison_is_told(tmp_path: Path, systems_dir: Path, facts: dict[str, Any], why: str) -> None:
    assert systems_dir
    found = judged(tmp_path, *repeats(SUBJECT, 9.0), *repeats(SLOW, 1.0, **facts))
    assert found.contests[0].leader is None
    assert why in found.answers[VECTORS]
    assert why in found.contests[0].duels[0].reason


def test_one_repeat_and_other_data_tell_nothing(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    single = judged(tmp_path / "single", *repeats(SUBJECT, 1.0, 1), *repeats(SLOW, 9.0, 1))
    assert "it takes two valid repeats of each" in single.answers[VECTORS]
    run = synthetic.make_run(tmp_path, RunRecipe(captures=[*repeats(SUBJECT, 1.0), *repeats(SLOW, 9.0)]))
    manifest, captures = records_of(run)
    less = [
        msgspec.structs.replace(c, data_set=msgspec.structs.replace(c.data_set, wanted=999, stored=999))
        if c.system == SLOW and c.data_set
        else c
        for c in captures
    ]
    found = versus_of(manifest, less, TARGETS, {})
    assert found
    assert found.contests[0].leader is None
    assert "not the same amount of data: 1,000,000 and 999 memories" in found.answers[VECTORS]


def test_without_a_goal_systems_of_unequal_recall_are_not_compared(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    own = [replace(one, scenario=HYBRID) for one in (*repeats(SUBJECT, 1.0), *repeats(SLOW, 9.0, recall=0.8))]
    found = judged(tmp_path, *own)
    assert "not at equal recall: 96.00 % and 80.00 %" in found.answers[HYBRID]


def hybrid(*recipes: Recipe) -> list[Recipe]:
    """Return recipes on the scenario that has no goal of recall of its own, with a frontier whose goal is 0.95."""
    own = several.frontier(several.MAKERS[0], HYBRID, 1.0)
    return [replace(one, scenario=HYBRID, frontier=own) for one in recipes]


def facts_of(mode: str) -> dict[str, Any]:
    return {"facts": SystemFacts(title=mode.upper(), mode=mode)}


def test_unequal_recalls_above_the_goal_are_not_called_equal(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    own = hybrid(*repeats(SUBJECT, 1.0, recall=0.951), *repeats(SLOW, 9.0, recall=1.0))
    found = judged(tmp_path / "unequal", *own)
    assert found.sentence == "At a recall of at least 0.95, Engram has the lowest P99 in 1 of 1 scenario."
    assert "not at an equal one: Engram 95.10 %, slowdb 100.00 %" in found.answers[HYBRID]
    assert found.differences.aspects["recall of the timed answers"][SLOW] == f"100.00 % in {HYBRID}"
    equal = judged(tmp_path, *hybrid(*repeats(SUBJECT, 1.0, recall=0.955), *repeats(SLOW, 9.0, recall=0.964)))
    assert equal.sentence.startswith("At equal recall, Engram")
    assert "recall of the timed answers" not in equal.differences.aspects


def test_what_runs_elsewhere_is_compared_with_nothing_that_runs_here(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    away, here = facts_of("endpoint"), facts_of("managed")
    found = judged(
        tmp_path / "one", *repeats(SUBJECT, 2.0, **here), *repeats(SLOW, 1.0, **away), *repeats(CLOSE, 9.0, **here)
    )
    (contest,) = found.contests
    assert [duel.told for duel in contest.duels] == ["not compared", "ahead"]
    assert contest.duels[0].reason == "ENDPOINT runs elsewhere (mode endpoint)"
    assert contest.leader is contest.entries[0]
    assert "the lowest P99 of those compared" in found.sentence
    assert not any(cell.is_best for line in found.table[VECTORS] for cell in line.cells)
    told = found.differences.aspects["memory limit and CPU set"]
    assert told == {SUBJECT: "none", SLOW: "not readable here", CLOSE: "none"}
    assert "but for ENDPOINT" in found.where
    both = judged(tmp_path / "both", *repeats(SUBJECT, 1.0, **away), *repeats(SLOW, 9.0, **away))
    assert both.contests[0].duels[0].told == "ahead"
    assert "same machine" not in both.where
    assert "memory limit and CPU set" in both.differences.unknown
    boxed = facts_of("container")
    run = synthetic.make_run(
        tmp_path, RunRecipe(captures=[*repeats(SUBJECT, 1.0, **here), *repeats(SLOW, 9.0, **boxed)])
    )
    manifest, captures = records_of(run)
    for limits, shown in (("cores none, memory none", "none"), ("cores 0-1, memory 4g", "cores 0-1, memory 4g")):
        server = msgspec.structs.replace(captures[0].server, limits=limits)
        limited = [msgspec.structs.replace(c, server=server) if c.system == SLOW else c for c in captures]
        found_now = versus_of(manifest, limited, TARGETS, {})
        assert found_now
        own = found_now.differences.aspects.get("memory limit and CPU set", {SLOW: "none"})
        assert own[SLOW] == shown


def test_who_could_not_be_compared_does_not_spoil_the_answer_about_the_others(
    tmp_path: Path, systems_dir: Path
) -> None:
    assert systems_dir
    found = judged(tmp_path, *repeats(SUBJECT, 1.0), *repeats(SLOW, 9.0), *repeats(CLOSE, 0.5, 1))
    assert found.contests[0].leader is found.contests[0].entries[0]
    assert found.answers[VECTORS].startswith("Engram is ahead of slowdb: the P99 of slowdb is")
    told = "closedb was not compared: it takes two valid repeats of each to tell, and there is 1 of closedb"
    assert found.answers[VECTORS].endswith(told)


@pytest.mark.parametrize(("factor", "told"), [(1.03, "no difference"), (1.2, "ahead")])
def test_a_difference_that_is_told_but_does_not_matter_puts_nobody_ahead(
    tmp_path: Path, systems_dir: Path, factor: float, told: str
) -> None:
    assert systems_dir
    p99s_ms = (1.0, 1.001, 1.002)
    run = synthetic.make_run(tmp_path, RunRecipe(captures=[*repeats(SUBJECT, 1.0), *repeats(SLOW, 1.0)]))
    manifest, captures = records_of(run)
    found = versus_of(
        manifest, [with_p99(c, p99s_ms, factor if c.system == SLOW else 1.0) for c in captures], TARGETS, {}
    )
    assert found
    (duel,) = found.contests[0].duels
    assert duel.ratio
    assert duel.ratio.low > 1
    assert duel.told == told
    is_best = dict(zip(found.columns, found.table[VECTORS][0].cells, strict=True))["P99, ms"].is_best
    assert is_best == (told == "ahead")
    if told == "no difference":
        assert "within 5 %: no difference that matters" in found.answers[VECTORS]
        assert found.contests[0].leader is None
    alike = versus_of(manifest, [with_p99(c, (1.0,) * 3, 1.0 + (c.system == SLOW)) for c in captures], TARGETS, {})
    assert alike
    assert "the repeats are all alike" in alike.answers[VECTORS]


def with_p99(capture: Capture, p99s_ms: tuple[float, ...], factor: float) -> Capture:
    """Return a capture whose P99 is the one of its repeat, times a factor."""
    assert capture.result
    assert capture.repeat
    result = msgspec.structs.replace(capture.result, p99_latency_ms=factor * p99s_ms[capture.repeat - 1])
    return msgspec.structs.replace(capture, result=result)


def test_a_lower_bound_is_no_capacity_and_one_without_a_capacity_leaves_none_best(
    tmp_path: Path, systems_dir: Path
) -> None:
    assert systems_dir
    own, slow = (several.frontier(several.MAKERS[n], VECTORS, 1.0) for n in (0, 2))
    bound = [
        msgspec.structs.replace(c, capacity=c.capacity and msgspec.structs.replace(c.capacity, bound="driver"))
        for c in own.capacities
    ]
    ended = msgspec.structs.replace(own, capacities=bound)
    found = judged(tmp_path / "a", *repeats(SUBJECT, 1.0, frontier=ended), *repeats(SLOW, 9.0, frontier=slow))
    rows = {system: cells for _, system, cells in found.capacity_rows}
    assert all(cell.startswith("≥ ") for cell in rows[SUBJECT])
    assert not any("≥" in cell for cell in rows[SLOW])
    place = found.columns.index("capacity, ops/s")
    assert found.table[VECTORS][0].cells[place].is_best
    none = msgspec.structs.replace(slow, capacities=[])
    third = judged(
        tmp_path,
        *repeats(SUBJECT, 1.0, frontier=own),
        *repeats(SLOW, 9.0, frontier=slow),
        *repeats(CLOSE, 5.0, frontier=none),
    )
    assert not any(line.cells[place].is_best for line in third.table[VECTORS])


def test_a_run_that_is_not_finished_says_how_much_is_not_measured(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    own = [*repeats(SUBJECT, 1.0), *repeats(SLOW, 9.0)]
    run = synthetic.make_run(tmp_path, RunRecipe(captures=[*own, *(replace(one, scenario=LARGE) for one in own)]))
    manifest, captures = records_of(run)
    found = versus_of(manifest, [c for c in captures if c.scenario == VECTORS], TARGETS, {})
    assert found
    assert "Engram has the lowest P99 in 1 of 2 scenarios; in 1 who is ahead can't be told" in found.sentence
    assert found.sentence.endswith("; 6 measurements not made yet.")
    assert "Engram: not measured" in found.answers[LARGE]


def test_an_interrupted_comparison_tells_the_first_names_alone(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    run = synthetic.make_run(tmp_path, RunRecipe(captures=[*repeats(SUBJECT, 1.0, 5), *repeats(SLOW, 9.0, 5)]))
    manifest, captures = records_of(run)
    text = final_message(manifest, captures[:1], run, interrupted=True)
    line = next(line for line in text.splitlines() if line.startswith("Summary:"))
    assert re.search(r", 9 not run \(4 of engram, 5 of slowdb: (\S+, ){3}\.\.\.\)$", line)


def test_a_line_of_a_system_that_is_not_compared_is_faint_and_says_so() -> None:
    curves = {"a": [(50.0, 2.0), (99.0, 3.0)], "b": [(50.0, 1.0), (99.0, 2.0)]}
    spec = rivals.percentiles_chart(curves, ["a", "b"], None, uncompared={"b"})
    assert spec
    drawn = drawing.draw_svg(spec)
    assert "b (not compared)" in drawn
    assert "a (not compared)" not in drawn
    assert spec["layer"][1]["mark"]["opacity"] < spec["layer"][0]["mark"]["opacity"]


def test_another_effort_is_told_beside_a_change_and_is_none_by_itself(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    for number, effort in enumerate((96, 128)):
        own = [*repeats(SUBJECT, 1.0, effort=effort), *repeats(SLOW, 9.0, effort=64)]
        write_pages(synthetic.make_run(tmp_path, RunRecipe(captures=own, at=synthetic.NOON + 86_400 * number)))
    known, _ = history.read_history(tmp_path)
    rows = comparison.compare_runs(known[0], known[1], known).rows
    told = {row.scenario: row for row in rows if row.metric.name == "p99_latency_ms"}
    assert told[f"{VECTORS}@{SUBJECT}"].remark.endswith("effort 96 -> 128")
    assert told[f"{VECTORS}@{SUBJECT}"].verdict == "same"
    assert "effort" not in told[f"{VECTORS}@{SLOW}"].remark


def test_a_demonstration_says_so_first_and_claims_nothing(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    found = judged(tmp_path, *repeats(SUBJECT, 1.0), *repeats("embedded", 9.0), *repeats(SLOW, 5.0))
    assert found.sentence.startswith("This shows what a comparison looks like, and claims nothing")
    assert found.answers == {}
    assert [duel.told for duel in found.contests[0].duels] == ["not compared", "not compared"]
    assert not any(cell.is_best for line in found.table[VECTORS] for cell in line.cells)


def test_the_interval_of_a_ratio_holds_both_ways_and_widens_with_more_rivals() -> None:
    one, other = [1.0, 1.1, 1.05], [2.0, 2.3, 2.1]
    ratio, inverse, strict = ratio_of(one, other), ratio_of(other, one), ratio_of(one, other, 0.01)
    assert ratio
    assert inverse
    assert strict
    assert ratio.low < ratio.ratio < ratio.high
    assert (1 / inverse.high, 1 / inverse.low) == pytest.approx((ratio.low, ratio.high))
    assert strict.low < ratio.low
    assert ratio_of(one, [2.0]) is None
    assert ratio_of(one, [0.0, 1.0]) is None


def test_the_best_is_marked_only_where_repeats_tell_it_and_kept_data_are_one_figure(
    tmp_path: Path, systems_dir: Path
) -> None:
    assert systems_dir
    kept = {"load_s": 10.0, "disk_bytes": 10**9, "is_kept": True}
    found = judged(tmp_path, *repeats(SUBJECT, 1.0, loaded=kept), *repeats(SLOW, 9.0, loaded=kept | {"load_s": 99.0}))
    cells = dict(zip(found.columns, found.table[VECTORS][0].cells, strict=True))
    assert cells["P99, ms"].is_best
    assert not cells["load, s"].is_best, "one load is one figure, however many repeats use what it left"
    assert cells["load, s"].text == "10"


def test_names_beside_lines_do_not_cover_each_other_and_keep_their_order() -> None:
    moved = rivals.apart([1.0, 1.01, 5.0, 1.02], 0.5)
    order = sorted(range(4), key=lambda place: moved[place])
    assert order == [0, 1, 3, 2]
    assert min(after - before for before, after in zip(sorted(moved), sorted(moved)[1:], strict=False)) >= 0.5 - 1e-9


def test_a_system_has_one_colour_in_every_chart_and_a_frontier_has_steps() -> None:
    points = [rivals.Reached("c", e, r, ms, e == 2, True) for e, r, ms in ((1, 0.9, 1.0), (2, 0.96, 2.0))]
    spec = rivals.frontier_chart(points, ["a", "b", "c"], 0.95)
    curve = rivals.percentiles_chart({"c": [(50.0, 1.0), (99.0, 2.0)]}, ["a", "b", "c"], 20.0)
    assert spec
    assert curve
    assert spec["layer"][0]["mark"]["interpolate"] == "step-before"
    for chart in (spec, curve):
        assert chart["layer"][0]["encoding"]["color"]["scale"] == {"domain": ["c"], "range": ["var(--s3)"]}
        assert drawing.standalone(drawing.draw_svg(chart)).count("<svg") == 1


def test_exports_know_systems_and_what_is_not_offered_is_skipped(folder: Path) -> None:
    past = history.read_past(folder)
    assert past
    rows = list(csv.DictReader(io.StringIO(runs_csv.csv_text([past])), strict=True))
    assert len(rows) == 48
    assert {(row["system"], row["scenario"]) for row in rows} == {
        (s, n) for s in several.SYSTEMS for n in synthetic.NAMES
    }
    told = {
        (sample.name, sample.labels.get("scenario"), sample.labels.get("system")): sample.value
        for family in text_string_to_metric_families(openmetrics.openmetrics_text(past, {}))  # type: ignore[no-untyped-call]
        for sample in family.samples
    }
    assert told["compbench_scenario_passed", VECTORS, SUBJECT] == 1
    assert told["compbench_scenario_passed", VECTORS, POOR] == 0
    assert ("compbench_scenario_passed", GRAPH, CLOSE) not in told
    assert (
        told["compbench_p99_latency_seconds", VECTORS, SLOW] > told["compbench_p99_latency_seconds", VECTORS, SUBJECT]
    )
    (suite,) = JUnitXml.fromstring(junit.junit_xml(*records_of(folder)))
    skipped = [case for case in suite if any(isinstance(result, Skipped) for result in case.result)]
    assert {case.name.partition("_run")[0] for case in skipped} == {f"{GRAPH}@{CLOSE}", f"{GRAPH}@{POOR}"}


def test_figures_of_different_systems_never_meet_in_history(tmp_path: Path, systems_dir: Path) -> None:
    assert systems_dir
    for number in (0, 1):
        at = synthetic.NOON + 86_400 * number
        write_pages(several.make(tmp_path, duration_s=2, at=at))
    alone = synthetic.make_run(
        tmp_path, RunRecipe(captures=[Recipe(VECTORS, duration_s=2)], at=synthetic.NOON + 86_400 * 2)
    )
    write_pages(alone)
    known, skipped = history.read_history(tmp_path)
    assert skipped == []
    rows = comparison.compare_runs(known[0], known[1], known).rows
    assert {row.scenario for row in rows} >= {f"{VECTORS}@{name}" for name in several.SYSTEMS}
    assert {row.verdict for row in rows} == {"same"}
    panels = [panel for panel in trend.panels_of(known) if panel.metric.name == "p99_latency_ms"]
    series = {panel.scenario: {row["series"] for row in panel.spec["data"]["values"]} for panel in panels}
    assert all(len(names) == 1 for names in series.values())
    assert {VECTORS, f"{VECTORS}@{SLOW}"} <= set(series)
    assert "slowdb at scale" in next(iter(series[f"{VECTORS}@{SLOW}"]))
    assert comparable.differences(known[0], known[2], VECTORS) != []


def test_a_systems_own_settings_decide_whether_its_figures_are_comparable(folder: Path) -> None:
    past = history.read_past(folder)
    assert past
    other = replace(past, fingerprint={**past.fingerprint, "system": "engram,slowdb", "system.slowdb.m": "32"})
    assert comparable.differences(past, other, f"{VECTORS}@{SUBJECT}") == []
    assert comparable.differences(past, other, f"{VECTORS}@{SLOW}") == ["system settings:  -> m=32"]


def test_a_comparison_counts_for_the_system_that_is_asked_for_if_it_is_whole(folder: Path) -> None:
    past = history.read_past(folder)
    assert past
    wanted = due.Wanted(SUBJECT, "1", synthetic.NAMES)
    assert due.why_not(past, wanted) == ""
    assert f"{GRAPH} not offered" in due.why_not(past, wanted.__class__(CLOSE, "1", synthetic.NAMES))
    assert "of the system engram" in due.why_not(past, due.Wanted("milvus", "1", synthetic.NAMES))


def test_what_is_not_offered_neither_fails_nor_passes(folder: Path) -> None:
    _, captures = records_of(folder)

    def code(*names: str) -> int:
        wanted = [c.measurement for c in captures if c.measurement in names]
        assert len(wanted) == len(names)
        return exit_code(Selection(measurements=tuple(wanted)), [], captures, [], gate_failed=False)

    offered, refused = f"{VECTORS}@{SUBJECT}_run1", f"{GRAPH}@{CLOSE}_run1"
    assert code(offered, refused) == PASSED
    assert code(refused) == FAILED, "nothing has passed"
    assert code(refused, f"{VECTORS}@{POOR}_run1") == FAILED
    text = text_of(folder, "summary.txt")
    assert "Not offered: 6 (" in text
    assert "not offered" not in next(line for line in text.splitlines() if line.startswith("Failed:"))


def test_the_terminal_says_why_something_is_not_offered() -> None:
    outcome = Outcome(verdict="not offered", reason="flat does not offer traversals: nothing was measured", code="x")
    event = OutcomeReached(at=0.0, measurement="a@flat", outcome=outcome, figures={})
    assert headline(event) == "flat does not offer traversals: nothing was measured"


@pytest.mark.process
def test_the_page_answers_first_and_tells_what_is_not_equal(folder: Path, systems_dir: Path, tmp_path: Path) -> None:
    render(folder, systems_dir=systems_dir)
    text = re.sub(r"<script>.*?</script>", "", text_of(folder, "report.html"), flags=re.DOTALL)
    assert text.index("has the lowest P99 of those compared in 1 of 4 scenarios") < text.index("P99 of each system")
    assert text.index("What is not equal between them") < text.index('id="published"') < text.index('id="provenance"')
    assert "HNSW, m 16, ef_construct 100" in text
    assert "the index does NOT answer" in text
    assert "whether the index answers is not known" in text
    assert "memory limit and CPU set: none" in text
    assert "it does not offer traversals" in text
    assert "These are figures of" not in text
    tokens = MarkdownIt("commonmark").enable("table").parse(text_of(folder, "report.md"))
    heads = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]
    assert heads[:4] == [
        f"Run {folder.name}",
        "Engram against each",
        "Side by side",
        "Capacity at a recall of at least",
    ]
    assert len([token for token in tokens if token.type == "table_open"]) >= 4
    for name in ("versus", f"{VECTORS}_frontier", f"{GRAPH}_rivals"):
        assert (folder / f"{folder.name}_{name}.svg").is_file()
    if CHROMIUM is not None:
        for width in (1280, 390):
            seen = look_at(folder / f"{folder.name}_report.html", width, tmp_path / f"profile{width}")
            assert seen.overflow_px <= 0
            assert seen.errors == []


@pytest.mark.process
def test_a_run_under_way_has_a_page_that_says_what_is_not_measured(tmp_path: Path, systems_dir: Path) -> None:
    folder = synthetic.make_run(
        tmp_path, RunRecipe(captures=[*repeats(SUBJECT, 1.0), *repeats(SLOW, 3.0, 1)], state="open")
    )
    (folder / f"{folder.name}_{VECTORS}@{SLOW}_run1_capture.json").unlink()
    write_pages(folder)
    assert "Systems: engram, slowdb" in text_of(folder, "summary.txt")
    render(folder, state="interrupted", systems_dir=systems_dir)
    assert "slowdb: not measured" in text_of(folder, "report.html")
    pages.write_pages(folder, *records_of(folder), interrupted=True, scenarios_dir=SCENARIOS, now=0.0)
