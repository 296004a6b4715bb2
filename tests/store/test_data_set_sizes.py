"""How much of a data set is loaded: what is set, what was found, what is kept of that, and how it is said."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compbench.config.settings import Settings
from compbench.measuring.data_sets import _note_size
from compbench.model.records import Capture, DataSet
from compbench.model.result import Prepared
from compbench.report.loaded_data import data_lines
from compbench.store import data_set_sizes
from compbench.store.data_set_sizes import FoundSize, SizeBound
from compbench.systems.registry import load_settings
from tests.load import scenario
from tests.synthetic import Recipe, RunRecipe, make_capture


def settings(folder: Path, **asked: str) -> Settings:
    return load_settings(folder, {}, {"system": "embedded", **asked})


def found(memories: int, bound: SizeBound) -> FoundSize:
    return FoundSize(memories=memories, bound=bound, loading_limit_s=600, took_s=1.0)


@pytest.mark.parametrize(
    ("size", "meant", "loaded"),
    [
        (found(1000, "time"), 5000, 1000),
        (found(1000, "time"), 1000, 1000),
        (found(1000, "system"), 300, 300),
        (found(1000, "set"), 300, 300),
        (found(1000, "set"), 1000, 1000),
        (found(1000, "set"), 5000, None),
        (found(1000, "memory"), 5000, 1000),
    ],
)
def test_a_size_holds_for_every_scenario_of_the_set_that_it_tells_something_about(
    size: FoundSize, meant: int, loaded: int | None
) -> None:
    assert size.of(meant) == loaded


def test_a_number_is_a_share_and_auto_is_not_known_before_it_is_found(tmp_path: Path) -> None:
    made = scenario(nodes=5000)
    assert data_set_sizes.wanted_memories(settings(tmp_path, scale="0.1"), made) == 500
    assert data_set_sizes.reason_for(settings(tmp_path, scale="0.1"), made) == "scale=0.1 is set"
    assert data_set_sizes.wanted_memories(settings(tmp_path), made) is None
    assert data_set_sizes.describe_wanted(settings(tmp_path), made) == ""


@pytest.mark.parametrize(
    ("bound", "why"),
    [
        ("time", "what compbench's embedded server loads in 10 min"),
        ("system", "the most that compbench's embedded server holds"),
        ("memory", "the most that fits into this machine"),
    ],
)
def test_a_size_that_was_found_is_kept_with_its_reason(tmp_path: Path, bound: SizeBound, why: str) -> None:
    made, auto = scenario(nodes=5000), settings(tmp_path)
    data_set_sizes.keep_size(auto, made, found(1000, bound))
    assert data_set_sizes.wanted_memories(auto, made) == 1000
    said = f"1,000 of 5,000 memories: {why} (clustered random vectors, seed 7)"
    assert data_set_sizes.describe_wanted(auto, made) == said
    assert data_set_sizes.wanted_memories(settings(tmp_path, loading_s="5"), made) is None, "another time"
    assert data_set_sizes.wanted_memories(settings(tmp_path, memory_limit_gb="2"), made) is None, "less memory"
    assert data_set_sizes.wanted_memories(settings(tmp_path, isolation="off"), made) == 1000, "to be compared with it"


@pytest.mark.parametrize("content", ["", "{", '{"memories": 0, "bound": "time", "loading_limit_s": 1, "took_s": 1}'])
def test_a_damaged_record_is_none(tmp_path: Path, content: str) -> None:
    made, auto = scenario(nodes=5000), settings(tmp_path)
    data_set_sizes.keep_size(auto, made, found(1000, "time"))
    (record,) = (tmp_path / "tmp" / "cache" / "data_set_sizes").iterdir()
    record.write_text(content)
    assert data_set_sizes.wanted_memories(auto, made) is None


def test_a_slower_moment_makes_no_known_size_smaller(tmp_path: Path) -> None:
    small, large, auto = scenario(nodes=2000), scenario(nodes=5000), settings(tmp_path)
    _note_size(auto, small, Prepared(wanted=2000, sent=2000, complete=True, fits=2000), "set")
    assert data_set_sizes.wanted_memories(auto, large) is None
    _note_size(auto, large, Prepared(wanted=1000, sent=1000, complete=True, fits=1000), "time")
    assert data_set_sizes.wanted_memories(auto, small) == 2000
    assert data_set_sizes.wanted_memories(auto, large) == 2000
    _note_size(auto, large, Prepared(wanted=5000, sent=5000, complete=True, fits=5000), "set")
    assert data_set_sizes.wanted_memories(auto, large) == 5000


def test_a_measured_server_has_more_time_than_the_size_was_found_in(tmp_path: Path) -> None:
    assert settings(tmp_path).prepare_limit_s == 900
    assert settings(tmp_path, loading_s="10").prepare_limit_s == 600
    assert settings(tmp_path, scale="1").prepare_limit_s == 600
    assert settings(tmp_path, loading_s="80000").prepare_limit_s == 86_400
    assert settings(tmp_path).asked_scale == "auto/600s"
    assert settings(tmp_path, scale="1").asked_scale == "1.0"


def test_the_data_of_a_run_is_told_once_for_all_scenarios_of_one_amount() -> None:
    def captured(name: str, meant: int, wanted: int) -> Capture:
        data_set = DataSet(
            nodes_in_scenario=meant, scale=wanted / meant, wanted=wanted, stored=wanted, reason="why", what="the set"
        )
        capture, _ = make_capture("2026-01-01_00-00-00", Recipe(name), RunRecipe())
        return msgspec.structs.replace(capture, data_set=data_set)

    captures = [captured("a", 5000, 500), captured("b", 500, 500), captured("c", 5000, 500), captured("d", 300, 300)]
    assert data_lines(captures) == [
        "500 memories, of 5,000 in a and c, all in b: why (the set)",
        "300 memories, all in d: why (the set)",
    ]


def test_what_a_run_measures_later_gets_as_much_as_its_first_figures_whatever_is_found_meanwhile(
    tmp_path: Path,
) -> None:
    made, auto = scenario(nodes=5000), settings(tmp_path)
    data_set_sizes.keep_size(auto, made, found(1000, "time"))
    capture, _ = make_capture("2026-01-01_00-00-00", Recipe(made.name), RunRecipe())
    held = DataSet(nodes_in_scenario=5000, scale=0.4, wanted=2000, stored=2000, reason="what the first one loads")
    failed = DataSet(nodes_in_scenario=5000, scale=0.2, wanted=1000, stored=10)
    captures = [
        msgspec.structs.replace(capture, data_set=held),
        msgspec.structs.replace(capture, data_set=failed, result=None),
    ]
    kept = data_set_sizes.sized_as_before(auto, captures)
    data_set = data_set_sizes.wanted_data(kept, made)
    assert data_set is not None
    assert (data_set.wanted, data_set.reason) == (2000, "what the first one loads")
    assert data_set_sizes.wanted_memories(data_set_sizes.sized_as_before(auto, captures[1:]), made) == 1000
