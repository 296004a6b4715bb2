"""Loading a data set: in bulk and one by one, resumed, checked by the server's own count."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from compbench.loadtest.prepare import LoadState, _Counting, why_too_slow, why_useless
from compbench.loadtest.workload.edges import edge_chunks
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.model.errors import UserError
from compbench.model.scenario import Scenario
from tests.embedded_server import Embedded, embedded, wrong_answers
from tests.load import MIXED, graph_scenario, scenario, toml
from tests.project import free_port

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def keeper(request: pytest.FixtureRequest) -> Iterator[str]:
    with wrong_answers(getattr(request, "param", "keeps")) as url:
        yield url


def prepare(folder: Path, url: str, made: Scenario, *more: str) -> tuple[int, dict[str, Any], str]:
    """Run the command; return exit code, report and what was said."""
    path, report = folder / "made.toml", folder / "prepared.json"
    path.write_text(toml(made))
    report.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "compbench.loadtest", "prepare", "--scenario", str(path), "--endpoint", url]
    argv += ["--output", str(report), "--progress", str(folder / "progress"), *more]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(report.read_text()) if report.exists() else {}, done.stdout + done.stderr


def stored_vector(server: Embedded, number: int, space: str = "default") -> list[float]:
    return list(server.get(f"/api/v1/memories/node-{number}", space=space).json()["embedding"])


@pytest.mark.parametrize("spaces", [1, 3])
def test_rows_are_loaded_in_bulk_and_a_second_load_sends_nothing(tmp_path: Path, spaces: int) -> None:
    made = scenario(MIXED, nodes=2500, spaces=spaces)
    with embedded(tmp_path) as server:
        code, report, said = prepare(tmp_path, server.url, made)
        assert code == 0, said
        assert (report["stored"], report["sent"], report["method"]) == (2500, 2500, "bulk")
        own = open_vectors(made, made.seed).rows(1)[2007 - 1024]
        name = "default" if spaces == 1 else f"space_{2007 % spaces}"
        assert stored_vector(server, 2007, name) == pytest.approx(own.tolist(), rel=4e-3)
        code, report, said = prepare(tmp_path, server.url, made)
        assert (code, report["sent"], report["found"], report["stored"]) == (0, 0, 2500, 2500), said
    assert '"phase":"prepare"' in (tmp_path / "progress").read_text()


def test_a_bulk_load_goes_on_where_it_was(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        assert prepare(tmp_path, server.url, scenario(nodes=2500), "--scale", "0.5")[0] == 0
        code, report, said = prepare(tmp_path, server.url, scenario(nodes=2500))
        assert (code, report["found"], report["sent"], report["stored"]) == (0, 1250, 1250, 2500), said


def test_a_server_that_holds_more_than_is_wanted_is_refused(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        assert prepare(tmp_path, server.url, scenario(nodes=2500))[0] == 0
        code, report, said = prepare(tmp_path, server.url, scenario(nodes=2500), "--scale", "0.5")
    assert (code, report["complete"], report["stored"]) == (1, False, 2500)
    assert "holds 2500 memories, of which only 1250 belong to the data set: start it afresh" in said


def test_edges_are_loaded_with_the_rows_and_only_once(tmp_path: Path) -> None:
    made = graph_scenario(2500)
    expected = sum(len(chunk) for chunk in edge_chunks(2500, 5.0, made.seed))
    with embedded(tmp_path) as server:
        for _ in range(2):
            code, report, said = prepare(tmp_path, server.url, made)
            assert (code, report["edges"]) == (0, expected), said


def test_another_data_set_in_the_server_is_refused(tmp_path: Path) -> None:
    with embedded(tmp_path) as server:
        assert prepare(tmp_path, server.url, scenario())[0] == 0
        code, _, said = prepare(tmp_path, server.url, scenario(), "--seed", "8")
        assert code == 1
        assert "holds the data set of another seed" in said


def test_a_server_without_bulk_loads_is_given_one_memory_at_a_time_and_goes_on_where_it_was(
    tmp_path: Path, keeper: str
) -> None:
    code, report, said = prepare(tmp_path, keeper, scenario(nodes=300), "--scale", "0.5")
    assert (code, report["sent"], report["stored"], report["method"]) == (0, 150, 150, "one by one"), said
    code, report, said = prepare(tmp_path, keeper, scenario(nodes=300))
    assert (code, report["stored"]) == (0, 300), said
    # The last few, which may have been in flight when a load was interrupted, are sent again.
    assert report["sent"] == 166


@pytest.mark.parametrize("keeper", ["few"], indirect=True)
def test_a_server_that_does_not_keep_what_it_acknowledges_is_named(tmp_path: Path, keeper: str) -> None:
    code, report, said = prepare(tmp_path, keeper, scenario(nodes=300))
    assert (code, report["stored"], report["complete"]) == (1, 2, False)
    assert "the server keeps 2 of" in said


def test_a_dead_server_is_one_line(tmp_path: Path) -> None:
    code, _, said = prepare(tmp_path, f"http://127.0.0.1:{free_port()}", scenario())
    assert code == 1
    assert said.startswith("Error: http://127.0.0.1:")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("states", "line"),
    [
        ([LoadState(0, 0, 0), LoadState(1, 199, 1)], ""),
        ([LoadState(0, 0, 0), LoadState(1, 200, 1)], "the server keeps 1 of 200 acknowledged memories"),
        (
            [LoadState(0, 0, 0), LoadState(61, 900, 900)],
            "900 of 1000 memories were in when the time limit of 60 s was reached",
        ),
        ([LoadState(0, 0, 0), LoadState(10, 10, 10)], "at 1 memories/s the rest of 1000 takes another 990 s"),
        ([LoadState(0, 0, 0), LoadState(10, 0, 0)], "takes forever"),
        ([LoadState(0, 0, 0), LoadState(10, 500, 500)], ""),
        ([LoadState(0, 0, None), LoadState(10, 500, None)], ""),
    ],
)
def test_a_load_that_cannot_succeed_is_given_up_early(states: list[LoadState], line: str) -> None:
    said = why_useless(states[-1]) or why_too_slow(deque(states), 1000, 60)
    assert (line in said) if line else not said


class SlowToCount:
    """In the place of a client: counting takes a while, and may fail."""

    def __init__(self, answers: list[int | UserError]) -> None:
        """Take the answers in turn."""
        self.answers, self.asked = answers, 0

    async def count(self, _ask: object) -> int:
        """Return the next answer."""
        self.asked += 1
        await asyncio.sleep(0.02)
        answer = self.answers.pop(0)
        if isinstance(answer, UserError):
            raise answer
        return answer


def test_a_server_is_asked_for_its_count_for_a_hundredth_of_the_time_at_most_and_no_load_waits_for_it() -> None:
    async def looked(held: bool, answers: list[int | UserError]) -> tuple[SlowToCount, list[LoadState | None]]:
        client, transport = SlowToCount(answers), cast("Any", SimpleNamespace(ask=None))
        counting = _Counting(cast("Any", client))
        counting.is_held = held
        found = []
        for number in range(10):
            found.append(counting.newest(transport, LoadState(number, 1000 + number, None)))
            await asyncio.sleep(0.01)
        counting.end()
        return client, [one for one in found if one is not None]

    client, found = asyncio.run(looked(held=False, answers=[7, 8]))
    assert (client.asked, found) == (1, [LoadState(0, 1000, 7)]), "it belongs to the moment when it was asked for"
    client, found = asyncio.run(looked(held=False, answers=[UserError("no answer"), 8]))
    assert (client.asked, found) == (1, [LoadState(0, 1000, None)]), "that is no reason to stop"
    client, _ = asyncio.run(looked(held=True, answers=[7]))
    assert client.asked == 0, "an index is being built"
