"""Hosts as a setting says them."""

from __future__ import annotations

import pytest

from compbench.config.hosts import HostsAsked, asked_hosts, hosts_options, read_hosts
from compbench.model.errors import UserError


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("local:3", HostsAsked("local", workers=3)),
        ("ssh:a,b, c", HostsAsked("ssh", names=("a", "b", "c"))),
        ("ssh:me@10.0.0.1", HostsAsked("ssh", names=("me@10.0.0.1",))),
        ("tcp://10.0.0.1:8786", HostsAsked("scheduler", scheduler="tcp://10.0.0.1:8786")),
        ("tls://[fe80::1%eth0]:8786", HostsAsked("scheduler", scheduler="tls://[fe80::1%eth0]:8786")),
    ],
)
def test_hosts_are_read_from_a_text_and_written_as_one(words: str, asked: HostsAsked) -> None:
    assert read_hosts(words) == asked
    assert read_hosts(asked.words) == asked


@pytest.mark.parametrize(
    "words",
    [
        *("local:0", "local:x", "local:999", "ssh:", "ssh:a,a", "ssh:a;b", "a,b", "http://x", "ucx://a:8786"),
        *("tcp://nosuch", "tcp://a:", "tcp://a:99999", "tcp://a:0", "tcp://[::1", "tcp://[::1]", "tcp://::1:8786"),
    ],
)
def test_what_names_no_hosts_is_refused_with_the_forms_or_the_fault(words: str) -> None:
    with pytest.raises(UserError, match=r"hosts = .*(local:3|named twice)"):
        read_hosts(words)


def test_a_list_in_the_settings_file_names_hosts_that_are_reached_by_ssh() -> None:
    assert asked_hosts(["a", "b"], None) == HostsAsked("ssh", names=("a", "b"))
    assert asked_hosts((), None) is None
    assert hosts_options(None, 60.0) == []
    assert hosts_options(asked_hosts("", "tcp://s:1"), 5.0) == ["--hosts", "tcp://s:1", "--hosts-timeout", "5.0"]


def test_a_list_may_stand_on_the_command_line_where_it_is_a_text() -> None:
    assert asked_hosts("[]", None) is None
    assert asked_hosts("", None) is None
    assert asked_hosts('["a", "b"]', "") == HostsAsked("ssh", names=("a", "b"))
    with pytest.raises(UserError, match="expected local:3"):
        asked_hosts("[a, b]", None)


@pytest.mark.parametrize(("hosts", "scheduler"), [("local:2", "tcp://s:1"), ("", "s:8786"), ("", "tcp://s")])
def test_two_ways_at_once_and_a_scheduler_that_is_none_are_refused(hosts: str, scheduler: str) -> None:
    with pytest.raises(UserError, match="scheduler = "):
        asked_hosts(hosts, scheduler)
