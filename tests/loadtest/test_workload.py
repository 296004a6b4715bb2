"""The work of a run: fixed by the seed, the same for any number of processes, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from compbench.loadtest.workload import vectors
from compbench.loadtest.workload.operations import COMPLETION, RECALL, SEARCH, STORE
from compbench.loadtest.workload.vector_sets import open_vectors
from compbench.loadtest.workload.vectors import DistributedSet
from compbench.loadtest.workload.workload import POOL_SIZE, SAMPLE_SIZE
from compbench.model.result import Traversals
from compbench.model.scenario import Data, HotSpot, Operations, Uniform
from compbench.systems.api import NO_THRESHOLD
from tests.load import SEARCHES, graph_scenario, scenario, workload

ROOT = Path(__file__).resolve().parent.parent.parent
# Changes only with the work itself; then every earlier figure is of other work, and this says so.
PINNED = "1884a438d0dc9592f850e21205bd6ef43c056cb42f76ffbfc97313c6b46eef92"
PRINT_DIGEST = "from tests.load import workload; print(workload(count=3000).digest())"


def requests_of(first: int = 0, step: int = 1, count: int = 3000) -> dict[int, str]:
    made = workload(count=count)
    return {index: hashlib.sha256(made.build(index)).hexdigest() for index in range(first, count, step)}


def test_the_work_of_a_seed_is_pinned() -> None:
    assert workload(count=3000).digest() == PINNED


@pytest.mark.process
def test_another_process_does_the_same_work() -> None:
    argv = [sys.executable, "-c", PRINT_DIGEST]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == PINNED


def test_shards_build_exactly_the_requests_of_the_whole() -> None:
    shards: dict[int, str] = {}
    for shard in range(3):
        shards |= requests_of(first=shard, step=3)
    assert shards == requests_of()


@pytest.mark.parametrize("change", [{"nodes": 501}, {"spaces": 2}, {"operations": SEARCHES}])
def test_other_work_has_another_digest(change: dict[str, object]) -> None:
    assert workload(scenario(**change)).digest() != PINNED  # type: ignore[arg-type]


def test_a_longer_run_begins_with_the_work_of_a_shorter_one() -> None:
    assert requests_of(count=500).items() <= requests_of(count=3000).items()


def test_operations_are_drawn_by_weight() -> None:
    weights = Operations(store_weight=1, recall_weight=2, embedding_search_weight=5, pattern_completion_weight=2)
    made = workload(scenario(weights), count=20_000)
    shares = np.bincount([made.operation(index) for index in range(20_000)], minlength=4) / 20_000
    # Five standard deviations of a share of one half over 20,000 draws.
    assert np.allclose(shares, [0.1, 0.2, 0.5, 0.2], atol=0.018)


def test_each_operation_is_the_request_that_engram_knows() -> None:
    made = workload()
    first = {made.operation(index): index for index in reversed(range(100))}
    for operation, line in {
        STORE: b"POST /api/v1/memories/remember ",
        RECALL: b"GET /api/v1/memories/recall?embedding=%5B",
        SEARCH: b"GET /api/v1/memories/recall?embedding=%5B",
        COMPLETION: b"POST /api/v1/complete ",
    }.items():
        assert made.build(first[operation]).startswith(line)
    head, body = made.build(first[STORE]).split(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert len(json.loads(body)["embedding"]) == 768
    slots = json.loads(made.build(first[COMPLETION]).split(b"\r\n\r\n")[1])["partial_episode"]["partial_embedding"]
    assert [slot is None for slot in slots] == [False, True] * 384


def test_a_search_by_another_metric_has_no_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    cosine = workload(count=1000)
    monkeypatch.setattr(DistributedSet, "metric", "euclidean")
    other = workload(count=1000)
    assert {other.query(index).threshold for index in range(1000)} == {NO_THRESHOLD}
    assert [other.query(i)[:2] for i in range(1000)] == [cosine.query(i)[:2] for i in range(1000)], "all else is alike"


def test_a_search_sends_the_vector_limit_and_threshold_that_are_judged_later() -> None:
    made = workload(scenario(SEARCHES))
    query = made.query(11)
    asked = parse_qs(urlsplit(made.build(11).split(b" ")[1].decode()).query)
    assert np.array_equal(np.array(json.loads(asked["embedding"][0]), np.float32), made.pool[query.number])
    assert (int(asked["max_results"][0]), float(asked["threshold"][0])) == (query.limit, query.threshold)
    assert 5 <= query.limit <= 50


def test_a_server_that_cannot_traverse_is_asked_by_similarity_and_the_report_says_so() -> None:
    able, unable = workload(graph_scenario()), workload(graph_scenario(), traverses=False)
    assert b"mode=spreading" in able.build(0)
    assert able.traversal_facts() == Traversals(asked=True, measured=True)
    assert b"mode=spreading" not in unable.build(0)
    assert "similarity recalls were measured" in unable.traversal_facts().note
    assert workload(scenario(SEARCHES)).traversal_facts().asked is False


def test_stored_vectors_are_new_and_searched_ones_come_from_the_pool() -> None:
    made = workload()
    bodies = [made.build(i).split(b"\r\n\r\n")[1] for i in range(3000) if made.operation(i) == STORE]
    assert len({json.dumps(json.loads(body)["embedding"]) for body in bodies}) == len(bodies)
    numbers = {made.query(i).number for i in range(3000) if made.operation(i) in (RECALL, SEARCH)}
    assert len(made.pool) == POOL_SIZE
    assert len(numbers) > POOL_SIZE / 2


def test_about_a_thousand_measured_searches_are_kept_however_long_the_run() -> None:
    made = workload(scenario(SEARCHES), count=50_000, warm_up=10_000)
    kept = [index for index in range(50_000) if made.keeps(index)]
    assert min(kept) >= 10_000
    assert abs(len(kept) - SAMPLE_SIZE) < 5 * SAMPLE_SIZE**0.5
    short = workload(scenario(SEARCHES), count=100)
    assert all(short.keeps(index) for index in range(100))


def test_a_smaller_data_set_is_the_beginning_of_a_larger_one() -> None:
    drawn = open_vectors(scenario(), 7)
    small = np.concatenate([chunk for _, chunk in vectors.prepared_vectors(drawn, 1500)])
    large = np.concatenate([chunk for _, chunk in vectors.prepared_vectors(drawn, 3000)])
    assert small.shape == (1500, 768)
    assert np.array_equal(small, large[:1500])
    begins, rest = zip(*vectors.prepared_vectors(drawn, 3000, first=1100), strict=True)
    assert begins[0] == 1100
    assert np.array_equal(np.concatenate(rest), large[1100:])


def test_distributions_have_their_shape() -> None:
    shape = {"num_nodes": 1, "embedding_dim": 64, "memory_spaces": 1}
    uniform = DistributedSet(Data(**shape, embedding_distribution=Uniform()), 1).queries(2000, 1)
    assert uniform.min() >= -1
    assert uniform.max() < 1
    assert abs(float(uniform.mean())) < 0.01
    spot = DistributedSet(Data(**shape, embedding_distribution=HotSpot(center=[3.0])), 1).queries(2000, 1)
    assert np.allclose(spot.mean(axis=0)[:2], [3.0, 0.0], atol=0.02)
    assert abs(float(spot.std(axis=0).mean()) - vectors.HOT_SPOT_STD_DEV) < 0.01
