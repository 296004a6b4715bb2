"""What several hosts tell, put together: clocks, leases, seconds, and which host is not like the others."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from compbench.loadtest.cluster.connections import Listener, dial
from compbench.loadtest.cluster.leases import Lease, Register
from compbench.loadtest.cluster.same_work import same_workload, sample_of
from compbench.loadtest.engine.gathering import END, HELD, Gathering, HostFaultError, Sender
from compbench.loadtest.engine.histogram import Histogram
from compbench.loadtest.engine.offsets import Ping, answer_pings, measure_offset, offset_of
from compbench.loadtest.engine.openloop import Ended
from compbench.loadtest.engine.recorder import Interval, Part
from compbench.loadtest.engine.totals import Totals
from compbench.loadtest.host_figures import difference
from compbench.loadtest.workload.workload import Workload
from compbench.model.errors import UserError
from tests.load import workload

Act = Callable[[Connection], None]


def test_the_fastest_ping_tells_the_offset_and_half_of_it_bounds_the_error() -> None:
    slow, fast = Ping(10.0, 1010.030, 10.040), Ping(20.0, 1020.004, 20.006)
    clock = offset_of([slow, fast])
    assert clock.offset_s == pytest.approx(1000.001)
    assert (clock.uncertainty_ms, clock.round_trip_ms) == pytest.approx((3.0, 6.0))


def test_pings_are_answered_until_another_word_comes() -> None:
    here, there = multiprocessing.Pipe()
    words: list[object] = []
    thread = threading.Thread(target=lambda: words.append(answer_pings(there)))
    thread.start()
    clock = measure_offset(here)
    here.send(12.5)
    thread.join()
    assert abs(clock.offset_s) * 1000 <= clock.uncertainty_ms  # it is the same clock
    assert words == [12.5]


def test_a_share_is_granted_once_and_only_of_this_schedule() -> None:
    lease = Lease("attempt", 1, 0)
    register = Register((lease, Lease("attempt", 1, 1)))
    assert register.refusal(lease) == ""
    assert "share 0 has been granted before" in register.refusal(lease)
    assert "another measurement" in register.refusal(Lease("earlier", 1, 1))
    assert register.refusal(Lease("attempt", 1, 1)) == ""


def test_only_who_proves_the_key_gets_a_connection_and_who_says_nothing_keeps_nobody_waiting() -> None:
    with Listener("127.0.0.1", b"right") as listener:
        silent = multiprocessing.connection.Client  # of the standard library, with another key
        with pytest.raises((EOFError, OSError, multiprocessing.AuthenticationError)):
            silent(listener.address, authkey=b"wrong")
        other = dial(listener.address, b"right")
        listener.connections.get(timeout=10).send("hello")
        assert other.recv() == "hello"
        assert listener.connections.empty()


def test_a_host_that_searches_for_other_vectors_or_has_another_client_is_refused(tmp_path: Path) -> None:
    own = workload()
    (tmp_path / "client.py").write_text("NAME = 1\n")
    wanted = sample_of(own, str(tmp_path))
    assert same_workload(lambda: own, str(tmp_path), wanted) is own
    rounded = wanted._replace(queries=(wanted.queries * (1 + 1e-7)).astype(np.float32))
    assert same_workload(lambda: own, str(tmp_path), rounded) is own
    with pytest.raises(UserError, match="other vectors"):
        same_workload(lambda: own, str(tmp_path), wanted._replace(queries=wanted.queries[::-1]))
    (tmp_path / "client.py").write_text("NAME = 2\n")
    with pytest.raises(UserError, match="other systems"):
        same_workload(lambda: own, str(tmp_path), wanted)


def part(*times_ms: float, lag_ms: float = 0.01) -> Part:
    made = Part()
    made.count = len(times_ms)
    made.times.response.record(np.array(times_ms) / 1000)
    made.times.service.record(np.array(times_ms) / 1000)
    made.times.lag.record(np.full(len(times_ms), lag_ms / 1000))
    return made


def interval(number: int, *times_ms: float) -> Interval:
    made = Interval(number)
    if times_ms:
        made.parts[0] = part(*times_ms)
    return made


def talk(act: Act, host: str = "b") -> tuple[Sender, threading.Thread]:
    """Return a sender, and the thread in which it does as `act` says."""
    here, there = multiprocessing.Pipe()

    def run() -> None:
        act(there)
        there.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return Sender(here, host, lambda: HostFaultError(f"host {host} was lost")), thread


def says(*words: object, holds: bool = False) -> Act:
    def act(connection: Connection) -> None:
        for word in words:
            connection.send(word)
        if holds:
            connection.send(HELD)
            assert connection.recv() == END
        connection.send((Ended(3, 1, 10.0, 0.5), [(1, b"answer")]))

    return act


def gather(acts: dict[str, Act], **how: float) -> tuple[list[tuple[Sender, Ended]], Totals, Workload, list[str]]:
    totals, work, held = Totals(), workload(), list[str]()
    senders = [talk(act, host)[0] for host, act in acts.items()]
    gathering = Gathering(
        senders,
        time.monotonic(),
        work,
        lambda one: totals.take(one, one.pooled()),
        lambda: held.append("held"),
        **how,
    )
    return gathering.listen(), totals, work, held


def test_seconds_of_several_hosts_add_up_count_by_count_and_each_hosts_own_stay() -> None:
    first = says((interval(0, 1.0, 2.0), False), (interval(0), True), (interval(1, 3.0), False), (interval(1), True))
    second = says((interval(0, 40.0), False), (interval(0), True), (interval(1), True))
    ended, totals, _, _ = gather({"a": first, "b": second})
    assert sorted(sender.host for sender, _ in ended) == ["a", "b"]
    assert [one.completed for one in totals.series] == [3, 1]
    assert {host: own.count for host, own in totals.hosts.items()} == {"a": 3, "b": 1}
    assert [one.completed for one in totals.host_series["b"]] == [1, 0]
    together = Histogram()
    for own in totals.hosts.values():
        together.add(own.times.response)
    assert (together.counts == totals.pooled().times.response.counts).all()


def test_answers_reach_the_one_who_checks_and_all_hold_until_all_are_seen() -> None:
    acts = {"a": says((interval(0, 1.0), True), holds=True), "b": says((interval(0), True), holds=True)}
    _, _, _, held = gather(acts)
    assert held == ["held"]


def test_a_host_that_goes_is_named_and_one_that_is_silent_too() -> None:
    with pytest.raises(HostFaultError, match="host b was lost"):
        gather({"a": says((interval(0), True)), "b": lambda _: None})
    release = threading.Event()

    def waits(_connection: Connection) -> None:
        release.wait()

    with pytest.raises(HostFaultError, match=r"host b was lost: it has said nothing for \d+ s"):
        gather({"a": says((interval(0), True)), "b": waits}, silence_limit_s=0.5)
    release.set()


def test_an_error_of_a_host_keeps_its_words_and_names_the_host() -> None:
    def act(connection: Connection) -> None:
        connection.send(UserError("the server can't be reached"))

    with pytest.raises(UserError, match="host b: the server can't be reached"):
        gather({"b": act})


def drawn(median_ms: float, seed: int, count: int = 5000, lag_ms: float = 0.01) -> Part:
    return part(*(median_ms * np.random.default_rng(seed).lognormal(0, 0.3, count)), lag_ms=lag_ms)


def test_a_host_with_a_slower_way_or_a_lag_of_its_own_is_told_and_an_equal_one_is_not() -> None:
    assert difference(drawn(2.0, 1), drawn(2.0, 2, 10_000)) == ""
    assert "a P99 response time of" in difference(drawn(6.0, 1), drawn(2.0, 2, 10_000))
    assert "or less, the others" in difference(drawn(2.0, 1), drawn(6.0, 2, 10_000))
    assert "a P99 driver lag of" in difference(drawn(2.0, 1, lag_ms=9.0), drawn(2.0, 2, 10_000))


def test_of_three_hosts_the_sick_one_is_told_alone_and_of_few_operations_by_its_median() -> None:
    well, too, sick = drawn(2.0, 1), drawn(2.0, 2), drawn(6.0, 3)
    assert "a P99 response time of" in difference(sick, well, too)
    assert difference(well, too, sick) == difference(too, well, sick) == ""
    few = difference(drawn(6.0, 4, 150), drawn(2.0, 5, 150), drawn(2.0, 6, 150))
    assert few.startswith("a P50 response time of")


def test_of_a_hundred_equal_hosts_at_most_a_few_are_told_as_different() -> None:
    told = [difference(drawn(2.0, seed, 2000), drawn(2.0, seed + 1000, 4000)) for seed in range(100)]
    assert sum(map(bool, told)) <= 2
