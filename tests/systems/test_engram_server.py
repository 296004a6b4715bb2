"""What is known of Engram's server, and that the stand-in for it starts again on its data as the real one does."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from compbench.preflight.memory_needs import Need, Room, judge_data_set
from compbench.systems.api import Place
from compbench.systems.engram.server import Server
from compbench.systems.engram.settings import EngramSettings
from compbench.systems.registry import load_settings, server_of
from tests.helpers import install
from tests.project import eventually, free_port

# What the real one took, by the count of its vectors: seconds of a core, bytes of log, bytes beside the mapped file.
MEASURED = {10_000: (76, 33_027_714, 2.4e8), 20_000: (350, 66_077_657, 4.6e8)}
MACHINE = Room(
    available_bytes=16_000_000_000,
    reserve_bytes=1_000_000_000,
    free_disk_bytes=80_000_000_000,
    cores=2,
    kept_limit_s=7200,
    loading_limit_s=600,
)


def half(port: int = 1) -> Server:
    return Server(EngramSettings(), Place(port, Path()))


def need(count: int) -> Need:
    needs = half().needs(count, 768)
    assert needs
    return Need(scenario="made", num_nodes=1_000_000, count=count, needs=needs)


@pytest.mark.parametrize("count", sorted(MEASURED))
def test_what_vectors_need_is_what_they_took(count: int) -> None:
    needs, (core_s, log_bytes, held_bytes) = half().needs(count, 768), MEASURED[count]
    assert needs
    assert count / needs.added_a_core_s == pytest.approx(core_s, rel=0.25)
    assert needs.disk_bytes == pytest.approx(log_bytes, rel=0.01)
    more_bytes = need(200_000 + count).memory_bytes - need(200_000).memory_bytes
    assert more_bytes == pytest.approx(held_bytes, rel=0.1)


def test_a_load_that_grows_with_the_square_is_refused_before_it_is_begun() -> None:
    assert judge_data_set([need(20_000)], MACHINE).level == "ok"
    refused = judge_data_set([need(1_000_000)], MACHINE)
    assert (refused.level, "use scale=auto, or raise prepare_timeout_s" in refused.found) == ("critical", True)


def test_a_machine_without_room_for_its_start_is_told_so() -> None:
    small = dataclasses.replace(MACHINE, available_bytes=MACHINE.reserve_bytes + 6_000_000_000)
    found = judge_data_set([need(1000)], small)
    assert (found.level, "at least 6.3 GB when it starts" in found.found) == ("critical", True), found.found


def test_its_data_is_not_kept_and_the_reason_is_told(tmp_path: Path) -> None:
    assert half().data_format == ""
    assert "finds nothing by vector" in half().save(1.0)
    assert half().most_vectors == 44_444
    embedded = load_settings(tmp_path, {}, {"system": "embedded"})
    assert server_of(embedded).most_vectors is None, "it does not inherit Engram's limit"


@contextmanager
def started(root: Path, work: Path, ended_by: signal.Signals = signal.SIGTERM) -> Iterator[Server]:
    """Start it as compbench does, on what is in `work`."""
    server = Server(EngramSettings(root=str(root)), Place(free_port(), Path()))
    launch = server.launch(work)
    work.mkdir(exist_ok=True)
    with subprocess.Popen(launch.argv, env={**os.environ, **launch.environment}, stdout=subprocess.DEVNULL) as child:
        try:
            assert eventually(lambda: server.look(work, child.pid, 2.0).is_ready)
            yield server
        finally:
            child.send_signal(ended_by)
            child.wait(20)


def store(server: Server, *numbers: int) -> None:
    """Store memories, each of a direction of its own."""
    for number in numbers:
        vector = [float(place == number) for place in range(768)]
        body = {"id": f"node-{number}", "content": f"memory {number}", "confidence": 0.9, "embedding": vector}
        answer = requests.post(f"{server.endpoint}/api/v1/memories/remember", json=body, timeout=10)
        assert answer.status_code == 201, answer.text


def found(server: Server, number: int) -> int:
    """Return how many memories a search by that direction finds."""
    vector = ",".join("1" if place == number else "0" for place in range(768))
    asked = {"embedding": f"[{vector}]", "threshold": "0", "max_results": "10"}
    answer = requests.get(f"{server.endpoint}/api/v1/memories/recall", params=asked, timeout=10)
    return sum(len(part) for part in answer.json()["memories"].values())


def logs(work: Path) -> dict[str, bytes]:
    """Return the server's logs by their names."""
    return {path.name: path.read_bytes() for path in (work / "data" / "default" / "wal").iterdir()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return install(tmp_path / "engram")


def test_a_start_on_its_data_counts_all_of_it_and_finds_nothing(root: Path, tmp_path: Path) -> None:
    with started(root, tmp_path / "work") as server:
        store(server, 0, 1, 2, 2)
        assert server.count() == 3
    before = logs(tmp_path / "work")
    with started(root, tmp_path / "work") as server:
        assert server.count() == 3
        assert found(server, 1) == 0
        for number, status in ((2, 200), (3, 404)):
            assert requests.get(f"{server.endpoint}/api/v1/memories/node-{number}", timeout=10).status_code == status
        store(server, 0)
        assert server.count() == 3, "it is there already"
    after = logs(tmp_path / "work")
    assert [len(log) for log in before.values()] == [len(log) for log in after.values()], "in any order"
    assert not before.keys() & after.keys(), "the log is written anew, under another name"


def test_what_is_stored_after_such_a_start_is_lost_by_the_next(root: Path, tmp_path: Path) -> None:
    with started(root, tmp_path / "work") as server:
        store(server, 0, 1)
    with started(root, tmp_path / "work") as server:
        store(server, 2)
        assert server.count() == 3
    with started(root, tmp_path / "work") as server:
        assert server.count() == 2


def test_a_start_changes_no_file_that_was_kept_as_a_link(root: Path, tmp_path: Path) -> None:
    with started(root, tmp_path / "work", signal.SIGKILL) as server:
        store(server, 0, 1)
        time.sleep(1)  # what was acknowledged in the last moments before a kill is lost, by the real one
    (kept,) = logs(tmp_path / "work")
    (tmp_path / kept).hardlink_to(tmp_path / "work" / "data" / "default" / "wal" / kept)
    content = (tmp_path / kept).read_bytes()
    with started(root, tmp_path / "work") as server:
        store(server, 2)
    assert (tmp_path / kept).read_bytes() == content
