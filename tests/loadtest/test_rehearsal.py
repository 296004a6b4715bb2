"""The requests that are sent one at a time before a warm-up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compbench.loadtest import rehearsal
from compbench.loadtest.workload.operations import STORE
from tests.load import workload


def rehearsed(warm_up: int, takes_s: float = 0.0) -> list[Any]:
    """Return what a server was asked that takes so long to answer; the next request came after each answer."""
    asked: list[Any] = []
    under_way = 0

    async def ask(call: Any) -> Any:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        asked.append(call)
        await asyncio.sleep(takes_s)
        under_way -= 1

    asyncio.run(rehearsal.rehearse(workload(count=3000, warm_up=1000), warm_up, ask))
    return asked


def test_the_first_searches_of_the_warm_up_are_sent_one_at_a_time_and_nothing_is_stored() -> None:
    made = workload(count=3000, warm_up=1000)
    first = range(rehearsal.MOST_REQUESTS)
    assert {made.operation(index) for index in first} > {STORE}
    assert rehearsed(1000) == [made.build(index) for index in first if made.operation(index) != STORE]


def test_no_request_is_sent_that_is_measured() -> None:
    made = workload(count=3000, warm_up=1000)
    assert rehearsed(30) == [made.build(index) for index in range(30) if made.operation(index) != STORE]


def test_a_slow_server_is_not_rehearsed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "LIMIT_S", 0.05)
    assert 0 < len(rehearsed(1000, takes_s=0.02)) < rehearsal.MOST_REQUESTS / 2
