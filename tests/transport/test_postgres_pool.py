"""PostgreSQL's protocol over a pool: whole and torn answers, errors, and servers that end, hang or refuse."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compbench.loadtest.engine.clock import run_in_precise_loop
from compbench.model.errors import UserError
from compbench.transport import http_pool, postgres_messages, postgres_pool
from compbench.transport.exchange import Exchange
from compbench.transport.http_connection import MOST_ANSWER_BYTES
from compbench.transport.postgres_connection import Patient
from compbench.transport.postgres_messages import NotPostgresError, message, messages_in, rows_in, simple_query
from compbench.transport.postgres_pool import PostgresAddress, PostgresPool
from tests.postgres import Postgres, postgres_running
from tests.project import free_port

SLOW = simple_query("select 1 from pg_sleep(1)")


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres_running(tmp_path_factory.mktemp("postgres")) as running:
        yield running


async def opened(postgres: Postgres, size: int = 1) -> PostgresPool:
    async def no_session(connection: object) -> None:
        del connection

    pool = PostgresPool(PostgresAddress(postgres.half.endpoint), size, no_session)
    await pool.open()
    return pool


def asked(postgres: Postgres, *payloads: bytes | Patient) -> list[Exchange]:
    async def main() -> list[Exchange]:
        pool = await opened(postgres)
        exchanges = [await pool.ask(payload) for payload in payloads]
        pool.close()
        return exchanges

    return run_in_precise_loop(main())


@pytest.mark.parametrize(
    "url", ["http://x", "postgresql://", "x", "postgresql://x:0x", "postgresql://a:b@x", "postgresql://x/db"]
)
def test_only_plain_addresses_are_endpoints(url: str) -> None:
    with pytest.raises(UserError, match="expected postgresql://host:port"):
        PostgresAddress(url)


def test_an_answer_of_any_length_is_whole_and_its_times_are_in_order(postgres: Postgres) -> None:
    lengths = [0, 1, 10_000, 3_000_000]
    for length, exchange in zip(
        lengths, asked(postgres, *(simple_query(f"select repeat('x', {n})") for n in lengths)), strict=True
    ):
        assert exchange.ok, exchange.explain()
        assert rows_in(b"".join(exchange.body)) == [[b"x" * length]]
        assert exchange.free_at <= exchange.sent_at <= exchange.done_at


def test_an_answer_is_read_however_it_is_torn(postgres: Postgres) -> None:
    (whole,) = asked(postgres, simple_query("select i, null, repeat('Z', i) from generate_series(1, 9) i; select 7"))
    answer = b"".join(whole.body)
    assert rows_in(answer) == [[b"7"]]

    async def main() -> None:
        for size in range(1, 14):
            pool = await opened(postgres)
            (connection,) = pool._connections
            exchange = Exchange(0, 0.0, b"", ended.append)
            connection.exchange = exchange
            pieces = [answer[at : at + size] for at in range(0, len(answer), size)]
            for piece in pieces[:-1]:
                connection.data_received(piece)
            assert ended == []
            connection.data_received(pieces[-1])
            assert ended == [exchange]
            assert (exchange.ok, b"".join(exchange.body)) == (True, answer)
            ended.clear()
            pool.close()

    ended: list[Exchange] = []
    run_in_precise_loop(main())


def test_bytes_that_are_no_messages_are_refused() -> None:
    for wrong in (b"D", b"D\x00\x00\x00\x03", b"D\x00\x00\x00\x09abc", message(b"D", b"\x00\x02")):
        with pytest.raises(NotPostgresError):
            rows_in(wrong)
    assert list(messages_in(message(b"Z", b"I"))) == [(postgres_messages.READY, b"I")]


def test_an_error_says_its_code_and_text_and_the_connection_goes_on(postgres: Postgres) -> None:
    wrong, right = asked(postgres, simple_query("select 1 / 0"), simple_query("select 1"))
    assert (wrong.is_answered, wrong.ok, wrong.problem) == (True, False, "SQLSTATE 22012")
    assert wrong.explain() == "SQLSTATE 22012: division by zero"
    assert right.ok


def test_an_error_in_one_of_several_messages_spoils_all_of_the_request(postgres: Postgres) -> None:
    postgres.sql("create table tried (n integer primary key)")
    store = postgres_messages.run_once("insert into tried values (1)")[: -len(postgres_messages.SYNC)]
    (refused,) = asked(postgres, store + store + postgres_messages.SYNC)
    assert refused.problem == "SQLSTATE 23505"
    assert postgres.sql("select count(*) from tried") == 0
    (copied,) = asked(postgres, postgres_messages.copy_in("absent", b""))
    assert copied.problem == "SQLSTATE 42P01", "what is sent behind a copy that failed is dropped"
    postgres.sql("drop table tried")


def test_a_server_that_refuses_to_store_is_told_by_the_server_itself(postgres: Postgres) -> None:
    postgres.sql("create table tried (n integer)")
    postgres.sql("alter database postgres set default_transaction_read_only = on")
    try:
        (refused,) = asked(postgres, postgres_messages.run_once("insert into tried values (1)"))
        assert refused.explain() == "SQLSTATE 25006: cannot execute INSERT in a read-only transaction"
    finally:
        reset = "alter database postgres reset default_transaction_read_only"
        postgres.sql("set default_transaction_read_only = off", reset, "drop table tried")


def test_a_request_that_finds_all_connections_busy_waits_and_that_counts(postgres: Postgres) -> None:
    async def main() -> list[Exchange]:
        pool = await opened(postgres, 2)
        ended: list[Exchange] = []
        assert pool.has_room()
        for index in range(3):
            pool.submit(Exchange(index, time.monotonic(), SLOW, ended.append))
        assert not pool.has_room()
        while len(ended) < 3:
            await asyncio.sleep(0.01)
        pool.close()
        return sorted(ended, key=lambda exchange: exchange.index)

    first, second, third = run_in_precise_loop(main())
    assert third.sent_at >= min(first.done_at, second.done_at) == third.free_at
    assert all(exchange.ok for exchange in (first, second, third))


def test_a_connection_that_the_server_ends_fails_its_request_and_is_replaced(postgres: Postgres) -> None:
    async def main() -> tuple[Exchange, Exchange]:
        pool = await opened(postgres)
        asking = asyncio.ensure_future(pool.ask(SLOW))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(
            postgres.sql,
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like '%pg_sleep(1)'"
            " and pid <> pg_backend_pid()",
        )
        lost = await asking
        again = await pool.ask(simple_query("select 1"))
        pool.close()
        return lost, again

    lost, again = run_in_precise_loop(main())
    assert (lost.is_answered, lost.ok) == (False, False)
    assert lost.problem.startswith("connection lost")
    assert again.ok


def test_a_server_that_hangs_fails_requests_after_the_limit_but_for_patient_ones(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_pool, "REQUEST_TIMEOUT_S", 0.5)
    slow = simple_query("select 1 from pg_sleep(2)")
    hung, patient = asked(postgres, slow, Patient(slow))
    assert hung.problem == "no response for 0 s"
    assert patient.ok


def test_an_answer_without_end_is_given_up(postgres: Postgres) -> None:
    (exchange,) = asked(postgres, simple_query("select repeat('x', 1000000) from generate_series(1, 1000)"))
    assert exchange.problem == f"the answer is larger than {MOST_ANSWER_BYTES} bytes"
    assert sum(map(len, exchange.body)) <= MOST_ANSWER_BYTES


def test_a_server_that_dies_fails_what_is_under_way_and_what_comes_after(tmp_path: Path) -> None:
    with postgres_running(tmp_path) as postgres:

        async def main() -> tuple[Exchange, Exchange]:
            pool = await opened(postgres)
            asking = asyncio.ensure_future(pool.ask(simple_query("select 1 from pg_sleep(60)")))
            await asyncio.sleep(0.2)
            os.kill(postgres.process.child.pid, signal.SIGKILL)
            return await asking, await pool.ask(SLOW)

        lost, later = run_in_precise_loop(main())
    assert lost.problem.startswith("connection lost")
    assert later.problem.startswith("connection failed")


def test_a_server_that_is_not_there_or_takes_no_more_connections_is_one_line(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_session(connection: object) -> None:
        del connection

    async def absent() -> None:
        await PostgresPool(PostgresAddress(f"postgresql://127.0.0.1:{free_port()}"), 1, no_session).open()

    with pytest.raises(UserError, match="is the server running there"):
        run_in_precise_loop(absent())
    monkeypatch.setattr(http_pool, "CONNECT_TIMEOUT_S", 1.0)

    async def unknown() -> None:
        await PostgresPool(PostgresAddress(postgres.half.endpoint, user="nobody"), 1, no_session).open()

    with pytest.raises(UserError, match='role "nobody" does not exist'):
        run_in_precise_loop(unknown())
