"""Recall of the answers to measured requests, and answers that mean nothing, found out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from compbench.loadtest.run import workload_digest
from compbench.loadtest.truth import ground_truth, recall
from compbench.loadtest.truth.nearest import DEPTH, Truth
from compbench.loadtest.truth.recall import _Judge, _Search, _share
from compbench.loadtest.truth.recall_so_far import RecallSoFar
from compbench.loadtest.workload.arrivals import Schedule
from compbench.loadtest.workload.edges import ExpectedGraph
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.workload import Query, Workload
from compbench.model.result import Recall
from compbench.model.scenario import Scenario, SimilarityMetric
from compbench.systems.api import NO_THRESHOLD
from tests.embedded_server import embedded, wrong_answers
from tests.load import SEARCHES, graph_scenario, scenario, toml, workload

if TYPE_CHECKING:
    from compbench.systems.api import Vectors

ROOT = Path(__file__).resolve().parent.parent.parent
NODES = 500
Find = Callable[[Query], list[str]]


@pytest.fixture(scope="module")
def truth() -> Truth:
    return ground_truth.compute(scenario(SEARCHES, NODES), NODES, 7, lambda _elapsed_s, _done: None)


def body(ids: list[str]) -> bytes:
    return json.dumps({"memories": {"vivid": [{"id": one} for one in ids]}}).encode()


def judged(truth: Truth, find: Find, stored: int | None = NODES, count: int = 300) -> Recall:
    made = workload(scenario(SEARCHES, NODES), count=count)
    return recall.check(made, {i: body(find(made.query(i))) for i in range(count)}, truth, stored)


def exact(truth: Truth, query: Query) -> list[str]:
    return [f"node-{number}" for number in truth.numbers[query.number][: query.limit]]


def test_exact_answers_have_a_recall_of_one(truth: Truth) -> None:
    found = judged(truth, lambda query: exact(truth, query))
    assert (found.answers, found.mean, found.checked) == ("ok", 1.0, 300)
    assert (found.k_min, found.k_max) == (5, 50)


def test_what_is_told_meanwhile_is_what_the_report_would_say_of_the_same_answers(truth: Truth) -> None:
    made = workload(scenario(SEARCHES, NODES), count=300)
    so_far = RecallSoFar(made, truth)
    assert (so_far.mean, so_far.checked) == (None, 0)
    for index in range(300):
        query = made.query(index)
        made.answered(index, body(exact(truth, query)[: query.limit // 2]))
        for _ in so_far.take(100):
            pass
    assert so_far.checked == 300
    assert so_far.mean == pytest.approx(recall.check(made, made.kept, truth, NODES).mean)
    assert list(so_far.take(1000)) == [], "there are no new answers"


def test_meanwhile_few_answers_are_judged_and_none_is_told_of_a_server_with_foreign_memories(truth: Truth) -> None:
    made = workload(scenario(SEARCHES, NODES), count=300)
    so_far = RecallSoFar(made, truth)
    for index in range(99):
        made.answered(index, body(exact(truth, made.query(index))))
    assert len(list(so_far.take(50))) == 0, "one in a hundred requests pays for one"
    for index in range(99, 299):
        made.answered(index, body(exact(truth, made.query(index))))
    assert len(list(so_far.take(100_000))) == 10
    assert (so_far.mean, so_far.checked) == (1.0, 10)
    made.answered(299, body(["somebody-elses"]))
    assert len(list(so_far.take(100))) == 1
    assert so_far.mean is None


def test_recall_is_the_mean_share_that_was_found_with_its_interval(truth: Truth) -> None:
    found = judged(truth, lambda query: exact(truth, query)[: query.limit // 2])
    made = workload(scenario(SEARCHES, NODES), count=300)
    shares = np.array([made.query(i).limit // 2 / made.query(i).limit for i in range(300)])
    assert found.mean == pytest.approx(shares.mean())
    half = 1.96 * shares.std(ddof=1) / 300**0.5
    assert found.low == pytest.approx(shares.mean() - half)
    assert found.high == pytest.approx(shares.mean() + half)


def test_the_tail_that_the_mean_hides_is_told(truth: Truth) -> None:
    made = workload(scenario(SEARCHES, NODES), count=300)
    numbers = {made.query(i).number for i in range(300)}
    poor = set(sorted(numbers)[: len(numbers) // 10])
    found = judged(truth, lambda query: exact(truth, query)[: 1 if query.number in poor else query.limit])
    shares = [1 / made.query(i).limit if made.query(i).number in poor else 1.0 for i in range(300)]
    assert found.mean is not None
    assert found.mean > 0.85
    assert found.p5 == pytest.approx(np.sort(shares)[14])
    assert found.below_080 == pytest.approx(np.mean(np.array(shares) < 0.8))


def test_four_of_five_are_not_below_080(truth: Truth) -> None:
    found = judged(truth, lambda query: exact(truth, query)[: -(-4 * query.limit // 5)])
    assert found.below_080 == 0.0
    assert found.p5 == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("metric", ["euclidean", "dot"])
def test_ties_count_by_any_metric_and_what_is_truly_farther_does_not(metric: SimilarityMetric) -> None:
    # Like pixels: values so large that rounding alone is far over 0.00001.
    numbers = np.arange(DEPTH)
    similarities = (-1e6 if metric == "euclidean" else 1e6) - 100 * (numbers // 2) - 0.5 * (numbers % 2)
    known = Truth(np.tile(numbers, (10, 1)), np.tile(similarities.astype(np.float32), (10, 1)), metric)
    answer = _Search(Query(3, 5, NO_THRESHOLD), [0, 1, 2, 3, 5], 0)
    assert _share(_Judge(known, {}), answer.query, answer) == 1.0
    assert _share(_Judge(known, {}), answer.query, answer._replace(nodes=[0, 1, 2, 3, 6])) == 0.8


class TiedRows:
    """The scenario's rows; every row from 1200 to 1399 is the first one, and every query is near it or the second."""

    def __init__(self) -> None:
        self._drawn = open_vectors(scenario(SEARCHES, TIED), 7)
        self.dimension, self.metric, self.size = self._drawn.dimension, self._drawn.metric, None

    def rows(self, part: int) -> Vectors:
        rows = self._drawn.rows(part).copy()
        numbers = np.arange(len(rows)) + 1024 * part
        rows[(numbers >= 1200) & (numbers < 1400)] = self._drawn.rows(0)[0]
        return rows

    def queries(self, count: int, among: int) -> Vectors:
        del among
        return np.resize(self._drawn.rows(0)[:2], (count, self.dimension))

    def unseen(self, rng: np.random.Generator, count: int, among: int) -> Vectors:
        return self._drawn.unseen(rng, count, among)

    def known_neighbours(self, count: int, among: int) -> None:
        del count, among


TIED = 1500


@pytest.mark.parametrize(("first", "mean"), [(1300, 1.0), (1000, 0.0)])
def test_more_equal_rows_than_are_listed_all_count(monkeypatch: pytest.MonkeyPatch, first: int, mean: float) -> None:
    for module in ("truth.ground_truth", "truth.recall", "workload.workload"):
        monkeypatch.setattr(f"compbench.loadtest.{module}.open_vectors", lambda _scenario, _seed: TiedRows())
    made = workload(scenario(SEARCHES, TIED), count=300)
    known = ground_truth.compute(made.scenario, TIED, 7, lambda _elapsed_s, _done: None)
    searches = [i for i in range(300) if made.query(i).number % 2 == 0]
    assert not np.isin(np.arange(1300, 1350), known.numbers[0]).all(), "all answered rows are listed"
    answers = {i: body([f"node-{first + place}" for place in range(made.query(i).limit)]) for i in searches}
    found = recall.check(made, answers, known, TIED)
    assert (found.answers, found.mean) == ("ok", mean)


def test_of_more_memories_than_asked_for_the_first_count(truth: Truth) -> None:
    wrong = [f"node-{number}" for number in range(NODES)]
    found = judged(truth, lambda query: [*exact(truth, query), *wrong])
    assert found.mean == 1.0
    found = judged(
        truth, lambda query: [*exact(truth, query)[:1], *["load-1"] * (query.limit - 1), *exact(truth, query)]
    )
    assert found.mean == 1.0
    last = [f"node-{number}" for number in truth.numbers[0]]
    found = judged(truth, lambda query: [*exact(truth, query)[:1] * query.limit, *exact(truth, query), *last])
    assert found.mean is not None
    assert found.mean < 0.21


def test_what_the_run_stored_is_left_out_on_both_sides(truth: Truth) -> None:
    found = judged(truth, lambda query: ["load-1", "load-2", *exact(truth, query)[: query.limit - 2]])
    assert found.mean == 1.0


def test_a_repeated_memory_counts_once(truth: Truth) -> None:
    found = judged(truth, lambda query: exact(truth, query)[:1] * query.limit)
    assert found.mean is not None
    assert found.mean < 0.21


def test_the_same_answer_to_every_query_is_found_out(truth: Truth) -> None:
    found = judged(truth, lambda query: [f"node-{number}" for number in range(query.limit)])
    assert found.answers == "ignores-query"
    assert "different vectors were all answered with row 0" in found.note


def test_answers_that_belong_to_other_queries_are_found_out(truth: Truth) -> None:
    found = judged(truth, lambda query: exact(truth, query._replace(number=(query.number + 500) % 1000)))
    assert found.answers == "ignores-query"


def test_poor_answers_that_depend_on_the_query_are_poor_and_not_more(truth: Truth) -> None:
    found = judged(truth, lambda query: exact(truth, query)[:1])
    assert found.answers == "ok"
    assert found.mean is not None
    assert found.mean < 0.2


def test_answers_over_several_spaces_are_told_apart_too() -> None:
    made = workload(scenario(SEARCHES, NODES, spaces=2), count=300)
    truth = ground_truth.compute(made.scenario, NODES, 7, lambda _elapsed_s, _done: None)
    same = {i: body([f"node-{made.query(i).number % 2 + 2 * n}" for n in range(5)]) for i in range(300)}
    right = {i: body(exact(truth, made.query(i))) for i in range(300)}
    assert recall.check(made, same, truth, NODES).answers == "ignores-query"
    assert recall.check(made, right, truth, NODES).mean == 1.0


def test_a_tiny_data_set_that_every_answer_holds_whole_is_not_suspected() -> None:
    made = workload(scenario(SEARCHES, nodes=4), count=300)
    truth = ground_truth.compute(made.scenario, 4, 7, lambda _elapsed_s, _done: None)
    answers = {i: body([f"node-{n}" for n in range(4)]) for i in range(300)}
    assert recall.check(made, answers, truth, 4).mean == 1.0


@pytest.mark.parametrize(
    ("stored", "ids", "note"),
    [
        (0, ["node-1"], "holds 0 of the 500"),
        (3, ["node-1"], "holds 3 of the 500"),
        (NODES, [], "none of 300 checked searches found a memory of the data set"),
        (NODES, ["load-1"], "none of 300 checked searches found a memory of the data set"),
    ],
)
def test_an_all_but_empty_store_is_named(truth: Truth, stored: int, ids: list[str], note: str) -> None:
    found = judged(truth, lambda _: ids, stored)
    assert found.answers == "empty-store"
    assert note in found.note
    assert found.mean is None


@pytest.mark.parametrize(
    ("answer", "note"), [(b"[]", "another shape"), (body(["node-1", "foreign"]), "neither `prepare` nor this run")]
)
def test_what_cannot_be_judged_says_why(truth: Truth, answer: bytes, note: str) -> None:
    made = workload(scenario(SEARCHES, NODES), count=10)
    found = recall.check(made, dict.fromkeys(range(10), answer), truth, NODES)
    assert found.answers == "not-checked"
    assert note in found.note
    assert recall.missed(found, 0.9)[0].startswith("Recall can't be told")


def test_an_expected_recall_is_judged() -> None:
    found = Recall("ok", mean=0.8, checked=10)
    assert recall.missed(found, None) == []
    assert recall.missed(found, 0.8) == []
    assert recall.missed(found, 0.9) == ["Recall 0.800 below target 0.900"]
    assert recall.missed(Recall("ok", exact_traversals=0.5), 0.9) == ["Recall 0.500 below target 0.900"]


def traversed(change: Callable[[list[str]], list[str]]) -> Recall:
    made = workload(graph_scenario(), count=200)
    whole = ExpectedGraph(made.prepared, 5.0, made.seed)
    answers = {}
    for index in range(200):
        traversal = made.traversal(index)
        answers[index] = body(change([f"node-{n}" for n in sorted(whole.within(*traversal))]))
    return recall.check(made, answers, None, NODES)


def test_traversals_are_right_only_if_exactly_right() -> None:
    assert traversed(lambda ids: ids).exact_traversals == 1.0
    assert traversed(lambda ids: ids[::-1]).exact_traversals == 1.0
    assert traversed(lambda ids: [*ids, *ids[:1]]).exact_traversals == pytest.approx(0, abs=0.05)
    assert traversed(lambda ids: ids[1:]).exact_traversals == pytest.approx(0, abs=0.05)


def test_traversals_that_find_nothing_or_the_same_from_everywhere_are_found_out() -> None:
    assert traversed(lambda _: []).answers == "empty-store"
    assert traversed(lambda _: ["node-1", "node-2"]).answers == "ignores-query"


# -- through the real driver -------------------------------------------------------------------------------------------


@pytest.fixture
def wrong_server(request: pytest.FixtureRequest) -> Iterator[str]:
    with wrong_answers(request.param) as url:
        yield url


def drive(folder: Path, url: str, made: Workload, *command: str) -> subprocess.CompletedProcess[str]:
    path = folder / "made.toml"
    path.write_text(toml(made.scenario))
    argv = [sys.executable, "-m", "compbench.loadtest", command[0], "--scenario", str(path), "--endpoint", url]
    argv += ["--cache", str(folder / "cache"), "--output", str(folder / "out.json"), *command[1:]]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("wrong_server", "verdict"),
    [("empty", "empty-store"), ("few", "empty-store"), ("same", "ignores-query"), ("random", "ignores-query")],
    indirect=["wrong_server"],
)
def test_the_driver_finds_out_a_server_whose_answers_mean_nothing(
    tmp_path: Path, wrong_server: str, verdict: str
) -> None:
    done = drive(tmp_path, wrong_server, workload(scenario(SEARCHES, NODES)), "run", "--duration", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"Answers are wrong ({verdict})" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["compbench"]["recall"]["answers"] == verdict


@pytest.mark.parametrize("processes", ["1", "2"])
def test_recall_is_told_while_it_is_measured_where_the_neighbours_are_known_before(
    tmp_path: Path, processes: str
) -> None:
    work, told = workload(scenario(SEARCHES, NODES)), []
    options = ("--duration", "2", "--target-rate", "600", "--processes", processes, "--progress")
    with embedded(tmp_path) as server:
        assert drive(tmp_path, server.url, work, "prepare").returncode == 0
        for name in ("neighbours not known", "known"):
            done = drive(tmp_path, server.url, work, "run", *options, str(tmp_path / name))
            found = json.loads((tmp_path / "out.json").read_text())["compbench"]["recall"]
            assert found["answers"] == "ok", done.stdout
            lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
            told.append([line["second"] for line in lines if "second" in line])
    assert all("recall" not in second for second in told[0])
    if processes == "2":
        assert all("recall" not in second for second in told[1]), "their answers come at the end"
        return
    checked = [second["checked"] for second in told[1]]
    assert checked == sorted(checked)
    assert 0 < checked[-1] <= sum(second["completed"] for second in told[1]) / 100
    assert abs(told[1][-1]["recall"] - found["mean"]) < 0.1


@pytest.mark.parametrize("made", [scenario(SEARCHES, NODES), graph_scenario(NODES)], ids=["searches", "traversals"])
def test_the_driver_judges_a_real_server_by_the_data_that_it_was_loaded_with(tmp_path: Path, made: Scenario) -> None:
    work = workload(made)
    digests = set()
    with embedded(tmp_path) as server:
        assert drive(tmp_path, server.url, work, "prepare").returncode == 0
        # The work of the data's own seed, and other work.
        for seed in (made.seed, 8, 9):
            options = ("--duration", "2", "--seed", str(seed), "--data-seed", str(made.seed))
            done = drive(tmp_path, server.url, work, "run", *(options if seed != made.seed else options[:2]))
            own = json.loads((tmp_path / "out.json").read_text())["compbench"]
            assert own["recall"]["answers"] == "ok", done.stdout
            assert own["recall"]["exact_traversals" if made.graph else "mean"] > 0.95
            assert own["traversal"]["measured"] is work.traverses
            assert (own["seed"], own["data_seed"]) == (seed, made.seed)
            digests.add(own["workload_digest"])
            if seed == made.seed:
                again = workload(made, count=200, traverses=work.traverses)
                schedule = Schedule(made.arrival, made.seed, 0.0, 2)
                assert own["workload_digest"] == workload_digest(schedule, again)
    assert len(digests) == 3


def test_recall_is_judged_from_the_good_answers_alone_where_some_searches_fail(tmp_path: Path) -> None:
    work = workload(scenario(SEARCHES, NODES))
    with embedded(tmp_path, told="fail_each=3") as server:
        assert drive(tmp_path, server.url, work, "prepare").returncode == 0
        done = drive(tmp_path, server.url, work, "run", "--duration", "2")
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["overall_error_rate"] == pytest.approx(1 / 3, abs=0.01), done.stdout
    own = report["compbench"]
    assert own["recall"]["answers"] == "ok", own["recall"]
    assert own["recall"]["mean"] > 0.95
    good = report["total_operations"] - report["total_errors"]
    assert 0 < own["recall"]["checked"] <= good, "a failed answer was judged"
