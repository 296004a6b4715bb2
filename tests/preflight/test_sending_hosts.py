"""The check of the hosts that send."""

from __future__ import annotations

import pytest

from compbench.config.hosts import read_hosts
from compbench.model.seen_hosts import HostSeen
from compbench.preflight.sending_hosts import is_out_of_reach, judge_hosts

GOOD = HostSeen(name="a", address="10.0.0.1", cores=8, server_ms=0.31)


@pytest.mark.parametrize(
    ("words", "endpoint", "expected"),
    [
        ("local:3", "http://127.0.0.1:7432", False),
        ("ssh:a,b", "http://127.0.0.1:7432", True),
        ("ssh:localhost", "http://127.0.0.1:7432", False),
        ("ssh:a,b", "http://db.internal:6333", False),
        ("tcp://10.0.0.9:8786", "http://localhost:6333", True),
        ("tcp://127.0.0.1:8786", "http://localhost:6333", False),
    ],
)
def test_hosts_elsewhere_can_not_ask_a_server_on_this_machines_loopback(
    words: str, endpoint: str, expected: bool
) -> None:
    assert is_out_of_reach(read_hosts(words), endpoint) is expected


def test_hosts_are_told_with_their_cores_and_the_way_to_the_server() -> None:
    finding = judge_hosts([GOOD, HostSeen(name="b", address="", cores=4)], "http://db", is_there=False)
    assert (finding.level, finding.found) == ("ok", "2 hosts: a (8 cores, 0.31 ms to the server), b (4 cores)")


def test_another_compbench_and_a_server_out_of_reach_are_critical() -> None:
    odd = HostSeen(name="b", address="", is_same_code=False)
    assert judge_hosts([GOOD, odd], "http://db", is_there=True).level == "critical"
    cut_off = HostSeen(name="b", address="", problem="Connection refused")
    finding = judge_hosts([GOOD, cut_off], "http://db:1", is_there=True)
    assert (finding.level, finding.found) == ("critical", "http://db:1 can't be reached from b (Connection refused)")
    assert judge_hosts([GOOD, cut_off], "http://127.0.0.1:1", is_there=False).level == "ok"
