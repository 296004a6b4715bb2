"""What the driver reports of a server of known behaviour: counts exactly, percentiles within stated tolerances.

The server draws from a generator of a known seed, so the number of its errors is known. Noise of the machine only ever
adds to a time: lower limits hold exactly, upper ones are for the median or leave room.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compbench.loadtest.engine.histogram import Histogram
from compbench.loadtest.engine.openloop import DRAIN_S, NO_ANSWER
from compbench.loadtest.engine.recorder import NEVER_SENT
from tests.drive import constant, drive, serving

# The histograms know a time to one part in a thousand.
ROUNDING = 0.999
DRIVERS_LIMIT = "more than the driver can send"
# What the loopback, the server and the driver add to a median.
MEDIAN_ROOM_MS = 5.0


def drawn(share: float, count: int, *, every: int = 1) -> int:
    """Return how many of the server's first draws (each `every`-th) are below a share."""
    draw = random.Random(1).random
    draws = [draw() for _ in range(count * every)]
    return sum(chance < share for chance in draws[::every])


def measured(folder: Path, server: str, rate: float, duration_s: int, *options: str) -> dict[str, Any]:
    with serving(*server.split()) as url:
        own = drive(folder, url, constant(rate), duration_s, *options).own
    assert own["due"] == rate * duration_s == own["completed"] + own["failed"] + own["never_sent"]
    assert own["due"] == sum(part["count"] for part in own["per_operation"].values())
    assert sum(own["errors"].values()) == own["failed"] + own["never_sent"]
    assert own["response_time_ms"]["count"] == own["due"]
    series = own["time_series"]
    assert sum(series["offered"]) == own["due"]
    assert sum(series["completed"]) == own["completed"]
    assert sum(series["errors"]) == own["failed"] + own["never_sent"]
    return own


def test_a_fixed_delay_is_every_percentile_from_below_and_the_median_from_above(tmp_path: Path) -> None:
    own = measured(tmp_path, "--delay-ms 30", 200, 2)
    for times in (own["response_time_ms"], own["service_time_ms"]):
        assert 30 * ROUNDING <= times["p50"] <= 30 + MEDIAN_ROOM_MS
        assert times["p50"] <= times["p90"] <= times["p95"] <= times["p99"] <= times["p999"] <= times["max"]
    assert own["completed"] == 400
    assert own["driver_lag_ms"]["p50"] < MEDIAN_ROOM_MS


def test_a_distribution_with_two_peaks_is_reported_with_the_right_shares(tmp_path: Path) -> None:
    own = measured(tmp_path, "--delay-ms 5 --slow-ms 1500 --slow-share 0.08", 200, 3)
    counts = Histogram.decode(own["histograms"]["response_time"]).counts
    slow = drawn(0.08, 600, every=2)
    # 750 ms: no value of the histogram lies between the peaks but by a pause of the machine.
    threshold = int(own["response_time_ms"]["count"] - counts[: _place_of(750)].sum())
    assert slow <= threshold <= slow + 12
    assert 5 * ROUNDING <= own["response_time_ms"]["p50"] <= 5 + MEDIAN_ROOM_MS
    assert own["response_time_ms"]["p99"] >= 1500 * ROUNDING


def test_a_stall_shows_fully_in_the_response_times_and_not_in_the_rate_offered(tmp_path: Path) -> None:
    own = measured(tmp_path, "--delay-ms 2 --stall-every-s 2 --stall-for-s 1", 300, 4)
    # A quarter of all requests were due in the second without answers, and waited from 1 s down to 0: of all, one in a
    # hundred waited more than 0.96 s.
    response = own["response_time_ms"]
    assert 940 <= response["p99"] <= 1300
    assert response["max"] >= 980
    assert 580 <= response["p90"] <= 900
    assert own["completed"] == own["due"]
    # Seconds in which nothing ended have no maximum.
    assert max(filter(None, own["time_series"]["response_max_ms"])) == response["max"]


def test_errors_are_counted_exactly(tmp_path: Path) -> None:
    own = measured(tmp_path, "--error-share 0.03", 300, 3)
    assert own["failed"] == drawn(0.03, 900) == own["errors"]["HTTP 500"]


def test_a_server_slower_than_the_load_shows_as_waiting_and_as_its_own_rate(tmp_path: Path) -> None:
    own = measured(tmp_path, "--rate 300", 450, 3, "--connections", "16")
    assert own["achieved_ops_s"] == pytest.approx(300, rel=0.1)
    assert own["offered_ops_s"] == 450
    # Request i is due at i / 450 and answered at i / 300: the last of 1350 waits 1.5 s, the one in the middle half.
    assert own["response_time_ms"]["p50"] == pytest.approx(750, rel=0.15)
    assert own["response_time_ms"]["max"] == pytest.approx(1500, rel=0.15)
    assert own["in_flight_max"] == 16
    # 16 connections share 300 answers a second.
    assert own["service_time_ms"]["p50"] == pytest.approx(16 / 300 * 1000, rel=0.15)


def test_a_run_ends_on_time_and_what_was_not_sent_counts_with_its_wait(tmp_path: Path) -> None:
    own = measured(tmp_path, "--rate 50", 500, 2, "--connections", "8")
    served = 50 * (2 + DRAIN_S)
    assert own["completed"] == pytest.approx(served, rel=0.1)
    assert own["errors"] == {NEVER_SENT: own["never_sent"], NO_ANSWER: own["failed"]}
    assert own["failed"] == 8
    assert len(own["time_series"]["offered"]) <= 2 + DRAIN_S + 1
    # Those never sent were due between 0.5 s and 2 s, and waited until 5 s.
    assert own["response_time_ms"]["p50"] >= 3000 * ROUNDING
    assert DRIVERS_LIMIT not in str(own["invalid_reason"]), "the server is slow, not the driver"


def test_a_load_beyond_any_driver_is_not_held_against_a_server_that_keeps_it_waiting(tmp_path: Path) -> None:
    own = measured(tmp_path, "--delay-ms 10", 1_000_000, 1)
    assert own["never_sent"] > 0
    assert not own["valid"]
    assert DRIVERS_LIMIT in own["invalid_reason"]


def test_a_server_that_never_answers_is_waited_for_to_the_end_and_no_longer(tmp_path: Path) -> None:
    own = measured(tmp_path, "--silent-share 1", 100, 1, "--connections", "8")
    assert own["completed"] == 0
    assert own["errors"] == {NEVER_SENT: 92, NO_ANSWER: 8}
    assert own["response_time_ms"]["p50"] >= 3500 * ROUNDING
    assert own["invalid_reason"] == "every operation failed"


def test_connections_that_are_closed_and_answers_that_are_garbage_are_errors_each_of_its_kind(tmp_path: Path) -> None:
    own = measured(tmp_path, "--close-share 0.05 --garbage-share 0.05", 200, 3, "--connections", "8")
    both, closed = drawn(0.1, 600), drawn(0.05, 600)
    assert own["failed"] == both
    kinds = {"closed": 0, "garbage": 0}
    for reason, count in own["errors"].items():
        kinds["garbage" if reason.startswith("not an HTTP response") else "closed"] += count
        assert reason.startswith(("not an HTTP response", "connection lost"))
    assert kinds == {"closed": closed, "garbage": both - closed}


def test_an_answer_that_trickles_in_has_ended_with_its_last_byte(tmp_path: Path) -> None:
    own = measured(tmp_path, "--trickle-ms 100", 100, 2)
    assert own["completed"] == 200
    assert 100 * ROUNDING <= own["service_time_ms"]["p50"] <= 100 + 2 * MEDIAN_ROOM_MS


def test_a_server_that_goes_away_fails_every_request_from_then_on_at_once(tmp_path: Path) -> None:
    own = measured(tmp_path, "--quit-after-s 2", 200, 6, "--connections", "8")
    assert own["never_sent"] == 0
    assert own["failed"] == pytest.approx(800, rel=0.1)
    assert any(reason.startswith("connection failed") for reason in own["errors"])
    # A refusal takes no time but what the machine adds.
    assert own["response_time_ms"]["p50"] <= MEDIAN_ROOM_MS


def _place_of(milliseconds: float) -> int:
    histogram = Histogram()
    histogram.record(np.array([milliseconds / 1000]))
    return int(histogram.counts.argmax())
