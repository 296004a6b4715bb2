"""Rivals that the user runs, with a password, and in containers: real servers where they are installed."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from compbench.config.credentials import Credentials
from compbench.systems import discovery
from compbench.systems.api import Place
from compbench.transport.postgres_pool import PostgresAddress
from compbench.transport.resp_pool import RespAddress
from tests.installed import CACHE
from tests.postgres import postgres_running
from tests.project import NAMES, Project, eventually, free_port

MEASURED = ("passed", "missed", "invalid")
PASSWORD = "pa55-that-nobody-may-see"
DIGEST = "name@sha256:" + "0" * 64


def measured(folder: Path, system: str, endpoint: str) -> Project:
    """Measure a user's server with the password; see that it stands nowhere."""
    project = Project(folder / "project", names=NAMES[:1])
    project.set(system=system, driver="builtin")
    names = {f"COMPBENCH_{system.upper()}_PASSWORD": PASSWORD}
    wrong = project.doit(f"system.{system}.endpoint={endpoint}", PGPASSWORD=PASSWORD)
    assert wrong.returncode == 2, wrong.stdout + wrong.stderr
    assert f"{endpoint} does not answer" in wrong.stdout + wrong.stderr
    done = project.doit(f"system.{system}.endpoint={endpoint}", **names)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    capture = project.capture("alpha")
    assert capture["outcome"]["verdict"] in MEASURED, capture["outcome"]
    assert capture["data_set"]["stored"] == 5
    assert [notice["code"] for notice in capture["notices"] if notice["code"] == "data-left"] == []
    told = [path for path in project.root.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert told == []
    assert PASSWORD not in done.stdout + done.stderr
    return project


@pytest.mark.slow
def test_a_postgresql_of_the_users_is_asked_with_a_password_and_left_as_it_was(tmp_path: Path) -> None:
    with postgres_running(tmp_path) as postgres:
        postgres.sql("create table theirs (id int)", f"alter user postgres password '{PASSWORD}'")
        rules = postgres.process.work / "data" / "pg_hba.conf"
        rules.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        address = PostgresAddress(postgres.half.endpoint, "postgres", PASSWORD)
        postgres.sql("select pg_reload_conf()")
        assert eventually(lambda: not postgres.half.answers())
        project = measured(tmp_path, "pgvector", postgres.half.endpoint)
        assert project.capture("alpha")["server"]["version"].startswith("PostgreSQL 18.4 + pgvector 0.8.5")
        question = "select string_agg(relname, ',') from pg_class c join pg_namespace n on n.oid = relnamespace"
        left = asyncio.run(address.value(f"{question} where nspname in ('public', 'compbench')", 5))
        assert left == "theirs"
        assert postgres.process.child.poll() is None


@pytest.mark.rivals
@pytest.mark.timeout(180)
def test_a_redis_of_the_users_is_asked_with_a_password_and_left_as_it_was(tmp_path: Path) -> None:
    installation = discovery.installation("redis")
    assert installation is not None
    place = Place(free_port(), CACHE / "systems" / f"redis-{installation.version}")
    half = discovery.module("redis", "server").Server(discovery.kind("redis").settings(), place)
    if half.missing():
        pytest.skip("redis is not installed: doit install:redis")
    (tmp_path / "data").mkdir()
    argv = [*half.launch(tmp_path).argv, "--requirepass", PASSWORD]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = RespAddress(half.endpoint, Credentials(password=PASSWORD))

        def keys() -> object:
            try:
                return address.ask_once(2, "KEYS", "*")
            except OSError:
                return None

        assert eventually(lambda: keys() == [])
        address.ask_once(2, "SET", "theirs", "1")
        project = measured(tmp_path, "redis", half.endpoint)
        assert project.capture("alpha")["server"]["version"].startswith("Redis 8.2.3 + ")
        assert keys() == [b"theirs"]
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("redis", "--bind 127.0.0.1 --port 7001 --dir /data --save  --appendonly no"),
        ("pgvector", "postgres -c port=7001 -c listen_addresses=127.0.0.1"),
        ("neo4j", "NEO4J_server_http_listen__address=127.0.0.1:7001"),
    ],
)
def test_an_image_is_told_to_listen_on_its_port_of_loopback(tmp_path: Path, system: str, said: str) -> None:
    own = {"mode": "container", "image": DIGEST, **({} if system == "neo4j" else {"durability": "memory"})}
    half = discovery.module(system, "server").Server(discovery.kind(system).settings(**own), Place(7001, tmp_path))
    asked = half.container(tmp_path)
    words = [*asked.arguments, *(f"{name}={value}" for name, value in asked.environment.items())]
    assert said in " ".join(words)
    assert (half.missing(), half.versions(), asked.image, asked.inner_port) == ([], ({}, {}), DIGEST, None)
    assert "socket" not in " ".join(words), "the image makes its data through it"
