"""Scenario files: the shipped ones, and every way in which one can be wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compbench.config.scenarios import check_name, load_scenario, load_scenarios, scenario_names, scenario_title
from compbench.model.errors import UserError
from compbench.model.scenario import mean_rate
from compbench.report.baselines import load_baselines

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = ROOT / "scenarios" / "competitive"

GOOD = """\
name = "Good"
description = "A good one"
seed = 7
[arrival]
pattern = "periodic_burst"
base_rate = 10
burst_rate = 100.0
burst_duration_sec = 1
burst_period_sec = 10
[operations]
store_weight = 0
recall_weight = 1
embedding_search_weight = 0
[data]
num_nodes = 10
embedding_dim = 768
memory_spaces = 1
"""


def written(folder: Path, text: str, name: str = "one") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def test_the_shipped_scenarios_are_those_of_the_contract() -> None:
    found = {s.name: s for s in load_scenarios(SHIPPED, 4)}
    facts = {
        name: (s.seed, mean_rate(s.arrival), s.data.num_nodes, s.validation.expected_p99_latency_ms, s.duration_s)
        for name, s in found.items()
    }
    assert facts == {
        "qdrant_ann_1m_768d": (42, 1000, 1_000_000, 20, 60),
        "neo4j_traversal_100k": (43, 500, 100_000, 15, 60),
        "hybrid_production_100k": (44, 1000, 100_000, 10, 60),
        "milvus_ann_10m_768d": (45, 500, 10_000_000, 100, 60),
    }
    thresholds = {
        name: (s.validation.expected_throughput_ops_sec, s.validation.max_error_rate) for name, s in found.items()
    }
    assert thresholds == {
        "qdrant_ann_1m_768d": (800, 0.005),
        "neo4j_traversal_100k": (400, 0.01),
        "hybrid_production_100k": (900, 0.01),
        "milvus_ann_10m_768d": (400, 0.0),
    }


def test_every_baseline_of_a_scenario_names_one_that_is_there() -> None:
    baselines = load_baselines(ROOT / "scenarios" / "baselines.toml")
    named = {baseline.scenario for baseline in baselines if baseline.scenario}
    assert named == {"qdrant_ann_1m_768d", "neo4j_traversal_100k", "milvus_ann_10m_768d"}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "recall_weight",
            "recall_wieght",
            r'operations\.recall_wieght: unknown key \(did you mean "recall_weight"\?\)',
        ),
        ("num_nodes = 10", "num_nodes = 10.5", r"data\.num_nodes = 10\.5: expected int"),
        ("num_nodes = 10", "num_nodes = 0", r"data\.num_nodes = 0: expected int >= 1"),
        ("num_nodes = 10\n", "", r"data\.num_nodes: missing"),
        ("burst_rate = 100.0", "burst_rate = 'x'", r"arrival\.burst_rate = 'x': expected float"),
        ("base_rate = 10\n", "base_rate = 0.5\n", r"arrival\.base_rate = 0\.5: expected float >= 1"),
        ("burst_duration_sec = 1", "burst_duration_sec = 11", "must not be longer than burst_period_sec"),
        ("periodic_burst", "perodic", r"arrival\.pattern = 'perodic'"),
        ("recall_weight = 1", "recall_weight = 0", "all weights are 0"),
        ("recall_weight = 1", "recall_weight = -1", r"operations\.recall_weight = -1"),
        ("seed = 7", "seed = -1", r"seed = -1: expected int >= 0"),
        ("seed = 7", "sed = 7", r'sed: unknown key \(did you mean "seed"\?\)'),
        ("[arrival]", "[arrival", "not valid TOML"),
        ("memory_spaces = 1", "memory_spaces = 11", r"data\.memory_spaces = 11: must be at most num_nodes \(10\)"),
        ("memory_spaces = 1", "memory_spaces = 100000000000", r"data\.memory_spaces = 100000000000: expected int <= "),
        ("num_nodes = 10", "num_nodes = 100000000000", r"data\.num_nodes = 100000000000: expected int <= "),
        ("recall_weight = 1", "recall_weight = inf", r"operations\.recall_weight = inf: expected float <= "),
        ("recall_weight = 1", "recall_weight = 1e308", r"operations\.recall_weight = 1e\+308: expected float <= "),
        ("base_rate = 10\n", "base_rate = inf\n", r"arrival\.base_rate = inf: expected float <= "),
        ("burst_rate = 100.0", "burst_rate = 1e308", r"arrival\.burst_rate = 1e\+308: expected float <= "),
        ("seed = 7", f"seed = {10**30}", r"seed = 10+: must be at most"),
        ('"Good"', '"Go\\u001b[31mod"', r"name = 'Go\\x1b\[31mod': a title is one line of printable characters"),
        ('"Good"', '"Go\\u0000od"', r"name = 'Go\\x00od': a title"),
        ('"Good"', '"Go\\nod"', r"name = 'Go\\nod': a title"),
        ("name =", "\ufeffname =", r"begins with a byte order mark"),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_value(tmp_path: Path, old: str, new: str, line: str) -> None:
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UserError, match=line) as caught:
        load_scenario(path)
    assert str(path) in str(caught.value)


def test_queries_beside_a_row_are_refused_where_it_may_lie_in_another_space(tmp_path: Path) -> None:
    jittered = f'{GOOD}[data_set]\nkind = "embeddings"\nseed = 1\nqueries = "jittered"\n'
    load_scenario(written(tmp_path, jittered))
    spaces = jittered.replace("memory_spaces = 1", "memory_spaces = 2")
    load_scenario(written(tmp_path, spaces.replace("jittered", "held-out")))
    with pytest.raises(
        UserError, match=r"one\.toml: data_set\.queries = 'jittered': .*: set it to 'held-out'$"
    ) as caught:
        load_scenario(written(tmp_path, spaces))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("distribution", "line"),
    [
        ('type = "clustered", std_dev = 1e308', r"std_dev = 1e\+308: expected float <= 1000"),
        ('type = "clustered", std_dev = inf', r"std_dev = inf: expected float <= 1000"),
        ('type = "clustered", num_clusters = 100000000', r"num_clusters = 100000000: expected int <= 10000"),
        ('type = "hot_spot", center = [1.0, nan]', r"center\[1\] = nan: expected "),
        ('type = "hot_spot", center = [-inf]', r"center\[0\] = -inf: expected "),
    ],
)
def test_a_distribution_that_no_vector_can_have_is_refused(tmp_path: Path, distribution: str, line: str) -> None:
    path = written(tmp_path, f"{GOOD}embedding_distribution = {{ {distribution} }}\n")
    with pytest.raises(UserError, match=rf"one\.toml: data\.embedding_distribution\.{line}"):
        load_scenario(path)


def test_a_target_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, f"{GOOD}[validation]\nexpected_p99_latency_ms = inf\n")
    with pytest.raises(UserError, match=r"validation\.expected_p99_latency_ms = inf: expected a finite number"):
        load_scenario(path)


@pytest.mark.parametrize("name", ['"Go\\u001b[31mod"', '"a\\nb"', '"\\u0000"', '""', "1", '"\\u009b"'])
def test_a_menu_shows_no_title_that_would_steer_a_terminal(tmp_path: Path, name: str) -> None:
    assert scenario_title(written(tmp_path, GOOD)) == "Good"
    assert scenario_title(written(tmp_path, GOOD.replace('"Good"', name))).startswith("unreadable: ")


def test_two_scenarios_of_one_title_and_a_wrong_count_are_refused(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "one")
    written(tmp_path, GOOD, "two")
    with pytest.raises(UserError, match=r"'Good' is the name of one\.toml too"):
        load_scenarios(tmp_path, 2)
    with pytest.raises(UserError, match="2 scenario files where 4 are expected"):
        load_scenarios(tmp_path, 4)


@pytest.mark.parametrize("name", ["a..b", ".hidden", "a=b", "a b", "x_metadata", "stderr"])
def test_a_name_that_would_escape_or_collide_is_refused(tmp_path: Path, name: str) -> None:
    written(tmp_path, GOOD, name)
    with pytest.raises(UserError, match=r"rename the file|can't name a scenario"):
        scenario_names(tmp_path)


def test_only_the_files_right_in_the_folder_are_scenarios(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    (tmp_path / "old").mkdir()
    written(tmp_path / "old", GOOD, "two")
    (tmp_path / "notes.txt").touch()
    assert scenario_names(tmp_path) == ["one"]


def test_a_name_that_leaves_no_room_for_result_files_is_refused(tmp_path: Path) -> None:
    check_name("x" * 120, tmp_path / "x.toml")
    with pytest.raises(UserError, match="has 230 characters: a scenario's name has at most 120"):
        check_name("x" * 230, tmp_path / "x.toml")
    (tmp_path / f"{'x' * 230}.toml").write_text("")
    with pytest.raises(UserError, match="rename the file"):
        scenario_names(tmp_path)


def test_a_pipe_in_the_place_of_a_scenario_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "one.toml")
    with pytest.raises(UserError, match=r"one\.toml: can't be read \(not a regular file\)"):
        load_scenario(tmp_path / "one.toml")
    assert scenario_title(tmp_path / "one.toml").startswith("unreadable")
