"""Which rows are compared and which are left; and that the nearest are the same however the rows were parted."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from compbench.loadtest.cluster.spread import merged_truth
from compbench.loadtest.truth import ground_truth
from compbench.loadtest.truth.best_lists import best_of, perhaps_best
from compbench.loadtest.truth.nearest import DEPTH, Nearest, Truth, below_floors, floors_of, without_floors
from compbench.loadtest.truth.neighbour_files import Begun, read_begun, write_begun, write_truth
from compbench.loadtest.truth.row_blocks import row_blocks
from compbench.loadtest.truth.spans import Span, are_apart, left_of, rows_within, span_pieces, with_span
from compbench.loadtest.workload.workload import POOL_SIZE
from compbench.model.scenario import SimilarityMetric
from tests.given_rows import DIMENSION, PlainSet, spread_rows
from tests.load import scenario

ROWS = 20_000
METRICS: list[SimilarityMetric] = ["cosine", "euclidean", "dot"]


def test_what_is_left_and_what_is_done_are_all_rows_once() -> None:
    done: tuple[Span, ...] = ()
    pieces = list(span_pieces(left_of((), 10_000), 3000))
    assert pieces == [(0, 3000), (3000, 6000), (6000, 9000), (9000, 10_000)]
    for piece in np.random.default_rng(1).permutation(len(pieces)):
        done = with_span(done, pieces[piece])
        left = left_of(done, 10_000)
        assert rows_within(done) + rows_within(left) == 10_000
        assert are_apart([*done, *left], 10_000)
    assert done == ((0, 10_000),)
    assert list(span_pieces([Span(1000, 4000), Span(5000, 5001)], 3000)) == [(1000, 3000), (3000, 4000), (5000, 5001)]


@pytest.mark.parametrize("spans", [[(0, 5), (4, 9)], [(5, 5)], [(0, 11)], [(-1, 3)]])
def test_spans_that_overlap_or_are_none_are_not_apart(spans: list[tuple[int, int]]) -> None:
    assert not are_apart([Span(*span) for span in spans], 10)


def test_what_may_be_best_holds_the_best_and_of_ties_only_the_first() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        true = rng.integers(0, 20, 300).astype(np.float32)
        below, above = rng.integers(0, 2, (2, 300)) * (rng.random(300) < 0.05)
        kept = perhaps_best(true - below.astype(np.float32), true + above.astype(np.float32), DEPTH)
        numbers, _ = best_of(np.arange(300)[None], true[None], DEPTH)
        assert set(numbers[0]) <= set(kept)
        assert len(perhaps_best(true, true, DEPTH)) < 2 * DEPTH


def tied_rows() -> np.typing.NDArray[np.float32]:
    """Return rows of few kinds, so that every list is cut inside a tie."""
    return np.random.default_rng(9).integers(-1, 2, (ROWS, 4)).astype(np.float32) + np.float32(0.5)


def repeated_rows() -> np.typing.NDArray[np.float32]:
    """Return rows each of which is there 200 times, far from the origin."""
    rows = np.random.default_rng(10).normal(50, 1, (ROWS // 200, DIMENSION)).astype(np.float32)
    return np.tile(rows, (200, 1))


def parted(made: PlainSet, spaces: int, ends: list[int], order: list[int]) -> Truth:
    """Return what hosts and the driver find: spans searched by themselves, merged in that order.

    Each host knows how near the nearest were when the list before the last one was merged.
    """
    pool, spans = made.queries(POOL_SIZE, ROWS), list(itertools.pairwise(ends))
    whole = before = no_rows = below_floors(np.full(len(pool), -np.inf, np.float32), made.metric)
    for place in order:
        nearest = Nearest(pool, made.metric, spaces, below_floors(floors_of(before), made.metric))
        for begin, block in row_blocks(made, spans[place][1], spans[place][0]):
            nearest.take(begin, block)
        before, whole = whole, merged_truth(whole, without_floors(nearest.best))
    assert whole is not no_rows
    return whole


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spaces", [1, 3])
@pytest.mark.parametrize("rows", [spread_rows, tied_rows, repeated_rows])
def test_the_nearest_are_the_same_to_the_bit_however_the_rows_are_parted_and_merged(
    monkeypatch: pytest.MonkeyPatch, metric: SimilarityMetric, spaces: int, rows: object
) -> None:
    assert callable(rows)
    made = PlainSet(rows(), metric)
    monkeypatch.setattr(ground_truth, "open_vectors", lambda _scenario, _seed: made)
    of = scenario(nodes=ROWS, spaces=spaces)
    whole = ground_truth.compute(of, ROWS, 7, lambda _elapsed_s, _done: None)
    for ends, order in (
        ([0, 8192, 16_384, ROWS], [2, 0, 1]),
        ([0, 1000, 1001, 15_000, ROWS], [3, 1, 0, 2]),
    ):
        other = parted(made, spaces, ends, order)
        assert np.array_equal(whole.numbers, other.numbers)
        assert whole.similarities.tobytes() == other.similarities.tobytes()
    for numbers, similarities in zip(whole.numbers[::50], whole.similarities[::50], strict=True):
        pairs = list(zip((-similarities).tolist(), numbers.tolist(), strict=True))
        assert pairs == sorted(pairs), "best first, of equal ones the lowest number"


def test_a_state_of_spans_is_taken_up_by_this_process_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, file, ticks = PlainSet(tied_rows(), "cosine"), tmp_path / "x.begun", list[int]()
    monkeypatch.setattr(ground_truth, "open_vectors", lambda _scenario, _seed: made)
    whole = ground_truth.compute(scenario(nodes=ROWS), ROWS, 7, lambda _elapsed_s, _done: None)
    ends = [0, 4096, 8192, 12_288, ROWS]
    write_begun(file, Begun(parted(made, 1, ends, [3, 1]), (Span(4096, 8192), Span(12_288, ROWS))))
    ended = ground_truth.compute(scenario(nodes=ROWS), ROWS, 7, lambda _s, done: ticks.append(done), begun=file)
    assert ticks == [ROWS - 4096, ROWS]
    assert np.array_equal(ended.numbers, whole.numbers)
    assert np.array_equal(ended.similarities, whole.similarities)


def test_a_state_of_an_earlier_compbench_is_taken_up_and_one_of_other_rows_is_none(tmp_path: Path) -> None:
    truth = Truth(np.zeros((3, DEPTH), np.int64), np.zeros((3, DEPTH), np.float32), "dot")
    file = tmp_path / "x.begun"
    with file.open("wb") as opened:
        np.savez(opened, **truth._asdict(), done=np.array(4096))
    begun = read_begun(file, 9000)
    assert begun is not None
    assert begun.spans == ((0, 4096),)
    assert read_begun(file, 4000) is None
    write_begun(file, Begun(truth, (Span(0, 4096), Span(4000, 5000))))
    assert read_begun(file, 9000) is None
    write_truth(file, truth)
    assert read_begun(file, 9000) is None, "neighbours of a whole set are no state"
