"""The check of the hosts that send."""

from __future__ import annotations

import socket
from typing import Any, cast

import msgspec
import psutil
import pytest

from compbench.loadtest.command_line import main
from compbench.loadtest.option_types import host_port_option
from compbench.model.seen_hosts import HostSeen, HostsSeen, WaySeen
from compbench.preflight.sending_hosts import is_here, judge_reach, servers_of


class Half:
    """What the check needs of a server's half."""

    def __init__(self, endpoint: str, mode: str, *ports: int) -> None:
        self.endpoint, self.mode, self._ports = endpoint, mode, list(ports)

    def ports(self) -> list[int]:
        return self._ports


THERE = Half("http://db", "endpoint", 80, 50051)
STARTED = Half("http://127.0.0.1:1", "managed", 1)
LOCAL = HostSeen(name="here", address="127.0.0.1", cores=4)


def way(port: int, connect_ms: float | None = 0.31) -> WaySeen:
    return WaySeen(host="db", port=port, connect_ms=connect_ms, problem="" if connect_ms else "Connection refused")


def host(name: str, *ways: WaySeen, address: str = "203.0.113.1") -> HostSeen:
    return HostSeen(name=name, address=address, cores=8, ways=list(ways))


def judged(seen: list[HostSeen], *, of_rivals: bool = True, **halves: Half) -> Any:
    return judge_reach(seen, cast("Any", halves), of_rivals=of_rivals)


def test_hosts_are_told_with_their_cores_and_the_way_to_the_server() -> None:
    finding = judged([host("a", way(80), way(50051)), host("b", way(80, 0.5), way(50051))], it=THERE)
    assert finding.level == "ok"
    assert finding.found == "2 hosts: a (8 cores, 0.31 ms to the server), b (8 cores, 0.50 ms to the server)"


def test_a_server_without_a_port_is_tried_at_those_that_its_system_needs() -> None:
    assert servers_of(cast("Any", THERE)) == [("db", 80), ("db", 50051)]
    assert servers_of(cast("Any", STARTED)) == []
    finding = judged([host("a", way(80), way(50051, None))], it=THERE)
    assert finding.level == "critical"
    assert finding.found == "http://db can't be reached from a (port 50051: Connection refused)"


def test_hosts_elsewhere_can_not_ask_a_server_on_this_machines_loopback() -> None:
    finding = judged([LOCAL, host("b")], it=STARTED)
    assert (finding.level, finding.code) == ("critical", "hosts-apart")
    assert finding.found.startswith("b are to ask http://127.0.0.1:1")
    assert judged([LOCAL], it=STARTED).level == "ok"


def test_hosts_are_here_by_the_address_that_is_seen_whatever_they_were_asked_for_by() -> None:
    own = [one.address for all_of in psutil.net_if_addrs().values() for one in all_of if one.family == socket.AF_INET]
    assert all(map(is_here, [*own, "127.0.0.2", "::1", "localhost"]))
    assert not any(map(is_here, ["203.0.113.1", "2001:db8::1", "somewhere"]))


def test_each_of_several_systems_is_judged_and_a_rival_out_of_reach_is_a_warning() -> None:
    seen = [host("a", way(80), way(50051))]
    finding = judged(seen, subject=THERE, rival=STARTED)
    assert (finding.level, "rival: a are to ask" in finding.found) == ("warning", True)
    assert judged(seen, subject=STARTED, rival=THERE).level == "critical"
    assert judged(seen, of_rivals=False, one=THERE, other=STARTED).level == "critical"


@pytest.mark.process
def test_hosts_look_at_several_servers_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        open_port = listening.getsockname()[1]
        words = ["--server", f"127.0.0.1:{open_port}", "--server", "[::1]:9"]
        assert main(["check-hosts", "--hosts", "local:1", "--cache", str(tmp_path), *words]) == 0
    (seen,) = msgspec.json.decode(capsys.readouterr().out, type=HostsSeen).hosts
    assert [(it.host, it.port, it.connect_ms is not None) for it in seen.ways] == [
        ("127.0.0.1", open_port, True),
        ("::1", 9, False),
    ]


@pytest.mark.parametrize("words", [[], ["--hosts", "local:1", "--server", "a:99999"]])
def test_what_to_look_at_is_asked_for_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check-hosts", *words])
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_address_of_colons_is_read_in_brackets() -> None:
    assert host_port_option("[::1]:80") == ("::1", 80)
    assert host_port_option("db:6333") == ("db", 6333)
