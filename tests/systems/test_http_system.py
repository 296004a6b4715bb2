"""A system that a table of the settings makes: the example of the documentation, and what is wrong in a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli

from compbench.model.errors import UserError
from compbench.systems import discovery
from compbench.systems.api import NO_THRESHOLD, STORED_FROM, UNKNOWN, AnswerError, Ask, Search, Shape, Store
from compbench.systems.clients import ServerAddress, open_client
from compbench.systems.http.templates import steps_of, values_at
from compbench.systems.registry import load_settings, server_of
from tests.asking import asked, found, loaded
from tests.project import ROOT
from tests.rival_programs import install_qdrant, qdrant

DIMENSION = 16
ROWS = np.random.default_rng(3).standard_normal((1200, DIMENSION)).astype(np.float32)
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "own-systems.md").read_text(encoding="utf-8"), re.DOTALL)
TABLE: dict[str, Any] = tomli.loads(EXAMPLE)["system"]["mydb"]


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    discovery.look_into(None)


def own_settings(folder: Path, text: str, **variables: str) -> Any:
    (folder / "compbench.toml").write_text(text)
    return load_settings(folder, {}, variables)


@pytest.mark.process
def test_the_example_of_the_documentation_loads_searches_and_inserts(tmp_path: Path) -> None:
    with qdrant(tmp_path) as url:
        own = json.dumps(TABLE)
        made = open_client(ServerAddress(url, "mydb", None, own), Shape(DIMENSION, 1))
        made.take_queries(ROWS, completes=False)

        async def use(ask: Ask) -> None:
            assert await made.count(ask) == 0
            await loaded(made, ask, ROWS)
            assert await made.count(ask) == len(ROWS)
            assert await made.build_index(ask) == ""
            assert await found(made, ask, Search(7, 1, NO_THRESHOLD, 0)) == [7]
            assert await found(made, ask, Search(7, 10, 0.999, 0)) == [7]
            assert (await ask(made.encode(Store(STORED_FROM + 9, 0, ROWS[7])))).ok
            assert sorted(await found(made, ask, Search(7, 10, 0.999, 0))) == [7, STORED_FROM + 9]
            assert (await ask(made.floor())).ok
            assert await made.remove(ask) == ""
            assert await made.count(ask) == 0

        asked(made, use)


def test_a_table_makes_a_system_that_is_started_without_a_shell(tmp_path: Path) -> None:
    program = install_qdrant(tmp_path)
    settings = own_settings(tmp_path, EXAMPLE.replace('"qdrant"', json.dumps(str(program))), system="mydb")
    half = server_of(settings)
    launch = half.launch(tmp_path / "work")
    assert launch.argv == [str(program), "--disable-telemetry"]
    assert launch.environment["QDRANT__SERVICE__HTTP_PORT"] == str(settings.port)
    assert launch.environment["QDRANT__STORAGE__STORAGE_PATH"] == str(tmp_path / "work" / "data")
    assert half.capabilities.thresholds
    assert half.capabilities.effort == "effort"
    assert half.missing() == []
    assert half.recognise(None, launch.argv, "qdrant") == " ".join(launch.argv)
    assert half.recognise(None, ["/usr/bin/python3", "other.py"], "python3") == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "http"', 'kind = "htp"', "system.mydb: kind = 'htp': no such kind of system; known: http"),
        ("[system.mydb]", "[system.engram]", "system.engram: kind: that name is taken"),
        ('ids = "result.points[].id"', "", "system.mydb: ids: it has to be set"),
        ("start = ", "# start = ", "system.mydb: start: set the command line that starts it, or the endpoint"),
        ('"POST /collections/items/points/query"', '"/query"', "search = '/query': expected a method"),
        (
            '{"query": {{vector}}',
            '{"query": {{vektor}}',
            "search_body: unknown placeholder {{vektor}}; known: {{effort}}",
        ),
        ('{"query": {{vector}}', '{"query": 1', "search_body: it has no {{vector}}"),
        ("[{{rows}}]", "[]", "load_body: it has neither {{rows}}"),
        ('{"id": {{id}}, ', "{", "load_row: a row takes {{id}} and {{vector}}"),
        ("{{limit}}{{threshold}}", "{{limit}}", "search_threshold: it is the text that stands for {{threshold}}"),
        ('built_is = "green"', "", "built: it takes built_at and built_is"),
        ("ids = ", "idz = ", "idz: unknown key"),
    ],
)
def test_what_is_wrong_in_a_table_is_one_line_with_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(UserError) as caught:
        own_settings(tmp_path, EXAMPLE.replace(old, new))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_of_a_table_may_stand_on_the_command_line(tmp_path: Path) -> None:
    settings = own_settings(tmp_path, EXAMPLE, **{"system.mydb.effort": "64", "system": "mydb"})
    assert settings.system_tables["mydb"]["effort"] == 64
    assert "http" not in settings.system_tables


def test_ids_may_be_texts_with_a_prefix_or_shifted_numbers() -> None:
    texts = json.dumps({**TABLE, "id_prefix": "doc/", "id_offset": 1})
    made = open_client(ServerAddress("http://127.0.0.1:1", "mydb", None, texts), Shape(2, 1))
    assert b'{"points": [{"id": "doc/6", "vector": [1.0,2.0]}]}' in made.load(5, 1, np.array([[1, 2]], np.float32))
    answer = {"result": {"points": [{"id": "doc/6"}, {"id": "doc/0"}, {"id": "6"}, {"id": "doc/1099511627777"}]}}
    assert made.ids(json.dumps(answer).encode()) == [5, UNKNOWN, UNKNOWN, STORED_FROM]
    with pytest.raises(AnswerError, match=r"nothing at result\.points\[\]\.id"):
        made.ids(b'{"result": []}')
    with pytest.raises(AnswerError, match="no JSON"):
        made.ids(b"<html>")


def test_a_search_with_a_threshold_is_never_sent_without_it() -> None:
    body = TABLE["search_body"].replace("{{threshold}}", "")
    without = {**TABLE, "search_body": body, "search_threshold": ""}
    made = open_client(ServerAddress("http://127.0.0.1:1", "mydb", None, json.dumps(without)), Shape(DIMENSION, 1))
    made.take_queries(ROWS[:1], completes=False)
    assert b'"limit": 5, "params"' in made.encode(Search(0, 5, 0.0, 0))
    with pytest.raises(UserError, match="the system's table no search_threshold"):
        made.encode(Search(0, 5, 0.5, 0))


def test_a_path_leads_into_an_answer() -> None:
    answer = {"a": [{"b": [1, 2]}, {"b": [3]}], "c": [[7, 8]]}
    assert values_at(answer, steps_of("a[].b[]")) == [1, 2, 3]
    assert values_at(answer, steps_of("c[0][]")) == [7, 8]
    assert values_at(answer, steps_of("c[1]")) is None
    assert values_at(answer, steps_of("a[].x")) is None
    assert values_at([], steps_of("[]")) == []


def test_the_driver_refuses_a_kind_that_there_is_not() -> None:
    with pytest.raises(UserError, match=r"--system-settings: system\.mydb: kind = 'none': no such kind of system"):
        open_client(ServerAddress("http://127.0.0.1:1", "mydb", None, '{"kind": "none"}'), Shape(2, 1))


def test_every_key_of_a_table_is_documented() -> None:
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "own-systems.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    keys = set(discovery.kind("http").settings.__struct_fields__)
    assert keys - named == {"kind", "mode", "image", "container_cpus", "container_memory", "durability"}
