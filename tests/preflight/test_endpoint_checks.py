"""The way to a server that the user runs, as preflight follows it: a real server, and what can be wrong on the way."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from compbench.config.settings import Settings
from compbench.machine.probes.reach import Link, Obstacle, find_obstacle, link_to
from compbench.preflight import checks, endpoint_checks
from compbench.preflight.endpoint_judgement import Offer, judge_bandwidth, judge_clock, judge_round_trip
from compbench.systems.registry import load_settings
from tests.certificates import made_certificate
from tests.project import ROOT, free_port
from tests.rival_programs import users_qdrant

NOON = "Fri, 27 Nov 2026 12:00:00 GMT"
NOON_S = 1_795_780_800.0


def settings_for(endpoint: str, **more: str) -> Settings:
    """Return the settings of a project that measures that server."""
    return load_settings(ROOT, {}, {"system": "qdrant", "system.qdrant.endpoint": endpoint, **more})


def found(check: str, endpoint: str, **more: str) -> tuple[str, str, str]:
    """Return code, level and text of a finding about that server."""
    finding = checks.run_check(check, settings_for(endpoint, **more), ROOT, ["qdrant_ann_1m_768d"])
    return finding.code, finding.level, finding.found


def test_a_server_that_answers_is_told_with_its_version_and_where_it_tells_of_its_process() -> None:
    with users_qdrant() as port:
        code, level, text = found("binary_server", f"http://127.0.0.2:{port}")
        assert (code, level) == ("endpoint", "ok")
        assert text.endswith(f"answers: qdrant 1.18.3; it tells of its process at http://127.0.0.2:{port}/metrics")
        _, _, text = found("binary_server", f"http://127.0.0.2:{port}", **{"system.qdrant.metrics_url": ""})
        assert "nothing is told of its process: no page of its metrics is known or named" in text
        assert found("clock", f"http://127.0.0.2:{port}")[:2] == ("clock", "ok")
        assert found("round_trip", f"http://127.0.0.2:{port}")[:2] == ("round-trip", "ok")
        code, level, text = found("bandwidth", f"http://127.0.0.2:{port}")
        assert (code, level) == ("bandwidth-loopback", "ok")
        assert text.startswith("qdrant_ann_1m_768d needs ")


def test_where_the_way_ends_is_one_finding_that_says_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = free_port()
    code, level, text = found("binary_server", f"http://127.0.0.2:{nobody}")
    assert (code, level) == ("endpoint-unreached", "critical")
    assert text == f"http://127.0.0.2:{nobody}: no connection to port {nobody} of 127.0.0.2: Connection refused"
    code, level, text = found("binary_server", "http://nowhere.invalid:6333")
    assert (code, level) == ("endpoint-unresolved", "critical")
    assert "the name nowhere.invalid can't be resolved" in text
    certificate = made_certificate(tmp_path)
    with users_qdrant(certificate=certificate) as port:
        code, level, text = found("binary_server", f"https://127.0.0.2:{port}")
        assert (code, level) == ("endpoint-untrusted", "critical")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        code, _, text = found("binary_server", f"https://127.0.0.2:{port}")
        assert code == "endpoint-untrusted", "it is made out for 127.0.0.1"
        assert "IP address mismatch" in text
    monkeypatch.delenv("SSL_CERT_FILE")
    with users_qdrant(key="k3y") as port:
        code, level, text = found("binary_server", f"http://127.0.0.2:{port}")
        assert (code, level) == ("endpoint-refused", "critical")
        assert "answered 401" in text
        monkeypatch.setenv("COMPBENCH_QDRANT_API_KEY", "k3y")
        assert found("binary_server", f"http://127.0.0.2:{port}")[0] == "endpoint"


def test_a_clock_that_is_off_is_a_warning_and_one_that_is_not_told_is_not_judged() -> None:
    with users_qdrant("clock_s=-60") as port:
        code, level, text = found("clock", f"http://127.0.0.2:{port}")
        assert (code, level) == ("clock-off", "warning")
        assert "s behind ours" in text
    assert found("clock", f"http://127.0.0.2:{port}")[:2] == ("not-judged", "ok")
    assert judge_clock("it", NOON, NOON_S - 0.2, NOON_S + 0.9).code == "clock"
    assert judge_clock("it", NOON, NOON_S + 0.5, NOON_S + 0.6).code == "clock"
    assert judge_clock("it", NOON, NOON_S + 3.5, NOON_S + 3.6).level == "ok"
    late = judge_clock("it", NOON, NOON_S + 8, NOON_S + 8.2)
    assert (late.level, late.found) == ("warning", "the clock of it is 7 s behind ours")
    assert judge_clock("it", NOON, NOON_S - 9, NOON_S - 8).found == "the clock of it is 8 s ahead of ours"
    for words in ("yesterday", "Fri, 27 Nov 99999999999999999999 12:00:00 GMT", f"{NOON[:-3]}+9999999999999"):
        assert judge_clock("it", words, 0, 1).code == "not-judged"
    for there in (f"{NOON[:-3]}-0000", "Fri, 27 Nov 2026 14:00:00 +0200", NOON[:-4]):
        assert judge_clock("it", there, NOON_S - 0.2, NOON_S + 0.9).code == "clock"


def test_connections_are_judged_by_those_that_fail_and_by_the_tightest_target() -> None:
    assert judge_round_trip("h:1", [0.001, 0.002, 0.009], 3, ("s", 10.0)).found == (
        "a connection to h:1 takes 2.00 ms, at worst 9.00 ms of 3"
    )
    assert judge_round_trip("h:1", [0.006] * 3, 3, ("s", 10.0)).code == "far-away"
    assert judge_round_trip("h:1", [0.006] * 3, 3, None).level == "ok"
    assert judge_round_trip("h:1", [], 20, None).code == "connections-lost"


def test_the_load_is_set_against_the_link_by_its_highest_rate_and_refused_by_its_mean() -> None:
    offer = Offer("s", mean_bytes_s=5e6, peak_bytes_s=10e6, back_bytes_s=1e6)
    assert judge_bandwidth([offer], Link("eth0", bits_s=1e9)).level == "ok"
    tight = judge_bandwidth([offer], Link("eth0", bits_s=1e8))
    assert (tight.level, tight.code) == ("warning", "bandwidth")
    assert tight.found.startswith(
        "s needs 80 Mbit/s there and about 8 Mbit/s back at its highest rate: 80 % of what eth0"
    )
    assert judge_bandwidth([offer], Link("eth0", bits_s=3e7)).level == "critical"
    assert judge_bandwidth([offer], Link("eth0")).code == "bandwidth-unknown"
    assert judge_bandwidth([offer], None).level == "note"
    assert judge_bandwidth([offer], Link("lo", is_loopback=True)).level == "ok"


def test_none_of_it_is_asked_of_a_server_that_compbench_starts() -> None:
    settings = load_settings(ROOT, {}, {"system": "qdrant"})
    for check in ("clock", "round_trip", "bandwidth"):
        assert checks.run_check(check, settings, ROOT).code == "not-used"


def test_a_server_with_a_full_queue_is_told_and_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compbench.machine.probes.reach.CONNECT_LIMIT_S", 0.2)
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
        place = full.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(place)
        obstacle = find_obstacle("127.0.0.2", [place[1]], None)
        assert obstacle == Obstacle("port", place[1], "no answer within 0.2 s")
        finding = endpoint_checks.check_round_trip(settings_for(f"http://127.0.0.2:{place[1]}"), ())
        assert finding.code == "connections-lost"
        for one in waiting:
            one.close()


def test_an_address_of_a_kind_that_this_machine_lacks_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    lacking = (9999, socket.SOCK_STREAM, 0, "", ("2001:db8::1", 1, 0, 0))  # no kernel knows such a family

    def both(*arguments: Any, **named: Any) -> list[Any]:
        return [lacking, *real(*arguments, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with socket.create_server(("127.0.0.2", 0)) as server:
        assert find_obstacle("127.0.0.2", [server.getsockname()[1]], None) is None
        assert link_to("127.0.0.2", server.getsockname()[1]) == Link("loopback", is_loopback=True)


def test_the_interface_that_leads_to_a_server_is_found_without_sending_anything() -> None:
    assert link_to("127.0.0.2", 1) == Link("loopback", is_loopback=True)
    assert link_to("nowhere.invalid", 1) is None
