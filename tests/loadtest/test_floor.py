"""What protocol and client cost by themselves, and a client that costs too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flat import flat_server

DURATION = ("--duration", "2", "--connections", "8")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_floor_is_told_beside_figures_that_it_does_not_enter(tmp_path: Path, processes: str) -> None:
    with flat_server(tmp_path, rate=100) as flat:
        for _ in range(5):  # a floor that the machine has spoiled is left out
            done = flat.ask("run", *DURATION, "--processes", processes)
            own = flat.report("run")["compbench"]
            if own["floor"]:
                break
    if own["floor"] is None:
        assert "The floor is left out: the driver's own lag" in done.stdout, "a machine that is busy all the time"
    else:
        assert own["floor"]["count"] == 50
        assert 0 < own["floor"]["p50_ms"] <= own["floor"]["p99_ms"]
        assert own["floor"]["client_cpu_us"] > 0
    assert own["client_cpu_us"] > 0
    assert own["due"] == own["completed"] == own["response_time_ms"]["count"] == 200
    assert sum(filter(None, own["time_series"]["completed"])) == 200
    assert own["effort"] is None


def test_a_floor_that_can_not_be_had_is_said_and_costs_no_run(tmp_path: Path) -> None:
    with flat_server(tmp_path, rate=100) as flat:
        done = flat.ask("run", *DURATION, system="costly", has_floor=False)
        own = flat.report("run")["compbench"]
    assert own["floor"] is None
    assert own["completed"] == 200
    assert "The floor is left out: 50 of 50 of the smallest requests failed (refused)" in done.stdout


@pytest.mark.parametrize("cost", ["encode_ms", "answer_ms"])
def test_a_client_that_can_not_keep_up_makes_the_measurement_invalid_and_not_the_server_slow(
    tmp_path: Path, cost: str
) -> None:
    with flat_server(tmp_path, rate=400) as flat:
        done = flat.ask("run", *DURATION, system="costly", **{cost: 4.0})
        own = flat.report("run")["compbench"]
    assert done.returncode == 1
    assert own["valid"] is False
    assert "driver" in own["invalid_reason"]
    assert own["client_cpu_us"] > 2000


def test_what_the_client_costs_a_request_is_told(tmp_path: Path) -> None:
    with flat_server(tmp_path, rate=50) as flat:
        flat.ask("run", *DURATION, system="costly", answer_ms=3.0)
        own = flat.report("run")["compbench"]
    assert own["client_cpu_us"] > 2500


def test_what_was_loaded_is_removed_or_the_reason_is_one_line(tmp_path: Path) -> None:
    with flat_server(tmp_path, rate=50) as flat:
        done = flat.ask("remove")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"Removed from flat://127.0.0.1:{flat.port} what was loaded\n"
    gone = flat.ask("remove")
    assert gone.returncode == 1
    assert gone.stderr.startswith("Error: ")
    assert gone.stderr.count("\n") == 1


def test_a_load_tells_how_long_the_index_was_built_and_what_proves_it(tmp_path: Path) -> None:
    with flat_server(tmp_path, rate=50) as flat:
        prepared = flat.report("prepare")
    assert 0 <= prepared["index_s"] <= prepared["elapsed_s"]
    assert prepared["index_proof"] == {"is_used": False, "said": "it compares every vector"}
