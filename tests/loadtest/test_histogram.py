"""Histograms, their merging and coding, the log of them, and confidence intervals."""

from __future__ import annotations

import base64
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from compbench.loadtest.engine.confidence import percentile_interval, percentile_intervals, ranks
from compbench.loadtest.engine.histogram import HOUR_US, Histogram, empty_hdr
from compbench.loadtest.engine.hlog import HdrLog
from compbench.loadtest.engine.recorder import Interval

PERCENTILES = (0.1, 50, 90, 95, 99, 99.9, 100)


def sample(seed: int, size: int = 3000) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).lognormal(-7, 2, size)


def recorded(seconds: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Histogram:
    histogram = Histogram()
    histogram.record(seconds)
    return histogram


def test_recording_in_batches_is_what_the_package_does_value_by_value() -> None:
    seconds = np.concatenate([sample(1), [0, 1e-9, 1e-6, 2.047e-3, 2.048e-3, 3600, 1e9, -1]])
    hdr = empty_hdr()
    for value in np.ceil(np.clip(seconds * 1e6, 0, HOUR_US)).astype(int).tolist():
        assert hdr.record_value(value)
    histogram = recorded(seconds)
    assert histogram.counts.tolist() == list(hdr.counts)
    for percentile in PERCENTILES:
        assert histogram.percentile_ms(percentile) * 1000 == pytest.approx(hdr.get_value_at_percentile(percentile))
    assert histogram.max_ms * 1000 == pytest.approx(hdr.get_max_value())
    assert histogram.mean_ms == pytest.approx(hdr.get_mean_value() / 1000, rel=1e-3)


def test_a_percentile_is_never_less_than_the_exact_one_and_at_most_a_thousandth_more() -> None:
    seconds = np.sort(sample(2))
    histogram = recorded(seconds)
    for percentile in PERCENTILES:
        exact_ms = seconds[max(1, int(percentile * len(seconds) / 100 + 0.5)) - 1] * 1000
        assert exact_ms <= histogram.percentile_ms(percentile) <= exact_ms * 1.001 + 0.001


def test_merging_is_exact_through_every_coding() -> None:
    one, two = sample(3), sample(4) * 10
    whole = recorded(np.concatenate([one, two]))
    for coded in (lambda h: Histogram.decode(h.encode()), lambda h: pickle.loads(pickle.dumps(h))):
        merged = coded(recorded(one))
        merged.add(coded(recorded(two)))
        assert (merged.counts == whole.counts).all()
    assert HdrHistogram.decode(whole.encode()).get_total_count() == 6000
    assert base64.b64decode(whole.encode())


def test_an_empty_histogram_has_zeros() -> None:
    summary = Histogram().summary()
    assert (summary.count, summary.p50, summary.max, summary.mean) == (0, 0, 0, 0)
    assert Histogram.decode(Histogram().encode()).total == 0


def test_the_packages_reader_reads_the_log_back_to_the_same_percentiles(tmp_path: Path) -> None:
    path = tmp_path / "run.hlog"
    whole, by_tag = Histogram(), {"Search": Histogram(), "service": Histogram(), "lag": Histogram()}
    with HdrLog(path, ("Store", "Recall", "Search")) as hlog:
        hlog.start(0.0)
        for number in range(-2, 5):
            interval = Interval(number)
            part = interval.part(2)
            part.count = 100
            for times, scale in zip(part.times, (1, 0.5, 0.01), strict=True):
                times.record(sample(number + 9, 100) * scale)
            list(hlog.take(interval, interval.pooled()))
            if number >= 0:
                whole.add(part.times.response)
                for tag, times in zip(by_tag, part.times, strict=True):
                    by_tag[tag].add(times)
        list(hlog.take(Interval(5), Interval(5).pooled()))
    assert path.read_text().splitlines()[0].startswith("#[")
    untagged, tagged = empty_hdr(), {tag: empty_hdr() for tag in by_tag}
    reader, lengths = HistogramLogReader(str(path), empty_hdr()), []
    while (read := reader.get_next_interval_histogram()) is not None:
        (tagged[read.get_tag()] if read.get_tag() else untagged).add(read)
        lengths.append(read.get_end_time_stamp() - read.get_start_time_stamp())
    reader.close()
    assert len(lengths) == 5 * 4
    assert lengths == pytest.approx([1000] * 20, abs=0.01)
    for percentile in PERCENTILES:
        assert untagged.get_value_at_percentile(percentile) / 1000 == pytest.approx(whole.percentile_ms(percentile))
        for tag, histogram in by_tag.items():
            assert tagged[tag].get_value_at_percentile(percentile) / 1000 == histogram.percentile_ms(percentile)


@pytest.mark.parametrize(
    ("total", "percentile", "expected"),
    [
        # The sign test's: P(B < 2) = P(B > 8) = 0.011 of 10; P(B < 6) = P(B > 14) = 0.021 of 20.
        (10, 50, (2, 9)),
        (20, 50, (6, 15)),
        (5, 50, (None, None)),
        (20, 90, (None, None)),
        (0, 50, (None, None)),
    ],
)
def test_ranks_of_small_samples(total: int, percentile: float, expected: tuple[int | None, int | None]) -> None:
    low, high = ranks(total, percentile)
    if expected[0] is not None:
        assert (low, high) == expected
    else:
        assert high is None


@pytest.mark.parametrize(("total", "percentile"), [(100, 50), (1000, 99), (5000, 99.9), (60_000, 95)])
def test_the_ranks_hold_the_percentile_with_the_confidence_stated(total: int, percentile: float) -> None:
    low, high = ranks(total, percentile)
    assert low is not None
    assert high is not None
    p = percentile / 100
    chance = sum(_binomial(total, k, p) for k in range(low, high))
    narrower = sum(_binomial(total, k, p) for k in range(low + 1, high - 1))
    assert chance >= 0.95 > narrower


def test_nineteen_in_twenty_intervals_hold_the_true_percentile() -> None:
    rng, true_ms, held = np.random.default_rng(5), 1000 * -math.log(0.1), 0
    for _ in range(400):
        low, high = percentile_interval(recorded(rng.exponential(1.0, 500)), 90)
        assert low is not None
        assert high is not None
        held += low <= true_ms <= high
    # 95 % or a little more of 400, less four standard deviations.
    assert held >= 0.95 * 400 - 4 * math.sqrt(400 * 0.95 * 0.05)


def test_intervals_name_their_method_and_hold_the_reported_percentile() -> None:
    histogram = recorded(sample(6))
    intervals = percentile_intervals(histogram)
    assert intervals.confidence == 0.95
    assert "order statistics" in intervals.method
    for name, percentile in {"p50": 50, "p90": 90, "p95": 95, "p99": 99}.items():
        low, high = getattr(intervals, name)
        assert low <= histogram.percentile_ms(percentile) <= high
    assert intervals.p999 is not None
    assert intervals.p999[1] is None or intervals.p999[1] >= histogram.percentile_ms(99.9)


def _binomial(n: int, k: int, p: float) -> float:
    logs = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(logs + k * math.log(p) + (n - k) * math.log1p(-p))
