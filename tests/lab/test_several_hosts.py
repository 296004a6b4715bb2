"""Load from several hosts against load from one, on a server of known latency."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.lab.cluster import serve_ssh, start_dask
from tests.lab.hosts import why_not
from tests.lab.runs import (
    DESK,
    MEASURED_S,
    RATE,
    SENDERS,
    STORES,
    begin,
    laboratory,
    nothing_of_ours_is_left,
    requests_got,
    stores_by_sender,
    undisturbed,
)

pytestmark = [pytest.mark.process, pytest.mark.skipif(bool(why_not()), reason=why_not())]

PERCENTILES = ("p50", "p90", "p95", "p99")


def test_three_hosts_send_what_one_sends_and_tell_the_same_figures() -> None:
    with laboratory() as lab:
        alone = undisturbed(lab, "")
        got_alone = requests_got(lab)
        hosts = start_dask(lab, DESK, SENDERS).address
        shared = undisturbed(lab, hosts)
        got = requests_got(lab)
        assert nothing_of_ours_is_left(lab)
    assert (alone.told, shared.told) == ("", "")
    assert alone.own["workload_digest"] == shared.own["workload_digest"]
    # Searches are sent besides the schedule too, as a rehearsal and for the floor; a store is sent for itself alone.
    assert Counter(it.digest for it in got if it.path == STORES) == Counter(
        it.digest for it in got_alone if it.path == STORES
    )
    assert {it.digest for it in got} == {it.digest for it in got_alone}
    by_sender = stores_by_sender(got)
    assert set(by_sender) == {lab.ip(host) for host in SENDERS}
    assert shared.own["completed"] == MEASURED_S * RATE == alone.own["completed"]
    for percentile in PERCENTILES:
        (low, high), (least, most) = (it.own["response_time_ms_ci"][percentile] for it in (alone, shared))
        assert low <= most, f"{percentile}: {low} to {high} from one host, {least} to {most} from three"
        assert least <= high, f"{percentile}: {low} to {high} from one host, {least} to {most} from three"
    told = shared.own["hosts"]
    assert [host["name"] for host in told] == list(SENDERS)
    assert sum(host["count"] for host in told) == MEASURED_S * RATE
    for number, host in enumerate(told, 3):
        # Of each host's clock the laboratory knows by how much it is ahead of the desk's.
        assert abs(host["offset_s"] - (number - 1) * 100_000) * 1000 <= host["uncertainty_ms"] + 0.05


@pytest.mark.slow
def test_hosts_are_reached_over_ssh_and_nothing_is_left_there() -> None:
    with laboratory() as lab:
        env = serve_ssh(lab, (DESK, *SENDERS))
        before = {host: len(lab.processes(host)) for host in (DESK, *SENDERS)}
        outcome = begin(lab, f"ssh:{','.join(SENDERS)}", env).outcome(90)
        after = {host: len(lab.processes(host)) for host in (DESK, *SENDERS)}
    assert outcome.own["completed"] == MEASURED_S * RATE, outcome.said
    assert [host["name"] for host in outcome.own["hosts"]] == list(SENDERS)
    assert after == before
