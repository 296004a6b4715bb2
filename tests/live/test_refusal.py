"""Which requests the page answers: those that read, from a browser that means this machine."""

from __future__ import annotations

import pytest

from compbench.live.refusal import refusal_of_request

OWN = (b"host", b"127.0.0.1:7433")


@pytest.mark.parametrize("host", ["127.0.0.1:7433", "localhost:7433", "LOCALHOST:7433", "[::1]:7433"])
def test_loopback_by_any_of_its_names_is_answered(host: str) -> None:
    assert refusal_of_request("GET", [(b"Host", host.encode())], 7433) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7433",
        "127.0.0.1",
        "127.0.0.1:7434",
        "127.0.0.1.evil.example:7433",
        "",
        "0.0.0.0:7433",
    ],
)
def test_a_name_that_is_made_to_lead_here_is_refused(host: str) -> None:
    refusal = refusal_of_request("GET", [(b"host", host.encode())], 7433)
    assert refusal
    assert refusal.status == 421


def test_no_host_or_two_are_refused() -> None:
    for headers in ([], [OWN, OWN], [OWN, (b"host", b"evil.example")]):
        refusal = refusal_of_request("GET", headers, 7433)
        assert refusal
        assert refusal.status == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"])
def test_whatever_could_change_something_is_refused(method: str) -> None:
    refusal = refusal_of_request(method, [OWN], 7433)
    assert refusal
    assert refusal.status == 405


def test_a_page_of_another_site_may_lead_here_but_not_ask() -> None:
    cross = (b"sec-fetch-site", b"cross-site")
    assert refusal_of_request("GET", [OWN, cross, (b"sec-fetch-mode", b"navigate")], 7433) is None
    for headers in ([OWN, cross, (b"sec-fetch-mode", b"cors")], [OWN, (b"origin", b"http://evil.example")]):
        refusal = refusal_of_request("GET", headers, 7433)
        assert refusal
        assert refusal.status == 403
    assert refusal_of_request("GET", [OWN, (b"origin", b"http://localhost:7433")], 7433) is None
