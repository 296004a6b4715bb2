"""Where the page runs, and what a suite says that can't have it."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import pytest

from compbench.cli import live_page
from compbench.cli.live_page import SuitePage, place_of_page, served
from compbench.cli.project import Project
from compbench.config.settings import Settings
from compbench.model.errors import UserError
from compbench.store.provenance import setting_inputs


def project_of(tmp_path: Path, **settings: object) -> Project:
    folders = {"output_dir": str(tmp_path / "runs"), "cache_dir": str(tmp_path / "cache")}
    return Project(tmp_path, Settings(**folders, **settings), [])  # type: ignore[arg-type]


def test_a_port_that_is_taken_costs_a_suite_its_page_and_nothing_else(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])
        page = SuitePage(project_of(tmp_path, live=True, live_port=port), said.append)
        page.begin()
        page.begin()
        page.end()
    (line,) = said
    assert line.startswith(f"no page of this run: live_port = {port}: can't be listened on (Address already in use)")
    assert "live_port=0" in line


def test_a_suite_that_wants_no_page_has_none(tmp_path: Path) -> None:
    said: list[str] = []
    page = SuitePage(project_of(tmp_path), said.append)
    page.begin()
    page.end()
    assert said == []


def test_what_is_not_installed_is_said_with_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_page, "_EXTRA", ("no_such_package_of_ours",))
    with (
        pytest.raises(UserError, match=r"pip install '\.\[live\]'.*no_such_package_of_ours"),
        served(project_of(tmp_path)),
    ):
        raise AssertionError("it is not served")


def test_a_page_that_listens_and_ends_before_it_answers_is_not_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import socket, sys, time; it = socket.create_server(('127.0.0.1', {port})); time.sleep(1); sys.exit('no page')"
    )
    monkeypatch.setattr(live_page, "_argv", lambda _project, port, _run: [sys.executable, "-c", code.format(port=port)])
    said: list[str] = []
    page = SuitePage(project_of(tmp_path, live=True, live_port=0), said.append)
    page.begin()
    page.end()
    assert len(said) == 1
    assert re.fullmatch(r"no page of this run: the page could not be served \(.*\): no page", said[0])


def test_the_page_is_niced_and_kept_to_the_drivers_cpus() -> None:
    place = place_of_page(Settings(isolation="cpus=0/0"))
    assert (place.niceness, place.is_real_time, place.cpus) == (10, False, (0,))
    assert place_of_page(Settings(isolation="off")).cpus == ()


def test_whether_there_is_a_page_sets_no_runs_apart() -> None:
    assert setting_inputs(Settings(live=True, live_port=9000)) == setting_inputs(Settings())
